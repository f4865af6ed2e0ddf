"""flax checkpoints: msgpack with extension types for arrays, as `flax.serialization.to_bytes` writes them.

Only the outline is read (github.com/msgpack/msgpack/blob/master/spec.md): arrays stay where they lie in the file until
they are asked for.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import IO

from spectral_doctor.arrays import Array, Strided
from spectral_doctor.checkpoints.formats.base import Closed, Contents, Format
from spectral_doctor.checkpoints.formats.kernels import Entry, in_torch_order, joined, plain_value
from spectral_doctor.checkpoints.pickle.storages import contiguous, shape_of
from spectral_doctor.checkpoints.stores import Source
from spectral_doctor.elements import ELEMENT_TYPES, Values
from spectral_doctor.errors import EXPORT, UnreadableCheckpoint
from spectral_doctor.records import LeftOut

MOST_ITEMS = 1_000_000
DEEPEST = 64
LONGEST_TEXT = 2**16
_NDARRAY, _COMPLEX, _SCALAR = 1, 2, 3
_CHUNKED = "__msgpack_chunked_array__"
_SPECTRAL = "SpectralNorm"
_NUMBERS = {
    0xCA: ">f",
    0xCB: ">d",
    0xCC: ">B",
    0xCD: ">H",
    0xCE: ">I",
    0xCF: ">Q",
    0xD0: ">b",
    0xD1: ">h",
    0xD2: ">i",
    0xD3: ">q",
}
_TEXTS, _BYTES = {0xD9: 1, 0xDA: 2, 0xDB: 4}, {0xC4: 1, 0xC5: 2, 0xC6: 4}
_LISTS, _MAPS = {0xDC: 2, 0xDD: 4}, {0xDE: 2, 0xDF: 4}
_EXTENSIONS, _FIXED_EXTENSIONS = {0xC7: 1, 0xC8: 2, 0xC9: 4}, {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_ELEMENTS = {"bool_": "bool", "float8_e4m3": "float8_e4m3fn"}


class MalformedMsgpack(ValueError):
    """Bytes that are no msgpack of flax; the sentence says why."""


class _Bytes(tuple[int, int]):
    """Where a run of bytes lies: its start and its length."""


class FlaxMsgpack(Format):
    """A msgpack mapping with at least one array in it."""

    name = "flax file"

    def accept(self, source: Source) -> bool:
        """A mapping whose outline can be followed to the file's last byte and that holds an array."""
        return isinstance(_outline(source), dict)

    def open(self, source: Source) -> Contents:
        """Put the arrays into PyTorch's order; what has a type that is not known here is left out, and said so."""
        outline = _outline(source)
        if not isinstance(outline, dict):
            raise UnreadableCheckpoint(str(source.location), str(outline))
        entries: list[Entry] = []
        left_out: list[LeftOut] = []
        _collect(outline, (), entries, left_out)
        return Contents(in_torch_order(map(_homed, entries), swaps_transposed=True), tuple(left_out))


class DamagedFlax(Closed):
    """A mapping with a flax array in its first bytes that cannot be followed to its end."""

    name = "flax file"
    remedy = f"It is damaged; {EXPORT}."
    is_damage = True

    def accept(self, source: Source) -> bool:
        """Say whether it begins as a mapping with a text for a key, and holds an array's type and name early on."""
        head = source.head
        names = (b"\xa7float32", b"\xa8bfloat16", b"\xa7float16", b"\xa7float64", b"\xa5int32", b"\xa5int64")
        return _begins_as_map(head) and any(name in head for name in names)

    def open(self, source: Source) -> Contents:
        """Say what is wrong with it."""
        raise UnreadableCheckpoint(str(source.location), f"a flax file: {_outline(source)}")


