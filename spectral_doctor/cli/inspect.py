"""`spectral-doctor inspect`: from checkpoints to a report."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spectral_doctor.cli.asking import asked_for
from spectral_doctor.cli.boundary import ExitCode, require_torch, speaking_plainly
from spectral_doctor.cli.options import (
    AllLayers,
    Assignments,
    DiscriminatorKey,
    ExcludedLayers,
    Explain,
    FailingFrom,
    GeneratorFactory,
    HtmlFile,
    PartOf,
    PlanOnly,
    PlotFile,
    RealData,
    RecipeName,
    Reconstructing,
    ReferenceFile,
    ReportFormat,
    Reporting,
    RowsFile,
    Scheduler,
    Sensitive,
    StepPattern,
    WithoutCache,
    Witnessing,
    Workers,
)
from spectral_doctor.errors import NothingToExamine, UsageError, printable
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
    report_format: Reporting = ReportFormat.TEXT,
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
    no_cache: WithoutCache = False,
) -> None:
    """Report the discriminators found in PATH: their spectra, whether modes are lost, and where to resume."""
    with speaking_plainly():
        from spectral_doctor.cli import scale
        from spectral_doctor.cli.cache import cache_of

        paths = scale.named(paths)
        check_outputs(plot, html, paths)
        levels = FailOn.read(fail_on)
        wanted, options = scale.scale_of(workers, scheduler, shard, rows), scale.options_of(discriminator, exclude)
        if plan or shard is not None:
            _plan_or_write(paths, wanted, options, report_format if plan else None)
            return
        asked = asked_for(witness, generator, data, None if reconstruct else recipe)
        _check_recipe(recipe, assignments, reconstruct, asked.wanted)
        with progress_bar() as progress:
            cache = None if no_cache else cache_of(os.environ)
            try:
                inspection = scale.examined(paths, wanted, options, step_pattern, sensitive, progress, cache)
            except NothingToExamine as error:
                _deliver_lone(asked.alone(paths, error), levels)
                return
            inspection = asked.heard(_held_against(inspection, reference), progress)
        found = _reconstructions(inspection, recipe, assignments or []) if reconstruct else {}
        deliver(inspection, found, Presentation(report_format, explain, layers, plot, html))
        if fails(inspection, levels) or (not levels.never and any(item.modes_missing for item in found.values())):
            raise typer.Exit(ExitCode.FINDINGS)


def _plan_or_write(paths: list[str], wanted: Scale, options: Options, planned_as: ReportFormat | None) -> None:
    """Print what an examination would read, in that format; without one, write the rows of a shard."""
    from spectral_doctor.cli import scale

    with progress_bar() as progress:
        text = "" if planned_as is None else scale.planned(paths, wanted, options, planned_as, progress)
        note = scale.written(paths, wanted, options, progress) if planned_as is None else ""
    sys.stdout.write(text)
    typer.echo(note, err=True, nl=bool(note))


@dataclass(frozen=True)
class Presentation:
    """How a report is shown: its format, how much of it, and the files that are written beside it."""

    report_format: ReportFormat
    explain: bool
    layers: bool
    plot: Path | None
    html: Path | None


def deliver(inspection: Inspection, found: Mapping[str, Reconstruction], wished: Presentation) -> None:
    """Print the report, and write what is asked for as files, saying where."""
    _print_report(inspection, found, wished)
    if wished.plot is not None:
        _write_plot(inspection, wished.plot)
    if wished.html is not None:
        _write_html(inspection, wished.html)


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
def progress_bar() -> Iterator[Progress]:
    """A bar over the files on stderr, where that is a terminal."""
    if not sys.stderr.isatty() and not os.environ.get("FORCE_COLOR"):
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


def _print_report(inspection: Inspection, found: Mapping[str, Reconstruction], wished: Presentation) -> None:
    if wished.report_format is ReportFormat.JSON:
        from spectral_doctor.report.document import render_json

        sys.stdout.write(render_json(inspection, found) + "\n")
        return
    from spectral_doctor.report.text import render_text

    width, color = _terminal()
    sys.stdout.write(render_text(inspection, width=width, color=color, explain=wished.explain, layers=wished.layers))
    if found:
        from spectral_doctor.report.reconstruction import render_reconstructions

        sys.stdout.write("\n" + render_reconstructions(found, width=width) + "\n")


def _deliver_lone(found: tuple[LoneGenerator, ...], fail_on: FailOn) -> None:
    from spectral_doctor.report.lone import render_lone

    width, color = _terminal()
    sys.stdout.write(render_lone(found, width=width, color=color))
    if any(fail_on.lost(item.modes.statement) for item in found):
        raise typer.Exit(ExitCode.FINDINGS)


def _terminal() -> tuple[int, bool]:
    """How wide the terminal is, at least 80 columns and 80 where there is none, and whether it shows colours."""
    if not sys.stdout.isatty():
        return 80, False
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return max(shutil.get_terminal_size().columns, 80), not plain


def check_outputs(plot: Path | None, html: Path | None, inputs: Sequence[str]) -> None:
    """Refuse a picture or a page that cannot be written, before the work of examining is done."""
    _check_output("--html", html, (".html", ".htm"), inputs)
    _check_output("--plot", plot, (".png", ".svg", ".pdf"), inputs)


def _check_output(option: str, path: Path | None, endings: tuple[str, ...], inputs: Iterable[str]) -> None:
    if path is None:
        return
    if path.suffix.lower() not in endings:
        expected = f"{', '.join(endings[:-1])} or {endings[-1]}"
        raise UsageError(f"{option} {printable(path)}: expected a file that ends in {expected}.")
    if not path.parent.is_dir():
        raise UsageError(f"{option} {printable(path)}: the folder '{printable(path.parent)}' does not exist.")
    _refuse_input(option, path, inputs)


def _refuse_input(option: str, path: Path, inputs: Iterable[str]) -> None:
    if any(path.resolve() == _resolved(given) for given in inputs):
        raise UsageError(f"{option} {printable(path)}: is one of the inputs, which are never overwritten.")


def _resolved(given: str) -> Path | None:
    """A path without links; None where no file of this system can be called so, as a history may name one."""
    try:
        return Path(given).resolve()
    except (OSError, ValueError):
        return None


def _write_plot(inspection: Inspection, plot: Path) -> None:
    from spectral_doctor.report.figures import draw, render_figure

    figure = draw(inspection.diagnoses)
    _write(inspection, "--plot", plot, render_figure(figure, plot.suffix.lower().removeprefix(".")))


def _write_html(inspection: Inspection, html: Path) -> None:
    from spectral_doctor.report.page import render_page

    curves = [diagnosis.curves for diagnosis in inspection.diagnoses]
    _write(inspection, "--html", html, render_page(inspection, curves).encode("utf-8"))


def _write(inspection: Inspection, option: str, path: Path, content: bytes) -> None:
    """Write a file that is no checkpoint found in the folders given; what is there before stays until the end."""
    from spectral_doctor.checkpoints.writing import write_atomically

    for diagnosis in inspection.diagnoses:
        _refuse_input(option, path, map(str, (ref.location for ref in diagnosis.trajectory.checkpoints)))
    try:
        write_atomically(path, content)
    except OSError as error:
        raise UsageError(f"{option} {printable(path)}: cannot be written: {error.strerror}.") from error
    typer.echo(f"written: {printable(path)}", err=True)


def fails(inspection: Inspection, fail_on: FailOn) -> bool:
    """Whether a discriminator fails; one that is a discriminator by its shape alone never does."""
    from spectral_doctor.records import Certainty

    confirmed = (item for item in inspection.diagnoses if item.trajectory.certainty is Certainty.CONFIRMED)
    return any(fail_on.reached(item) for item in confirmed)
