"""Patients: each builds and trains, schedules do what they say, and what was measured is what is claimed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from spectral_doctor.cli import app
from spectral_doctor.cli.boundary import ExitCode
from spectral_doctor.errors import UsageError
from spectral_doctor.gan.builtin import RECIPES
from spectral_doctor.gan.networks import ConvolutionalGenerator
from spectral_doctor.gan.patients import PATIENTS, known_recipes
from spectral_doctor.gan.settings import Settings
from spectral_doctor.training.loop import update
from spectral_doctor.training.state import TrainingState
from spectral_doctor.training.world import World
from tests.benchmarks.patients import summary, table

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "tests" / "benchmarks" / "results" / "patients.json"


@pytest.mark.parametrize("name", PATIENTS)
def test_every_patient_builds_and_makes_a_step(name: str) -> None:
    """Its networks fit its data, and one update leaves finite losses."""
    if PATIENTS[name].recipe.settings.network != "mlp":
        pytest.importorskip("sklearn")
    recipe = known_recipes()[name].build(known_recipes()[name].settings)
    losses = update(TrainingState.fresh(recipe, 0), World())
    assert all(map(torch.isfinite, map(torch.tensor, (losses.discriminator, losses.generator))))


def test_a_patient_is_no_recipe_of_another_name() -> None:
    """No patient hides a built-in recipe."""
    assert not RECIPES.keys() & PATIENTS.keys()
    assert [recipe.name for recipe in known_recipes().values()] == [*RECIPES, *PATIENTS]


def test_patients_are_listed_and_an_unknown_name_says_which_there_are(tmp_path: Path) -> None:
    """`recipes` lists them after the recipes; an unknown name is told all names."""
    listed = CliRunner().invoke(app, ["recipes"]).stdout
    assert all(f"{name}: " in listed for name in PATIENTS)
    result = CliRunner().invoke(app, ["train", "patient-zero", "-o", str(tmp_path / "run")])
    assert result.exit_code == ExitCode.USAGE
    assert "no recipe is called 'patient-zero'; there are 'ring', 'grid'" in result.output
    assert f"'{next(reversed(PATIENTS))}', or your own as file.py:attribute." in result.output


def test_a_patient_trains_by_its_name_and_resumes(tmp_path: Path) -> None:
    """Its name stands in the checkpoint, so that a resumed run is the same patient's."""
    run = ["train", "ring-fast-generator", "-o", str(tmp_path / "run"), "--set", "samples=50", "--no-pictures"]
    assert CliRunner().invoke(app, [*run, "--steps", "1"]).exit_code == 0
    assert CliRunner().invoke(app, [*run, "--steps", "2", "--resume"]).exit_code == 0
    assert torch.load(tmp_path / "run" / "step-000002.pt", weights_only=True)["recipe"] == "ring-fast-generator"


def test_rates_fall_over_the_second_half_and_restart() -> None:
    """Constant, then linear to zero at the restart, then what the restart has; without a schedule always 1."""
    settings = Settings(steps=100, decay=True, restart_at=40, restart_generator=3.0, restart_discriminator=0.5)
    assert [settings.rate_factors(step) for step in (0, 20, 30)] == [(1, 1), (1, 1), (0.5, 0.5)]
    assert settings.rate_factors(39) == pytest.approx((0.05, 0.05))
    assert settings.rate_factors(40) == settings.rate_factors(99) == (3.0, 0.5)
    assert Settings(steps=100, decay=True).rate_factors(75) == (0.5, 0.5)
    assert Settings(steps=100).rate_factors(99) == (1.0, 1.0)


def test_a_restart_is_reached_at_once_or_in_equal_ratios() -> None:
    """Over two steps to 9 and 1/4: by 3 and by a half, then again, then it stays; without a length at once."""
    settings = Settings(steps=100, restart_at=40, restart_generator=9.0, restart_discriminator=0.25, restart_over=2)
    assert [settings.rate_factors(step) for step in (39, 40, 41, 99)] == [(1, 1), (3, 0.5), (9, 0.25), (9, 0.25)]
    assert replace(settings, restart_over=0).rate_factors(40) == (9.0, 0.25)


