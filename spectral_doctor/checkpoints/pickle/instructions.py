"""The instructions of a pickle, by what they do: the tables that the machine goes by."""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import IO

from spectral_doctor.checkpoints.pickle.descriptions import DICT, SET, Described, MalformedPickle

VALUES = frozenset({
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "STRING", "UNICODE", "FLOAT", "BINFLOAT",
})  # fmt: skip
# Instructions that carry a text or bytes: how many bytes their length takes, and whether it is a text.
COUNTED = {
    "BINSTRING": (4, True),
    "SHORT_BINSTRING": (1, True),
    "SHORT_BINUNICODE": (1, True),
    "BINUNICODE": (4, True),
    "BINUNICODE8": (8, True),
    "SHORT_BINBYTES": (1, False),
    "BINBYTES": (4, False),
    "BINBYTES8": (8, False),
    "BYTEARRAY8": (8, False),
}
LONGEST_NUMBER = 4096


def _long_number(stream: IO[bytes]) -> int:
    """A whole number of counted bytes; more of them than any number has are not read."""
    length = int.from_bytes(stream.read(4), "little", signed=True)
    if not 0 <= length <= LONGEST_NUMBER:
        raise MalformedPickle(f"a number of {length} bytes")
    return int.from_bytes(stream.read(length), "little", signed=True)


INSTRUCTIONS = {
    item.code.encode("latin-1"): (item.name, item.arg.reader if item.arg is not None else None)
    for item in pickletools.opcodes
} | {b"\x8b": ("LONG4", _long_number)}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
SHORT_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
OUTSIDE = {
    "EXT1": "an extension code",
    "EXT2": "an extension code",
    "EXT4": "an extension code",
    "PERSID": "a persistent id",
    "BINPERSID": "a persistent id",
    "NEXT_BUFFER": "a buffer kept elsewhere",
    "READONLY_BUFFER": "a buffer kept elsewhere",
}


EMPTY: dict[str, Callable[[], object]] = {
    "EMPTY_LIST": list,
    "EMPTY_DICT": lambda: Described(DICT),
    "EMPTY_SET": lambda: Described(SET),
}
