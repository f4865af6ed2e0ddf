"""Zip archives: their directory read once, where their members lie, and refusal of those that expand beyond reason."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from spectral_doctor.checkpoints.stores import Source, Within
from spectral_doctor.errors import UnreadableCheckpoint, UnsafeCheckpoint

LARGEST_EXPANSION = 200
SMALL_MEMBER = 256 * 2**20
# A hundred thousand members with long names take half of this.
LARGEST_DIRECTORY = 16 * 2**20
LONGEST_END = 2**16 + 256
_CHUNK = 2**20


def is_zip(source: Source) -> bool:
    """Say whether a file begins as a zip archive does."""
    return source.head.startswith(b"PK\x03\x04")


def directory_of(source: Source) -> Mapping[str, zipfile.ZipInfo]:
    """The members of a zip archive by their names.

    Raises `UnreadableCheckpoint` where it has no end, `UnsafeCheckpoint` where they are more than can be.
    """
    known = source.kept.get("directory")
    if known is None:
        _check_directory(source)
        try:
            with zipfile.ZipFile(source.stream()) as archive:
                known = {member.filename: member for member in archive.infolist()}
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
            raise UnreadableCheckpoint(
                str(source.location), "a zip file without its end, as when copying or saving was interrupted"
            ) from error
        source.kept["directory"] = known
    return dict(known)


def _check_directory(source: Source) -> None:
    """Refuse a directory of more members than can be, before each is made into an object.

    What ends a zip says how long its directory is; bytes in a comment can look like another end, so all are asked.
    """
    tail = source.read(max(0, source.size - LONGEST_END), LONGEST_END)
    for mark, start, width in ((b"PK\x05\x06", 12, 4), (b"PK\x06\x06", 40, 8)):
        at = tail.find(mark)
        while at >= 0:
            length = int.from_bytes(tail[at + start : at + start + width], "little")
            # One that is longer than the file is damaged, and says so when it is read.
            if LARGEST_DIRECTORY < length < source.size:
                raise UnsafeCheckpoint(
                    str(source.location),
                    f"a zip whose list of members takes {length} bytes, more than {LARGEST_DIRECTORY}",
                    "Save it again with the weights alone.",
                )
            at = tail.find(mark, at + 1)


def is_whole(source: Source) -> bool:
    """Say whether a zip archive has its directory, which stands at its end, and of a length that can be."""
    try:
        directory_of(source)
    except (UnreadableCheckpoint, UnsafeCheckpoint):
        return False
    return True


def check_archive(source: Source, *, stored_only: bool) -> None:
    """Refuse an archive that would expand far beyond its size: a resource bomb, not a checkpoint.

    Raises `UnsafeCheckpoint`.
    """
    for member in directory_of(source).values():
        if stored_only and member.compress_type != zipfile.ZIP_STORED:
            raise UnsafeCheckpoint(
                str(source.location),
                f"its member '{member.filename}' is compressed, which torch.save never does",
                "Load it where it was made and save it again with torch.save.",
            )
        expansion = member.file_size / max(member.compress_size, 1)
        if member.file_size > SMALL_MEMBER and expansion > LARGEST_EXPANSION:
            raise UnsafeCheckpoint(
                str(source.location),
                f"its member '{member.filename}' expands {expansion:.0f}-fold to {member.file_size} bytes",
                "Save it again without compression.",
            )


def stored_member(source: Source, member: zipfile.ZipInfo) -> Within:
    """An uncompressed member as a file of its own. Raises `UnreadableCheckpoint` where its header is damaged."""
    header = source.read(member.header_offset, 30)
    if len(header) < 30 or header[:4] != b"PK\x03\x04":
        raise UnreadableCheckpoint(str(source.location), f"its member '{member.filename}' is not where it should be")
    start = member.header_offset + 30 + sum(struct.unpack("<HH", header[26:30]))
    if start + member.file_size > source.size:
        raise UnreadableCheckpoint(str(source.location), f"its member '{member.filename}' ends before it should")
    return Within(source, start, member.file_size)


def member_bytes(source: Source, member: zipfile.ZipInfo) -> bytes:
    """The content of a member, compressed or not. Raises `UnreadableCheckpoint`."""
    try:
        with zipfile.ZipFile(source.stream()) as archive:
            return archive.read(member)
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise UnreadableCheckpoint(
            str(source.location), f"its member '{member.filename}' cannot be unpacked: {error}"
        ) from error


def mend_checksums(path: Path) -> None:
    """Bring the CRC of every member of an uncompressed zip up to its bytes, in both places it stands."""
    with zipfile.ZipFile(path) as archive:
        members, directory = archive.infolist(), archive.start_dir
    with path.open("r+b") as file:
        for member in members:
            entry = directory
            file.seek(entry)
            fixed = file.read(46)
            name, extra, comment = struct.unpack("<HHH", fixed[28:34])
            directory = entry + 46 + name + extra + comment
            file.seek(member.header_offset)
            header = file.read(30)
            start = member.header_offset + 30 + sum(struct.unpack("<HH", header[26:30]))
            file.seek(start)
            checksum, left = 0, member.file_size
            while left:
                block = file.read(min(left, _CHUNK))
                checksum, left = zlib.crc32(block, checksum), left - len(block)
            mended = struct.pack("<I", checksum)
            if mended == fixed[16:20]:
                continue
            file.seek(entry + 16)
            file.write(mended)
            file.seek(member.header_offset + 14)
            if not header[6] & 8:
                file.write(mended)
                continue
            file.seek(start + member.file_size)
            signed = file.read(4) == b"PK\x07\x08"
            file.seek(start + member.file_size + 4 * signed)
            file.write(mended)
