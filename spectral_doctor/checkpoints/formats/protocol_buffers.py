"""Protocol buffers as they lie in a file: fields by number, without a schema and without reading what is long."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5


class MalformedMessage(ValueError):
    """Bytes that are no protocol buffer; the sentence says where they stop being one."""


@dataclass(frozen=True)
class Field:
    """A field of a message: its number and wire type; `value` is its whole number, or its length in bytes.

    `start` is where the bytes of one that has a length begin, counted as the message's own stretch is.
    """

    number: int
    wire: int
    value: int
    start: int


def varint(stream: IO[bytes]) -> int:
    """A whole number of up to 64 bits, seven of them a byte, the lowest first. Raises `MalformedMessage`."""
    number = 0
    for shift in range(0, 70, 7):
        byte = stream.read(1)
        if not byte:
            raise MalformedMessage("it ends within a number")
        number |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return number & (2**64 - 1)
    raise MalformedMessage("a number of more than 64 bits")


def fields(stream: IO[bytes], start: int, end: int) -> Iterator[Field]:
    """The fields of the message between two places of a seekable stream; what has a length is passed over.

    The stream may be read elsewhere between two fields. Raises `MalformedMessage`.
    """
    place = start
    while place < end:
        stream.seek(place)
        tag = varint(stream)
        number, wire = tag >> 3, tag & 7
        if number == 0 or number >= 2**29:
            raise MalformedMessage(f"a field of the number {number}")
        if wire == VARINT:
            value = varint(stream)
            found, place = Field(number, wire, value, stream.tell()), stream.tell()
        elif wire in (FIXED64, FIXED32):
            size = 8 if wire == FIXED64 else 4
            found = Field(number, wire, int.from_bytes(stream.read(size), "little"), stream.tell())
            place = found.start
        elif wire == LENGTH:
            value = varint(stream)
            found = Field(number, wire, value, stream.tell())
            place = found.start + value
        else:
            raise MalformedMessage(f"a field of the unknown wire type {wire}")
        if place > end:
            raise MalformedMessage("a field that reaches beyond its end")
        yield found


def message(content: bytes) -> Iterator[tuple[Field, bytes]]:
    """The fields of a small message, each with its bytes. Raises `MalformedMessage`."""
    for found in fields(io.BytesIO(content), 0, len(content)):
        yield found, content[found.start : found.start + found.value] if found.wire == LENGTH else b""


def signed(number: int) -> int:
    """A whole number of 64 bits, of which the highest is its sign."""
    return number - 2**64 if number >= 2**63 else number
