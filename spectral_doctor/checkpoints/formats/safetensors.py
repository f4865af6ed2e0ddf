"""safetensors: a JSON header that says where each tensor lies, and the tensors."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from spectral_doctor.arrays import Strided
from spectral_doctor.checkpoints.formats.base import Contents, Format
from spectral_doctor.checkpoints.pickle.storages import contiguous, is_count, shape_of
from spectral_doctor.checkpoints.stores import Source
from spectral_doctor.elements import ELEMENT_TYPES, ElementType, Values
from spectral_doctor.errors import UnreadableCheckpoint
from spectral_doctor.records import LeftOut

LARGEST_HEADER = 100_000_000
# The largest sharded language models have a few thousand tensors, and optimizers three times as many.
MOST_TENSORS = 100_000
_TYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
    "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
}


class Safetensors(Format):
    """Eight bytes that count the header, the header, and the tensors' bytes in row-major order."""

    name = "safetensors file"

    def accept(self, source: Source) -> bool:
        """A header that begins as JSON does and fits the file."""
        head = source.head
        length = int.from_bytes(head[:8], "little")
        return len(head) > 8 and head[8:9] == b"{" and 2 <= length <= source.size - 8

    def open(self, source: Source) -> Contents:
        """Read the header; a tensor of a type that is not known here is left out, and said so."""
        length = int.from_bytes(source.head[:8], "little")
        if length > LARGEST_HEADER:
            raise _unreadable(source, f"its header of {length} bytes is larger than can be")
        try:
            header = json.loads(source.read(8, length))
            if len(header) > MOST_TENSORS:
                raise _unreadable(source, f"its header lists {len(header)} tensors, more than {MOST_TENSORS}")
            entries = {str(key): dict(entry) for key, entry in header.items() if key != "__metadata__"}
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise _unreadable(source, "its header is no description of tensors") from error
        tree: dict[str, object] = {}
        left_out: list[LeftOut] = []
        for key, entry in entries.items():
            element = ELEMENT_TYPES.get(_TYPES.get(str(entry.get("dtype")), ""))
            if element is None:
                left_out.append(LeftOut(key, f"{entry.get('dtype')} values are not read"))
            else:
                tree[key] = _array(source, key, entry, element, 8 + length)
        return Contents(tree, tuple(left_out))

    def finish(self, path: Path) -> None:
        """The header does not depend on the values."""


def _array(source: Source, key: str, entry: Mapping[str, object], element: ElementType, start: int) -> Strided:
    shape, place = entry.get("shape"), entry.get("data_offsets")
    sizes = shape_of(tuple(shape)) if isinstance(shape, list) else None
    if sizes is None or not isinstance(place, list) or len(place) != 2 or not all(map(is_count, place)):
        raise _unreadable(source, f"'{key}' has a shape or place that cannot be")
    first, length = start + place[0], place[1] - place[0]
    if length != math.prod(sizes) * element.itemsize or first + length > source.size:
        raise _unreadable(source, f"'{key}' does not lie where the header says: the file is cut short, or damaged")

    def storage() -> Values:
        return source.span(first, length).view(element.raw)

    return Strided(storage, element, sizes, contiguous(sizes), 0, (source.identity, first))


def _unreadable(source: Source, reason: str) -> UnreadableCheckpoint:
    return UnreadableCheckpoint(str(source.location), reason)
