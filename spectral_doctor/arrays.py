"""Arrays as a file or a network holds them: type and shape at once, the values only when they are asked for."""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from spectral_doctor.elements import ELEMENT_TYPES, ElementType, Values, element_type
from spectral_doctor.errors import WeightError

if TYPE_CHECKING:
    from torch import Tensor

LARGEST_DENSE = 2**30


class Array(ABC):
    """A tensor as it is stored: `element` type and `shape` are known, `read` brings the values.

    `memory` is equal for two arrays that are one and the same stored values, and None where that is not known.
    """

    element: ElementType
    shape: tuple[int, ...]
    memory: Hashable | None = None

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes that its elements take."""
        return self.size * self.element.itemsize

    @property
    def span(self) -> int:
        """How many stored elements it reaches over: fewer than its own where some of them repeat."""
        return self.size

    @property
    def overlaps(self) -> bool:
        """Whether elements share their place, so that a few bytes claim many values."""
        return self.size > self.span

    @property
    def coarse(self) -> bool:
        """Whether its type has so few values that many elements meet at the largest by themselves."""
        return self.element.itemsize < 2

    def rows(self, start: int, stop: int) -> Values:
        """The values of a range of the first axis; raises what `read` raises."""
        return self.read()[start:stop]

    @abstractmethod
    def read(self) -> Values:
        """The exact values in a native NumPy type; not to be changed. Raises `WeightError` where there are none."""

    def write(self, values: Values) -> None:
        """Put values of the same shape in the place of the stored ones, rounded to the element type.

        Raises `WeightError` where this array cannot be written.
        """
        raise WeightError("an array that is only read")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.element.name}, {self.shape})"


class Plain(Array):
    """An array whose values are in memory, such as a NumPy array in a pickle."""

    def __init__(self, values: Values, element: ElementType | None = None, memory: Hashable | None = None) -> None:
        found = element or element_type(values.dtype)
        if found is None:
            raise WeightError(f"{values.dtype} values are not a weight")
        self.element, self.shape = found, tuple(values.shape)
        self._raw = values
        self.memory = memory

    def read(self) -> Values:
        """The values."""
        return self.element.values(self._raw)

    def write(self, values: Values) -> None:
        """Change the values in memory."""
        if not self._raw.flags.writeable:
            raise WeightError("an array that is only read")
        self._raw[...] = self.element.elements(values).reshape(self.shape)


class Strided(Array):
    """A view of a flat storage: `storage()` brings its raw elements when they are asked for."""

    def __init__(
        self,
        storage: Callable[[], Values],
        element: ElementType,
        shape: Sequence[int],
        strides: Sequence[int],
        offset: int = 0,
        identity: Hashable | None = None,
    ) -> None:
        self.element, self.shape = element, tuple(shape)
        self.strides, self.offset = tuple(strides), offset
        self._storage = storage
        self.memory = None if identity is None else (identity, element.name, self.shape, self.strides, offset)

    @property
    def span(self) -> int:
        """How many elements of the storage it reaches over: at least as many as its own, or some repeat."""
        return _span(self.shape, self.strides)

    def _view(self) -> Values:
        flat = self._storage()
        size = flat.dtype.itemsize
        return np.lib.stride_tricks.as_strided(
            flat[self.offset :], self.shape, [step * size for step in self.strides], writeable=flat.flags.writeable
        )

    def read(self) -> Values:
        """The values, as a view of the storage where its type is NumPy's own."""
        return self.element.values(self._view())

    def write(self, values: Values) -> None:
        """Change the storage, where it may be changed."""
        view = self._view()
        if not view.flags.writeable:
            raise WeightError("an array that is only read")
        if self.overlaps:
            raise WeightError("a view that repeats its values cannot be rewritten")
        view[...] = self.element.elements(values).reshape(self.shape)


