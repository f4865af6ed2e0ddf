"""A file of rows: appended to line by line, read back whatever its end looks like, and never mixed with others."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

from spectral_doctor.errors import MALFORMED, OutputNotWritable, UnreadableCheckpoint, UsageError, printable
from spectral_doctor.scaling.parquet import SUFFIX, is_rows_parquet, read_parquet
from spectral_doctor.scaling.records import Options
from spectral_doctor.scaling.rows import END, Row, lines_of
from spectral_doctor.version import __version__

ROWS_VERSION = "spectral-doctor/rows/1"
_BLOCK = 2**16
_BEGIN = b'{"row": "run", "schema": "spectral-doctor/rows/'


@dataclass(frozen=True)
class Journal:
    """What a file of rows holds: the last run's own row, and of every file that was finished the last rows."""

    run: Row
    files: dict[str, list[Row]] = field(default_factory=dict)

    def rows_for(self, path: str, content: str) -> list[Row] | None:
        """The rows of a file that is still as it was, else None."""
        rows = self.files.get(path)
        return rows if rows and content and rows[-1].get("content") == content else None


class JournalWriter:
    """Appends rows; each file's are on disk before the next file's begin.

    The file is locked meanwhile, for the lines of two runs would stand among each other. Raises `UsageError` where
    another run has it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: FileIO | None = None

    def __enter__(self) -> JournalWriter:
        try:
            # Unbuffered: what a full disk did not take must not be tried again when the file is closed.
            self._file = self.path.open("ab", buffering=0)
            if not _is_locked_by_this(self._file):
                self._file.close()
                raise UsageError(f"--rows {printable(self.path)}: another run writes there; wait or name a new file.")
            _cut_torn_line(self.path)
        except OSError as error:
            raise OutputNotWritable(self.path, error) from error
        return self

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows and flush them. Raises `OutputNotWritable`, as where the disk is full."""
        assert self._file is not None
        try:
            left = memoryview(lines_of(rows))
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise OutputNotWritable(self.path, error) from error

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._file is not None
        try:
            with self._file:
                os.fsync(self._file.fileno())
        except OSError as trouble:
            if error is None:
                raise OutputNotWritable(self.path, trouble) from trouble


def run_row(options: Options, **facts: Any) -> Row:
    """The row that a run begins with."""
    return {"row": "run", "schema": ROWS_VERSION, "tool": __version__, "options": _plain(options), **facts}


def is_rows_file(path: Path) -> bool:
    """Whether a file begins as a file of rows does, or is one of Parquet."""
    if path.suffix == SUFFIX:
        return is_rows_parquet(path)
    try:
        with path.open("rb") as file:
            return file.read(len(_BEGIN)) == _BEGIN
    except OSError:
        return False


def read_journal(path: Path) -> Journal:
    """Read a file of rows; a torn last line is as if it had not been begun.

    Raises `UnreadableCheckpoint` where it is no file of rows, or a line before the last is damaged.
    """
    try:
        if path.suffix == SUFFIX and path.exists():
            return _journal(read_parquet(path))
        return _journal(json.loads(line) for line in path.read_bytes().split(b"\n")[:-1])
    except OSError as error:
        raise UnreadableCheckpoint(path, error.strerror or str(error)) from error
    except MALFORMED as error:
        raise UnreadableCheckpoint(path, f"not a file of rows: {error}", "Name a file that --rows wrote.") from error


def resumed(path: Path, options: Options) -> Journal | None:
    """What an earlier run left in a file of rows; None where there is no file, or nothing in it yet.

    Raises `UsageError` where the file is something else, or its rows are those of other options.
    """
    if not path.exists() or _is_torn_beginning(path):
        return None
    if not is_rows_file(path):
        raise UsageError(f"--rows {printable(path)}: is there and holds no rows; name a new file.")
    journal = read_journal(path)
    if journal.run["tool"] != __version__ or journal.run["options"] != _plain(options):
        raise UsageError(
            f"--rows {printable(path)}: its rows are of version {printable(journal.run['tool'])} with the options "
            f"{printable(journal.run['options'])}, this is {__version__} with {_plain(options)}; name a new file."
        )
    return journal


def _is_torn_beginning(path: Path) -> bool:
    """Whether a file is empty, or holds half of the first row."""
    with path.open("rb") as file:
        first = file.readline()
    return not first.endswith(b"\n") and (first.startswith(_BEGIN) or _BEGIN.startswith(first))


def _plain(options: Options) -> dict[str, Any]:
    return {**asdict(options), "exclude": list(options.exclude)}


def _journal(rows: Any) -> Journal:
    run: Row = {}
    files: dict[str, list[Row]] = {}
    pending: list[Row] = []
    for row in rows:
        if row["row"] == "run":
            if row["schema"] != ROWS_VERSION:
                raise ValueError(f"its schema is '{row['schema']}', this version reads '{ROWS_VERSION}'")
            _check_run(row)
            run, pending = row, []
            for path in row["stale"]:
                files.pop(str(path), None)
            continue
        pending.append(row)
        if row["row"] == END:
            files[str(row["path"])] = pending
            pending = []
    if not run:
        raise ValueError("it begins with no run")
    return Journal(run, files)


def _check_run(row: Row) -> None:
    """Raise `KeyError` or `ValueError` where a run's own row is not as `run_row` writes it."""
    lists = ("paths", "files", "failures", "left_out", "stale")
    for name, kind in {"tool": str, "options": dict, "seen": str, **dict.fromkeys(lists, list)}.items():
        if not isinstance(row[name], kind):
            raise ValueError(f"the '{name}' of its run is no {kind.__name__}")
    number, count = row["shard"]
    if not (isinstance(number, int) and isinstance(count, int) and 1 <= number <= count):
        raise ValueError(f"its run has the shard {row['shard']}")


def _is_locked_by_this(file: FileIO) -> bool:
    """Lock a file until it is closed or this process ends; False where another has locked it.

    A system, or a file system, that has no locks goes without.
    """
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return True
    return True


def _cut_torn_line(path: Path) -> None:
    """Take away what stands behind the last line's end: half a row of a run that was killed."""
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - _BLOCK)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        file.truncate(end)