def _begins_as_map(head: bytes) -> bool:
    if not head:
        return False
    skip = 1 if 0x81 <= head[0] <= 0x8F else 1 + _MAPS.get(head[0], -1)
    return skip > 0 and len(head) > skip and (0xA1 <= head[skip] <= 0xBF or head[skip] in _TEXTS)


def _outline(source: Source) -> object:
    """The tree of a file, its arrays unread; a sentence where it is none."""
    if "flax" not in source.kept:
        source.kept["flax"] = _followed(source)
    return source.kept["flax"]


def _followed(source: Source) -> object:
    if not _begins_as_map(source.head):
        return "it is no msgpack mapping"
    reader = _Reader(source)
    try:
        tree = reader.item(reader.stream, 0)
        if reader.stream.tell() != source.size:
            raise MalformedMsgpack("something follows its end")
    except (MalformedMsgpack, UnicodeDecodeError, struct.error, RecursionError) as error:
        return str(error)
    return tree if reader.arrays else "it holds no arrays"


class _Reader:
    """Follows msgpack through a file and passes over the bytes of arrays."""

    def __init__(self, source: Source) -> None:
        self._source, self.stream = source, source.stream()
        self._items, self.arrays = 0, 0

    def item(self, stream: IO[bytes], depth: int) -> object:
        """The next item: a mapping, a list as a mapping, a number, a text, None, an array, or where bytes lie."""
        self._items += 1
        if depth > DEEPEST or self._items > MOST_ITEMS:
            raise MalformedMsgpack("it is nested deeper, or has more items, than can be")
        code = self._bytes(stream, 1)[0]
        if code < 0x80 or code >= 0xE0:
            return code if code < 0x80 else code - 0x100
        if code in (0xC0, 0xC2, 0xC3):
            return None if code == 0xC0 else code == 0xC3
        if code in _NUMBERS:
            return struct.unpack(_NUMBERS[code], self._bytes(stream, struct.calcsize(_NUMBERS[code])))[0]
        if code <= 0x8F or code in _MAPS:
            return self._mapping(stream, self._length(stream, code, _MAPS, 0x0F), depth)
        if code <= 0x9F or code in _LISTS:
            count = self._length(stream, code, _LISTS, 0x0F)
            return {str(index): self.item(stream, depth + 1) for index in range(count)}
        if code <= 0xBF or code in _TEXTS:
            return self._text(stream, self._length(stream, code, _TEXTS, 0x1F))
        if code in _BYTES:
            return self._passed(stream, self._length(stream, code, _BYTES, 0))
        return self._extension(stream, code)

    def _length(self, stream: IO[bytes], code: int, sizes: Mapping[int, int], mask: int) -> int:
        return int.from_bytes(self._bytes(stream, sizes[code]), "big") if code in sizes else code & mask

    def _bytes(self, stream: IO[bytes], count: int) -> bytes:
        content = stream.read(count)
        if len(content) < count:
            raise MalformedMsgpack("it ends before its outline does")
        return content

    def _text(self, stream: IO[bytes], length: int) -> str:
        if length > LONGEST_TEXT:
            self._passed(stream, length)
            return ""
        return self._bytes(stream, length).decode("utf-8")

    def _mapping(self, stream: IO[bytes], count: int, depth: int) -> dict[str, object]:
        tree: dict[str, object] = {}
        for _ in range(count):
            key = self.item(stream, depth + 1)
            if not isinstance(key, str | int):
                raise MalformedMsgpack("a key that is no text")
            tree[str(key)] = self.item(stream, depth + 1)
        return tree

    def _passed(self, stream: IO[bytes], length: int) -> _Bytes:
        start = stream.tell()
        if start + length > self._source.size:
            raise MalformedMsgpack("it ends before its values do")
        stream.seek(start + length)
        return _Bytes((start, length))

    def _extension(self, stream: IO[bytes], code: int) -> object:
        if code in _EXTENSIONS:
            length = self._length(stream, code, _EXTENSIONS, 0)
        elif code in _FIXED_EXTENSIONS:
            length = _FIXED_EXTENSIONS[code]
        else:
            raise MalformedMsgpack(f"an item of the unknown code {code}")
        kind = self._bytes(stream, 1)[0]
        start, end = self._passed(stream, length)[0], stream.tell()
        if kind not in (_NDARRAY, _SCALAR):
            return None
        stream.seek(start)
        described = self.item(stream, DEEPEST - 2)
        if stream.tell() != end:
            raise MalformedMsgpack("an array that is longer or shorter than it says")
        return self._array(described)

    def _array(self, described: object) -> Array | str:
        """The array that its shape, the name of its type, and its bytes describe; the type's name where unknown."""
        if not (isinstance(described, dict) and len(described) == 3):
            raise MalformedMsgpack("an array without a shape, a type and values")
        sizes, kind, place = described["0"], described["1"], described["2"]
        if not (isinstance(sizes, dict) and isinstance(kind, str) and isinstance(place, _Bytes)):
            raise MalformedMsgpack("an array without a shape, a type and values")
        self.arrays += 1
        shape, element = shape_of(tuple(sizes.values())), ELEMENT_TYPES.get(_ELEMENTS.get(kind, kind))
        if element is None:
            return f"{kind} values are not read"
        start, length = place
        if shape is None or math.prod(shape) * element.itemsize != length:
            raise MalformedMsgpack(f"an array of shape {tuple(sizes.values())} with {length} bytes")
        source = self._source

        def storage() -> Values:
            return source.span(start, length).view(element.raw)

        return Strided(storage, element, shape, contiguous(shape), 0, (source.identity, start))


