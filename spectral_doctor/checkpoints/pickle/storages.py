"""Storages and the arrays on them: the stretches of a file that hold numbers, and NumPy's arrays in a pickle."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np

from spectral_doctor.arrays import Strided
from spectral_doctor.checkpoints.pickle.descriptions import (
    PERSISTENT,
    Described,
    MalformedPickle,
    Named,
    Stretch,
)
from spectral_doctor.checkpoints.pickle.machine import Machine
from spectral_doctor.checkpoints.stores import Source
from spectral_doctor.elements import ELEMENT_TYPES, ElementType, Values

MOST_AXES = 64
MAGIC = 0x1950A86A20F9469CFC6C

_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexDoubleStorage": "complex128",
    "ComplexFloatStorage": "complex64",
    "UntypedStorage": "uint8",
    "QInt8Storage": "int8",
    "QUInt8Storage": "uint8",
    "QInt32Storage": "int32",
}
_DTYPE = re.compile(r"[biufc]\d{1,2}")


@dataclass(frozen=True, eq=False)
class Storage:
    """A flat run of `count` elements of one type; `load` brings its raw bytes.

    `identity` is equal for two mentions of one and the same storage.
    """

    element: ElementType
    count: int
    load: Callable[[], Values]
    identity: Hashable

    def elements(self, element: ElementType) -> Values:
        """Its raw elements, taken as being of a type."""
        size = self.count * self.element.itemsize
        return self.load()[: size - size % element.itemsize].view(element.raw)


@dataclass(frozen=True)
class StorageName:
    """What a persistent id says of a storage: its type, the key it is kept under, and how many elements it has."""

    element: ElementType
    key: str
    count: int


def storage_name(identity: object) -> StorageName:
    """Read the persistent id of a storage: ("storage", class, key, device, count). Raises `MalformedPickle`."""
    if not (isinstance(identity, tuple) and len(identity) >= 5 and isinstance(identity[1], Named)):
        raise MalformedPickle("a storage that does not say what it holds")
    name = _STORAGES.get(identity[1].name)
    if name is None:
        raise MalformedPickle(f"a storage of the unknown kind '{identity[1]}'")
    key, count = identity[2], identity[4]
    if not isinstance(key, str | int) or not is_count(count):
        raise MalformedPickle("a storage that does not say how much it holds")
    return StorageName(ELEMENT_TYPES[name], str(key), count)


def legacy_storage(source: Source, stretch: Stretch) -> Storage:
    """The storage in a stretch of a file that is a legacy torch file of its own, as PyTorch pickles a storage.

    Five small pickles (magic number, version, system, the storage's name and size, its key) come before the
    count of values and the values themselves. None of them is given to torch.

    Raises `MalformedPickle` or `RefusedPickle`.
    """
    stream = source.stream(stretch.start, stretch.length)
    machine = Machine(persistent=True)
    magic, _version, _system, storage, _keys = (machine.run(stream, stretch.length) for _ in range(5))
    if magic != MAGIC:
        raise MalformedPickle("a storage without PyTorch's magic number")
    if not (isinstance(storage, Described) and storage.maker is PERSISTENT):
        raise MalformedPickle("a storage that does not say what it holds")
    name = storage_name(storage.arguments[0])
    start = stretch.start + stream.tell()
    count = counted_at(source, start, stretch.start + stretch.length)
    size = count * name.element.itemsize
    if count != name.count:
        raise MalformedPickle(f"a storage of {name.count} values that holds {count}")
    held = stretch.start + stretch.length - start - 8
    if held < size:
        raise MalformedPickle(f"a storage that ends after {held} of {size} bytes")
    return Storage(name.element, count, lambda: source.span(start + 8, size), (source.identity, start))


def counted_at(source: Source, start: int, end: int) -> int:
    """The count of 8 bytes that a legacy storage begins with. Raises `MalformedPickle`."""
    if start + 8 > end:
        raise MalformedPickle("a storage that ends before it begins")
    (count,) = struct.unpack("<q", source.read(start, 8))
    if count < 0:
        raise MalformedPickle(f"a storage of {count} values")
    return int(count)


def strided(
    storage: Storage, offset: object, size: object, stride: object, element: ElementType | None = None
) -> Strided:
    """A view of a storage, refused where it would reach beyond it. Raises `MalformedPickle`."""
    start, sizes, steps = whole_numbers((offset,)), shape_of(size), whole_numbers(stride)
    if start is None or sizes is None or steps is None or len(sizes) != len(steps):
        raise MalformedPickle("a tensor whose shape cannot be")
    kind = element or storage.element
    count = storage.count * storage.element.itemsize // kind.itemsize
    array = Strided(lambda: storage.elements(kind), kind, sizes, steps, start[0], storage.identity)
    if start[0] + array.span > count:
        raise MalformedPickle(f"a tensor of shape {sizes} that reaches beyond the {count} values of its storage")
    return array


def whole_numbers(values: object) -> tuple[int, ...] | None:
    """A tuple of counts, such as a shape has; None where it is another thing."""
    if not isinstance(values, tuple) or len(values) > MOST_AXES:
        return None
    return values if all(map(is_count, values)) else None


def shape_of(values: object) -> tuple[int, ...] | None:
    """A shape whose elements can be counted, also without its empty axes; None where it is another thing."""
    sizes = whole_numbers(values)
    return sizes if sizes is not None and math.prod(max(size, 1) for size in sizes) < 2**59 else None


def is_count(value: object) -> bool:
    """Say whether a value can be a length, an offset or a number of values."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62


def numpy_array(
    shape: object, dtype: object, fortran: bool, load: Callable[[], Values], length: int, identity: Hashable
) -> Strided | None:
    """A NumPy array of numbers whose `length` bytes `load` brings; None where it holds objects or text.

    Raises `MalformedPickle` where the bytes are not as many as the shape needs.
    """
    known, sizes = numpy_dtype(dtype), shape_of(shape)
    if known is None or (sizes is None and whole_numbers(shape) is None):
        return None
    if sizes is None:
        raise MalformedPickle("an array whose shape cannot be")
    size = known.itemsize * math.prod(sizes)
    if size != length:
        raise MalformedPickle(f"an array of shape {sizes} with {length} bytes where it needs {size}")
    element = ElementType(known.name, known)
    storage = Storage(element, math.prod(sizes), load, identity)
    steps = contiguous(sizes[::-1])[::-1] if fortran else contiguous(sizes)
    return Strided(lambda: storage.elements(element), element, sizes, steps, 0, identity)


def contiguous(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """The strides, in elements, of an array in row-major order."""
    steps, step = [], 1
    for length in reversed(sizes):
        steps.append(step)
        step *= max(length, 1)
    return tuple(reversed(steps))


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