class Computed(Array):
    """An array whose values are computed from what is stored: quantised, sparse, compressed, or in pieces.

    `layout` says in a word what it is. Raises `WeightError` on reading one larger than is made dense here.
    """

    def __init__(
        self, compute: Callable[[], Values], element: ElementType, shape: Sequence[int], layout: str = "computed"
    ) -> None:
        self.element, self.shape, self.layout = element, tuple(shape), layout
        self._compute = compute

    @property
    def coarse(self) -> bool:
        """Whether its type has few values; a quantised one has whatever type its values are widened to."""
        return self.element.itemsize < 2 or self.layout.startswith("quanti")

    def read(self) -> Values:
        """Compute the values."""
        if self.size > LARGEST_DENSE:
            raise WeightError(f"a {self.layout} tensor of shape {self.shape} is larger than is made dense here")
        return self._compute()

    def write(self, values: Values) -> None:
        """Such an array is not written."""
        raise WeightError(f"a {self.layout} tensor cannot be rewritten")


class Absent(Array):
    """A shape without values, such as a meta tensor's."""

    def __init__(self, element: ElementType, shape: Sequence[int], why: str) -> None:
        self.element, self.shape, self.why = element, tuple(shape), why

    def read(self) -> Values:
        """There are none: raises `WeightError`."""
        raise WeightError(self.why)


class Live(Array):
    """A PyTorch tensor of a network in memory, read and written in place."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        name = str(tensor.dtype).removeprefix("torch.")
        self.shape = tuple(int(size) for size in tensor.shape)
        self._dense = tensor.layout.__repr__() == "torch.strided" and not tensor.is_quantized and not tensor.is_meta
        self.element = ELEMENT_TYPES.get(name) or ElementType(name, np.dtype(np.float32))
        if self._dense:
            self.memory = (tensor.data_ptr(), name, self.shape, tuple(tensor.stride())) if tensor.numel() else None

    @property
    def span(self) -> int:
        """How many elements of its memory it reaches over."""
        return _span(self.shape, self.tensor.stride()) if self._dense else self.size

    @property
    def coarse(self) -> bool:
        """Whether its type has few values, as quantised and 8-bit ones have."""
        return self.element.itemsize < 2 or self.tensor.is_quantized

    def read(self) -> Values:
        """The values, as a view of the tensor's memory where that can be."""
        tensor = self.tensor.detach()
        if tensor.is_meta:
            raise WeightError("a meta tensor: the file holds its shape and no values")
        if not self._dense:
            if tensor.numel() > LARGEST_DENSE:
                raise WeightError(f"a sparse tensor of shape {self.shape} is larger than is made dense here")
            tensor = tensor.dequantize() if tensor.is_quantized else tensor.to_dense()
        if self.element.decode is not None:
            tensor = tensor.float()
        values: Values = tensor.cpu().resolve_conj().numpy()
        return values

    def write(self, values: Values) -> None:
        """Change the tensor in place."""
        if not self._dense:
            raise WeightError(f"a {self.tensor.layout} tensor cannot be rewritten")
        if any(size > 1 and step == 0 for size, step in zip(self.shape, self.tensor.stride(), strict=True)):
            raise WeightError("a view that repeats its values cannot be rewritten")
        from torch import from_numpy, no_grad

        with no_grad():
            self.tensor.copy_(from_numpy(np.array(values, order="C")).reshape(self.shape))


def live_arrays(state: Mapping[str, object]) -> dict[str, Array]:
    """The tensors of a network's state dict (dotted name → tensor) as arrays that are read and written in place."""
    return {name: Live(tensor) for name, tensor in state.items() if _is_tensor(tensor)}


def tensor_of(array: Array) -> Tensor:
    """A PyTorch tensor of its own memory with an array's values, in its type. Raises what `read` raises."""
    import torch

    tensor = torch.from_numpy(np.array(array.read(), order="C"))
    kind = getattr(torch, array.element.name, None)
    return tensor if kind is None else tensor.to(kind)


def values_of(matrix: Array | Values | Tensor) -> Values:
    """The values of an array in whatever hands: a stored one, NumPy's, or a PyTorch tensor.

    Raises `WeightError` where it has none.
    """
    if isinstance(matrix, np.ndarray):
        return matrix
    return matrix.read() if isinstance(matrix, Array) else Live(matrix).read()


def _is_tensor(value: object) -> TypeGuard[Tensor]:
    # torch is not imported here: without it nothing is a tensor.
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _span(shape: Sequence[int], strides: Sequence[int]) -> int:
    if 0 in shape:
        return 0
    return 1 + sum((length - 1) * abs(step) for length, step in zip(shape, strides, strict=True))
