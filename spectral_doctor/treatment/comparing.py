"""A treated run beside its control and the run it was resumed from: always at the same step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from spectral_doctor.diagnosis.records import Diagnosis
from spectral_doctor.evaluation import Evaluation, Spread, measured_spread
from spectral_doctor.evaluation.spread import MEASURED
from spectral_doctor.gan.networks import evaluating
from spectral_doctor.gan.recipes import Recipe
from spectral_doctor.inspection import inspect_paths
from spectral_doctor.training.adoption import adopted_generator
from spectral_doctor.training.folder import saved_states
from spectral_doctor.training.records import TrainingOutcome
from spectral_doctor.treatment.records import ResumePlan, Standing, TreatmentOutcome
from spectral_doctor.treatment.resuming import measured_modes

TREATED, CONTROL, UNTREATED = "treated", "control", "untreated run"
_BATCH = 256


def compare(
    plan: ResumePlan, recipe: Recipe, treated: Path, control: Path | None, training: TrainingOutcome
) -> TreatmentOutcome:
    """Put a treated run beside its control, and beside the run that both began with, at the same step.

    That step is the last that the treated run and the control both have. The untreated run's own checkpoint stands
    beside them where it has one of that step; who has none is named with the reason.
    """
    runs: dict[str, Diagnosis] = {TREATED: _diagnosed(treated)}
    absent = []
    if control is not None and saved_states(control):
        runs[CONTROL] = _diagnosed(control)
    else:
        absent.append("no control: " + _why_none(plan))
    steps = set(runs[TREATED].trajectory.steps)
    step = max(steps.intersection(*(item.trajectory.steps for item in runs.values())))
    if plan.diagnosis is not None:
        runs[UNTREATED] = plan.diagnosis
        if step not in plan.diagnosis.trajectory.steps:
            unit = plan.diagnosis.trajectory.step_unit
            absent.append(f"the untreated run has no checkpoint of {unit} {step}")
    standings = tuple(
        standing(name, item, step, recipe) for name, item in runs.items() if step in item.trajectory.steps
    )
    unit = runs[TREATED].trajectory.step_unit
    return TreatmentOutcome(training, plan.step, step, unit, standings, tuple(absent), _course(runs, plan.step), runs)


def standing(name: str, diagnosis: Diagnosis, step: int, recipe: Recipe) -> Standing:
    """Where a run stands at one of its steps."""
    trajectory = diagnosis.trajectory
    index = trajectory.steps.index(step)
    state, ref = diagnosis.states[index], trajectory.checkpoints[index]
    evaluation = measured_modes(ref.location) if isinstance(ref.location, Path) and ref.is_present else None
    spread = None if evaluation is None else evaluation.spread
    if spread is None and isinstance(ref.location, Path) and ref.is_present:
        spread = spread_of(recipe, adopted_generator(recipe, ref.location))
    plateaus: Mapping[str, float | None] = {finding.layer: finding.plateau[index] for finding in diagnosis.layers}
    return Standing(name, step, state.spectrum, state.modes, state.best_plateau, plateaus, evaluation, spread)


@torch.no_grad()
def spread_of(recipe: Recipe, generator: torch.nn.Module) -> Spread | None:
    """How widely 768 samples of a generator are spread beside as many real ones; None where they are not finite."""
    random = torch.Generator().manual_seed(0)
    with evaluating(generator):
        latents = [recipe.latent(_BATCH, random) for _ in range(MEASURED // _BATCH)]
        samples = torch.cat([generator(latent) for latent in latents])
    if not bool(torch.isfinite(samples).all()):
        return None
    real = recipe.real(MEASURED, torch.Generator().manual_seed(1))
    return measured_spread(samples.cpu(), latents[0].flatten(1).shape[1], real)


def _diagnosed(folder: Path) -> Diagnosis:
    return inspect_paths(saved_states(folder)).diagnoses[0]


def _why_none(plan: ResumePlan) -> str:
    if plan.diagnosis is None:
        return "a generator alone cannot be trained on without a discriminator"
    return "switched off with --no-control"


def _course(runs: Mapping[str, Diagnosis], first: int) -> tuple[tuple[int, Mapping[str, Evaluation]], ...]:
    """The measured modes at every step, from the first on, of which two runs or more have a checkpoint."""
    found: dict[int, dict[str, Evaluation]] = {}
    for name, diagnosis in runs.items():
        for step, ref in zip(diagnosis.trajectory.steps, diagnosis.trajectory.checkpoints, strict=True):
            if step >= first and isinstance(ref.location, Path) and ref.is_present:
                evaluation = measured_modes(ref.location)
                if evaluation is not None:
                    found.setdefault(step, {})[name] = evaluation
    return tuple((step, found[step]) for step in sorted(found) if len(found[step]) > 1)
