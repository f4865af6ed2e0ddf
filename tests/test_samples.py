"""The sample runs: small, resumable without any download, and what their folders' names say."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from spectral_doctor.evaluation import Course, Evaluation, Outcome, course, outcomes
from spectral_doctor.inspection import inspect_paths
from spectral_doctor.training.state import TrainingState

ROOT = Path(__file__).parent.parent
NAMES = ("healthy", "collapsed")


def states(name: str) -> list[dict[str, Any]]:
    """The training states of a sample run, in step order."""
    paths = sorted((ROOT / "sample_checkpoints" / name).iterdir())
    return [torch.load(path, weights_only=True) for path in paths]


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_small_and_whole(name: str) -> None:
    """Under 5 MB, one training state a file, each loadable with `weights_only=True`."""
    files = sorted((ROOT / "sample_checkpoints" / name).iterdir())
    assert sum(path.stat().st_size for path in files) < 5_000_000
    assert [path.name for path in files] == [f"step-{state['step']:06d}.pt" for state in states(name)]


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_can_be_resumed_from_its_own_words(name: str) -> None:
    """The recipe and settings that the last state names build networks and optimizers that take it back."""
    from spectral_doctor.cli.train import recipe_named

    last = states(name)[-1]
    assert last["recipe"] == "glyphs-resnet"
    recipe = recipe_named(last["recipe"], [f"{key}={value}" for key, value in last["settings"].items()])
    state = TrainingState.fresh(recipe, int(last["seed"]), name=last["recipe"])
    state.restore(last, ROOT / "sample_checkpoints" / name)
    assert state.step == last["step"]
    assert all(torch.equal(value, state.generator.state_dict()[key]) for key, value in last["generator"].items())


@pytest.mark.parametrize("name", NAMES)
def test_the_page_has_the_command_that_trained_it(name: str) -> None:
    """Its settings and seed are those in the sample's states."""
    page = (ROOT / "docs" / "laboratory.md").read_text(encoding="utf-8")
    (command,) = re.findall(rf"^\$ (.*train glyphs-resnet -o runs/{name} .*)$", page, re.MULTILINE)
    words = shlex.split(command)
    first = states(name)[0]
    assert int(words[words.index("--seed") + 1]) == first["seed"]
    given = dict(words[index + 1].split("=") for index, word in enumerate(words) if word == "--set")
    given["steps"] = words[words.index("--steps") + 1]
    assert {key: str(first["settings"][key]) for key in given} == given


@pytest.mark.parametrize(
    ("name", "words"),
    [("healthy", "SOUND spectrum · modes KEPT"), ("collapsed", "COLLAPSED spectrum · modes LOST")],
)
def test_a_sample_is_what_its_name_says(name: str, words: str) -> None:
    """Both statements."""
    (diagnosis,) = inspect_paths([ROOT / "sample_checkpoints" / name]).diagnoses
    assert diagnosis.words == words
    assert diagnosis.findings == ()


def found(name: str) -> tuple[Outcome, ...]:
    """The outcome of every checkpoint of a sample run."""
    loaded = states(name)
    return outcomes([Evaluation.read(state["evaluation"]) for state in loaded], [state["step"] for state in loaded])


def test_the_collapsed_run_learns_first_and_falls_in_the_middle() -> None:
    """Healthy at step 400, and modes lost from there to the end; the healthy run keeps its modes."""
    assert Outcome.HEALTHY in found("collapsed")[:-2]
    assert found("collapsed")[-2:] == (Outcome.MODES_LOST, Outcome.MODES_LOST)
    assert course(found("collapsed")) is Course.FELL
    assert course(found("healthy")) is Course.KEPT


@pytest.mark.parametrize("name", NAMES)
def test_no_layer_of_a_sample_stands_still(name: str) -> None:
    """Every weight of the discriminator is changed by a hundredth from each checkpoint to the next."""
    for before, after in pairwise(states(name)):
        for key, weight in before["discriminator"].items():
            if key.endswith("weight.original"):
                assert float((after["discriminator"][key] - weight).norm()) > 0.01 * float(weight.norm())


def test_the_page_has_the_modes_and_outcomes_of_the_samples() -> None:
    """The two tables are those of the states."""
    page = (ROOT / "docs" / "laboratory.md").read_text(encoding="utf-8")
    for name in NAMES:
        loaded = states(name)
        steps = " | ".join(str(state["step"]) for state in loaded)
        modes = " | ".join(str(state["evaluation"]["solid_modes"]) for state in loaded)
        words = " | ".join(outcome.value for outcome in found(name))
        table = f"{steps} |\n|{'---|' * (len(loaded) + 1)}\n| solid modes of 10 | {modes} |\n| outcome | {words} |"
        assert f"| {name}: step | {table}" in page
