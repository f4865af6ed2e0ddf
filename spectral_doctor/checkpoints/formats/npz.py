"""NumPy archives: a zip of `.npy` members, each read where it lies unless it is compressed."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from tokenize import TokenError
from typing import IO

import numpy as np

from spectral_doctor.arrays import Array, Computed, Strided
from spectral_doctor.checkpoints.formats.archives import (
    check_archive,
    directory_of,
    is_whole,
    is_zip,
    member_bytes,
    mend_checksums,
    stored_member,
)
from spectral_doctor.checkpoints.formats.base import Contents, Format
from spectral_doctor.checkpoints.pickle.storages import contiguous, shape_of
from spectral_doctor.checkpoints.stores import Source, Within
from spectral_doctor.elements import ElementType, Values, element_type
from spectral_doctor.errors import UnreadableCheckpoint
from spectral_doctor.records import LeftOut


class Npz(Format):
    """numpy.savez, compressed or not; a member of objects is a pickle, and left out."""

    name = "NumPy archive"

    def accept(self, source: Source) -> bool:
        """A whole zip of nothing but `.npy` members."""
        if not is_zip(source) or not is_whole(source):
            return False
        names = directory_of(source)
        return bool(names) and all(name.endswith(".npy") for name in names)

    def open(self, source: Source) -> Contents:
        """Read each member's header; `/` in a name is a dot of a dotted one."""
        check_archive(source, stored_only=False)
        tree: dict[str, object] = {}
        left_out: list[LeftOut] = []
        for name, member in directory_of(source).items():
            key = name.removesuffix(".npy").replace("/", ".")
            found = _array(source, member)
            if isinstance(found, Array):
                tree[key] = found
            elif found:
                left_out.append(LeftOut(key, found))
        return Contents(tree, tuple(left_out))

    def finish(self, path: Path) -> None:
        """Bring the checksums of the members up to what they hold."""
        mend_checksums(path)

    def copy(self, path: Path, target: Path) -> None:
        """Copy with every member uncompressed, so that its values can be changed where they lie."""
        with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as stored:
            for member in source.infolist():
                stored.writestr(zipfile.ZipInfo(member.filename, member.date_time), source.read(member))


def _array(source: Source, member: zipfile.ZipInfo) -> Array | str:
    compressed = member.compress_type != zipfile.ZIP_STORED
    content = None if compressed else stored_member(source, member)
    stream = io.BytesIO(member_bytes(source, member)) if content is None else content.stream()
    try:
        shape, fortran, dtype = _header(stream)
    except (ValueError, EOFError, OSError, SyntaxError, TokenError, TypeError, RecursionError, MemoryError) as error:
        raise UnreadableCheckpoint(str(source.location), f"numpy says of '{member.filename}': {error}") from error
    if dtype.hasobject:
        return "stored as a pickled object, which is not read"
    element = element_type(dtype)
    if element is None:
        return f"{dtype} values are not numbers" if dtype.kind not in "SUMmV" else ""
    start, length = stream.tell(), math.prod(shape) * dtype.itemsize
    if start + length > member.file_size:
        raise UnreadableCheckpoint(str(source.location), f"'{member.filename}' ends before its values do")
    steps = contiguous(shape[::-1])[::-1] if fortran else contiguous(shape)
    if content is not None:
        return _in_place(content, start, length, element, shape, steps)

    def values() -> Values:
        raw = np.frombuffer(member_bytes(source, member), dtype=np.uint8)[start : start + length]
        return Strided(lambda: raw.view(element.raw), element, shape, steps).read()

    return Computed(values, element, shape, "compressed")


def _in_place(
    content: Within, start: int, length: int, element: ElementType, shape: tuple[int, ...], steps: tuple[int, ...]
) -> Strided:
    def storage() -> Values:
        return content.span(start, length).view(element.raw)

    return Strided(storage, element, shape, steps)


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"a header of version {version[0]}.{version[1]}")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    sizes = shape_of(tuple(shape))
    if sizes is None:
        raise ValueError("a shape that cannot be")
    return sizes, bool(fortran), dtype
