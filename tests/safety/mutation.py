"""Mutations: bytes changed anywhere, and changes that keep a file's outer form so that what lies deeper is reached.

A change of bytes in a zip dies at the checksum, one in a table at its CRC. So the outer form of each kind of file is
taken apart, what it holds is changed, and it is put together again with lengths and checksums that are right.
"""

from __future__ import annotations

import io
import json
import pickletools
import random
import struct
import zipfile
from collections.abc import Callable
from typing import Any

from spectral_doctor.checkpoints.formats.sorted_table import table_entries
from spectral_doctor.checkpoints.stores import InMemory, Source
from tests.safety.models import sorted_table

Mutate = Callable[[random.Random, bytes], bytes]

NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**62, 2**63 - 1, 2**64 - 1)
VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2**31,
        2**63,
        10**30,
        1.5,
        -0.0,
        1e308,
        float("nan"),
        float("inf"),
        "",
        "a",
        "\x1b[0m",
    ),
    *("\ud800", "‮", "x" * 5000, [], {}, [[]], [0] * 100, [1, "a", None], {"": 0}, {"name": 1}),
)
TOKENS = (
    b"[", b"]", b"{", b"}", b'"', b"'", b"=", b",", b":", b"\n", b"\\", b"\0", b"-", b".", b"0", b"1e9", b"nan", b"inf",
    b"null", b"true", b"[[", b"]]", b'"""', b"\xff\xfe", b"\xef\xbb\xbf", "é".encode(), b"\\u0000", b"1" * 5000,
    b"[" * 3000,
)  # fmt: skip


def change_bytes(source: random.Random, content: bytes) -> bytes:
    """One to eight changes: a bit, a byte, a number, a piece cut out, doubled, moved, or the end torn off."""
    changed = bytearray(content)
    for _ in range(source.choice((1, 1, 1, 2, 3, 8))):
        if not changed:
            return bytes(changed)
        near = source.random() < 0.5
        at = source.randrange(min(len(changed), 512) if near else len(changed))
        kind = source.randrange(9)
        if kind == 0:
            changed[at] ^= 1 << source.randrange(8)
        elif kind in (1, 2):
            changed[at] = source.randrange(256)
        elif kind == 3:
            width = source.choice((1, 2, 4, 8))
            order = source.choice("<>")
            number = source.choice(NUMBERS) & (2 ** (8 * width) - 1)
            changed[at : at + width] = struct.pack(order + {1: "B", 2: "H", 4: "I", 8: "Q"}[width], number)
        elif kind == 4:
            del changed[at : at + source.choice((1, 2, 4, 16, 256))]
        elif kind == 5:
            changed[at:at] = changed[at : at + source.choice((1, 4, 16, 256))]
        elif kind == 6:
            changed[at:at] = source.randbytes(source.choice((1, 2, 8)))
        elif kind == 7:
            other = source.randrange(len(changed))
            length = source.choice((2, 8, 32))
            changed[at : at + length] = changed[other : other + length]
        elif source.random() < 0.3:
            del changed[at:]
    return bytes(changed)


def change_text(source: random.Random, content: bytes) -> bytes:
    """Tokens put in, taken out, or lines moved, as suits a text."""
    changed = content
    for _ in range(source.choice((1, 1, 2, 4))):
        at = source.randrange(len(changed) + 1)
        kind = source.randrange(4)
        if kind == 0:
            changed = changed[:at] + source.choice(TOKENS) + changed[at:]
        elif kind == 1:
            changed = changed[:at] + changed[at + source.choice((1, 1, 2, 10)) :]
        elif kind == 2:
            lines = changed.split(b"\n")
            source.shuffle(lines)
            changed = b"\n".join(lines[: source.randint(0, len(lines))] + lines[:2])
        else:
            changed = change_bytes(source, changed)
    return changed


def change_tree(source: random.Random, tree: Any) -> Any:
    """A JSON tree with a value replaced, left out, doubled, or put deeper."""
    places = list(_places(tree))
    if not places:
        return source.choice(VALUES)
    for _ in range(source.choice((1, 1, 1, 2, 4))):
        holder, key = source.choice(places)
        if key not in holder if isinstance(holder, dict) else key >= len(holder):
            continue
        kind = source.randrange(6)
        if kind <= 2:
            holder[key] = source.choice(VALUES)
        elif kind == 3:
            del holder[key]
        elif kind == 4:
            holder[key] = [holder[key]] if source.random() < 0.5 else {"a": holder[key]}
        else:
            other, inner = source.choice(places)
            if inner in other if isinstance(other, dict) else inner < len(other):
                holder[key] = json.loads(json.dumps(other[inner]))
    return tree


