"""By what the cache knows a file on this disk again without opening it: path, size, times of change, inode.

As in git, a file that changed so lately that its times could not tell a second change is not trusted; and the time of
the inode's change, which no program sets back, is part of the state.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

import numpy as np

from spectral_doctor.checkpoints.formats import FORMATS, Closed, Format, format_of
from spectral_doctor.checkpoints.opening import Candidate
from spectral_doctor.checkpoints.stores import LocalFile, Source
from spectral_doctor.errors import CheckpointError
from spectral_doctor.trajectory.cache import SpectraCache
from spectral_doctor.version import __version__

# To be raised whenever the same file or the same values may give another result than before.
METHOD = 2
# Coarser than the clock of any file system in use (FAT: two seconds).
SETTLED = 3.0
# Those that a file's own bytes and name decide; behind them the answer can depend on what lies beside it.
_BY_ITSELF = {
    type(item).__name__: item
    for item in takewhile(lambda item: not item.looks_beside, FORMATS)
    if not isinstance(item, Closed)
}


class KnownFormats:
    """Tells the format of a source as `format_of` does; the cache spares reading a file that has not been touched."""

    def __init__(self, cache: SpectraCache) -> None:
        self._cache = cache
        self._new: dict[bytes, bytes] = {}

    def __call__(self, source: Source) -> Format:
        """The format of a file. Raises what `format_of` raises."""
        state = _state([source.path], [source.stat], "format") if isinstance(source, LocalFile) else b""
        name = (self._cache.format_of(state) or b"").decode("ascii", "replace") if state else ""
        if name in _BY_ITSELF:
            return _BY_ITSELF[name]
        found = format_of(source)
        if state and type(found).__name__ in _BY_ITSELF:
            self._new[state] = type(found).__name__.encode()
        return found

    def keep(self) -> None:
        """Put what is new into the cache; a file that has changed since has another state."""
        self._cache.keep_formats(self._new)
        self._new = {}


def state_of(candidate: Candidate, *, now: bool = False) -> bytes:
    """The state of a checkpoint's files on this disk; empty where it lies elsewhere, or has changed just now.

    The file's own state is that in which it was found; with `now` that which it has now.
    """
    source = candidate.source
    if not isinstance(source, LocalFile):
        return b""
    try:
        files = _files(candidate, source)
        stats = [source.stat if path is source.path and not now else path.stat() for path in files]
    except (OSError, CheckpointError):
        return b""
    return _state(files, stats, candidate.format.name)


def digest_of_parts(*parts: bytes) -> bytes:
    """SHA-256 over parts, each with its length, so that no two sequences of them give the same."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()


def _state(files: Sequence[Path], stats: Sequence[os.stat_result], what: str) -> bytes:
    newest = max(max(stat.st_mtime, stat.st_ctime) for stat in stats)
    if newest > time.time() - SETTLED:
        return b""
    facts = [
        (str(path.absolute()), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev)
        for path, stat in zip(files, stats, strict=True)
    ]
    versions = f"{METHOD} {__version__} {np.__version__} {what}"
    return digest_of_parts(versions.encode(), *(repr(fact).encode("utf-8", "surrogateescape") for fact in facts))


def _files(candidate: Candidate, source: LocalFile) -> list[Path]:
    """The files that a checkpoint is read from: its own, those of its format beside it, or all of its folder."""
    location = candidate.ref.location
    if isinstance(location, Path) and location.is_dir():
        return sorted(path for path in location.rglob("*") if path.is_file())
    return [source.path, *(source.path.parent / name for name in candidate.format.members(source))]
