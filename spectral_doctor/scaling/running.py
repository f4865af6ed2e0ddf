"""Many files examined: by processes or a cluster, all or a shard, with rows as it goes; and shards put together."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from hashlib import blake2b
from pathlib import Path

from spectral_doctor import inspection
from spectral_doctor.checkpoints.discovery import Candidates, find_candidates
from spectral_doctor.checkpoints.runs import step_pattern
from spectral_doctor.diagnosis.records import Thresholds
from spectral_doctor.errors import MALFORMED, UnreadableCheckpoint, UsageError
from spectral_doctor.inspection import Findings, Inspection, Progress, concluded
from spectral_doctor.scaling.identity import content_of
from spectral_doctor.scaling.journal import Journal, JournalWriter, is_rows_file, resumed, run_row
from spectral_doctor.scaling.parquet import as_lines
from spectral_doctor.scaling.records import Options, Scale, Shard, Written
from spectral_doctor.scaling.rows import Row, error_to_json, findings_of
from spectral_doctor.scaling.tasks import Task, do, do_elsewhere, lost
from spectral_doctor.trajectory.cache import SpectraCache

_NO_PROGRESS: Progress = lambda done, total, name: None  # noqa: E731


def inspect_at_scale(
    paths: Sequence[Path | str],
    scale: Scale,
    *,
    options: Options | None = None,
    step: str | re.Pattern[str] | None = None,
    thresholds: Thresholds | None = None,
    progress: Progress | None = None,
    cache: SpectraCache | None = None,
) -> Inspection:
    """What `inspect_paths` returns of the same files, by as many workers as `scale` says, and with rows on the way.

    The cache is asked where one process examines all; workers and rows go without.

    Raises what `inspect_paths` raises, and `UsageError` for a scale that cannot be had.
    """
    if scale.shard is not None:
        raise UsageError("--shard: a part of the files gives rows, no diagnosis; write them with --rows, then merge.")
    chosen = options or Options()
    if scale.is_plain:
        return inspection.inspect_paths(
            paths,
            discriminator=chosen.discriminator,
            exclude=chosen.exclude,
            step=step,
            thresholds=thresholds,
            progress=progress,
            cache=cache,
        )
    pattern = step_pattern(step) if isinstance(step, str) else step
    found = found_in(paths)
    with as_lines(scale.rows) as lines:
        by_lines = replace(scale, rows=lines)
        files = [
            _found_before(scale.rows, rows) for rows in _run(paths, found, by_lines, chosen, progress or _NO_PROGRESS)
        ]
    return concluded(paths, found.left_out, found.failures, files, step=pattern, thresholds=thresholds)


def write_rows(
    paths: Sequence[Path | str], scale: Scale, *, options: Options | None = None, progress: Progress | None = None
) -> Written:
    """Examine the files of a shard (all of them without one) and leave nothing but their rows.

    Raises `UsageError`; what is wrong with a file is a row.
    """
    if scale.rows is None:
        raise UsageError("--shard: a part of the files gives rows; say where to write them with --rows FILE.")
    chosen, found = options or Options(), found_in(paths)
    files = errors = kept = 0
    with as_lines(scale.rows) as lines:
        by_lines = replace(scale, rows=lines)
        before = None if lines is None else resumed(lines, chosen)
        old = {id(rows) for rows in before.files.values()} if before else set()
        for rows in _run(paths, found, by_lines, chosen, progress or _NO_PROGRESS, before):
            files += 1
            kept += id(rows) in old
            errors += any(row["row"] == "error" for row in rows)
    return Written(scale.rows, scale.shard or Shard(), files, files - kept, errors)


def found_in(paths: Sequence[Path | str]) -> Candidates:
    """The files to examine; rows that runs have written among them are no files of theirs, and go without a word."""
    found = find_candidates(paths)
    left_out = tuple(item for item in found.left_out if not is_rows_file(Path(item.name)))
    return Candidates(found.checkpoints, found.histories, left_out, found.failures)


def _run(
    paths: Sequence[Path | str],
    found: Candidates,
    scale: Scale,
    options: Options,
    progress: Progress,
    before: Journal | None = None,
) -> Iterator[list[Row]]:
    """Every file's rows in order, and into the file of rows as soon as they are there."""
    shard = scale.shard or Shard()
    tasks = [task for _, task in shard.of(_tasks(found, options, scale.rows is not None))]
    if scale.rows is not None and before is None:
        before = resumed(scale.rows, options)
    known = [_known(task, before) for task in tasks]
    fresh = _done([task for task, rows in zip(tasks, known, strict=True) if rows is None], scale)
    with nullcontext() if scale.rows is None else JournalWriter(scale.rows) as writer:
        if writer is not None:
            stale = [str(task.location) for task, rows in zip(tasks, known, strict=True) if rows is None]
            writer.write([{**_run_row(paths, found, options, shard), "stale": stale if before else []}])
        for done, (task, rows) in enumerate(zip(tasks, known, strict=True)):
            progress(done, len(tasks), task.location.name)
            if rows is None:
                rows = next(fresh)
                if writer is not None:
                    writer.write(rows)
            yield rows


def _tasks(found: Candidates, options: Options, kept: bool = True) -> list[Task]:
    checkpoints = [Task(candidate.ref.location, options, is_kept=kept) for candidate in found.checkpoints]
    return checkpoints + [Task(history, options, is_history=True, is_kept=kept) for history in found.histories]


def _found_before(file: Path | None, rows: list[Row]) -> Findings:
    """What rows say, some of which may be an earlier run's. Raises `UnreadableCheckpoint` where those are damaged."""
    try:
        return findings_of(rows)
    except MALFORMED as error:
        raise UnreadableCheckpoint(file or "rows", f"a damaged row: {error}", "Name a new file for --rows.") from error


def _known(task: Task, before: Journal | None) -> list[Row] | None:
    if before is None or str(task.location) not in before.files:
        return None
    return before.rows_for(str(task.location), content_of(task.location))


def _done(tasks: Sequence[Task], scale: Scale) -> Iterator[list[Row]]:
    # Imported where they are wanted: one process is the rule, and should not wait for the means of many.
    if scale.scheduler is not None:
        from spectral_doctor.scaling.clusters import on_cluster

        return on_cluster(do_elsewhere, tasks, scale.scheduler, lost)
    if scale.workers > 1:
        from spectral_doctor.scaling.processes import in_processes

        return in_processes(do_elsewhere, tasks, scale.workers, lost)
    return map(do, tasks)


def _run_row(paths: Sequence[Path | str], found: Candidates, options: Options, shard: Shard) -> Row:
    """What a run saw: its own part of the files by their positions, and a digest of all, equal in all its shards."""
    names = [str(task.location) for task in _tasks(found, options)]
    failures = [{"path": name, **error_to_json(error)} for name, error in found.failures]
    left_out = [asdict(item) for item in found.left_out]
    everything = json.dumps([names, failures, left_out]).encode("ascii")
    return run_row(
        options,
        paths=list(map(str, paths)),
        shard=[shard.number, shard.count],
        seen=blake2b(everything, digest_size=16).hexdigest(),
        files=shard.of(names),
        failures=shard.of(failures),
        left_out=shard.of(left_out),
    )
