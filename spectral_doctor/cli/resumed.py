"""The resumed training of `spectral-doctor fix`: the treated run, and its control."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from spectral_doctor.cli.boundary import next_look
from spectral_doctor.cli.tracking import picture_anew, pictured
from spectral_doctor.cli.train import run, tell
from spectral_doctor.errors import OutputNotWritable, UsageError, printable

if TYPE_CHECKING:
    from spectral_doctor.training.records import Saved
    from spectral_doctor.training.state import TrainingState
    from spectral_doctor.training.world import World
    from spectral_doctor.treatment.records import Prescription, Resume, ResumePlan, TreatmentOutcome

CONTROL_FOLDER = "control"


def treat_run(wish: Resume) -> int:
    """Resume a run under treatment, continue it untreated as well, and report both at the same step; the exit code."""
    from spectral_doctor.training.folder import saved_states
    from spectral_doctor.training.world import joined_world
    from spectral_doctor.treatment.records import UNTREATED
    from spectral_doctor.treatment.resuming import plan_restart, plan_resume

    begin_in(wish.output, wish.going_on, saved_states(wish.output))
    given = wish.prescription
    if given.restart is not None:
        plan = plan_restart(wish.paths, from_step=wish.from_step, discriminator=wish.discriminator)
    else:
        plan = plan_resume(wish.paths, given.dose, from_step=wish.from_step, discriminator=wish.discriminator)
    control = wish.output / CONTROL_FOLDER if wish.control and plan.diagnosis is not None else None
    with joined_world(wish.device) as world:
        code = go_on(wish, plan, given, wish.output, world, told=True)
        if code == 0 and control is not None:
            tell(world, "Control: the same checkpoint, untreated, for the same steps and seed.")
            code = go_on(wish, plan, UNTREATED, control, world)
        if code == 0 and world.leads:
            report(wish, plan, given, (wish.output, control), wish.output)
    return code


def begin_in(output: Path, going_on: bool, earlier: list[Path]) -> None:
    """Refuse a folder that holds another run, or nothing to go on from; raises `UsageError`."""
    if earlier and not going_on:
        raise UsageError(f"{printable(output)} holds a run already: add --resume to go on, or choose another folder.")
    if going_on and not earlier:
        raise UsageError(f"{printable(output)} holds no checkpoint to resume from.")


def go_on(
    wish: Resume, plan: ResumePlan, prescription: Prescription, output: Path, world: World, *, told: bool = False
) -> int:
    """Train a run in a folder to the end, from the plan's checkpoint or its own last one; returns the exit code."""
    from spectral_doctor.report.treatment import render_plan
    from spectral_doctor.training.folder import RunFolder, clear_torn
    from spectral_doctor.treatment.beginning import begun

    plan, state, earlier = begun(wish, plan, prescription, output, str(world.device))
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputNotWritable(output, error) from error
    if world.leads:
        clear_torn(output)
        if told:
            typer.echo(render_plan(plan, state.pace), err=True)
        if earlier is not None:
            typer.echo(f"resumed from {earlier.name}", err=True)
    world.wait()
    watchers = (_StatementTeller(state), pictured(output / "samples")) if world.leads else ()
    begin = partial(picture_anew, state, output / "samples") if world.leads and earlier is not None else None
    watching = watchers if told else watchers[1:]
    return run(state, RunFolder(output), world, watching, save_first=earlier is None, begin=begin)


def report(
    wish: Resume, plan: ResumePlan, prescription: Prescription, runs: tuple[Path, Path | None], output: Path
) -> None:
    """Print a treated run beside its control, and draw both."""
    from spectral_doctor.report.treatment import render_outcome
    from spectral_doctor.training.folder import saved_states
    from spectral_doctor.training.records import TrainingOutcome
    from spectral_doctor.treatment.beginning import recipe_of
    from spectral_doctor.treatment.comparing import compare

    treated, control = runs
    last = saved_states(treated)[-1]
    recipe, _ = recipe_of(wish, plan, prescription)
    training = TrainingOutcome(plan.step + wish.steps, last)
    outcome = compare(plan, recipe, treated, control, training)
    typer.echo(render_outcome(outcome))
    typer.echo(_pictures(outcome, treated, output))
    typer.echo(f"Next: {next_look(treated)}")


def _pictures(outcome: TreatmentOutcome, treated: Path, output: Path) -> str:
    """Draw the spectra of all, and name that picture and those of the treated run's samples."""
    from spectral_doctor.checkpoints.writing import write_atomically
    from spectral_doctor.records import SeriesId
    from spectral_doctor.report.figures import draw, render_figure

    spectra = output / "spectra.png"
    series = [
        replace(item, trajectory=replace(item.trajectory, series=SeriesId(f"{item.trajectory.series}, {name}")))
        for name, item in outcome.diagnoses.items()
    ]
    try:
        write_atomically(spectra, render_figure(draw(series), "png"))
    except OSError as error:
        raise OutputNotWritable(spectra, error) from error
    samples = sorted((treated / "samples").glob("step-*.png"))
    named = [spectra, *({samples[0], samples[-1]} if samples else ())]
    return "Pictures: " + ", ".join(printable(path) for path in sorted(named)) + "."


class _StatementTeller:
    """Says both statements on the treated run at every checkpoint."""

    def __init__(self, state: TrainingState) -> None:
        self.state = state

    def __call__(self, saved: Saved) -> None:
        from spectral_doctor.diagnosis.rules import diagnose
        from spectral_doctor.report.treatment import live_words

        typer.echo(f"  {live_words(diagnose(self.state.monitor.trajectory))}")