def _collect(tree: Mapping[str, object], path: tuple[str, ...], entries: list[Entry], left_out: list[LeftOut]) -> None:
    for key, value in tree.items():
        here = (*path, key)
        if isinstance(value, dict) and _CHUNKED in value:
            found = _unchunked(value)
            if isinstance(found, Array):
                entries.append(Entry(here, found))
            else:
                left_out.append(LeftOut(".".join(here), found))
        elif isinstance(value, dict):
            _collect(value, here, entries, left_out)
        elif isinstance(value, Array):
            entries.append(Entry(here, plain_value(value)))
        elif isinstance(value, str) and value.endswith("values are not read"):
            left_out.append(LeftOut(".".join(here), value))
        elif isinstance(value, int | float | str):
            entries.append(Entry(here, value))


def _unchunked(value: Mapping[str, object]) -> Array | str:
    """An array that flax cut into pieces because it was larger than a gigabyte."""
    sizes, chunks = value.get("shape"), value.get("chunks")
    shape = shape_of(tuple(sizes.values())) if isinstance(sizes, dict) else None
    parts = [part for part in chunks.values() if isinstance(part, Array)] if isinstance(chunks, dict) else []
    whole = parts and isinstance(chunks, dict) and len(parts) == len(chunks) and len({p.element for p in parts}) == 1
    if shape is None or not whole or sum(part.size for part in parts) != math.prod(shape):
        return "its pieces do not make up the array"
    return joined(parts, shape)


def _homed(entry: Entry) -> Entry:
    """What flax keeps of a layer in another collection, beside its parameters.

    `batch_stats.BatchNorm_0.mean` goes to `params.BatchNorm_0`, and the vector of a spectral norm, which stands under
    the kernel's path (`batch_stats.SpectralNorm_0['Conv_0/kernel/u']`), to `params.Conv_0`.
    """
    *modules, leaf = entry.path
    if "batch_stats" not in modules:
        return entry
    at, parts = modules.index("batch_stats"), leaf.split("/")
    inner = modules[at + 1 :]
    if inner and inner[-1].startswith(_SPECTRAL) and len(parts) > 2:
        inner = [*inner[:-1], *parts[:-2]]
    return Entry((*modules[:at], "params", *inner, parts[-1]), entry.value)
