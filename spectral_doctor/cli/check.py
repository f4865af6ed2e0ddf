"""`spectral-doctor check`: the gate, for CI."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spectral_doctor.cli.boundary import ExitCode, speaking_plainly
from spectral_doctor.cli.cache import cache_of
from spectral_doctor.cli.delivery import Amount, with_links
from spectral_doctor.cli.inspect import progress_bar
from spectral_doctor.cli.options import (
    DiscriminatorKey,
    ExcludedLayers,
    Explain,
    FailingFrom,
    Formats,
    OutputFile,
    Quiet,
    RowsFile,
    Scheduler,
    Statistics,
    StepPattern,
    WithoutCache,
    Workers,
)
from spectral_doctor.cli.outputs import Destination, destinations, write_reports
from spectral_doctor.cli.scale import named, scale_of
from spectral_doctor.cli.terminal import terminal
from spectral_doctor.errors import UsageError, printable
from spectral_doctor.gate.checking import check_paths, load_settings

if TYPE_CHECKING:
    from spectral_doctor.gate.records import CheckOutcome
    from spectral_doctor.gate.settings import GateSettings
    from spectral_doctor.scaling.records import Scale
    from spectral_doctor.trajectory.cache import SpectraCache


def check(
    paths: Annotated[
        list[str] | None, typer.Argument(metavar="PATH...", help="As for inspect; else the paths of the settings file.")
    ] = None,
    fail_on: FailingFrom | None = None,
    fail_on_coverage: Annotated[
        str | None, typer.Option("--fail-on-coverage", metavar="PCT", help="Exit with 1 if less was examined.")
    ] = None,
    exit_zero: Annotated[
        bool | None, typer.Option("--exit-zero/--no-exit-zero", help="Report findings and exit with 0 all the same.")
    ] = None,
    select: Annotated[
        list[str] | None, typer.Option("--select", metavar="CODES", help="Only these rules: SD1, SD201, …")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option("--ignore", metavar="CODES", help="Not these rules.")] = None,
    level: Annotated[
        list[str] | None, typer.Option("--level", metavar="CODE=LEVEL", help="fail, warn or off for one rule.")
    ] = None,
    per_layer_ignore: Annotated[
        list[str] | None,
        typer.Option("--per-layer-ignore", metavar="GLOB:CODES", help="Not these rules for layers that match."),
    ] = None,
    formats: Formats = None,
    output: OutputFile = None,
    baseline: Annotated[
        str | None, typer.Option("--baseline", metavar="FILE", help="Findings in this file are known and do not fail.")
    ] = None,
    update_baseline: Annotated[
        bool, typer.Option("--update-baseline", help="Write the findings of now to the baseline.")
    ] = False,
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="The settings file.")] = None,
    discriminator: DiscriminatorKey = None,
    step_pattern: StepPattern = None,
    exclude: ExcludedLayers = None,
    no_cache: WithoutCache = False,
    workers: Workers = 1,
    scheduler: Scheduler = None,
    rows: RowsFile = None,
    explain: Explain = False,
    quiet: Quiet = False,
    statistics: Statistics = False,
) -> None:
    """Check checkpoints against rules with codes, for CI: exit 0, or 1 where something fails."""
    with speaking_plainly():
        amount, scale = Amount(False, explain, quiet, statistics), scale_of(workers, scheduler, None, rows)
        options = {
            "paths": paths and named(paths),
            "fail-on": fail_on,
            "fail-on-coverage": fail_on_coverage,
            "exit-zero": exit_zero,
            "select": select,
            "ignore": ignore,
            "level": level,
            "per-layer-ignore": per_layer_ignore,
            "format": formats,
            "baseline": baseline,
            "discriminator": discriminator,
            "step": step_pattern,
            "exclude": exclude,
        }
        cache = None if no_cache else cache_of(os.environ)
        settings = load_settings(options, os.environ, Path.cwd(), config)
        places = destinations(settings.format, output, settings.paths, settings.baseline)
        code = _check(settings, _Wish(places, amount, update_baseline, scale), cache)
        if code:
            raise typer.Exit(code)


@dataclass(frozen=True)
class _Wish:
    """What a check was asked for beside its settings."""

    places: tuple[Destination, ...]
    amount: Amount
    update_baseline: bool
    scale: Scale


def _check(settings: GateSettings, wish: _Wish, cache: SpectraCache | None) -> ExitCode:
    with progress_bar(wish.amount.quiet) as progress:
        outcome = check_paths(
            settings, Path.cwd(), progress, updating=wish.update_baseline, scale=wish.scale, cache=cache
        )
    write_reports(partial(_rendered, outcome, wish.amount), wish.places, wish.amount.quiet)
    if outcome.error:
        typer.echo(f"error: {outcome.error}", err=True)
        return exit_code_of(outcome, settings)
    if wish.update_baseline:
        _write_baseline(Path(str(settings.baseline)), outcome)
        return ExitCode.HEALTHY
    if not wish.amount.quiet and all(place.file is not None or place.name != "text" for place in wish.places):
        from spectral_doctor.report.problems import conclusion

        typer.echo(conclusion(outcome), err=True)
    return exit_code_of(outcome, settings)


def _rendered(outcome: CheckOutcome, amount: Amount, name: str, to_stdout: bool) -> str:
    """An outcome in a format; of the text, as much as is wanted."""
    from spectral_doctor.report.check import render_counts, render_problems
    from spectral_doctor.report.formats import RENDERERS

    if name != "text":
        return RENDERERS[name](outcome)
    if amount.statistics:
        return render_counts(outcome)
    text = render_problems(outcome) if amount.quiet else RENDERERS[name](outcome)
    if amount.explain:
        from spectral_doctor.report.text import render_text

        text = f"{render_text(outcome.inspection, whole=True, explain=True)}\n{text}"
    return with_links(text, outcome.inspection, terminal()) if to_stdout else text


def exit_code_of(outcome: CheckOutcome, settings: GateSettings) -> ExitCode:
    """The exit code that an outcome stands for; `exit_zero` forgives findings and nothing else."""
    if outcome.error:
        return ExitCode.UNREADABLE if outcome.unreadable else ExitCode.NOTHING_EXAMINED
    return ExitCode.FINDINGS if outcome.fails and not settings.exit_zero else ExitCode.HEALTHY


def _write_baseline(file: Path, outcome: CheckOutcome) -> None:
    from spectral_doctor.checkpoints.writing import write_atomically
    from spectral_doctor.gate.baseline import render_baseline, updated

    keys = updated(outcome)
    try:
        write_atomically(file, render_baseline(keys).encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise UsageError(f"--baseline {printable(file)}: cannot be written: {error.strerror}.") from error
    known = len({problem.key for problem in outcome.problems if problem.known})
    new = len(keys) - known - len(outcome.kept)
    typer.echo(
        f"written: {printable(file)} ({len(keys)} findings: {new} new, {known} known, {len(outcome.kept)} not examined "
        f"this time and kept; {len(outcome.fixed)} fixed and gone)",
        err=True,
    )
