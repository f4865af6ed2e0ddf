"""`spectral-doctor fix`: treat a discriminator, in its file or in resumed training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from spectral_doctor.cli import treatment_options as option
from spectral_doctor.cli.boundary import next_look, speaking_plainly
from spectral_doctor.cli.options import (
    Assignments,
    Device,
    DiscriminatorKey,
    ExcludedLayers,
    RecipeName,
    VeeganSettings,
)
from spectral_doctor.cli.prescribing import COMPENSATIONS, DoseTexts, Options
from spectral_doctor.errors import UsageError, printable

if TYPE_CHECKING:
    from spectral_doctor.treatment.records import Resume, Rewrite


def fix(
    paths: option.RunPaths,
    mode: option.Mode = None,
    output: option.Output = None,
    weights_only: option.WeightsOnly = False,
    dry_run: option.DryRun = False,
    steps: option.Steps = 1000,
    from_step: option.FromStep = None,
    recipe: RecipeName = None,
    assignments: Assignments = None,
    control: option.Control = True,
    rate: option.Rate = None,
    decay: option.Decay = None,
    beta1: option.Beta1 = None,
    revive: option.Revive = None,
    fraction: option.Fraction = 0.5,
    interval: option.Interval = None,
    scale: option.Scale = None,
    envelope: option.EnvelopeKind = "running",
    apply: option.Apply = "projection",
    discriminator: DiscriminatorKey = None,
    exclude: ExcludedLayers = None,
    reset_d_optimizer: option.ResetOptimizer = False,
    companion: option.Companion = None,
    veegan: VeeganSettings = None,
    restart: option.RestartSettings = None,
    arms: option.Arms = None,
    share: option.Share = 0.5,
    workers: option.TrialWorkers = None,
    detach: option.Detaching = False,
    like: option.Like = None,
    resume: option.GoingOn = False,
    device: Device = "auto",
) -> None:
    """Treat a discriminator whose spectrum collapses: in its file, or in training beside an untreated control."""
    with speaking_plainly(torch_for="fix"):
        if detach:
            _detach(paths, output, from_step, like)
            return
        texts = DoseTexts(fraction, interval, scale, envelope, apply, tuple(exclude or ()))
        given = Options(
            mode, companion, tuple(veegan or ()), tuple(restart or ()), rate, decay, beta1, revive, arms, texts
        )
        chosen = given.prescription(steps)
        if output is None and not dry_run:
            raise UsageError("-o OUT: say where the treated checkpoint or run is to be written, or add --dry-run.")
        from spectral_doctor.treatment.records import Resume, Rewrite

        if weights_only or dry_run:
            if chosen.dose is None or mode not in COMPENSATIONS:
                raise UsageError(f"--mode {mode}: trains; it has no form that rewrites weights alone.")
            target = None if dry_run else output
            _rewrite(Rewrite(tuple(paths), target, chosen.dose, from_step, discriminator, reset_d_optimizer))
            return
        assert output is not None
        wish = Resume(
            *(tuple(paths), output, chosen, steps, from_step, recipe, tuple(assignments or ()), discriminator),
            *(resume, device, control),
        )
        code = _try_arms(wish, given, share, workers) if mode == "trial" else _resume(wish)
        if code:
            raise typer.Exit(code)


def _resume(wish: Resume) -> int:
    from spectral_doctor.cli.resumed import treat_run

    return treat_run(wish)


def _try_arms(wish: Resume, given: Options, share: float, workers: int | None) -> int:
    from spectral_doctor.cli.trial import try_treatments

    return try_treatments(wish, given, share, workers)


def _detach(paths: list[Path], output: Path | None, from_step: int | None, like: Path | None) -> None:
    from spectral_doctor.treatment.detaching import detach_run
    from spectral_doctor.treatment.records import Detach

    if output is None:
        raise UsageError("-o OUT: say where the plain networks are to be written.")
    if len(paths) != 1:
        raise UsageError(f"--detach takes one run: its folder or one of its checkpoints; {len(paths)} paths came.")
    written, parts = detach_run(Detach(paths[0], output, from_step, like))
    typer.echo(f"written: {printable(written)} ({' and '.join(parts)}, plain)")
    typer.echo(f"Next: {next_look(written)}")


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
    # Before a file is treated its samples are worth a look: a collapsed spectrum alone is no reason.
    typer.echo(f"Next: {next_look(written or result.path)}{'' if written else ' --witness'}")
