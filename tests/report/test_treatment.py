"""Reports of a treatment, to the letter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spectral_doctor.compensation import StaticCompensation, compensate
from spectral_doctor.diagnosis.records import Diagnosis
from spectral_doctor.evaluation import Evaluation
from spectral_doctor.records import Spectrum
from spectral_doctor.report.treatment import render_changes, render_outcome, render_plan
from spectral_doctor.state_dicts.compensating import LayerChange
from spectral_doctor.training.pace import Pace
from spectral_doctor.training.records import TrainingOutcome
from spectral_doctor.treatment.records import (
    DiscriminatorChange,
    ResumePlan,
    Standing,
    TreatmentOutcome,
    TreatmentResult,
)
from tests.builders import layer_over_steps
from tests.diagnosis.judging import judged

BEFORE = judged(layer_over_steps("conv", [1.0, 0.98, 0.3, 0.3]))
AFTER = judged(layer_over_steps("conv", [0.98, 0.99, 0.99, 1.0]))
PLAN = ResumePlan(
    Path("run/netD_100.pth"),
    100,
    "ring",
    "the last sound one before the onset at 200",
    BEFORE,
    {},
    "the best of 2 checkpoints",
    ("the generator: a new one is trained from its first step",),
)


def test_the_plan_says_from_where_why_and_what_is_missing() -> None:
    """Before the first update."""
    assert render_plan(PLAN, width=600).splitlines() == [
        f"Before: {BEFORE.summary}",
        "Resuming from run/netD_100.pth (step 100): the last sound one before the onset at 200.",
        "Envelope: the best of 2 checkpoints.",
        "Missing: the generator: a new one is trained from its first step.",
    ]


def test_the_plan_says_rates_and_that_a_discriminator_stands_still() -> None:
    """What a treatment trains at, and that what keeps the discriminator is in vain; without them neither is said."""
    pace = Pace(100, 200, 0.001, 0.0002, beta1=0.0, decay=True)
    lines = render_plan(replace(PLAN, still=True, revived=3), pace, width=600).splitlines()
    assert lines[2] == (
        "The discriminator stands still: no treatment that keeps it will help, only a fresh one. Use --mode restart, "
        "which keeps the generator."
    )
    assert lines[4] == "Rates: generator 0.001, discriminator 0.0002; falling to zero over the second half; β1 0."
    assert lines[5] == "Revived: 3 units of the generator that never fired, drawn anew."
    plain = render_plan(PLAN, width=600)
    assert all(word not in plain for word in ("stands still", "Rates", "Revived"))


def standing_at(name: str, diagnosis: Diagnosis, index: int, evaluation: Evaluation | None) -> Standing:
    """A run at one of its checkpoints."""
    state = diagnosis.states[index]
    plateaus = {finding.layer: finding.plateau[index] for finding in diagnosis.layers}
    step = diagnosis.trajectory.steps[index]
    return Standing(name, step, state.spectrum, state.modes, state.best_plateau, plateaus, evaluation, None)


def test_the_treated_run_stands_beside_its_control_at_one_step() -> None:
    """Statements, plateau, what samples measure, every layer; then the course, at steps that both have."""
    few = Evaluation(2500, 8, 4, 0.5, 0.7, 0.0014, (), solid_modes=2)
    many = Evaluation(2500, 8, 8, 0.75, 0.1, 0.0014, (), solid_modes=8)
    outcome = TreatmentOutcome(
        TrainingOutcome(300, Path("x")),
        100,
        300,
        "step",
        (standing_at("treated", AFTER, 3, many), standing_at("control", BEFORE, 3, few)),
        ("the untreated run has no checkpoint of step 300",),
        ((100, {"treated": few, "control": few}), (300, {"treated": many, "control": few})),
        {"treated": AFTER, "control": BEFORE},
    )
    lines = [" ".join(line.split()) for line in render_outcome(outcome).splitlines() if line.strip()]
    assert lines[0] == "step 300 treated control"
    assert lines[2:] == [
        "spectrum SOUND COLLAPSED",
        f"modes {AFTER.modes.statement.value} {BEFORE.modes.statement.value}",
        "best plateau 1.00 0.30",
        "solid modes 8 of 8 2 of 8",
        "modes captured 8 of 8 4 of 8",
        "high quality 75.0% 50.0%",
        "KL to real weights 0.100 0.700",
        "σk/σ1 conv 1.00 0.30",
        "The untreated run has no checkpoint of step 300.",
        "step treated control",
        lines[12],
        "100 2 of 8, 50% 2 of 8, 50%",
        "300 8 of 8, 75% 2 of 8, 50%",
    ]


def test_what_was_raised_stands_in_a_table() -> None:
    """How many values, and plateau and σ1 before and after."""
    before = Spectrum((2.0, 1.0, 0.5, 0.25, 0.1, 0.1, 0.1, 0.1))
    after = Spectrum((2.0, 2.0, 2.0, 2.0, 0.1, 0.1, 0.1, 0.1))
    change = DiscriminatorChange("netD", (LayerChange("conv", before, after, 3),), (), "")
    text = render_changes(TreatmentResult(Path("a"), Path("b"), (change,)))
    row = next(line for line in text.splitlines() if line.lstrip().startswith("conv"))
    assert row.split() == ["conv", "3", "of", "8", "0.05", "0.05", "2", "2"]


def test_the_count_in_the_table_is_that_of_the_compensation() -> None:
    """An independent count: the values below σ1 among the first half."""
    import torch

    matrix = torch.diag(torch.tensor([2.0, 2.0, 1.0, 0.5, 0.3, 0.2]))
    assert compensate(matrix, StaticCompensation(0.5)).raised == 1


def test_a_long_name_is_never_cut() -> None:
    """Whole in its line, so that a search finds it; short names leave the table at its width."""
    name = "discriminator.stage_of_some_depth.block_with_a_long_name.convolution_number_one.parametrizations"
    changes = tuple(LayerChange(item, Spectrum((1.0,) * 64), Spectrum((2.0,) * 64), 31) for item in (name, "c1"))
    item = DiscriminatorChange("netD", changes, (), "")
    text = render_changes(TreatmentResult(Path("a.pt"), None, (item,)), width=80)
    assert any(line.startswith(f"{name} ") and line.endswith(" 2") for line in map(str.strip, text.splitlines()))
    plateaus = {name: 1.0}
    standing = replace(standing_at("treated", AFTER, 3, None), plateaus=plateaus)
    outcome = TreatmentOutcome(
        TrainingOutcome(300, Path("x")), 100, 300, "step", (standing,), (), (), {"treated": AFTER}
    )
    assert f"σk/σ1 {name} " in render_outcome(outcome)
