"""`spectral-doctor inspect`: from checkpoints to a report."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spectral_doctor.cli.asking import asked_for
from spectral_doctor.cli.boundary import ExitCode, require_torch, speaking_plainly
from spectral_doctor.cli.delivery import Amount, deliver, fails, presentation
from spectral_doctor.cli.options import (
    AllLayers,
    Assignments,
    DiscriminatorKey,
    ExcludedLayers,
    Explain,
    FailingFrom,
    Formats,
    GeneratorFactory,
    HtmlFile,
    OutputFile,
    PartOf,
    PlanOnly,
    PlotFile,
    Quiet,
    RealData,
    RecipeName,
    Reconstructing,
    ReferenceFile,
    ReportFormat,
    RowsFile,
    Scheduler,
    Sensitive,
    Statistics,
    StepPattern,
    WithoutCache,
    Witnessing,
    Workers,
)
from spectral_doctor.cli.terminal import terminal
from spectral_doctor.errors import NothingToExamine, UsageError, listed, printable
from spectral_doctor.gate.settings import FailOn

if TYPE_CHECKING:
    from spectral_doctor.inspection import Inspection, Progress
    from spectral_doctor.scaling.records import Options, Scale
    from spectral_doctor.veegan.records import Reconstruction
    from spectral_doctor.witnessing import LoneGenerator


def inspect(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Checkpoint files, folders (searched all the way down), patterns, histories; @LIST, or - for stdin.",
        ),
    ],
    discriminator: DiscriminatorKey = None,
    step_pattern: StepPattern = None,
    exclude: ExcludedLayers = None,
    formats: Formats = None,
    output: OutputFile = None,
    html: HtmlFile = None,
    plot: PlotFile = None,
    fail_on: FailingFrom = "never",
    sensitive: Sensitive = False,
    reference: ReferenceFile = None,
    witness: Witnessing = False,
    generator: GeneratorFactory = None,
    data: RealData = None,
    reconstruct: Reconstructing = False,
    recipe: RecipeName = None,
    assignments: Assignments = None,
    workers: Workers = 1,
    scheduler: Scheduler = None,
    shard: PartOf = None,
    rows: RowsFile = None,
    plan: PlanOnly = False,
    layers: AllLayers = False,
    explain: Explain = False,
    quiet: Quiet = False,
    statistics: Statistics = False,
    no_cache: WithoutCache = False,
) -> None:
    """Report the discriminators found in PATH: their spectra, whether modes are lost, and where to resume."""
    with speaking_plainly():
        from spectral_doctor.cli import scale
        from spectral_doctor.cli.cache import cache_of

        given = tuple(paths)
        paths = scale.named(paths)
        wanted, options = scale.scale_of(workers, scheduler, shard, rows), scale.options_of(discriminator, exclude)
        if plan or shard is not None:
            _plan_or_write(paths, wanted, options, _numbers(formats) if plan else None)
            return
        amount = Amount(layers, explain, quiet, statistics)
        wished = presentation(formats, output, amount, (plot, html), ("inspect", *paths), fail_on)
        wished = replace(wished, asked=("inspect", *given))
        asked = asked_for(witness, generator, data, None if reconstruct else recipe)
        _check_recipe(recipe, assignments, reconstruct, asked.wanted)
        with progress_bar(quiet) as progress:
            cache = None if no_cache else cache_of(os.environ)
            try:
                inspection = scale.examined(paths, wanted, options, step_pattern, sensitive, progress, cache)
            except NothingToExamine as error:
                _deliver_lone(asked.alone(paths, error), wished.levels)
                return
            heard = asked.heard(_held_against(inspection, reference), progress)
            inspection = heard.inspection
        found = _reconstructions(inspection, recipe, assignments or []) if reconstruct else {}
        deliver(inspection, found, wished, heard.testimonies)
        missing = any(item.modes_missing for item in found.values())
        if fails(inspection, wished.levels) or (not wished.levels.never and missing):
            raise typer.Exit(ExitCode.FINDINGS)


def _numbers(formats: list[str] | None) -> ReportFormat:
    """The format of a plan, which has two."""
    names = formats or ["text"]
    if len(names) > 1 or names[0] not in ("text", "json"):
        raise UsageError(f"--format {printable(names[-1])}: with --plan expected one of {listed(('text', 'json'))}.")
    return ReportFormat(names[0])


def _plan_or_write(paths: list[str], wanted: Scale, options: Options, planned_as: ReportFormat | None) -> None:
    """Print what an examination would read, in that format; without one, write the rows of a shard."""
    from spectral_doctor.cli import scale

    with progress_bar() as progress:
        text = "" if planned_as is None else scale.planned(paths, wanted, options, planned_as, progress)
        note = scale.written(paths, wanted, options, progress) if planned_as is None else ""
    sys.stdout.write(text)
    typer.echo(note, err=True, nl=bool(note))


def _check_recipe(recipe: str | None, assignments: list[str] | None, reconstruct: bool, witness: bool) -> None:
    if not reconstruct and (assignments or (recipe and not witness)):
        raise UsageError("--recipe goes with --reconstruct or --witness, --set with --reconstruct.")


def _held_against(inspection: Inspection, file: Path | None) -> Inspection:
    if file is None:
        return inspection
    from spectral_doctor.diagnosis.reference import Reference
    from spectral_doctor.inspection import held_against

    return held_against(inspection, Reference.read(file))


def _reconstructions(
    inspection: Inspection, recipe: str | None, assignments: list[str]
) -> Mapping[str, Reconstruction]:
    require_torch("--reconstruct")
    from spectral_doctor.cli.reconstructing import reconstructions

    return reconstructions(inspection, recipe, assignments)


@contextmanager
def progress_bar(quiet: bool = False) -> Iterator[Progress]:
    """A bar over the files on stderr, where that is a terminal."""
    if quiet or (not sys.stderr.isatty() and not os.environ.get("FORCE_COLOR")):
        yield lambda done, total, name: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)

        def advance(done: int, total: int, name: str) -> None:
            bar.update(task, completed=done, total=total, description=printable(name))

        yield advance


def _deliver_lone(found: tuple[LoneGenerator, ...], fail_on: FailOn) -> None:
    from spectral_doctor.report.lone import render_lone

    shown = terminal()
    sys.stdout.write(render_lone(found, width=shown.width, color=shown.color))
    if any(fail_on.lost(item.modes.statement) for item in found):
        raise typer.Exit(ExitCode.FINDINGS)
