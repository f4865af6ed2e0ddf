"""The runs of a table on file: one file each while a table is made, all in one when it is kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spectral_doctor.checkpoints.writing import write_atomically
from spectral_doctor.errors import OutputNotWritable, UsageError, printable
from spectral_doctor.reproduction.records import Arm, Run, Table


def run_path(table: Table, arm: str, seed: int, folder: Path) -> Path:
    """Where a run is written when it is whole."""
    name = "".join(letter if letter.isalnum() else "-" for letter in arm)
    return folder / "runs" / table.name / f"{name}-{seed}.json"


def write_run(run: Run, path: Path) -> None:
    """Write a run, wholly or not at all; raises `OSError`."""
    write_atomically(path, (json.dumps(asdict(run)) + "\n").encode())


def saved_runs(table: Table, folder: Path) -> dict[tuple[str, int], Run]:
    """The runs of a table in a folder by arm and seed, packed or single, that were trained as the table says now.

    Raises `UsageError` for a packed file that holds something else.
    """
    found: dict[tuple[str, int], Run] = {}
    packed = folder / f"{table.name}.json"
    contents: list[Any] = []
    if packed.exists():
        try:
            contents += json.loads(packed.read_text(encoding="utf-8"))["runs"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{printable(packed)}: not a table that `reproduce` wrote; move it away.") from error
    for path in sorted((folder / "runs" / table.name).glob("*.json")):
        try:
            contents.append(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            continue  # trained again
    for content in contents:
        run = _read(content, table)
        if run is not None:
            found[run.arm, run.seed] = run
    return found


def packed(table: Table, runs: Sequence[Run]) -> bytes:
    """All runs of a table as one JSON file, in the order of its arms and of the seeds, a run a line."""
    order = {arm.name: index for index, arm in enumerate(table.arms)}
    lines = [json.dumps(asdict(run)) for run in sorted(runs, key=lambda run: (order[run.arm], run.seed))]
    return (f'{{"table": {json.dumps(table.name)}, "runs": [\n' + ",\n".join(lines) + "\n]}\n").encode()


def write_table_file(path: Path, content: bytes) -> None:
    """Write one of a table's files; raises `OutputNotWritable`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    except OSError as error:
        raise OutputNotWritable(path, error) from error


def recorded(table: Table, arm: Arm) -> Any:
    """All that decides what an arm's runs are, as JSON gives it back."""
    return json.loads(json.dumps(table.recorded(arm)))


def _read(content: Any, table: Table) -> Run | None:
    try:
        run = Run.read(content)
        arm = table.arm(run.arm)
    except (KeyError, TypeError, StopIteration):
        return None
    return run if run.recorded == recorded(table, arm) else None
