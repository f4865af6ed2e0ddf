"""One file as a task that any process can do: what goes there is a place, and what comes back is rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spectral_doctor.checkpoints.opening import candidate_at
from spectral_doctor.errors import DoctorError, UnreadableCheckpoint, UsageError
from spectral_doctor.inspection import Findings, examine_file, examine_history
from spectral_doctor.records import Location
from spectral_doctor.scaling.identity import content_of
from spectral_doctor.scaling.records import Options
from spectral_doctor.scaling.rows import Row, rows_of
from spectral_doctor.threads import keep_to_one_core


@dataclass(frozen=True)
class Task:
    """A file to examine, and how; `is_history` where it holds series, `is_kept` where its rows will be."""

    location: Location
    options: Options
    is_history: bool = False
    is_kept: bool = True


def do(task: Task) -> list[Row]:
    """Examine a file. What is wrong with it is a row; an error that another try may not meet has no content."""
    content = content_of(task.location) if task.is_kept else ""
    findings = _findings(task)
    return rows_of(findings, "" if isinstance(findings.error, UsageError) else content)


def do_elsewhere(task: Task) -> list[Row]:
    """The same in a process that works beside others."""
    keep_to_one_core()
    return do(task)


def lost(task: Task) -> list[Row]:
    """The rows of a file whose worker ended without a word, each time that one was given it."""
    reason = "the worker process that examined it was killed, as when memory runs out"
    error = UnreadableCheckpoint(str(task.location), reason, "Run again with fewer workers.")
    return rows_of(Findings(str(task.location), error=error), "")


def _findings(task: Task) -> Findings:
    if task.is_history:
        return examine_history(Path(str(task.location)))
    try:
        candidate = candidate_at(task.location)
    except DoctorError as error:
        return Findings(str(task.location), error=error)
    return examine_file(candidate, task.options.discriminator, task.options.exclude)
