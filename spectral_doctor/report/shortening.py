"""Long names in little room: cut in the middle, and never two of them into one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

_CUT = "…"


def shortened_apart(names: Sequence[str], width: int) -> list[str]:
    """Names of at most `width` characters that are different where the names are.

    Each is cut in its middle; where that makes two names one, what all begin and end with is left out first, then
    every part between dots that all share. Names that even this does not keep apart stay whole.
    """
    for candidates in (names, _without_common_ends(names), _distinctive(names)):
        cut = [shortened(name, width) for name in candidates]
        if len(set(cut)) == len(set(names)):
            return cut
    return list(names)


def shortened(name: str, width: int) -> str:
    """A name cut in its middle, so that names that begin or end alike stay apart."""
    if len(name) <= width:
        return name
    head = (width - 1) // 3
    return f"{name[:head]}{_CUT}{name[len(name) - (width - 1 - head) :]}"


def _without_common_ends(names: Sequence[str]) -> list[str]:
    """The names without the letters that all begin with."""
    common = _shared(names)
    return [f"{_CUT}{name[common:]}" for name in names]


def _distinctive(names: Sequence[str]) -> list[str]:
    """The parts between dots in which the names differ, one sign in place of those that all share."""
    parts = [name.split(".") for name in names]
    if len({len(item) for item in parts}) > 1:
        common = _shared(names), _shared([name[::-1] for name in names])
        return [f"{_CUT}{name[common[0] : len(name) - common[1]]}{_CUT}" for name in names]
    same = [len(set(column)) == 1 for column in zip(*parts, strict=True)]
    short = []
    for item in parts:
        kept: list[str] = []
        for part, is_same in zip(item, same, strict=True):
            if not is_same:
                kept.append(part)
            elif kept[-1:] != [_CUT]:
                kept.append(_CUT)
        short.append(".".join(kept).replace(f".{_CUT}", _CUT).replace(f"{_CUT}.", _CUT))
    return short


def _shared(names: Sequence[str]) -> int:
    """How many letters all names begin with."""
    return sum(1 for _ in takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False)))
