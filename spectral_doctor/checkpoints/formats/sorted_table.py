"""LevelDB's sorted table, in which TensorFlow keeps the index of a checkpoint: keys and values in blocks."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from functools import cache

from spectral_doctor.checkpoints.formats.protocol_buffers import MalformedMessage, varint
from spectral_doctor.checkpoints.stores import Source

MAGIC = bytes.fromhex("57fb808b247547db")
FOOTER = 48
LARGEST_TABLE = 256 * 2**20
_TRAILER = 5
_UNCOMPRESSED, _SNAPPY = 0, 1
_MASK_DELTA = 0xA282EAD8
_POLYNOMIAL = 0x82F63B78


class MalformedTable(ValueError):
    """Bytes that are no sorted table; the sentence says why."""


def is_table(source: Source) -> bool:
    """Say whether a file ends as a sorted table does."""
    if "table" not in source.kept:
        large_enough = FOOTER <= source.size <= LARGEST_TABLE
        source.kept["table"] = large_enough and source.read(source.size - len(MAGIC), len(MAGIC)) == MAGIC
    return bool(source.kept["table"])


def table_entries(source: Source) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a table, in their order. Raises `MalformedTable`, also where a checksum is wrong."""
    footer = io.BytesIO(source.read(source.size - FOOTER, FOOTER))
    try:
        _meta, index = _handle(footer), _handle(footer)
        for _, value in _entries(_block(source, *index)):
            yield from _entries(_block(source, *_handle(io.BytesIO(value))))
    except MalformedMessage as error:
        raise MalformedTable(f"in its table, {error}") from error


def _handle(stream: io.BytesIO) -> tuple[int, int]:
    return varint(stream), varint(stream)


def _block(source: Source, start: int, length: int) -> bytes:
    if start + length + _TRAILER > source.size - FOOTER or not length:
        raise MalformedTable("its table has a block that lies outside the file")
    content = source.read(start, length + _TRAILER)
    block, kind = content[:length], content[length] if len(content) > length else -1
    if kind == _SNAPPY:
        raise MalformedTable("its table is compressed with Snappy, which TensorFlow itself never does")
    if kind != _UNCOMPRESSED or len(content) != length + _TRAILER:
        raise MalformedTable(f"its table has a block of the unknown kind {kind}")
    (stored,) = struct.unpack("<I", content[length + 1 :])
    if masked(crc32c(content[: length + 1])) != stored:
        raise MalformedTable("its table is damaged: a checksum is wrong")
    return block


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """What a block holds: each key is a stretch of the one before it and what follows that."""
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (restarts + 1)
    if end < 0:
        raise MalformedTable("its table has a block without an end")
    stream, key = io.BytesIO(block), b""
    while stream.tell() < end:
        shared, rest, length = varint(stream), varint(stream), varint(stream)
        if shared > len(key) or stream.tell() + rest + length > end:
            raise MalformedTable("its table has an entry that reaches beyond its block")
        key = key[:shared] + stream.read(rest)
        yield key, stream.read(length)


def masked(checksum: int) -> int:
    """A checksum as tables store it: turned by 15 bits and shifted by a constant."""
    return (((checksum >> 15) | (checksum << 17 & 0xFFFFFFFF)) + _MASK_DELTA) & 0xFFFFFFFF


def crc32c(content: bytes) -> int:
    """The Castagnoli checksum (CRC-32C, reflected polynomial 0x82F63B78) of some bytes."""
    table, checksum = _table(), 0xFFFFFFFF
    for byte in content:
        checksum = table[(checksum ^ byte) & 0xFF] ^ (checksum >> 8)
    return checksum ^ 0xFFFFFFFF


@cache
def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return tuple(table)