def _places(tree: Any) -> Any:
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in inner:
        yield tree, key
        yield from _places(value)


def change_json(source: random.Random, content: bytes) -> bytes:
    """The tree changed and written again, or now and then the text."""
    if source.random() < 0.2:
        return change_text(source, content)
    return json.dumps(change_tree(source, json.loads(content))).encode("utf-8", "surrogatepass")


def change_lines(source: random.Random, content: bytes) -> bytes:
    """One of several JSON texts, a line each."""
    lines = content.split(b"\n")
    at = source.randrange(max(1, len(lines) - 1))
    if source.random() < 0.2:
        return change_text(source, content)
    lines[at] = change_json(source, lines[at])
    return b"\n".join(lines)


def change_pickle(source: random.Random, content: bytes) -> bytes:
    """An instruction doubled, left out, moved, put in, or given another argument."""
    try:
        places = [place for _, _, place in pickletools.genops(content) if place is not None]
    except (ValueError, IndexError):
        return change_bytes(source, content)
    ends = [*places[1:], len(content)]
    parts = [content[start:end] for start, end in zip(places, ends, strict=True)]
    for _ in range(source.choice((1, 1, 2, 4))):
        at = source.randrange(len(parts))
        kind = source.randrange(6)
        if kind == 0:
            parts.insert(at, source.choice(parts))
        elif kind == 1 and len(parts) > 1:
            del parts[at]
        elif kind == 2:
            other = source.randrange(len(parts))
            parts[at], parts[other] = parts[other], parts[at]
        elif kind == 3:
            parts.insert(at, source.choice(pickletools.opcodes).code.encode("latin-1"))
        elif kind == 4:
            number = source.choice(NUMBERS)
            parts[at] = b"\x8a\x09" + number.to_bytes(8, "little") + b"\0"
        else:
            parts[at] = parts[at][:1] + change_bytes(source, parts[at][1:])
    return b"".join(parts)


def change_headed(source: random.Random, content: bytes) -> bytes:
    """A safetensors file whose header is changed as a tree and counted again."""
    length = int.from_bytes(content[:8], "little")
    header = change_json(source, content[8 : 8 + length])
    return struct.pack("<Q", len(header)) + header + content[8 + length :]


def change_table(source: random.Random, content: bytes) -> bytes:
    """A sorted table whose entries are changed and whose checksums are right."""
    entries = list(table_entries(InMemory(_NOWHERE, content)))
    at = source.randrange(len(entries))
    key, value = entries[at]
    kind = source.randrange(4)
    if kind == 0:
        del entries[at]
    elif kind == 1:
        entries[at] = (change_bytes(source, key), value)
    else:
        entries[at] = (key, change_bytes(source, value))
    return sorted_table(entries or [(b"", b"")])


class _Nowhere(Source):
    """A source that has nothing but its place."""

    location = None  # type: ignore[assignment]
    size = property(lambda self: 0)
    modified = property(lambda self: 0.0)
    beside = property(lambda self: None)

    def read(self, start: int, length: int) -> bytes:
        return b""

    def span(self, start: int, length: int) -> Any:
        return b""


_NOWHERE = _Nowhere()


def in_zip(**inner: Mutate) -> Mutate:
    """Change one member of a zip, by the ending of its name, and put the zip together again."""

    def change(source: random.Random, content: bytes) -> bytes:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [(item.filename, item.compress_type, archive.read(item)) for item in archive.infolist()]
        at = source.randrange(len(members))
        known = [number for number, (name, _, _) in enumerate(members) if name.rpartition(".")[2] in inner]
        if known and source.random() < 0.8:
            at = source.choice(known)
        name, kind, held = members[at]
        members[at] = (name, kind, inner.get(name.rpartition(".")[2], change_bytes)(source, held))
        if source.random() < 0.1:
            members[at] = (source.choice(VALUES[-20:-17]) or "../x", kind, held)
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as archive:
            for name, kind, held in members:
                archive.writestr(zipfile.ZipInfo(str(name) or "x"), held, kind)
        return target.getvalue()

    return change


def either(*ways: Mutate) -> Mutate:
    """One of several ways."""
    return lambda source, content: source.choice(ways)(source, content)
