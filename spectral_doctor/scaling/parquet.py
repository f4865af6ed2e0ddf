"""Rows as a Parquet file, whose columns other tools read: lines as it goes, the columns at the end."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from spectral_doctor.checkpoints.writing import replace_with, write_atomically
from spectral_doctor.errors import MissingExtra, OutputNotWritable, UsageError, printable
from spectral_doctor.scaling.rows import Row, lines_of

SUFFIX = ".parquet"
_MARK = b"spectral-doctor"
_VALUES = "singular_values"
_TEXTS = ("row", "path", "network", "certainty", "name", "kind", "form", "error", "message")
_BATCH = 4096


@contextmanager
def as_lines(rows: Path | None) -> Iterator[Path | None]:
    """The file of lines that is appended to; for `FILE.parquet` it is `FILE.parquet.jsonl` until all is there.

    A Parquet file has its directory at its end and cannot be appended to, so what a killed run leaves are the lines,
    which the next run goes on from; the whole is then written atomically, and the lines are taken away.

    Raises `MissingExtra` without PyArrow, `UsageError` for a Parquet file of something else, `OutputNotWritable`.
    """
    if rows is None or rows.suffix != SUFFIX:
        yield rows
        return
    _arrow()
    lines = rows.with_name(f"{rows.name}.jsonl")
    try:
        if rows.exists() and not lines.exists():
            write_atomically(lines, lines_of(list(read_parquet(rows))))
        yield lines
        _write_parquet(lines, rows)
        lines.unlink()
    except OSError as error:
        raise OutputNotWritable(rows, error) from error


def read_parquet(path: Path) -> Iterator[Row]:
    """The rows of a Parquet file, exact. Raises `UsageError` where it holds something else."""
    if not is_rows_parquet(path):
        raise UsageError(f"--rows {printable(path)}: is there and holds no rows; name a new file.")
    _, parquet = _arrow()
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(_BATCH, columns=["record", _VALUES]):
            for record, values in zip(batch["record"].to_pylist(), batch[_VALUES].to_pylist(), strict=True):
                row: Row = json.loads(record)
                yield row | ({_VALUES: values} if row["row"] == "layer" else {})


def is_rows_parquet(path: Path) -> bool:
    """Whether a file is Parquet that was written here."""
    try:
        _, parquet = _arrow()
        with parquet.ParquetFile(path) as file:
            return _MARK in (file.schema_arrow.metadata or {})
    except (MissingExtra, OSError, ValueError):
        return False


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtra("--rows FILE.parquet", "PyArrow", "'spectral-doctor[parquet]'") from error
    return pyarrow, pyarrow.parquet


def _write_parquet(lines: Path, target: Path) -> None:
    """Write the columns beside the file and put them in its place."""
    arrow, parquet = _arrow()
    schema = _schema(arrow)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        with lines.open("rb") as file, parquet.ParquetWriter(temporary, schema) as writer:
            while batch := [_columns(json.loads(line)) for line in islice(file, _BATCH)]:
                writer.write_table(arrow.Table.from_pylist(batch, schema))
        replace_with(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _schema(arrow: Any) -> Any:
    fields = [(name, arrow.string()) for name in _TEXTS]
    fields += [
        ("matrix_shape", arrow.list_(arrow.int64())),
        (_VALUES, arrow.list_(arrow.float64())),
        ("non_finite", arrow.int64()),
        ("at_bound", arrow.float64()),
        ("modified", arrow.float64()),
        ("record", arrow.string()),
    ]
    return arrow.schema(fields, metadata={_MARK: b"rows"})


def _columns(row: Row) -> Row:
    """A row as the columns that are looked at, and the whole of it, but for the values, as one text."""
    shown: Row = {name: row[name] for name in ("matrix_shape", "non_finite", "at_bound", "modified") if name in row}
    # Text in Parquet is UTF-8, which half of a character in a file name is not; `record` has it exactly.
    texts: Row = {name: printable(row[name]) for name in _TEXTS if name in row}
    rest = {name: value for name, value in row.items() if name != _VALUES}
    return {**texts, **shown, _VALUES: row.get(_VALUES), "record": json.dumps(rest, allow_nan=False)}
