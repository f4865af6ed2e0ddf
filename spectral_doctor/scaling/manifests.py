"""Paths that a file or a pipe lists: `@list.txt` and `-`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from spectral_doctor.errors import UsageError, printable

STDIN = "-"


def listed_paths(paths: Sequence[str], stdin: Callable[[], bytes]) -> list[str]:
    """Put in the place of `@FILE` the paths that the file lists, and in that of `-` those that `stdin()` brings.

    One path a line, as `find` and `ls` print them, or between NUL bytes, as `find -print0` does; empty lines and
    those that begin with `#` are no paths. Relative ones start from the current folder. A file that is itself called
    `@FILE` or `-` is that file.

    Raises `UsageError` where the list cannot be read or is empty.
    """
    return [path for given in paths for path in _expanded(given, stdin)]


def _expanded(given: str, stdin: Callable[[], bytes]) -> Iterator[str]:
    if not (given == STDIN or given.startswith("@")) or Path(given).exists():
        yield given
        return
    found = list(_paths(stdin() if given == STDIN else _read(given)))
    if not found:
        raise UsageError(f"{printable(given)}: lists no path; one path a line is expected.")
    yield from found


def _read(given: str) -> bytes:
    try:
        return Path(given.removeprefix("@")).read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"{printable(given)}: the list of paths cannot be read ({printable(reason)}).") from error


def _paths(content: bytes) -> Iterator[str]:
    if b"\0" in content:
        yield from (os.fsdecode(entry) for entry in content.split(b"\0") if entry)
        return
    for line in content.splitlines():
        if line.strip() and not line.startswith(b"#"):
            yield os.fsdecode(line)
