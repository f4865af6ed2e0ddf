"""`os.system` spelled so that what reads along loses the thread, and every payload there is by its name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests import hostile
from tests.safety import names
from tests.safety.names import call, dotted, name, shell_of, source_of, text


def payloads(canary: Path) -> dict[str, bytes]:
    """Every payload: the plain ones, those with other names, and those with other spellings."""
    return {**hostile.payloads(canary), **names.payloads(canary), **other_spellings(canary)}


def chosen(wanted: Iterable[str], canary: Path) -> dict[str, bytes]:
    """Some payloads by their names."""
    every = payloads(canary)
    return {title: every[title] for title in wanted}


def other_spellings(canary: Path) -> dict[str, bytes]:
    """`os.system` spelled so that what reads along loses the thread."""
    argument = text(shell_of(canary)) + b"\x85R"
    return {
        "escapes in the name": b"S'\\x6fs'\nS'sys\\x74em'\n\x93" + argument,
        "escapes in unicode": b"V\\u006fs\nVsyste\\u006d\n\x93" + argument,
        "names from BINSTRING": b"T\x02\0\0\0osU\x06system\x93" + argument,
        "PUT and MEMOIZE mixed": (
            b"X\x02\0\0\0osr\xe8\x03\0\0X\x06\0\0\0systemr\xe9\x03\0\0"
            b"X\x05\0\0\0torch\x94X\x04\0\0\0Size\x94"
            b"0000j\xe8\x03\0\0j\xe9\x03\0\0\x93" + argument
        ),
        "a memo written over": b"\x8c\x05torchr\xf4\x01\0\0\x8c\x02osr\xf4\x01\0\0"
        b"00j\xf4\x01\0\0\x8c\x06system\x93" + argument,
        "duplicates and pops": b"\x8c\x02os\x8c\x04Size22000\x8c\x06system20\x93" + argument,
        "marks thrown away": b"(\x8c\x05torch1\x8c\x02os(K\x01K\x021\x8c\x06system\x93" + argument,
        "names put on a class": _put_on_a_class(argument),
        "through another module": dotted("posixpath", "os.system") + argument,
        "the builtins of a module": call(
            call(
                name("operator", "getitem"),
                dotted("pathlib", "__builtins__"),
                text("exec"),
            ),
            text(source_of(canary)),
        ),
        "NEWOBJ_EX": hostile.fragment(hostile.Opener) + text(canary) + b"\x85}\x92",
        "a persistent id": b"cos\nsystem\n" + argument + b"Q",
        "the factory of a defaultdict": b"ccollections\ndefaultdict\n" + b"cos\nsystem\n" + argument + b"0N\x85R",
        "the state of an OrderedDict": b"ccollections\nOrderedDict\n)R}"
        + text("a")
        + b"cos\nsystem\n"
        + argument
        + b"sb",
        "the items of a list": b"](K\x01cos\nsystem\n" + argument + b"e",
        "frozenset members": b"(K\x01cos\nsystem\n" + argument + b"\x91",
        "a storage's own name": (
            b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagecos\nsystem\n" + argument + b"X\x01\0\0\0"
            b"0"
            b"X\x03\0\0\0cpuK\x04tK\x00K\x02\x85K\x01\x85\x89}tR"
        ),
        "then nonsense": b"cos\nsystem\n" + argument + b"\xff",
        "then an end without a beginning": b"cos\nsystem\n" + argument + b"1",
    }


def _put_on_a_class(argument: bytes) -> bytes:
    """The names as attributes of a module that is there anyway, put on it by its own state (modelscan issue 85)."""
    where = b"cfractions\nFraction\n"
    put = b"N}" + text("a") + text("os") + b"s" + text("b") + text("system") + b"s\x86b0"
    return where + put + dotted("fractions", "Fraction.a") + dotted("fractions", "Fraction.b") + b"\x93" + argument
