"""`spectral-doctor inspect`: from checkpoints to a report."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spectral_doctor.cli.boundary import ExitCode, speaking_plainly
from spectral_doctor.errors import UsageError, printable

if TYPE_CHECKING:
    from spectral_doctor.inspection import Inspection, Progress


class ReportFormat(Enum):
    """What `--format` can ask for."""

    TEXT = "text"
    JSON = "json"


class FailOn(Enum):
    """From which verdict on the exit code is 1."""

    COLLAPSED = "collapsed"
    DECLINING = "declining"
    NEVER = "never"


def inspect(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Checkpoint files, folders (searched all the way down), patterns, or JSON histories.",
        ),
    ],
    discriminator: Annotated[
        str | None,
        typer.Option(
            "--discriminator",
            metavar="KEY",
            help="The key that holds the discriminator, e.g. 'state_dict.D'.",
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", metavar="GLOB", help="Leave out layers whose name matches; may be repeated."),
    ] = None,
    report_format: Annotated[ReportFormat, typer.Option("--format", help="How to report.")] = ReportFormat.TEXT,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Draw the spectra to a png, svg or pdf file."),
    ] = None,
    fail_on: Annotated[FailOn, typer.Option("--fail-on", help="Exit with 1 from this verdict on.")] = FailOn.NEVER,
    sensitive: Annotated[
        bool, typer.Option("--sensitive", help="Early warning: call it a collapse from even odds on.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say why each choice was made and list all that was left out.")
    ] = False,
) -> None:
    """Report the spectra of the discriminators found in PATH, with a verdict, its onset, and where to resume."""
    with speaking_plainly():
        _check_plot(plot, paths)
        from spectral_doctor.diagnosis.records import Thresholds
        from spectral_doctor.inspection import inspect_paths

        thresholds = Thresholds.sensitive() if sensitive else Thresholds()
        with _progress_bar() as progress:
            inspection = inspect_paths(
                paths,
                discriminator=discriminator,
                exclude=exclude or (),
                thresholds=thresholds,
                progress=progress,
            )
        _print_report(inspection, report_format, explain)
        if plot is not None:
            _write_plot(inspection, plot)
        if _fails(inspection, fail_on):
            raise typer.Exit(ExitCode.FINDINGS)


@contextmanager
def _progress_bar() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)

        def advance(done: int, total: int, name: str) -> None:
            bar.update(task, completed=done, total=total, description=printable(name))

        yield advance


def _print_report(inspection: Inspection, report_format: ReportFormat, explain: bool) -> None:
    if report_format is ReportFormat.JSON:
        from spectral_doctor.report.document import render_json

        sys.stdout.write(render_json(inspection) + "\n")
        return
    from rich.console import Console

    from spectral_doctor.report.text import render_text

    terminal = Console()
    width = terminal.width if terminal.is_terminal else 80
    color = terminal.is_terminal and terminal.color_system is not None and not terminal.no_color
    sys.stdout.write(render_text(inspection, width=max(width, 80), color=color, explain=explain))


def _check_plot(plot: Path | None, paths: list[str]) -> None:
    if plot is None:
        return
    plot_format = plot.suffix.lower().removeprefix(".")
    if plot_format not in ("png", "svg", "pdf"):
        raise UsageError(f"--plot {printable(plot)}: expected a file that ends in .png, .svg or .pdf.")
    if not plot.parent.is_dir():
        raise UsageError(f"--plot {printable(plot)}: the folder '{printable(plot.parent)}' does not exist.")
    if any(plot.resolve() == Path(path).resolve() for path in paths):
        raise UsageError(f"--plot {printable(plot)}: is one of the inputs, which are never overwritten.")


def _write_plot(inspection: Inspection, plot: Path) -> None:
    from spectral_doctor.checkpoints.writing import write_atomically
    from spectral_doctor.report.figures import draw, render_figure

    figure = draw(inspection.diagnoses)
    try:
        write_atomically(plot, render_figure(figure, plot.suffix.lower().removeprefix(".")))
    except OSError as error:
        raise UsageError(f"--plot {printable(plot)}: cannot be written: {error.strerror}.") from error


def _fails(inspection: Inspection, fail_on: FailOn) -> bool:
    from spectral_doctor.diagnosis.records import FindingKind, Verdict

    if fail_on is FailOn.NEVER:
        return False
    failing = {Verdict.COLLAPSED} | ({Verdict.DECLINING} if fail_on is FailOn.DECLINING else set())
    return any(
        diagnosis.verdict in failing
        or any(finding.kind is FindingKind.NON_FINITE and finding.current for finding in diagnosis.findings)
        for diagnosis in inspection.diagnoses
    )
