"""ONNX models: the initialisers of the graph, under their own names; they have PyTorch's order of axes already.

The file is one protocol buffer (`onnx.proto`: ModelProto.graph = 7, GraphProto.initializer = 5, TensorProto). Nothing
of the graph is run. Values that lie in other files are left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import IO

from spectral_doctor.arrays import Array, Strided
from spectral_doctor.checkpoints.formats.base import Contents, Format
from spectral_doctor.checkpoints.formats.kernels import plain_value
from spectral_doctor.checkpoints.formats.protocol_buffers import (
    FIXED32,
    FIXED64,
    LENGTH,
    VARINT,
    Field,
    MalformedMessage,
    fields,
    signed,
    varint,
)
from spectral_doctor.checkpoints.pickle.storages import contiguous, shape_of
from spectral_doctor.checkpoints.stores import Source
from spectral_doctor.elements import ELEMENT_TYPES, Values
from spectral_doctor.errors import UnreadableCheckpoint
from spectral_doctor.records import LeftOut

LONGEST_NAME = 2**16
MOST_INITIALIZERS = 1_000_000
_VERSION, _GRAPH, _OPSET = 1, 7, 8
_TOP = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26})
_INITIALIZER = 5
_DIMS, _TYPE, _FLOATS, _INTS, _LONGS, _NAME, _RAW, _DOUBLES, _LOCATION = 1, 2, 4, 5, 7, 8, 9, 10, 14
_EXTERNAL, _TEXT = 13, 8
_TYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    14: "complex64",
    15: "complex128",
    16: "bfloat16",
    17: "float8_e4m3fn",
    18: "float8_e4m3fnuz",
    19: "float8_e5m2",
    20: "float8_e5m2fnuz",
}
# The packed fields whose bytes are those of the values themselves.
_PACKED = {"float32": _FLOATS, "complex64": _FLOATS, "float64": _DOUBLES, "complex128": _DOUBLES}


class Onnx(Format):
    """A ModelProto: a version, a graph, and nothing that a model does not have."""

    name, article = "ONNX file", "an"

    def accept(self, source: Source) -> bool:
        """Fields of a model up to the file's last byte, with a version, a graph and a set of operators."""
        if source.head[:1] != b"\x08":
            return False
        try:
            top = _top(source)
        except MalformedMessage:
            return False
        numbers = {item.number for item in top}
        return numbers <= _TOP and {_VERSION, _GRAPH, _OPSET} <= numbers

    def open(self, source: Source) -> Contents:
        """Find every initialiser; what is not read is left out, and said so."""
        tree: dict[str, object] = {}
        left_out: list[LeftOut] = []
        stream = source.stream()
        try:
            for item in _top(source):
                if item.number != _GRAPH or item.wire != LENGTH:
                    continue
                for inner in _initializers(stream, item):
                    name, found = _tensor(source, stream, inner)
                    if isinstance(found, Array):
                        tree[name] = plain_value(found)
                    elif found:
                        left_out.append(LeftOut(name, found))
        except (MalformedMessage, UnicodeDecodeError) as error:
            raise UnreadableCheckpoint(str(source.location), f"an ONNX file that is damaged: {error}") from error
        return Contents(tree, tuple(left_out))


def _top(source: Source) -> list[Field]:
    if "onnx" not in source.kept:
        found: list[Field] = []
        for item in fields(source.stream(), 0, source.size):
            if item.number not in _TOP or len(found) > MOST_INITIALIZERS:
                raise MalformedMessage("a field that no model has")
            found.append(item)
        source.kept["onnx"] = found
    known: list[Field] = source.kept["onnx"]
    return known


def _initializers(stream: IO[bytes], graph: Field) -> Iterator[Field]:
    for item in fields(stream, graph.start, graph.start + graph.value):
        if item.number == _INITIALIZER and item.wire == LENGTH:
            yield item


def _tensor(source: Source, stream: IO[bytes], message: Field) -> tuple[str, Array | str]:
    """The name of a tensor and its array; the reason where it is not read, no word for texts."""
    sizes: list[int] = []
    name, kind, elsewhere = "", 0, False
    place: dict[int, Field | None] = {}
    for item in fields(stream, message.start, message.start + message.value):
        if item.number == _DIMS:
            sizes += _dimensions(stream, item)
        elif item.number == _TYPE and item.wire == VARINT:
            kind = item.value
        elif item.number == _NAME and item.wire == LENGTH:
            name = _text(stream, item)
        elif item.number == _EXTERNAL or (item.number == _LOCATION and item.value == 1):
            elsewhere = True
        elif item.wire in (LENGTH, FIXED32, FIXED64) and item.number in (_RAW, _FLOATS, _DOUBLES, _INTS, _LONGS):
            if item.number in place or item.wire != LENGTH:
                place[item.number] = None
            else:
                place[item.number] = item
    if elsewhere:
        return name, "its values lie in another file, which is not read"
    if kind == _TEXT:
        return name, ""
    element = ELEMENT_TYPES.get(_TYPES.get(kind, ""))
    if element is None:
        return name, f"values of ONNX's type {kind} are not read"
    shape = shape_of(tuple(sizes))
    if shape is None:
        raise MalformedMessage(f"'{name}' has a shape that cannot be")
    stored = place.get(_RAW) or place.get(_PACKED.get(element.name, _RAW))
    if stored is None:
        return name, f"{element.name} values that are stored one by one are not read" if math.prod(shape) else ""
    if stored.value != math.prod(shape) * element.itemsize:
        raise MalformedMessage(f"'{name}' of shape {shape} holds {stored.value} bytes")
    start, length = stored.start, stored.value

    def storage() -> Values:
        return source.span(start, length).view(element.raw)

    return name, Strided(storage, element, shape, contiguous(shape), 0, (source.identity, start))


def _dimensions(stream: IO[bytes], item: Field) -> list[int]:
    """One size, or a packed run of them."""
    if item.wire != LENGTH:
        return [signed(item.value)]
    if item.value > 1024:
        raise MalformedMessage("more axes than can be")
    sizes, end = [], item.start + item.value
    stream.seek(item.start)
    while stream.tell() < end:
        sizes.append(signed(varint(stream)))
    return sizes


def _text(stream: IO[bytes], item: Field) -> str:
    if item.value > LONGEST_NAME:
        raise MalformedMessage("a name that is longer than can be")
    stream.seek(item.start)
    return stream.read(item.value).decode("utf-8")
