"""PyTorch files as torch.save wrote them before 1.6: several pickles, then the storages; and the tar before that."""

from __future__ import annotations

import io
import struct
import tarfile
from functools import partial
from pathlib import Path
from typing import IO

from spectral_doctor.arrays import Strided
from spectral_doctor.checkpoints.formats.base import Contents, Format
from spectral_doctor.checkpoints.formats.pickled import contents_of, speaking_of_pickles
from spectral_doctor.checkpoints.pickle.descriptions import MalformedPickle, RefusedPickle
from spectral_doctor.checkpoints.pickle.machine import Machine
from spectral_doctor.checkpoints.pickle.storages import (
    MAGIC,
    Storage,
    StorageName,
    counted_at,
    is_count,
    storage_name,
    strided,
)
from spectral_doctor.checkpoints.stores import Source, Within
from spectral_doctor.elements import Values
from spectral_doctor.errors import UnreadableCheckpoint

_START = bytes.fromhex("80028a0a6cfc9c46f920")
_TAR_PARTS = ("sys_info", "pickle", "tensors", "storages")
MOST_TENSORS = 100_000
_LONGEST_HEADER = 2**20


class TorchLegacy(Format):
    """Five pickles (magic number, version, system, the object, the storages' keys) and the storages behind them."""

    name = "PyTorch file (legacy)"

    def accept(self, source: Source) -> bool:
        """A file that begins with the pickled magic number."""
        return source.head.startswith(_START)

    def open(self, source: Source) -> Contents:
        """Follow the pickles; the storages lie behind them in the order of their keys."""
        stream, machine = source.stream(), Machine(persistent=True)
        with speaking_of_pickles(source):
            parts = [machine.run(stream, source.size) for _ in range(5)]
            magic, _version, _system, root, keys = parts
            if magic != MAGIC or not isinstance(keys, list) or not all(isinstance(key, str | int) for key in keys):
                raise MalformedPickle("it does not say which storages it has")
            storages = _Storages(source, stream.tell(), [str(key) for key in keys])
            return contents_of(root, machine, source, storages.find)

    def finish(self, path: Path) -> None:
        """Nothing depends on the content of the storages."""


class _Storages:
    """The storages behind the pickles: where one begins is known once the types of those before it are."""

    def __init__(self, source: Source, start: int, keys: list[str]) -> None:
        self._source, self._keys = source, keys
        self._next = start
        self._places: dict[str, int] = {}
        self._waiting: dict[str, StorageName] = {}
        self._counts: dict[str, int] = {}

    def find(self, identity: object) -> Storage | None:
        """The storage of a persistent id, or the part of one that an old view is; None for a class with its source."""
        if isinstance(identity, tuple) and identity[:1] == ("module",):
            return None
        name = storage_name(identity)
        assert isinstance(identity, tuple)
        self._waiting[name.key] = name
        view = identity[5] if len(identity) > 5 and isinstance(identity[5], tuple) else None
        offset, count = 0, name.count
        if view is not None:
            if len(view) != 3 or not (is_count(view[1]) and is_count(view[2])) or view[1] + view[2] > name.count:
                raise MalformedPickle("a view that reaches beyond its storage")
            offset, count = view[1], view[2]
        size = name.element.itemsize

        def load(key: str = name.key) -> Values:
            return self._source.span(self._place(key) + offset * size, count * size)

        return Storage(name.element, count, load, (self._source.identity, name.key, offset))

    def _place(self, key: str) -> int:
        if not self._places:
            self._lay_out()
        if key not in self._places:
            raise UnreadableCheckpoint(str(self._source.location), f"a storage '{key}' that the file does not hold")
        return self._places[key]

    def _lay_out(self) -> None:
        position = self._next
        for key in self._keys:
            name = self._waiting.get(key)
            try:
                count = counted_at(self._source, position, self._source.size)
            except MalformedPickle as error:
                raise UnreadableCheckpoint(str(self._source.location), str(error)) from error
            if name is None:
                raise UnreadableCheckpoint(str(self._source.location), f"a storage '{key}' of an unknown kind")
            self._places[key] = position + 8
            position += 8 + count * name.element.itemsize
            if count != name.count or position > self._source.size:
                raise UnreadableCheckpoint(
                    str(self._source.location), f"a storage of {name.count} values that is not whole"
                )


class TorchTar(Format):
    """The tar of PyTorch 0.1: `storages`, `tensors` on them, and the `pickle` that refers to the tensors."""

    name = "PyTorch file (tar)"

    def accept(self, source: Source) -> bool:
        """A tar archive with the four parts."""
        return is_tar(source) and set(_TAR_PARTS) <= set(_tar_members(source))

    def open(self, source: Source) -> Contents:
        """Read storages and tensors, then follow the pickle."""
        members = _tar_members(source)
        with speaking_of_pickles(source):
            try:
                storages = _tar_storages(members["storages"])
                tensors = _tar_tensors(members["tensors"], storages)
            except (struct.error, IndexError) as error:
                raise MalformedPickle("its parts end before they are complete") from error
            machine = Machine(persistent=True)
            content = members["pickle"]
            described = machine.run(io.BytesIO(content.read(0, content.size)), content.size)
            return contents_of(described, machine, content, lambda identity: _tensor_of(identity, tensors))

    def finish(self, path: Path) -> None:
        """Nothing depends on the content of the storages."""


