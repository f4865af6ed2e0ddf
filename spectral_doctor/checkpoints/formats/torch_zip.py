"""PyTorch files as torch.save writes them since 1.6: a zip of one pickle and its storages."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from spectral_doctor.checkpoints.formats.archives import (
    check_archive,
    directory_of,
    is_whole,
    is_zip,
    mend_checksums,
    stored_member,
)
from spectral_doctor.checkpoints.formats.base import Contents, Format
from spectral_doctor.checkpoints.formats.pickled import contents_of, speaking_of_pickles
from spectral_doctor.checkpoints.pickle.descriptions import MalformedPickle
from spectral_doctor.checkpoints.pickle.machine import Machine
from spectral_doctor.checkpoints.pickle.storages import Storage, storage_name
from spectral_doctor.checkpoints.stores import Source
from spectral_doctor.elements import ElementType

PICKLE = "data.pkl"


class TorchZip(Format):
    """A zip whose `data.pkl` names its storages by persistent ids; each lies uncompressed under `data/`."""

    name = "PyTorch file"

    def accept(self, source: Source) -> bool:
        """A whole zip with a `data.pkl` and no compiled code."""
        return is_zip(source) and is_whole(source) and has_member(source, PICKLE)

    def open(self, source: Source) -> Contents:
        """Follow the pickle; a storage is read where it lies when an array on it is."""
        check_archive(source, stored_only=True)
        members = directory_of(source)
        pickle = next(name for name in members if name.rsplit("/", 1)[-1] == PICKLE)
        root = pickle.removesuffix(PICKLE)
        content = stored_member(source, members[pickle])
        machine = Machine(persistent=True)
        with speaking_of_pickles(source):
            stream = io.BytesIO(content.read(0, content.size))
            described = machine.run(stream, content.size)
            storages = _Storages(source, members, root)
            return contents_of(described, machine, content, storages.find)

    def plain_value(self, source: Source) -> object:
        """The number or text that a file holds in place of tensors, such as a step; None for any other."""
        members = directory_of(source)
        pickle = next(name for name in members if name.rsplit("/", 1)[-1] == PICKLE)
        content = stored_member(source, members[pickle])
        machine = Machine(persistent=True)
        with speaking_of_pickles(source):
            described = machine.run(io.BytesIO(content.read(0, content.size)), content.size)
            if isinstance(described, bool | int | float | str):
                return described
            contents_of(described, machine, content)  # refuses what is code
        return None

    def finish(self, path: Path) -> None:
        """Bring the checksums of the members up to what they hold."""
        mend_checksums(path)


class _Storages:
    """The storages of one file, by the keys that its pickle gives them."""

    def __init__(self, source: Source, members: Mapping[str, zipfile.ZipInfo], root: str) -> None:
        self._source, self._members, self._root = source, members, root
        order = members.get(f"{root}byteorder")
        self._big = order is not None and stored_member(source, order).read(0, 16).strip() == b"big"
        self._known: dict[str, Storage] = {}

    def find(self, identity: object) -> Storage | None:
        """The storage of a persistent id. Raises `MalformedPickle` where the file lacks it."""
        name = storage_name(identity)
        if name.key in self._known:
            known = self._known[name.key]
            return Storage(self._element(name.element), known.count, known.load, known.identity)
        member = self._members.get(f"{self._root}data/{name.key}")
        if member is None:
            raise MalformedPickle(f"a storage '{name.key}' that the file does not hold")
        size = name.count * name.element.itemsize
        if member.file_size < size:
            raise MalformedPickle(f"a storage that ends after {member.file_size} of {size} bytes")
        # Where the member begins stands in its own header, which is read with it: most storages are never asked for.
        storage = Storage(
            self._element(name.element),
            name.count,
            lambda: stored_member(self._source, member).span(0, size),
            (self._source.identity, member.header_offset),
        )
        self._known[name.key] = storage
        return storage

    def _element(self, element: ElementType) -> ElementType:
        if not self._big:
            return element
        return ElementType(element.name, element.raw.newbyteorder(">"), element.decode, element.encode)


def has_member(source: Source, name: str) -> bool:
    """Say whether a zip holds a member of a name, in whatever folder."""
    return any(member.rsplit("/", 1)[-1] == name for member in directory_of(source))
