"""`spectral-doctor fix --mode trial`: treatments tried side by side, and the best taken to the end."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import typer

from spectral_doctor.cli.resumed import begin_in, go_on, report
from spectral_doctor.errors import OutputNotWritable, UsageError

if TYPE_CHECKING:
    from spectral_doctor.cli.prescribing import Options
    from spectral_doctor.treatment.records import Resume, ResumePlan
    from spectral_doctor.treatment.trial import ArmResult, Finalists, TrialWish


def try_treatments(wish: Resume, given: Options, share: float, workers: int | None) -> int:
    """Give every arm a part of the steps, take the finalists and `plain` to the end, report the best; the exit code."""
    from spectral_doctor.report.trial import arm_line, render_trial
    from spectral_doctor.training.world import joined_world
    from spectral_doctor.treatment.arms import ARMS, PLAIN, Pharmacy, checked_arms
    from spectral_doctor.treatment.resuming import plan_resume
    from spectral_doctor.treatment.trial import TrialWish, finalists, ranked, try_arms

    if not 0 < share <= 1:
        raise UsageError(f"--share {share:g}: expected above 0 and at most 1.")
    arms = checked_arms(given.arms.split(",") if given.arms else ARMS)
    pharmacy = Pharmacy(given.dose.dose("static"), given.dose.dose("dynamic"), given.restart_plan(), given.trial_rate)
    trial = TrialWish(wish, arms, share, workers or min(len(arms), os.cpu_count() or 1), pharmacy)
    earlier = sorted(wish.output.glob("*/step-*"))
    begin_in(wish.output, wish.going_on, earlier)
    plan = plan_resume(wish.paths, pharmacy.dynamic, from_step=wish.from_step, discriminator=wish.discriminator)
    typer.echo(f"{len(arms)} arms from step {plan.step}, {trial.part} of {wish.steps} steps each.", err=True)
    results, signal = try_arms(trial, plan, lambda result: typer.echo(arm_line(result)))
    if signal:
        typer.echo("stopped by a signal; what was trained is saved, go on with --resume.", err=True)
        return 128 + signal
    chosen = finalists(results)
    finishing = list(dict.fromkeys((*chosen.arms, PLAIN))) if wish.control else list(chosen.arms)
    with joined_world(wish.device) as world:
        for arm in finishing:
            one = trial.one(arm)
            code = go_on(one, plan, one.prescription, one.output, world, told=arm in chosen.arms)
            if code:
                return code
    finished = _finished(trial, plan, finishing)
    kept = ranked(finished)[0].arm
    _keep(trial, results, finished, chosen, kept)
    typer.echo(render_trial(results, finished, chosen, kept))
    control = trial.folder(PLAIN) if wish.control and kept != PLAIN else None
    report(trial.one(kept), plan, trial.one(kept).prescription, (trial.folder(kept), control), wish.output)
    return 0


def _finished(trial: TrialWish, plan: ResumePlan, arms: list[str]) -> tuple[ArmResult, ...]:
    """What the arms that were taken to the end measure there."""
    from spectral_doctor.treatment.trial import measured_arm

    return tuple(measured_arm(trial, plan, arm, at=plan.step + trial.resume.steps) for arm in arms)


def _keep(
    trial: TrialWish,
    results: tuple[ArmResult, ...],
    finished: tuple[ArmResult, ...],
    chosen: Finalists,
    kept: str,
) -> None:
    """Write the trial's numbers and its picture beside the arms' folders."""
    from spectral_doctor.checkpoints.writing import write_atomically
    from spectral_doctor.report.figures import render_figure
    from spectral_doctor.report.trial import draw_trial, trial_content

    output = trial.resume.output
    text = json.dumps(trial_content(results, finished, chosen, kept), indent=1) + "\n"
    try:
        write_atomically(output / "trial.json", text.encode())
        write_atomically(output / "trial.png", render_figure(draw_trial(results, finished), "png"))
    except OSError as error:
        raise OutputNotWritable(output, error) from error
