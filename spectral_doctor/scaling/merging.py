"""The shards of one run put together: the same result as one run over all its files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from spectral_doctor.checkpoints.runs import step_pattern
from spectral_doctor.diagnosis.records import Thresholds
from spectral_doctor.errors import MALFORMED, UnreadableCheckpoint, UsageError, printable
from spectral_doctor.inspection import Findings, Inspection, concluded
from spectral_doctor.scaling.journal import Journal, read_journal
from spectral_doctor.scaling.rows import error_from_json, findings_of, left_out_from_json


def merge_rows(
    files: Sequence[Path], *, step: str | re.Pattern[str] | None = None, thresholds: Thresholds | None = None
) -> Inspection:
    """The inspection that the rows of all shards of one run stand for; the files examined are not opened.

    A file of a shard that ended before it came to it is a failure that says so.

    Raises `UnreadableCheckpoint` for what holds no rows, `UsageError` where shards are missing, given twice, or of
    different runs, and what `inspect_paths` raises where nothing was examined.
    """
    pattern = step_pattern(step) if isinstance(step, str) else step
    journals = [read_journal(file) for file in files]
    _check_one_run(files, journals)
    try:
        findings = [_findings(journal, path) for journal, path in _in_order(journals, "files")]
        left_out = [left_out_from_json(entry) for _, entry in _in_order(journals, "left_out")]
        failures = [(str(entry["path"]), error_from_json(entry)) for _, entry in _in_order(journals, "failures")]
    except MALFORMED as error:
        raise UnreadableCheckpoint(files[0], f"a damaged row, here or in a file beside it: {error}") from error
    return concluded(journals[0].run["paths"], left_out, failures, findings, step=pattern, thresholds=thresholds)


def _findings(journal: Journal, path: str) -> Findings:
    if path in journal.files:
        return findings_of(journal.files[path])
    shard = "/".join(map(str, journal.run["shard"]))
    reason = f"shard {shard} ended before it was examined"
    return Findings(path, error=UnreadableCheckpoint(path, reason, "Run the shard again; it goes on where it ended."))


def _in_order(journals: Iterable[Journal], name: str) -> list[tuple[Journal, Any]]:
    """The entries that the shards have of one list, in the order of the whole."""
    entries = [(position, journal, entry) for journal in journals for position, entry in journal.run[name]]
    return [(journal, entry) for _, journal, entry in sorted(entries, key=lambda item: item[0])]


def _check_one_run(files: Sequence[Path], journals: Sequence[Journal]) -> None:
    first = journals[0].run
    for file, journal in zip(files, journals, strict=True):
        for key, what in (("tool", "versions"), ("options", "options"), ("seen", "files")):
            if journal.run[key] != first[key]:
                raise UsageError(
                    f"{printable(file)}: saw other {what} than {printable(files[0])}. Shards of one run see the same; "
                    "where files are still being written, list them once and give all shards @LIST."
                )
    count = first["shard"][1]
    numbers = sorted(journal.run["shard"][0] for journal in journals)
    if any(journal.run["shard"][1] != count for journal in journals):
        raise UsageError("merge: the files are shards of runs that were split into different numbers of parts.")
    missing = count - len(set(numbers))
    if missing:
        absent = (f"{number}/{count}" for number in range(1, count + 1) if number not in numbers)
        raise UsageError(f"merge: {missing} of {count} shards are not given: {', '.join(islice(absent, 6))}.")
    if len(numbers) > count:
        raise UsageError("merge: a shard is given twice.")
