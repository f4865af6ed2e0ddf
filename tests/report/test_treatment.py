"""Reports of a treatment, to the letter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spectral_doctor.compensation import StaticCompensation, compensate
from spectral_doctor.evaluation import Evaluation
from spectral_doctor.records import Spectrum
from spectral_doctor.report.treatment import render_changes, render_outcome, render_plan
from spectral_doctor.state_dicts.compensating import LayerChange
from spectral_doctor.training.records import TrainingOutcome
from spectral_doctor.trajectory.records import LayerTrajectory
from spectral_doctor.treatment.records import DiscriminatorChange, ResumePlan, TreatmentOutcome, TreatmentResult
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


def test_before_stands_beside_after() -> None:
    """Both statements, plateau, modes and every layer."""
    measured = Evaluation(2500, 1000, 261, None, 2.5, 0.2, ())
    outcome = TreatmentOutcome(TrainingOutcome(200, Path("x")), BEFORE, AFTER, measured, None)
    lines = [" ".join(line.split()) for line in render_outcome(outcome).splitlines() if line.strip()]
    assert lines[0] == "before after"
    assert lines[2:] == [
        "last step 300 300",
        "spectrum COLLAPSED SOUND",
        f"modes {BEFORE.modes.statement.value} {AFTER.modes.statement.value}",
        "best plateau 0.30 1.00",
        "modes captured 261 of 1000 not measured",
        "KL to uniform 2.500 not measured",
        "σk/σ1 conv 0.30 1.00",
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
    long = replace(
        BEFORE, layers=tuple(replace(layer, trajectory=renamed(layer.trajectory, name)) for layer in BEFORE.layers)
    )
    assert f"σk/σ1 {name} " in render_outcome(
        TreatmentOutcome(TrainingOutcome(200, Path("x")), long, AFTER, None, None)
    )


def renamed(layer: LayerTrajectory, name: str) -> LayerTrajectory:
    """The same layer under another name."""
    return replace(layer, identity=replace(layer.identity, name=name))
