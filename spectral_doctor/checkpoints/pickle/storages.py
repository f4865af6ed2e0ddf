"""Tensors from what a pickle describes: PyTorch's legacy storages, and NumPy's arrays and numbers."""

from __future__ import annotations

import io
import math
import re
import struct

import numpy as np
import torch
from torch import Tensor

from spectral_doctor.checkpoints.pickle.machine import PERSISTENT, Described, Machine, MalformedPickle, Named

MOST_AXES = 64

_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexDoubleStorage": torch.complex128,
    "ComplexFloatStorage": torch.complex64,
    "UntypedStorage": torch.uint8,
}
_DTYPE = re.compile(r"[biufc]\d{1,2}")


def legacy_storage(blob: bytes | bytearray) -> Tensor:
    """The values of a storage as PyTorch pickles it, flat: a legacy torch file that lies in the pickle as bytes.

    Five small pickles (magic number, version, system, the storage's name and size, its key) come before the
    count of values and the values themselves. None of them is given to torch.

    Raises `MalformedPickle` or `RefusedPickle`.
    """
    stream = io.BytesIO(blob)
    machine = Machine(persistent=True)
    magic, _version, _system, storage, _keys = (machine.run(stream) for _ in range(5))
    if magic != _MAGIC:
        raise MalformedPickle("a storage without PyTorch's magic number")
    identity = storage.arguments[0] if isinstance(storage, Described) and storage.maker is PERSISTENT else None
    if not (isinstance(identity, tuple) and len(identity) >= 5 and isinstance(identity[1], Named)):
        raise MalformedPickle("a storage that does not say what it holds")
    dtype = _STORAGES.get(identity[1].name)
    if dtype is None:
        raise MalformedPickle(f"a storage of the unknown kind '{identity[1]}'")
    start = stream.tell() + 8
    raw = memoryview(blob)
    (count,) = struct.unpack("<q", _exactly(raw[start - 8 : start], 8))
    size = count * dtype.itemsize
    if count < 0 or count != identity[4]:
        raise MalformedPickle(f"a storage of {identity[4]} values that holds {count}")
    return _flat(_exactly(raw[start : start + size], size), dtype)


def _exactly(raw: memoryview, size: int) -> memoryview:
    if len(raw) != size:
        raise MalformedPickle(f"a storage that ends after {len(raw)} of {size} bytes")
    return raw


def _flat(raw: memoryview, dtype: torch.dtype) -> Tensor:
    if not len(raw):
        return torch.empty(0, dtype=dtype)
    return torch.frombuffer(bytearray(raw), dtype=torch.uint8).view(dtype)


def strided(flat: Tensor, offset: object, size: object, stride: object) -> Tensor:
    """A view of a flat storage, refused where it would reach beyond it.

    Raises `MalformedPickle`.
    """
    start, sizes, steps = whole_numbers((offset,)), whole_numbers(size), whole_numbers(stride)
    if start is None or sizes is None or steps is None or len(sizes) != len(steps):
        raise MalformedPickle("a tensor whose shape is not made of whole numbers")
    if 0 in sizes:
        return torch.empty(sizes, dtype=flat.dtype)
    last = start[0] + sum((length - 1) * step for length, step in zip(sizes, steps, strict=True))
    if last >= flat.numel():
        raise MalformedPickle(f"a tensor of shape {sizes} that reaches beyond the {flat.numel()} values of its storage")
    return flat.as_strided(sizes, steps, start[0])


def whole_numbers(values: object) -> tuple[int, ...] | None:
    """A tuple of counts, such as a shape has; None where it is another thing."""
    if not isinstance(values, tuple) or len(values) > MOST_AXES:
        return None
    return values if all(map(is_count, values)) else None


def is_count(value: object) -> bool:
    """Say whether a value can be a length, an offset or a number of values."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62


def numpy_array(shape: object, dtype: object, fortran: bool, raw: object) -> Tensor | None:
    """A NumPy array of numbers as a tensor; None where it holds objects, text, or numbers torch does not know.

    Raises `MalformedPickle` where the bytes are not as many as the shape needs.
    """
    known = numpy_dtype(dtype)
    sizes = whole_numbers(shape)
    if known is None or not isinstance(raw, bytes | bytearray) or sizes is None:
        return None
    size = known.itemsize * math.prod(sizes)
    if size != len(raw):
        raise MalformedPickle(f"an array of shape {sizes} with {len(raw)} bytes where it needs {size}")
    array = np.frombuffer(raw, dtype=known).reshape(sizes, order="F" if fortran else "C")
    native = np.array(array.astype(known.newbyteorder("="), copy=False), order="C")
    try:
        return torch.from_numpy(native)
    except TypeError:
        return None


def numpy_number(dtype: object, raw: object) -> float | int | bool | None:
    """A pickled NumPy number as a plain one; None where it is another thing."""
    array = numpy_array((), dtype, False, raw)
    return None if array is None or array.is_complex() else array.item()


def numpy_dtype(described: object) -> np.dtype[np.generic] | None:
    """The dtype of numbers that a description names; None for every other."""
    if not (isinstance(described, Described) and described.arguments):
        return None
    code = described.arguments[0]
    if not (isinstance(code, str) and _DTYPE.fullmatch(code)):
        return None
    state = described.state
    swapped = isinstance(state, tuple) and len(state) > 1 and state[1] == ">"
    try:
        return np.dtype(code).newbyteorder(">" if swapped else "<")
    except TypeError:
        return None
