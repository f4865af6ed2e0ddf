"""Spectra on this disk, by the content of their matrices: what was decomposed once is not decomposed again.

Three tables. `spectra` gives the spectrum that belongs to a matrix' own bytes. `seen` and `formats` give what was found
in a file as it stands on the disk (path, size, times, inode), and its format, so that a file which has not been touched
is not even opened.
Whatever is wrong with the cache, examining goes on without it, and every row has a checksum.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TypeVar

import numpy as np

from spectral_doctor.records import Spectrum
from spectral_doctor.spectrum import Measured

VARIABLE = "SPECTRAL_DOCTOR_CACHE"
FILE = "spectra.sqlite3"
LARGEST = 256 * 2**20
_AT_ONCE = 500
_PATIENCE = 2.0
# What says nothing against the file: in use by another process, read-only, no folder, the disk full or not there.
_PASSING = frozenset(
    (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_INTERRUPT,
    )
)
_KEYS = {"spectra": "digest", "seen": "state", "formats": "state"}
_NUMBERS = struct.Struct("<qd")
_TABLES = """
CREATE TABLE IF NOT EXISTS spectra (number INTEGER PRIMARY KEY, digest BLOB UNIQUE, content BLOB, sum BLOB);
CREATE TABLE IF NOT EXISTS seen (number INTEGER PRIMARY KEY, state BLOB UNIQUE, content BLOB, sum BLOB);
CREATE TABLE IF NOT EXISTS formats (number INTEGER PRIMARY KEY, state BLOB UNIQUE, content BLOB, sum BLOB);
"""

Result = TypeVar("Result")


@dataclass(frozen=True)
class CacheInfo:
    """What a cache holds: its file, the bytes it takes, and how many matrices and states of files it knows."""

    path: Path
    size: int
    spectra: int
    seen: int


def cache_folder(environment: Mapping[str, str]) -> Path | None:
    """The folder of the cache: SPECTRAL_DOCTOR_CACHE, else one in XDG_CACHE_HOME or ~/.cache; None where it is off."""
    named = environment.get(VARIABLE, "")
    if named:
        return None if named.lower() == "off" else Path(named)
    base = environment.get("XDG_CACHE_HOME", "")
    try:
        return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "spectral-doctor"
    except RuntimeError:  # no home
        return None


class SpectraCache:
    """The cache in a folder. None of its methods raises: a cache that fails knows nothing and keeps nothing.

    At most `largest` bytes are kept; what was put in first goes first.
    """

    def __init__(self, folder: Path, largest: int = LARGEST) -> None:
        self.path, self._largest = folder / FILE, largest
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._failed = False

    def seen(self, state: bytes) -> bytes | None:
        """What was found in a checkpoint whose files were in that state; None where it is not known."""
        return (self._attempt(lambda connection: _rows(connection, "seen", [state])) or {}).get(state)

    def format_of(self, state: bytes) -> bytes | None:
        """The format of a file that was in that state; None where it is not known."""
        return (self._attempt(lambda connection: _rows(connection, "formats", [state])) or {}).get(state)

    def spectra(self, digests: Iterable[bytes]) -> dict[bytes, Measured]:
        """What was measured of the matrices with these digests, of those that are known."""
        wanted = list(dict.fromkeys(digests))

        def read(connection: sqlite3.Connection) -> dict[bytes, Measured]:
            return {digest: _measured(content) for digest, content in _rows(connection, "spectra", wanted).items()}

        return self._attempt(read) or {}

    def keep(self, spectra: Mapping[bytes, Measured], seen: Mapping[bytes, bytes]) -> None:
        """Put in what was measured, and what was found in files in a state; all of it or nothing."""
        rows = {digest: _content(item) for digest, item in spectra.items()}
        if rows or seen:
            self._attempt(lambda connection: self._put(connection, {"spectra": rows, "seen": seen}))

    def keep_formats(self, formats: Mapping[bytes, bytes]) -> None:
        """Put in of what format the files in some states are."""
        if formats:
            self._attempt(lambda connection: self._put(connection, {"formats": formats}))

    def info(self) -> CacheInfo:
        """What it holds now."""

        def count(connection: sqlite3.Connection) -> tuple[int, ...]:
            return tuple(
                int(connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]) for name in ("spectra", "seen")
            )

        spectra, seen = (self._attempt(count) or (0, 0)) if self.path.is_file() else (0, 0)
        size = 0
        with suppress(OSError):
            size = self.path.stat().st_size
        return CacheInfo(self.path, size, spectra, seen)

    def clear(self) -> bool:
        """Take the cache away; whether there is none now."""
        self.close()
        with suppress(OSError):
            for path in (self.path, self.path.with_name(f"{FILE}-journal")):
                path.unlink(missing_ok=True)
        return not self.path.exists()

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def _attempt(self, action: Callable[[sqlite3.Connection], Result]) -> Result | None:
        with self._lock:
            if self._failed:
                return None
            try:
                if self._connection is None:
                    self._connection = _opened(self.path)
                return action(self._connection)
            except OSError:
                self._failed = True
            except (sqlite3.Error, ValueError, struct.error) as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _PASSING:
                    self._begin_anew()
            return None

    def _begin_anew(self) -> None:
        """Take a damaged cache away; this run goes on without, the next makes a new one."""
        self._failed = True
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        with suppress(OSError):
            self.path.unlink()

    def _put(self, connection: sqlite3.Connection, tables: Mapping[str, Mapping[bytes, bytes]]) -> None:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            for table, items in tables.items():
                connection.executemany(
                    f"INSERT OR REPLACE INTO {table} ({_KEYS[table]}, content, sum) VALUES (?, ?, ?)",
                    [(name, content, _sum(name, content)) for name, content in items.items()],
                )
            self._bound(connection)

    def _bound(self, connection: sqlite3.Connection) -> None:
        """Drop the oldest quarter as often as the whole is too large; the pages that fall free are used again."""
        page, pages, free = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
        )
        if page * (pages - free) <= self._largest:
            return
        for table in _KEYS:
            first, last = connection.execute(f"SELECT min(number), max(number) FROM {table}").fetchone()
            if first is not None:
                connection.execute(f"DELETE FROM {table} WHERE number <= ?", (first + (last - first) // 4,))


def _opened(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    is_new = not path.exists()
    connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        # Nothing is waited for on the disk: what a power cut tears, the checksums notice.
        connection.execute("PRAGMA synchronous = OFF")
        if is_new or not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'formats'").fetchone():
            connection.executescript(_TABLES)
        if is_new:
            with suppress(OSError):
                os.chmod(path, 0o600)  # noqa: PTH101
    except BaseException:
        with closing(connection):
            raise
    return connection


def _rows(connection: sqlite3.Connection, table: str, wanted: Sequence[bytes]) -> dict[bytes, bytes]:
    """The content by key, of the rows that are whole."""
    found: dict[bytes, bytes] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        part = wanted[start : start + _AT_ONCE]
        marks = ", ".join("?" * len(part))
        key = _KEYS[table]
        rows = connection.execute(f"SELECT {key}, content, sum FROM {table} WHERE {key} IN ({marks})", part)
        found |= {name: content for name, content, checksum in rows if checksum == _sum(name, content)}
    return found


def _sum(name: object, content: object) -> bytes:
    if not isinstance(name, bytes) or not isinstance(content, bytes):
        return b"\0"
    return hashlib.sha256(name + content).digest()[:8]


def _content(measured: Measured) -> bytes:
    sigma = () if measured.spectrum is None else measured.spectrum.values
    return _NUMBERS.pack(measured.non_finite, measured.at_bound) + np.asarray(sigma, dtype="<f8").tobytes()


def _measured(content: bytes) -> Measured:
    non_finite, at_bound = _NUMBERS.unpack_from(content)
    sigma = np.frombuffer(content, dtype="<f8", offset=_NUMBERS.size)
    # A spectrum is finite, not negative, and descends; of NaN every comparison is false.
    if len(sigma) and not (sigma[0] < np.inf and sigma[-1] >= 0.0 and (sigma[:-1] >= sigma[1:]).all()):
        raise ValueError("no spectrum")
    return Measured(Spectrum(tuple(sigma.tolist())) if len(sigma) else None, non_finite, at_bound)
