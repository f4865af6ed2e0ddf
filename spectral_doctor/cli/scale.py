"""What the verbs that examine many files share: lists of paths, workers, shards, rows, the plan."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spectral_doctor.cli.options import ReportFormat
from spectral_doctor.errors import UsageError, printable

if TYPE_CHECKING:
    from spectral_doctor.inspection import Inspection, Progress
    from spectral_doctor.scaling.records import Options, Scale
    from spectral_doctor.trajectory.cache import SpectraCache


def named(paths: Sequence[str]) -> list[str]:
    """The paths, those in lists and on stdin in the place of `@LIST` and `-`."""
    from spectral_doctor.scaling.manifests import listed_paths

    return listed_paths(paths, sys.stdin.buffer.read)


def scale_of(workers: int, scheduler: str | None, shard: str | None, rows: Path | None) -> Scale:
    """The scale that the options ask for; raises `UsageError` for one that cannot be."""
    from spectral_doctor.scaling.records import Scale, Shard

    if rows is not None and not rows.parent.is_dir():
        raise UsageError(f"--rows {printable(rows)}: the folder '{printable(rows.parent)}' does not exist.")
    return Scale(workers, scheduler, None if shard is None else Shard.parsed(shard), rows)


def options_of(discriminator: str | None, exclude: Sequence[str] | None) -> Options:
    """What decides the rows of a file."""
    from spectral_doctor.scaling.records import Options

    return Options(discriminator, tuple(exclude or ()))


def examined(
    paths: Sequence[str],
    scale: Scale,
    options: Options,
    step: str | None,
    sensitive: bool,
    progress: Progress,
    cache: SpectraCache | None = None,
) -> Inspection:
    """Examine by one process, with what the cache remembers, or as the scale says."""
    from spectral_doctor.diagnosis.records import Thresholds
    from spectral_doctor.scaling.running import inspect_at_scale

    thresholds = Thresholds.sensitive() if sensitive else Thresholds()
    return inspect_at_scale(
        paths, scale, options=options, step=step, thresholds=thresholds, progress=progress, cache=cache
    )


def written(paths: Sequence[str], scale: Scale, options: Options, progress: Progress) -> str:
    """Write the rows of a shard, and say what became of it."""
    from spectral_doctor.scaling.running import write_rows

    done = write_rows(paths, scale, options=options, progress=progress)
    return (
        f"written: {printable(done.file)} (shard {done.shard}: {done.files} files, {done.examined} examined now, "
        f"{done.kept} kept, {done.errors} errors)"
    )


def planned(
    paths: Sequence[str], scale: Scale, options: Options, report_format: ReportFormat, progress: Progress
) -> str:
    """The plan as text or JSON."""
    from spectral_doctor.report.plan import render_plan, render_plan_json
    from spectral_doctor.scaling.planning import plan_of

    plan = plan_of(paths, options=options, shard=scale.shard, progress=progress)
    return render_plan_json(plan) if report_format is ReportFormat.JSON else render_plan(plan)