def test_the_optimizers_follow_the_schedule_also_after_a_resume(tmp_path: Path) -> None:
    """The rate of each step is that of the schedule, before and after the state was saved and restored."""
    changes = {"restart_at": "2", "restart_generator": "4", "learning_rate_discriminator": "0.002", "samples": "50"}

    def fresh() -> TrainingState:
        return TrainingState.fresh(RECIPES["ring"].build(RECIPES["ring"].settings.changed(changes)), 0)

    def rates(state: TrainingState) -> tuple[float, float]:
        optimizers = (state.generator_optimizer, state.discriminator_optimizer)
        return tuple(optimizer.param_groups[0]["lr"] for optimizer in optimizers)

    state, seen = fresh(), []
    for _ in range(4):
        update(state, World())
        seen.append(rates(state))
    assert seen == [(0.001, 0.002), (0.001, 0.002), (0.004, 0.002), (0.004, 0.002)]
    resumed = fresh()
    resumed.restore(state.content(None), Path("here"))
    update(resumed, World())
    assert rates(resumed) == (0.004, 0.002)


def test_a_run_without_a_schedule_keeps_the_rates_that_its_optimizers_have() -> None:
    """A scheduler of the user's own is not overwritten."""
    state = TrainingState.fresh(RECIPES["ring"].build(RECIPES["ring"].settings), 0)
    state.generator_optimizer.param_groups[0]["lr"] = 0.5
    update(state, World())
    assert state.generator_optimizer.param_groups[0]["lr"] == 0.5


def test_the_generator_starts_where_it_is_told_and_the_stack_is_as_high_as_set() -> None:
    """A generator from 2×2 for sides of 8, and one digit an image has ten modes."""
    assert ConvolutionalGenerator(4, 8, 8, 1, smallest=2).start_side == 2
    assert ConvolutionalGenerator(4, 8, 8, 1).start_side == 4
    changes = {"stack": "1", "start_side": "2", "images_per_digit": "5"}
    recipe = RECIPES["stacked-glyphs"].build(RECIPES["stacked-glyphs"].settings.changed(changes))
    generator, _ = recipe.networks()
    assert generator.start_side == 2
    assert generator(torch.zeros(3, 64)).shape == recipe.real(3, torch.Generator()).shape == (3, 1, 8, 8)
    with pytest.raises(UsageError, match="stack=4: expected 1, 2 or 3 digits"):
        RECIPES["stacked-glyphs"].build(RECIPES["stacked-glyphs"].settings.changed({"stack": "4"}))


@pytest.mark.parametrize("name", PATIENTS)
def test_what_is_said_of_a_patient_was_measured(name: str) -> None:
    """In at least four of five seeds it learns, then loses modes or does not; the median spectrum falls or not."""
    runs = [run for run in json.loads(RESULTS.read_text())["runs"] if run["patient"] == name]
    figures, patient = summary(runs), PATIENTS[name]
    assert figures["seeds"] >= 5
    assert figures["learnt"] >= 0.8 * figures["seeds"]
    assert (
        figures["lost"] >= 0.8 * figures["seeds"] if patient.loses_modes else figures["kept"] >= 0.8 * figures["seeds"]
    )
    fell = figures["spectra_fell"]
    assert fell >= 0.8 * figures["seeds"] if patient.spectra_fall else fell <= 0.2 * figures["seeds"]


def test_the_page_has_the_table_of_what_was_measured() -> None:
    """The summaries are those of the runs, and the page's table is theirs, in the order of the patients."""
    results = json.loads(RESULTS.read_text())
    found = {name: summary([run for run in results["runs"] if run["patient"] == name]) for name in PATIENTS}
    assert results["summary"] == found
    assert table(found) in (ROOT / "docs" / "laboratory.md").read_text(encoding="utf-8")
