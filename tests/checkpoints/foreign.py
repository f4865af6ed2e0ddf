"""What the tests of other libraries' formats share: their files, their trees, and damage done to them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from spectral_doctor.arrays import Array
from spectral_doctor.checkpoints.formats import Contents, Format
from spectral_doctor.checkpoints.stores import LocalFile
from spectral_doctor.errors import CheckpointError
from tests.reading import arrays_of, with_values

FOREIGN = Path(__file__).parent.parent / "data" / "foreign"


def opened(item: Format, path: Path) -> Contents:
    """A file that a format takes for its own, opened."""
    source = LocalFile(path)
    assert item.accept(source)
    return item.open(source)


def tensors_of(item: Format, path: Path) -> dict[str, Tensor]:
    """Every array of a file by its dotted key, read."""
    return {
        key: value for key, value in flat(with_values(opened(item, path).tree)).items() if isinstance(value, Tensor)
    }


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every leaf of a tree by its dotted key."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def image_and_answer(name: str) -> tuple[Tensor, Tensor]:
    """What a library's discriminator was shown, with channels first, and what it answered."""
    with np.load(FOREIGN / name) as stored:
        return torch.from_numpy(stored["image"]).permute(0, 3, 1, 2), torch.from_numpy(stored["answer"])


def flattened(hidden: Tensor) -> Tensor:
    """Channels last, as TensorFlow and flax flatten them."""
    return hidden.permute(0, 2, 3, 1).reshape(hidden.shape[0], -1)


def normalised(hidden: Tensor, mean: Tensor, variance: Tensor, gamma: Tensor, beta: Tensor, epsilon: float) -> Tensor:
    """Batch normalisation as it is after training."""
    return functional.batch_norm(hidden, mean, variance, gamma, beta, eps=epsilon)


def damaged(content: bytes, cuts: int, flips: int) -> Iterator[bytes]:
    """A file cut short at many places, and with single bytes changed at random ones."""
    for cut in np.unique(np.linspace(0, len(content) - 1, cuts, dtype=int)):
        yield content[:cut]
    generator = np.random.default_rng(5)
    for place, change in zip(
        generator.integers(0, len(content), flips), generator.integers(1, 256, flips), strict=True
    ):
        yield content[:place] + bytes([content[place] ^ int(change)]) + content[place + 1 :]


def survives(formats: tuple[Format, ...], path: Path, content: bytes) -> bool:
    """Read a damaged file to its last value: only the doctor's own errors come out; whether it could be read."""
    path.write_bytes(content)
    source = LocalFile(path)
    for item in formats:
        if item.accept(source):
            with contextlib.suppress(CheckpointError):
                arrays: Mapping[str, Array] = arrays_of(item.open(source).tree)
                for array in arrays.values():
                    assert array.read().shape == array.shape
                return True
            return False
    return False