def is_tar(source: Source) -> bool:
    """Say whether a file begins as a tar archive does."""
    return source.head[257:262] == b"ustar"


class _Headers(io.BufferedReader):
    """A stream that only headers are read from: tarfile asks for as many bytes at once as a header claims to have."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(stream)  # type: ignore[arg-type]

    def read(self, size: int | None = -1) -> bytes:
        """Some bytes; raises `ValueError` for more than a header has."""
        if size is None or not 0 <= size <= _LONGEST_HEADER:
            raise ValueError(f"a header of {size} bytes")
        return super().read(size)


def _tar_members(source: Source) -> dict[str, Within]:
    known: dict[str, Within] | None = source.kept.get("tar")
    if known is None:
        known = {}
        try:
            with tarfile.open(fileobj=_Headers(source.stream()), mode="r:") as archive:
                for _ in range(16):
                    member = archive.next()
                    if member is None:
                        break
                    if member.isfile():
                        known[member.name.removeprefix("./")] = Within(source, member.offset_data, member.size)
        except (tarfile.TarError, OSError, ValueError):
            known = {}
        source.kept["tar"] = known
    return known


def _tar_storages(part: Within) -> dict[str, Storage]:
    stream, machine = part.stream(), Machine(persistent=True)
    count = machine.run(stream, part.size)
    storages: dict[str, Storage] = {}
    for _ in range(_bounded(count)):
        described = machine.run(stream, part.size)
        if not (isinstance(described, tuple) and len(described) == 3):
            raise MalformedPickle("a storage that does not say what it holds")
        key, _place, kind = described
        name = storage_name(("storage", kind, str(key), "cpu", 0))
        start = stream.tell()
        held = counted_at(part, start, part.size)
        size = held * name.element.itemsize
        if start + 8 + size > part.size:
            raise MalformedPickle(f"a storage that ends before its {size} bytes")
        stretch = Within(part, start + 8, size)
        storages[str(key)] = Storage(name.element, held, partial(stretch.span, 0, size), str(key))
        stream.seek(start + 8 + size)
    views = machine.run(stream, part.size)
    for view in views if isinstance(views, list) else []:
        if not (isinstance(view, tuple) and len(view) == 4 and str(view[1]) in storages):
            raise MalformedPickle("a view of a storage that is not there")
        target, root, offset, size = view
        whole = storages[str(root)]
        if not (is_count(offset) and is_count(size) and offset + size <= whole.count):
            raise MalformedPickle("a view that reaches beyond its storage")
        width = whole.element.itemsize
        storages[str(target)] = Storage(
            whole.element,
            size,
            partial(_stretch_of, whole, offset * width, size * width),
            (str(root), offset),
        )
    return storages


def _stretch_of(storage: Storage, start: int, length: int) -> Values:
    return storage.load()[start : start + length]


def _tar_tensors(part: Within, storages: dict[str, Storage]) -> dict[str, Strided]:
    stream, machine = part.stream(), Machine(persistent=True)
    count = machine.run(stream, part.size)
    tensors: dict[str, Strided] = {}
    for _ in range(_bounded(count)):
        described = machine.run(stream, part.size)
        if not (isinstance(described, tuple) and len(described) == 3):
            raise MalformedPickle("a tensor that does not say where it lies")
        key, storage, _kind = described
        (axes,) = struct.unpack("<i", stream.read(4))
        stream.read(4)
        if not 0 <= axes <= 64 or str(storage) not in storages:
            raise MalformedPickle("a tensor whose shape or storage is not there")
        sizes = struct.unpack(f"<{axes}q", stream.read(8 * axes))
        strides = struct.unpack(f"<{axes}q", stream.read(8 * axes))
        (offset,) = struct.unpack("<q", stream.read(8))
        tensors[str(key)] = strided(storages[str(storage)], offset, sizes, strides)
    return tensors


def _bounded(count: object) -> int:
    if not is_count(count) or not isinstance(count, int) or count > MOST_TENSORS:
        raise RefusedPickle(f"it claims more than {MOST_TENSORS} tensors")
    return count


def _tensor_of(identity: object, tensors: dict[str, Strided]) -> Strided | None:
    """The tensor of a persistent id: its key, or (source of a class, …), of which nothing is made."""
    return None if isinstance(identity, tuple) else tensors.get(str(identity))
