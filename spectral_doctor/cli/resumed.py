"""The resumed training of `spectral-doctor fix`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from spectral_doctor.cli.boundary import next_look
from spectral_doctor.cli.tracking import pictured
from spectral_doctor.cli.train import recipe_named, run
from spectral_doctor.errors import OutputNotWritable, UsageError, printable

if TYPE_CHECKING:
    from spectral_doctor.training.records import Saved
    from spectral_doctor.training.state import TrainingState
    from spectral_doctor.treatment.records import Resume, ResumePlan, TreatmentOutcome


def treat_run(wish: Resume) -> int:
    """Resume a run under treatment and report before and after; returns the exit code."""
    from spectral_doctor.report.treatment import render_outcome, render_plan
    from spectral_doctor.training.folder import RunFolder, clear_torn, saved_states
    from spectral_doctor.training.records import TrainingOutcome
    from spectral_doctor.training.world import joined_world
    from spectral_doctor.treatment.resuming import compare, plan_resume

    output = wish.output
    earlier = saved_states(output)
    if earlier and not wish.going_on:
        raise UsageError(f"{printable(output)} holds a run already: add --resume to go on, or choose another folder.")
    if wish.going_on and not earlier:
        raise UsageError(f"{printable(output)} holds no checkpoint to resume from.")
    plan = plan_resume(wish.paths, wish.prescription.dose, from_step=wish.from_step, discriminator=wish.discriminator)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputNotWritable(output, error) from error
    folder = RunFolder(output)
    with joined_world(wish.device) as world:
        plan, state = _treated_state(plan, wish, str(world.device))
        if world.leads:
            clear_torn(output)
            typer.echo(render_plan(plan), err=True)
        if earlier:
            from spectral_doctor.training.state import load_state

            load_state(state, earlier[-1])
            typer.echo(f"resumed from {earlier[-1].name}", err=True)
        world.wait()
        watchers = (_StatementTeller(state), pictured(output / "samples")) if world.leads else ()
        code = run(state, folder, world, watchers, save_first=not earlier)
        if code == 0 and world.leads:
            outcome = compare(plan, folder, TrainingOutcome(state.step, saved_states(output)[-1]))
            typer.echo(render_outcome(outcome))
            typer.echo(_pictures(outcome, output))
            typer.echo(f"Next: {next_look(output)}")
    return code


def _treated_state(plan: ResumePlan, wish: Resume, device: str) -> tuple[ResumePlan, TrainingState]:
    """The state of the checkpoint that is resumed, with the treatment attached."""
    from spectral_doctor.checkpoints.training_state import read_state
    from spectral_doctor.training.adoption import adopt
    from spectral_doctor.training.state import TrainingState
    from spectral_doctor.treatment.resuming import attach

    name = wish.recipe or plan.recipe
    if not name:
        raise UsageError(
            f"{printable(plan.start)} does not say how it was trained: name the recipe with --recipe, a name that "
            "`recipes` lists or your own file.py:attribute; or treat the weights alone with --weights-only."
        )
    content = read_state(plan.start) if plan.recipe else None
    if content is not None and content.get("method") is not None:
        raise UsageError(
            f"{printable(plan.start)}: a run with VEEGAN already; go on with it by --resume, or take VEEGAN off "
            "with `fix --detach` first."
        )
    saved = {} if content is None or wish.recipe else content["settings"]
    given = [f"{key}={value}" for key, value in saved.items() if key != "steps"]
    chosen = recipe_named(name, [*given, *wish.assignments, f"steps={plan.step + wish.steps}"])
    seed = 0 if content is None else int(content["seed"])
    state = TrainingState.fresh(chosen, seed, device, name)
    if content is None:
        missing = adopt(state, plan.start, plan.step, wish.discriminator)
        plan = replace(plan, warnings=missing)
    else:
        state.restore(content)
    if wish.prescription.dose is not None:
        attach(state, wish.prescription.dose, plan.envelope)
    if wish.prescription.veegan is not None:
        from spectral_doctor.training.veegan import Veegan

        state.method = Veegan(state, wish.prescription.veegan)
    return plan, state


def _pictures(outcome: TreatmentOutcome, output: Path) -> str:
    """Draw the spectra before and after, and name that picture and those of the samples."""
    from spectral_doctor.checkpoints.writing import write_atomically
    from spectral_doctor.records import SeriesId
    from spectral_doctor.report.figures import draw, render_figure

    spectra = output / "spectra.png"
    pair = [
        replace(item, trajectory=replace(item.trajectory, series=SeriesId(f"{item.trajectory.series}, {when}")))
        for item, when in ((outcome.before, "before"), (outcome.after, "after"))
    ]
    write_atomically(spectra, render_figure(draw(pair), "png"))
    samples = sorted((output / "samples").glob("step-*.png"))
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
