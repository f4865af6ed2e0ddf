"""A run that stops and goes on is the run that never stopped, to the last bit."""

from __future__ import annotations

import math
import os
import random as python_random
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spectral_doctor.checkpoints.training_state import read_state
from spectral_doctor.errors import UnreadableCheckpoint, UsageError
from spectral_doctor.gan.builtin import RECIPES
from spectral_doctor.gan.recipes import BaseRecipe, Recipe
from spectral_doctor.gan.settings import Settings
from spectral_doctor.inspection import inspect_paths
from spectral_doctor.training.folder import RunFolder, saved_states
from spectral_doctor.training.loop import train
from spectral_doctor.training.records import Saved, StepLosses, tracked_values
from spectral_doctor.training.state import TrainingState, load_state

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
    train(state, RunFolder(folder), saved.append)
    return saved


def flat(content: object) -> list[Tensor]:
    """Every tensor of a nested dict, in the order of its keys (a safetensors file has its own)."""
    if isinstance(content, Tensor):
        return [content]
    if isinstance(content, dict):
        return [tensor for key in sorted(content, key=str) for tensor in flat(content[key])]
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
    outcome = train(state, RunFolder(tmp_path), on_step=stop)
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
    outcome = train(state, RunFolder(tmp_path), on_step=poison)
    assert (outcome.step, outcome.fault) == (13, "a loss is not finite")
    assert outcome.last == saved_states(tmp_path)[-1] == tmp_path / "step-000010.pt"


def test_a_run_in_folders_resumes_to_the_same_bits_and_is_inspected(tmp_path: Path) -> None:
    """Networks as safetensors, the rest beside them; the same tensors as in one file."""
    folder = RunFolder(tmp_path / "run", as_folders=True)
    folder.path.mkdir()
    first = TrainingState.fresh(recipe("stacked-glyphs", steps="10"), seed=0)
    train(first, folder)
    second = TrainingState.fresh(recipe("stacked-glyphs", steps="20"), seed=1)
    load_state(second, saved_states(folder.path)[-1])
    train(second, folder)
    assert [path.name for path in saved_states(folder.path)] == ["step-000000", "step-000010", "step-000020"]
    run(TrainingState.fresh(recipe("stacked-glyphs", steps="20"), seed=0), tmp_path / "whole")
    one, two = read_state(tmp_path / "whole" / "step-000020.pt"), read_state(folder.checkpoint(20))
    assert one.keys() == two.keys()
    assert all(torch.equal(value, two["discriminator"][key]) for key, value in one["discriminator"].items())
    assert all(torch.equal(a, b) for a, b in zip(flat(one), flat(two), strict=True))
    (diagnosis,) = inspect_paths([folder.path]).diagnoses
    assert diagnosis.trajectory.steps == (0, 10, 20)


def test_retention_keeps_the_last_and_the_envelope_of_all(tmp_path: Path) -> None:
    """Two of five checkpoints stay; γ still knows the first."""
    state = TrainingState.fresh(recipe(steps="40"), seed=0)
    train(state, RunFolder(tmp_path, keep=2))
    assert [path.name for path in saved_states(tmp_path)] == ["step-000030.pt", "step-000040.pt"]
    resumed = TrainingState.fresh(recipe(steps="40"), seed=5)
    load_state(resumed, saved_states(tmp_path)[-1])
    assert resumed.monitor.envelope == state.monitor.envelope
    last = state.monitor.trajectory.layers[0].spectra[-1]
    assert last is not None
    assert sum(state.monitor.envelope[state.monitor.trajectory.layers[0].name]) > sum(last.relative)


def test_the_monitor_sees_what_inspect_sees_and_touches_nothing(tmp_path: Path) -> None:
    """The spectra observed in training are those of the files; spectral norm's vectors stay as they were."""
    state = TrainingState.fresh(recipe("stacked-glyphs", steps="20"), seed=0)
    run(state, tmp_path / "run")
    (diagnosis,) = inspect_paths([tmp_path / "run"]).diagnoses
    observed = {layer.name: layer.spectra for layer in state.monitor.trajectory.layers}
    assert {layer.name: layer.spectra for layer in diagnosis.trajectory.layers} == observed
    before = {key: value.clone() for key, value in state.discriminator.state_dict().items()}
    state.monitor.observe(21)
    assert all(torch.equal(value, before[key]) for key, value in state.discriminator.state_dict().items())


class Positioned(BaseRecipe):
    """A recipe that walks through its data in order, and draws from Python's and NumPy's generators."""

    def __init__(self) -> None:
        super().__init__(Settings(steps=6, save_every=3, batch_size=4, latent_dim=2))
        self.position = 0

    def networks(self) -> tuple[nn.Module, nn.Module]:
        return nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 1), nn.Flatten(0))

    def real(self, count: int, random: torch.Generator) -> Tensor:
        self.position += count
        noise = python_random.random() + np.random.random()
        return torch.full((count, 2), self.position / 100 + noise)

    def state_dict(self) -> dict[str, int]:
        return {"position": self.position}

    def load_state_dict(self, content: dict[str, int]) -> None:
        self.position = content["position"]


def test_data_position_and_every_generator_are_part_of_the_state(tmp_path: Path) -> None:
    """A recipe that keeps its place and draws from the global generators resumes to the same bits."""
    python_random.seed(1)
    np.random.seed(1)
    run(TrainingState.fresh(Positioned(), seed=0), tmp_path / "whole")
    python_random.seed(2)
    resumed = TrainingState.fresh(Positioned(), seed=0)
    load_state(resumed, tmp_path / "whole" / "step-000003.pt")
    run(resumed, tmp_path / "resumed")
    assert_same_file(tmp_path / "whole" / "step-000006.pt", tmp_path / "resumed" / "step-000006.pt")


def test_a_checkpoint_is_a_flat_dict_of_numbers_for_a_tracker(tmp_path: Path) -> None:
    """Losses, mean logits, modes, σ_1 and plateau of every layer."""
    values = tracked_values(run(TrainingState.fresh(recipe(steps="10"), seed=0), tmp_path / "run")[-1])
    assert {
        "loss/discriminator",
        "loss/generator",
        "score/real",
        "score/fake",
        "modes_captured",
        "solid_modes",
        "kl",
    } <= values.keys()
    assert {"sigma_max/body.2", "plateau/body.2"} <= values.keys()
    assert all(math.isfinite(value) for value in values.values())
