"""`spectral-doctor train` and `recipes`: GANs whose ground truth is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spectral_doctor.cli import tracking
from spectral_doctor.cli.boundary import ExitCode, next_look, speaking_plainly
from spectral_doctor.cli.options import Assignments, Device, Trackers, VeeganSettings
from spectral_doctor.errors import UsageError, printable

if TYPE_CHECKING:
    from spectral_doctor.gan.recipes import Recipe
    from spectral_doctor.training.folder import RunFolder
    from spectral_doctor.training.records import Saved
    from spectral_doctor.training.state import TrainingState
    from spectral_doctor.training.tracking import Tracker
    from spectral_doctor.training.world import World
    from spectral_doctor.veegan.records import VeeganPlan

    Watcher = Callable[[Saved], None]


def recipes() -> None:
    """List the recipes that `train` knows, with their settings; then the patients, recipes that fall ill."""
    with speaking_plainly(torch_for="recipes"):
        from dataclasses import asdict

        from spectral_doctor.gan.patients import known_recipes

        for recipe in known_recipes().values():
            typer.echo(f"{recipe.name}: {recipe.description}")
            typer.echo("  " + " ".join(f"{key}={value}" for key, value in asdict(recipe.settings).items()))


def train(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A name that `recipes` lists, or your own file.py:attribute.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder of the run.")],
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Generator updates in all.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Decides the initial weights and all that is drawn.")] = 0,
    assignments: Assignments = None,
    mode: Annotated[str, typer.Option("--mode", help="gan, or veegan: with a reconstructor, from scratch.")] = "gan",
    veegan: VeeganSettings = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the latest checkpoint in DIR, bit for bit.")
    ] = False,
    as_folders: Annotated[
        bool, typer.Option("--folders", help="A folder a checkpoint, the networks as safetensors files.")
    ] = False,
    keep: Annotated[int, typer.Option("--keep", min=0, metavar="N", help="Keep the last N checkpoints; 0: all.")] = 0,
    pictures: Annotated[bool, typer.Option("--pictures/--no-pictures", help="Samples as DIR/samples/*.png.")] = True,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Scalars and samples in DIR/tensorboard.")] = False,
    tracker: Trackers = None,
    device: Device = "auto",
) -> None:
    """Train a GAN by a RECIPE and write a checkpoint series with its measured modes."""
    with speaking_plainly(torch_for="train"):
        plan = _veegan_plan(mode, veegan or [])
        chosen = recipe_named(recipe, [*(assignments or ()), *([] if steps is None else [f"steps={steps}"])], mode)
        from spectral_doctor.training.folder import RunFolder
        from spectral_doctor.training.world import joined_world

        with joined_world(device) as world:
            state = _state(chosen, recipe, output, seed, resume, plan, world)
            watchers = _watchers(output, world.leads and pictures, world.leads and tensorboard, tracker or [])
            # No rank may look for earlier checkpoints once rank 0 has written the first.
            world.wait()
            goes_on = resume and pictures and world.leads
            begin = partial(tracking.picture_anew, state, output / "samples") if goes_on else None
            code = run(state, RunFolder(output, as_folders, keep), world, watchers, begin=begin)
            if code == ExitCode.HEALTHY:
                tell(world, f"Next: {next_look(output)}")
        if code:
            raise typer.Exit(code)


def recipe_named(name: str, assignments: list[str], mode: str = "gan") -> Recipe:
    """The recipe of a name or of `file.py:attribute`, its settings for a mode changed by `KEY=VALUE` texts."""
    from spectral_doctor.gan import own

    return own.recipe_named(name, assigned("--set", assignments), mode)


def assigned(option: str, texts: Sequence[str]) -> dict[str, str]:
    """What an option gave as `KEY=VALUE` texts; raises `UsageError` for one without the sign."""
    pairs = [text.partition("=") for text in texts]
    for key, sign, _ in pairs:
        if not sign:
            raise UsageError(f"{option} {printable(key)}: expected KEY=VALUE.")
    return {key: value for key, _, value in pairs}


def _veegan_plan(mode: str, texts: list[str]) -> VeeganPlan | None:
    if mode not in ("gan", "veegan"):
        raise UsageError(f"--mode {printable(mode)}: expected one of 'gan', 'veegan'.")
    if mode == "gan":
        if texts:
            raise UsageError("--veegan: goes with --mode veegan.")
        return None
    from spectral_doctor.veegan.records import VeeganPlan

    return VeeganPlan().changed(assigned("--veegan", texts))


def _state(
    recipe: Recipe, name: str, output: Path, seed: int, resume: bool, plan: VeeganPlan | None, world: World
) -> TrainingState:
    from spectral_doctor.training.folder import clear_torn, saved_states
    from spectral_doctor.training.state import TrainingState, load_state

    earlier = saved_states(output)
    if earlier and not resume:
        raise UsageError(f"{printable(output)} holds a run already: add --resume to go on, or choose another folder.")
    if resume and not earlier:
        raise UsageError(f"{printable(output)} holds no checkpoint to resume from.")
    output.mkdir(parents=True, exist_ok=True)
    if world.leads:
        clear_torn(output)
    state = TrainingState.fresh(recipe, seed, world.device, name)
    if plan is not None:
        from spectral_doctor.training.veegan import Veegan

        state.method = Veegan(state, plan)
    if earlier:
        load_state(state, earlier[-1])
        tell(world, f"resumed from {earlier[-1].name}")
    return state


def _watchers(output: Path, pictures: bool, tensorboard: bool, names: list[str]) -> tuple[Watcher, ...]:
    from spectral_doctor.training.tracking import TensorBoard

    board = TensorBoard(output / "tensorboard") if tensorboard else None
    trackers: list[Tracker] = [board] if board is not None else []
    trackers += tracking.trackers(names, output / "tensorboard")
    watchers: list[Watcher] = [tracking.told(tracker) for tracker in trackers]
    return (*watchers, tracking.pictured(output / "samples", board)) if pictures else tuple(watchers)


def run(
    state: TrainingState,
    folder: RunFolder,
    world: World,
    watchers: Sequence[Watcher] = (),
    *,
    save_first: bool = False,
    begin: Callable[[], None] | None = None,
) -> int:
    """Do what is left from before with `begin`, train to the end with a live view, say how it ended; the exit code."""
    from spectral_doctor.cli.live import LiveView
    from spectral_doctor.training.loop import train as train_to_the_end

    introduction = getattr(state.recipe, "introduction", str)()
    if introduction:
        tell(world, introduction)
    try:
        if begin is not None:
            begin()
        with LiveView(state.recipe.settings.steps) as view:
            watch = _all_of((view.saved, *watchers))
            outcome = train_to_the_end(state, folder, watch, view.step, world, save_first=save_first)
    except OSError as error:
        typer.echo(
            f"error: {printable(folder.path)}: a checkpoint cannot be written: {error.strerror or error}. "
            "What was saved before is whole; make room and go on with --resume.",
            err=True,
        )
        return ExitCode.UNREADABLE
    if outcome.fault:
        tell(world, f"error: {outcome.fault} at step {outcome.step}; the last good checkpoint is {outcome.last}")
        return ExitCode.FINDINGS
    if outcome.signal:
        tell(world, f"stopped by a signal after step {outcome.step}, saved to {outcome.last}")
        return 128 + outcome.signal
    return ExitCode.HEALTHY


def tell(world: World, sentence: str) -> None:
    """Say something on stderr, once for all processes of a run."""
    if world.leads:
        typer.echo(sentence, err=True)


def _all_of(watchers: Sequence[Watcher]) -> Watcher:
    def watch(saved: Saved) -> None:
        for watcher in watchers:
            watcher(saved)

    return watch
