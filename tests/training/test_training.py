"""A run that stops and goes on is the run that never stopped, to the last bit."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
from torch import Tensor

from spectral_doctor.errors import UnreadableCheckpoint, UsageError
from spectral_doctor.gan.builtin import RECIPES
from spectral_doctor.gan.recipes import Recipe
from spectral_doctor.inspection import inspect_paths
from spectral_doctor.training.loop import Saved, StepLosses, train
from spectral_doctor.training.state import TrainingState, load_state, saved_states

SMALL = {
    "batch_size": "16",
    "generator_channels": "8",
    "discriminator_channels": "8",
    "samples": "50",
    "save_every": "10",
}
IMAGES = {**SMALL, "images_per_digit": "5", "n_dis": "2", "ema": "0.9"}


def recipe(name: str = "ring", **changes: str) -> Recipe:
    """A built-in recipe, made small."""
    settings = RECIPES[name].settings.changed({**(SMALL if name == "ring" else IMAGES), **changes})
    return RECIPES[name].build(settings)


def run(state: TrainingState, folder: Path) -> list[Saved]:
    """Train to the end and return what was saved."""
    folder.mkdir(exist_ok=True)
    saved: list[Saved] = []
    train(state, folder, saved.append, lambda step, losses: None)
    return saved


def flat(content: object) -> list[Tensor]:
    """Every tensor of a nested dict, in order."""
    if isinstance(content, Tensor):
        return [content]
    if isinstance(content, dict):
        return [tensor for value in content.values() for tensor in flat(value)]
    return []


def assert_same_file(first: Path, second: Path) -> None:
    """Every tensor of two states is equal to the last bit."""
    one, two = flat(torch.load(first, weights_only=True)), flat(torch.load(second, weights_only=True))
    assert len(one) == len(two) > 0
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("name", ["ring", "stacked-glyphs"])
def test_a_resumed_run_is_bit_identical(tmp_path: Path, name: str) -> None:
    """Perceptrons, and spectral norm with batch norm and a moving average: 20 steps, and 10 + 10."""
    run(TrainingState.fresh(recipe(name, steps="20"), seed=3), tmp_path / "whole")
    run(TrainingState.fresh(recipe(name, steps="10"), seed=3), tmp_path / "halves")
    again = TrainingState.fresh(recipe(name, steps="20"), seed=99)
    load_state(again, tmp_path / "halves" / "step-000010.pt")
    run(again, tmp_path / "halves")
    assert_same_file(tmp_path / "whole" / "step-000020.pt", tmp_path / "halves" / "step-000020.pt")


def test_without_its_randomness_a_resumed_run_is_another(tmp_path: Path) -> None:
    """The negative: the comparison above fails when one piece of the state is not restored."""
    run(TrainingState.fresh(recipe(steps="20"), seed=3), tmp_path / "whole")
    again = TrainingState.fresh(recipe(steps="20"), seed=3)
    load_state(again, tmp_path / "whole" / "step-000010.pt")
    again.random.manual_seed(5)
    run(again, tmp_path / "other")
    with pytest.raises(AssertionError):
        assert_same_file(tmp_path / "whole" / "step-000020.pt", tmp_path / "other" / "step-000020.pt")


def test_checkpoints_carry_their_evaluation_and_can_be_inspected(tmp_path: Path) -> None:
    """Modes beside the weights, and `inspect` finds discriminator and steps."""
    saved = run(TrainingState.fresh(recipe(steps="20"), seed=0), tmp_path / "run")
    assert [item.step for item in saved] == [0, 10, 20]
    content = torch.load(saved[-1].path, weights_only=True)
    assert content["evaluation"]["modes"] == 8
    (diagnosis,) = inspect_paths([tmp_path / "run"]).diagnoses
    assert diagnosis.trajectory.steps == (0, 10, 20)
    assert diagnosis.trajectory.discriminator == "discriminator"


def test_other_settings_do_not_resume(tmp_path: Path) -> None:
    """Every difference is listed; more steps are no difference."""
    run(TrainingState.fresh(recipe(steps="10"), seed=0), tmp_path / "run")
    path = tmp_path / "run" / "step-000010.pt"
    with pytest.raises(UsageError, match=r"beta1 was 0\.5, is 0\.9; n_dis was 1, is 2"):
        load_state(TrainingState.fresh(recipe(steps="20", beta1="0.9", n_dis="2"), seed=0), path)
    load_state(TrainingState.fresh(recipe(steps="20"), seed=0), path)


def test_a_stranger_s_checkpoint_is_no_training_state(tmp_path: Path) -> None:
    """It has no optimizers and no randomness to go on from."""
    torch.save({"discriminator": {"weight": torch.ones(2, 2)}}, tmp_path / "step-000001.pt")
    with pytest.raises(UnreadableCheckpoint, match="not a training state of this version"):
        load_state(TrainingState.fresh(recipe(), seed=0), tmp_path / "step-000001.pt")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_the_step_and_saves_it(tmp_path: Path, number: signal.Signals) -> None:
    """The state of the step under way is saved, and the handlers are as they were."""
    before = signal.getsignal(number)

    def stop(step: int, _: StepLosses) -> None:
        if step == 7:
            os.kill(os.getpid(), number)

    state = TrainingState.fresh(recipe(steps="50"), seed=0)
    outcome = train(state, tmp_path, lambda saved: None, stop)
    assert (outcome.signal, outcome.last) == (number, tmp_path / f"step-{outcome.step:06d}.pt")
    assert outcome.step in (7, 8)
    assert saved_states(tmp_path)[-1] == outcome.last
    assert signal.getsignal(number) is before


def test_losses_that_are_not_finite_end_the_run_without_saving(tmp_path: Path) -> None:
    """The last good checkpoint stays the last one."""

    def poison(step: int, _: StepLosses) -> None:
        if step == 12:
            with torch.no_grad():
                next(state.discriminator.parameters()).fill_(float("nan"))

    state = TrainingState.fresh(recipe(steps="50"), seed=0)
    outcome = train(state, tmp_path, lambda saved: None, poison)
    assert (outcome.step, outcome.fault) == (13, "a loss is not finite")
    assert outcome.last == saved_states(tmp_path)[-1] == tmp_path / "step-000010.pt"
