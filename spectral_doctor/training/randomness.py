"""Every random number generator of a process: captured, put back, or left alone."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def captured_randomness() -> dict[str, Any]:
    """The state of Python's, NumPy's and torch's global generators, as tensors and plain values."""
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": (version, list(words), gauss),
        "numpy": (name, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, cached),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_randomness(captured: Mapping[str, Any]) -> None:
    """Put back what `captured_randomness` returned; CUDA's only where there are as many devices."""
    version, words, gauss = captured["python"]
    random.setstate((version, tuple(words), gauss))
    name, keys, *rest = captured["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(captured["torch"])
    if captured["cuda"] and torch.cuda.is_available() and torch.cuda.device_count() == len(captured["cuda"]):
        torch.cuda.set_rng_state_all(captured["cuda"])


@contextmanager
def untouched_randomness() -> Iterator[None]:
    """Run a block that may draw random numbers without the run that goes on noticing."""
    captured = captured_randomness()
    try:
        yield
    finally:
        restore_randomness(captured)
