"""`spectral-doctor fix`: treat a discriminator, in its file or in resumed training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spectral_doctor.cli.boundary import next_look, speaking_plainly
from spectral_doctor.cli.options import (
    Assignments,
    Device,
    DiscriminatorKey,
    ExcludedLayers,
    RecipeName,
    VeeganSettings,
)
from spectral_doctor.errors import UsageError, listed, printable

if TYPE_CHECKING:
    from spectral_doctor.treatment.records import Dose, Prescription, Resume, Rewrite

COMPENSATIONS = ("static", "dynamic")
MODES = (*COMPENSATIONS, "veegan")
ENVELOPES = ("running", "held", "median", "official")


def fix(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Checkpoints of one run: files or its folder.")],
    mode: Annotated[
        str | None, typer.Option("--mode", help="static or dynamic compensation, or veegan: a reconstructor joins.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="OUT", help="A file, or a folder.")] = None,
    weights_only: Annotated[
        bool, typer.Option("--weights-only", help="Rewrite the checkpoint's weights and train nothing.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be raised and write nothing.")] = False,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Generator updates to resume for.")] = 1000,
    from_step: Annotated[
        int | None, typer.Option("--from", metavar="STEP", help="Resume from (or rewrite) the checkpoint of this step.")
    ] = None,
    recipe: RecipeName = None,
    assignments: Assignments = None,
    fraction: Annotated[float, typer.Option("--fraction", help="Static: the share of values that become σ1.")] = 0.5,
    interval: Annotated[
        int | None, typer.Option("--interval", min=1, help="Every so many discriminator updates; 5, in the forward 1.")
    ] = None,
    scale: Annotated[
        str | None, typer.Option("--scale", help="σ1: hold, one or free; static holds, dynamic is free.")
    ] = None,
    envelope: Annotated[
        str, typer.Option("--envelope", help="Dynamic: running, held, median or official.")
    ] = "running",
    apply: Annotated[str, typer.Option("--apply", help="projection or parametrization.")] = "projection",
    discriminator: DiscriminatorKey = None,
    exclude: ExcludedLayers = None,
    reset_d_optimizer: Annotated[
        bool, typer.Option("--reset-d-optimizer", help="With --weights-only: its moments start from zero.")
    ] = False,
    companion: Annotated[
        str | None, typer.Option("--with", help="With --mode veegan: static or dynamic compensation as well.")
    ] = None,
    veegan: VeeganSettings = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Write plain G and D(x) of a run with VEEGAN, and train nothing.")
    ] = False,
    like: Annotated[
        Path | None, typer.Option("--like", metavar="FILE", help="With --detach: in the layout of this file.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted fix in OUT.")] = False,
    device: Device = "auto",
) -> None:
    """Treat a discriminator whose spectrum collapses: in its file, or in resumed training."""
    with speaking_plainly(torch_for="fix"):
        if detach:
            _detach(paths, output, from_step, like)
            return
        treated = _compensation(mode, companion, veegan or [])
        dose = _dose(treated, fraction, interval, scale, envelope, apply, exclude) if treated else None
        if output is None and not dry_run:
            raise UsageError("-o OUT: say where the treated checkpoint or run is to be written, or add --dry-run.")
        from spectral_doctor.treatment.records import Resume, Rewrite

        if weights_only or dry_run:
            if dose is None or mode == "veegan":
                raise UsageError("--mode veegan: trains; it has no form that rewrites weights alone.")
            target = None if dry_run else output
            _rewrite(Rewrite(tuple(paths), target, dose, from_step, discriminator, reset_d_optimizer))
            return
        assert output is not None
        chosen, settings = _prescription(dose, mode, veegan or [], steps), tuple(assignments or ())
        _resume(Resume(tuple(paths), output, chosen, steps, from_step, recipe, settings, discriminator, resume, device))


def _resume(wish: Resume) -> None:
    from spectral_doctor.cli.resumed import treat_run

    code = treat_run(wish)
    if code:
        raise typer.Exit(code)


def _compensation(mode: str | None, companion: str | None, veegan: list[str]) -> str | None:
    """Which compensation a mode and `--with` ask for; None for VEEGAN alone."""
    if mode is None:
        raise UsageError(f"--mode: say how to treat it; expected one of {listed(MODES)}.")
    if mode not in MODES:
        raise UsageError(f"--mode {printable(mode)}: expected one of {listed(MODES)}.")
    if mode != "veegan":
        for option, value in (("--with", companion), ("--veegan", veegan)):
            if value:
                raise UsageError(f"{option}: goes with --mode veegan.")
        return mode
    if companion not in (*COMPENSATIONS, None):
        raise UsageError(f"--with {printable(companion)}: expected one of {listed(COMPENSATIONS)}.")
    return companion


def _prescription(dose: Dose | None, mode: str | None, veegan: list[str], steps: int) -> Prescription:
    from spectral_doctor.cli.train import assigned
    from spectral_doctor.treatment.records import Prescription, attached_plan

    plan = attached_plan(steps).changed(assigned("--veegan", veegan)) if mode == "veegan" else None
    return Prescription(dose, plan)


def _detach(paths: list[Path], output: Path | None, from_step: int | None, like: Path | None) -> None:
    from spectral_doctor.treatment.detaching import detach_run
    from spectral_doctor.treatment.records import Detach

    if output is None:
        raise UsageError("-o OUT: say where the plain networks are to be written.")
    if len(paths) != 1:
        raise UsageError(f"--detach takes one run: its folder or one of its checkpoints; {len(paths)} paths came.")
    written, parts = detach_run(Detach(paths[0], output, from_step, like))
    typer.echo(f"written: {printable(written)} ({' and '.join(parts)}, without VEEGAN)")


def _dose(
    mode: str,
    fraction: float,
    interval: int | None,
    scale: str | None,
    envelope: str,
    apply: str,
    exclude: list[str] | None,
) -> Dose:
    for option, value, allowed in (
        ("--scale", scale, ("hold", "one", "free", None)),
        ("--envelope", envelope, ENVELOPES),
        ("--apply", apply, ("projection", "parametrization")),
    ):
        if value not in allowed:
            expected = listed(item for item in allowed if item is not None)
            raise UsageError(f"{option} {printable(value)}: expected one of {expected}.")
    if not 0.0 <= fraction <= 1.0:
        raise UsageError(f"--fraction {fraction:g}: expected between 0 and 1.")
    from spectral_doctor.treatment.records import Dose

    chosen = interval or (5 if apply == "projection" else 1)
    return Dose(mode, fraction, chosen, scale, envelope, apply, tuple(exclude or ()))


def _rewrite(wish: Rewrite) -> None:
    from spectral_doctor.report.treatment import render_changes
    from spectral_doctor.treatment.oneshot import rewrite

    result = rewrite(wish)
    typer.echo(render_changes(result))
    written = result.output
    told = (
        f"{printable(result.path)}: nothing written (dry run)" if written is None else f"written: {printable(written)}"
    )
    typer.echo(told)
    if written is not None:
        typer.echo(f"Next: {next_look(written)}")
