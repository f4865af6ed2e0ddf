"""The second corpus is what its commands say it is: drawn by its seed, packed without loss, judged by the rule."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from spectral_doctor.evaluation import Course, Outcome
from spectral_doctor.gan.builtin import RECIPES
from spectral_doctor.training.state import TrainingState
from tests.benchmarks.corpus_file import pack, read_corpus
from tests.benchmarks.draws import Draw, drawn
from tests.benchmarks.laboratory import change_settings, differing, optimizer_statistics, train_run
from tests.benchmarks.outcomes import EVALUATED_FROM, JudgedRun, changes, judged, table

ROOT = Path(__file__).parents[2]
PACKED = ROOT / "tests" / "data" / "corpus-2.json.gz"
SMALL = {"steps": "6", "save_every": "2", "samples": "400", "batch_size": "8", "generator_channels": "8"}


@pytest.fixture(scope="module")
def runs() -> list[dict[str, Any]]:
    """All runs of the packed corpus."""
    return read_corpus(PACKED)


@pytest.fixture(scope="module")
def found(runs: list[dict[str, Any]]) -> list[JudgedRun]:
    """What the rule says of them."""
    return [judged(run) for run in runs]


def test_the_corpus_is_large_and_holds_the_disease(found: list[JudgedRun]) -> None:
    """Runs, spectral norm, modes lost after they were learnt, and every outcome at some checkpoint."""
    assert len(found) >= 240
    assert abs(sum(run.normalised for run in found) - len(found) / 2) <= len(found) / 20
    assert sum(run.course is Course.FELL and run.outcomes[-1] is Outcome.MODES_LOST for run in found) >= 30
    assert {one for run in found for one in run.outcomes} == set(Outcome)


def test_the_page_has_the_table_of_outcomes_and_the_changes_of_label(found: list[JudgedRun]) -> None:
    """As `outcomes.py` prints them."""
    page = (ROOT / "docs" / "laboratory.md").read_text(encoding="utf-8")
    assert "\n".join(table(found)) in page
    assert f"{changes(found, EVALUATED_FROM):.1%} from a quarter of a run on" in page.replace("\n", " ")
    assert f"{changes(found, 0.0):.1%} over all of it" in page.replace("\n", " ")


def test_the_file_is_small() -> None:
    """Under three megabytes."""
    assert PACKED.stat().st_size < 3e6


def test_every_run_is_the_one_its_seed_draws(runs: list[dict[str, Any]]) -> None:
    """The settings in the file, and what changed later, are those that the command draws for its index."""
    for run in runs:
        draw = drawn(0, run["run"])
        assert (run["recipe"], run["origin"], run["seed"]) == (draw.recipe, draw.origin, draw.seed)
        assert {key: str(run["settings"][key]) for key in draw.changes} == draw.changes
        assert run["later"] == ({"after": draw.after, **draw.later} if draw.later else None)


def test_every_spectrum_is_one(runs: list[dict[str, Any]]) -> None:
    """From a thousand thousandths down, as long as the layer's matrix is wide or high."""
    for run in runs:
        for checkpoint in run["checkpoints"]:
            for role, layers in checkpoint["spectra"].items():
                assert layers.keys() == run["layers"][role].keys()
                for name, (sigma, values) in layers.items():
                    assert sigma >= 0
                    assert len(values) == min(run["layers"][role][name][2:])
                    assert values[0] == 1000
                    assert all(one >= two >= 0 for one, two in pairwise(values))


def test_another_seed_draws_other_runs() -> None:
    """And the same seed the same ones; half of any draw has spectral norm."""
    assert [drawn(0, index) for index in range(9)] == [drawn(0, index) for index in range(9)]
    assert drawn(0, 4) != drawn(1, 4)
    assert sum(drawn(3, index).changes["spectral_norm"] == "True" for index in range(100)) == 50


def test_a_run_is_trained_twice_alike_and_packed_without_loss(tmp_path: Path) -> None:
    """Byte by byte; another seed differs. What packing keeps are four digits and every thousandth."""
    folders = [tmp_path / name for name in ("one", "again", "other")]
    for folder, seed in zip(folders, (5, 5, 6), strict=True):
        folder.mkdir()
        draw = Draw("ring", {**SMALL, "spectral_norm": "True"}, seed, "ring", {"batch_size": "4"}, 2)
        run = train_run(draw, 0, folder)
    assert differing(folders[0], folders[1], 1) == []
    assert differing(folders[0], folders[2], 1) == [0]
    assert differing(folders[0], folders[1], 2) == [1]
    pack([run], tmp_path / "packed.json.gz")
    (read,) = read_corpus(tmp_path / "packed.json.gz")
    assert [item["step"] for item in read["checkpoints"]] == [0, 2, 4, 6]
    for before, after in zip(run["checkpoints"], read["checkpoints"], strict=True):
        assert after["spectra"] == before["spectra"]
        assert after["evaluation"]["kl"] == pytest.approx(before["evaluation"]["kl"], rel=1e-3)
        assert after["evaluation"]["counts"] == list(before["evaluation"]["counts"])
    assert read["checkpoints"][0]["optimizers"]["generator"] is None
    assert read["checkpoints"][1]["optimizers"]["generator"]["signal"] > 0


def test_what_changes_later_reaches_the_steps_and_the_optimizers() -> None:
    """Batch, penalty and both rates."""
    state = TrainingState.fresh(RECIPES["ring"].build(RECIPES["ring"].settings.changed({})), 0)
    change_settings(state, {"batch_size": "4", "learning_rate_generator": "0.5", "r1": "2.0"})
    assert (state.recipe.settings.batch_size, state.recipe.settings.r1) == (4, 2.0)
    rates = [item.param_groups[0]["lr"] for item in (state.generator_optimizer, state.discriminator_optimizer)]
    assert rates == [0.5, 1e-3]


def test_optimizer_statistics_have_their_closed_forms() -> None:
    """After one step of Adam m̂ = g and v̂ = g²: the signal is 1, whatever the gradient; biases over weights as made."""
    layer = torch.nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight.fill_(2.0)
        layer.bias.fill_(-0.5)
    optimizer = torch.optim.Adam(layer.parameters(), 0.0)
    assert optimizer_statistics(layer, optimizer) is None
    (layer.weight.sum() * 3 + layer.bias.sum() * 6).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    statistics = optimizer_statistics(layer, optimizer)
    assert statistics == pytest.approx({"signal": 1.0, "bias": 0.25, "bias_gradient": 2.0})
    layer.zero_grad()
    (layer.weight.sum() * -3 - layer.bias.sum() * 6).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    after = optimizer_statistics(layer, optimizer)
    assert after is not None
    assert after["signal"] < 0.2


def test_a_change_of_label_is_counted_between_neighbours() -> None:
    """Of four pairs two differ; from half of the run on one of two does."""
    labels = (Outcome.NEVER_LEARNT, Outcome.HEALTHY, Outcome.HEALTHY, Outcome.HEALTHY, Outcome.MODES_LOST)
    run = JudgedRun("ring", True, (0, 1, 2, 3, 4), labels, Course.FELL)
    assert changes([run], 0.0) == 0.5
    assert changes([run], 0.5) == 0.5
    assert changes([run], 0.26) == 0.5
    assert run.neighbours(0.25) == (1, 3)
