"""What tests read with: a checkpoint's tree with its values, as PyTorch tensors to compare with what was saved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spectral_doctor.arrays import Array
from spectral_doctor.checkpoints.opening import open_path
from spectral_doctor.records import LeftOut


def as_tensor(array: Array) -> Tensor:
    """An array's values in its own type; those of a type that NumPy lacks came exactly, and go back exactly."""
    dtype = getattr(torch, array.element.name)
    return torch.from_numpy(np.array(array.read())).to(dtype)


def with_values(tree: Mapping[str, object]) -> dict[str, Any]:
    """A tree with every array read."""
    return {
        key: with_values(value)
        if isinstance(value, Mapping)
        else as_tensor(value)
        if isinstance(value, Array)
        else value
        for key, value in tree.items()
    }


def read_tree(path: Path | str) -> tuple[str, dict[str, Any], tuple[LeftOut, ...]]:
    """The format's name, the tree with its values, and what was left out."""
    opened = open_path(path)
    return opened.format_name, with_values(opened.tree), opened.left_out


def arrays_of(tree: Mapping[str, object], prefix: str = "") -> dict[str, Array]:
    """Every array of a tree by its dotted key."""
    found: dict[str, Array] = {}
    for key, value in tree.items():
        if isinstance(value, Array):
            found[f"{prefix}{key}"] = value
        elif isinstance(value, Mapping):
            found |= arrays_of(value, f"{prefix}{key}.")
    return found
