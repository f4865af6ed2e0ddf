"""`spectral-doctor train` and `recipes`: GANs whose ground truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spectral_doctor.cli.boundary import ExitCode, speaking_plainly
from spectral_doctor.errors import UsageError, listed, printable

if TYPE_CHECKING:
    from spectral_doctor.gan.recipes import Recipe
    from spectral_doctor.training.loop import Saved
    from spectral_doctor.training.state import TrainingState
    from spectral_doctor.training.world import World


def recipes() -> None:
    """List the recipes that `train` knows, with their settings."""
    with speaking_plainly():
        from dataclasses import asdict

        from spectral_doctor.gan.builtin import RECIPES

        for recipe in RECIPES.values():
            typer.echo(f"{recipe.name}: {recipe.description}")
            typer.echo("  " + " ".join(f"{key}={value}" for key, value in asdict(recipe.settings).items()))


def train(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A name that `recipes` lists, or your own file.py:attribute.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder of the run.")],
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Generator updates in all.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Decides the initial weights and all that is drawn.")] = 0,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; may be repeated.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the latest checkpoint in DIR, bit for bit.")
    ] = False,
) -> None:
    """Train a GAN by a RECIPE and write a checkpoint series with its measured modes."""
    with speaking_plainly():
        chosen = _recipe(recipe, [*(assignments or ()), *([] if steps is None else [f"steps={steps}"])])
        from spectral_doctor.training.world import joined_world

        with joined_world() as world:
            state = _state(chosen, output, seed, resume)
            # No rank may look for earlier checkpoints once rank 0 has written the first.
            world.wait()
            code = _run(state, output, world)
        if code:
            raise typer.Exit(code)


def _recipe(name: str, assignments: list[str]) -> Recipe:
    from spectral_doctor.gan.builtin import RECIPES
    from spectral_doctor.gan.own import load_recipe

    pairs = [text.partition("=") for text in assignments]
    for key, sign, _ in pairs:
        if not sign:
            raise UsageError(f"--set {printable(key)}: expected KEY=VALUE.")
    changes = {key: value for key, _, value in pairs}
    if ":" in name:
        return load_recipe(name, changes)
    if name not in RECIPES:
        raise UsageError(
            f"no recipe is called '{printable(name)}'; there are {listed(RECIPES)}, or your own as file.py:attribute."
        )
    return RECIPES[name].build(RECIPES[name].settings.changed(changes))


def _state(recipe: Recipe, output: Path, seed: int, resume: bool) -> TrainingState:
    from spectral_doctor.training.state import TrainingState, load_state, saved_states

    earlier = saved_states(output)
    if earlier and not resume:
        raise UsageError(f"{printable(output)} holds a run already: add --resume to go on, or choose another folder.")
    if resume and not earlier:
        raise UsageError(f"{printable(output)} holds no checkpoint to resume from.")
    output.mkdir(parents=True, exist_ok=True)
    for torn in output.glob(".step-*.tmp"):
        torn.unlink(missing_ok=True)
    state = TrainingState.fresh(recipe, seed)
    if earlier:
        load_state(state, earlier[-1])
        typer.echo(f"resumed from {earlier[-1].name}", err=True)
    return state


def _run(state: TrainingState, output: Path, world: World) -> int:
    from spectral_doctor.training.loop import train as run_loop

    try:
        outcome = run_loop(state, output, _say, lambda step, losses: None, world)
    except OSError as error:
        typer.echo(
            f"error: {printable(output)}: a checkpoint cannot be written: {error.strerror}. "
            "What was saved before is whole; make room and go on with --resume.",
            err=True,
        )
        return ExitCode.UNREADABLE
    if outcome.fault:
        _tell(world, f"error: {outcome.fault} at step {outcome.step}; the last good checkpoint is {outcome.last}")
        return ExitCode.FINDINGS
    if outcome.signal:
        _tell(world, f"stopped by a signal after step {outcome.step}, saved to {outcome.last}")
        return 128 + outcome.signal
    return ExitCode.HEALTHY


def _tell(world: World, sentence: str) -> None:
    if world.leads:
        typer.echo(sentence, err=True)


def _say(saved: Saved) -> None:
    line = f"step {saved.step}"
    if saved.evaluation is not None:
        measured = saved.evaluation
        line += f": {measured.modes_captured} of {measured.modes} modes, KL to uniform {measured.kl:.3f}"
        line += f" (floor {measured.kl_floor:.4f} at {measured.samples} samples)"
        if measured.high_quality_fraction is not None:
            line += f", high quality {measured.high_quality_fraction:.1%}"
    if saved.losses is not None:
        line += f", loss D {saved.losses.discriminator:.3f} G {saved.losses.generator:.3f}"
    typer.echo(line)
