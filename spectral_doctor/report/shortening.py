"""Long names in little room: cut in the middle, and never two of them into one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from itertools import takewhile

_CUT = "…"


def shortened_apart(names: Sequence[str], width: int) -> list[str]:
    """Names of at most `width` characters that are different where the names are.

    Each is cut in its middle. Where that makes several one, what these begin with is left out first, then every part
    between dots that they share. Names that even this does not keep apart stay whole.
    """
    cut = {name: shortened(name, width) for name in names}
    groups: dict[str, list[str]] = defaultdict(list)
    for name, short in cut.items():
        groups[short].append(name)
    for group in groups.values():
        if len(group) > 1:
            others = {short for name, short in cut.items() if name not in group}
            cut |= zip(group, _apart(group, width, others), strict=True)
    return [cut[name] for name in names]


def _apart(group: Sequence[str], width: int, taken: Collection[str]) -> list[str]:
    """Names that would become one, short and different from each other and from those that are taken."""
    for candidates in (_without_common_start(group), _distinctive(group)):
        short = [shortened(name, width) for name in candidates]
        if len(set(short)) == len(group) and not set(short) & set(taken):
            return short
    return list(group)


def shortened(name: str, width: int) -> str:
    """A name cut in its middle, so that names that begin or end alike stay apart."""
    if len(name) <= width:
        return name
    head = (width - 1) // 3
    return f"{name[:head]}{_CUT}{name[len(name) - (width - 1 - head) :]}"


def _without_common_start(names: Sequence[str]) -> list[str]:
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
