"""The weight of a weight-normalised layer, computed from its two tensors."""

from __future__ import annotations

import numpy as np

from spectral_doctor.arrays import LARGEST_DENSE, Array
from spectral_doctor.elements import FLOAT64, Values
from spectral_doctor.errors import WeightError

_PART = 2**18


class WeightNormalised(Array):
    """g·v/‖v‖ in float64, the norm over every axis along which g has one value (Salimans & Kingma 2016, eq. 2).

    Raises `WeightError` where g does not fit v.
    """

    def __init__(self, magnitude: Array, direction: Array) -> None:
        fits = magnitude.ndim == direction.ndim and all(
            size in (1, full) for size, full in zip(magnitude.shape, direction.shape, strict=True)
        )
        if magnitude.size != 1 and not fits:
            shapes = f"{magnitude.shape} does not fit {direction.shape}"
            raise WeightError(f"a weight norm whose magnitude of shape {shapes}")
        self.element, self.shape = FLOAT64, direction.shape
        self.magnitude, self.direction = magnitude, direction
        self.memory = None if direction.memory is None else (direction.memory, magnitude.memory)

    def read(self) -> Values:
        """Compute the values."""
        return self.rows(0, self.shape[0])

    def rows(self, start: int, stop: int) -> Values:
        """Compute those of some rows alone, where each has a magnitude of its own."""
        if self.size > LARGEST_DENSE:
            raise WeightError(f"a weight norm of shape {self.shape} is larger than is computed here")
        if self.magnitude.ndim == self.direction.ndim and self.magnitude.shape[0] == self.shape[0]:
            return normalised(self.magnitude.rows(start, stop), self.direction.rows(start, stop))
        return normalised(self.magnitude.read(), self.direction.read())[start:stop]


def normalised(magnitude: Values, direction: Values) -> Values:
    """g·v/‖v‖ in float64; 0 where v is."""
    wide, length = direction.astype(np.float64), magnitude.astype(np.float64)
    del direction  # one copy at a time: a wide layer has tens of megabytes, and several are read side by side
    norm = lengths(wide, magnitude.shape)
    length = length.reshape(norm.shape)
    wide *= np.divide(length, norm, out=np.zeros_like(norm), where=norm > 0)
    return wide


def lengths(direction: Values, shape: tuple[int, ...]) -> Values:
    """‖v‖ over the axes along which a magnitude of that shape has one value; of all of v where it has one in all."""
    single = np.prod(shape) == 1 and len(shape) != direction.ndim
    axes = tuple(axis for axis in range(direction.ndim) if single or shape[axis] == 1)
    # Some rows at a time: the squares of all would be another copy in float64.
    step = max(1, _PART * len(direction) // max(1, direction.size))
    parts = [
        np.square(direction[start : start + step], dtype=np.float64).sum(axis=axes, keepdims=True)
        for start in range(0, max(1, len(direction)), step)
    ]
    squares: Values = np.sum(parts, axis=0) if 0 in axes else np.concatenate(parts)
    return np.sqrt(squares)
