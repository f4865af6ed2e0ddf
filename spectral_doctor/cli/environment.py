"""The environment that `--version` prints, to be pasted into a report of a fault; nothing of it is imported."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([\w-]+)['\"]")
# Extras for developers, who know what they have.
_OF_DEVELOPERS = ("test", "bench", "docs")


def environment_lines() -> Iterator[str]:
    """Python and the system, the packages it runs on, and of every extra whether it is there."""
    yield f"Python {platform.python_version()}, {platform.platform()}"
    needed, extras = _requirements()
    yield ", ".join(f"{name} {_version(name) or 'not installed'}" for name in needed)
    for extra, names in sorted(extras.items()):
        found = [f"{name} {_version(name)}" for name in names if _version(name)]
        missing = [name for name in names if not _version(name)]
        yield f"[{extra}] " + ", ".join([*found, *(f"{name} not installed" for name in missing)])


def _requirements() -> tuple[list[str], dict[str, list[str]]]:
    """The packages that this one needs, and those of its extras; none where it runs from its sources alone."""
    try:
        lines = requires("spectral-doctor") or []
    except PackageNotFoundError:
        return ["torch", "numpy", "safetensors", "matplotlib", "typer", "rich"], {}
    needed: list[str] = []
    extras: dict[str, list[str]] = {}
    for line in lines:
        name, extra = _NAME.match(line), _EXTRA.search(line)
        if name is None:
            continue
        if extra is None:
            needed.append(name.group())
        elif extra[1] not in _OF_DEVELOPERS:
            extras.setdefault(extra[1], []).append(name.group())
    return needed, extras


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
