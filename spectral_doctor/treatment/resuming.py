"""Resuming a run under treatment: from where, with what envelope, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spectral_doctor.checkpoints.opening import open_path
from spectral_doctor.checkpoints.training_state import is_training_state, read_state, state_path
from spectral_doctor.diagnosis.records import Diagnosis, EventKind, SpectrumState
from spectral_doctor.errors import NothingToExamine, UsageError, listed, printable
from spectral_doctor.evaluation import Evaluation
from spectral_doctor.inspection import inspect_paths
from spectral_doctor.parametrizations import ForwardCompensation, SpectralRegularizer
from spectral_doctor.records import CheckpointRef
from spectral_doctor.state_dicts.networks import find_generators
from spectral_doctor.training.folder import saved_states
from spectral_doctor.training.state import TrainingState, Treatment
from spectral_doctor.treatment.envelopes import series_envelope
from spectral_doctor.treatment.records import Dose, Envelope, ResumePlan


def plan_resume(
    paths: Sequence[Path], dose: Dose | None, *, from_step: int | None = None, discriminator: str | None = None
) -> ResumePlan:
    """Diagnose a series and choose the checkpoint that a treated run goes on from.

    That is the one of `from_step`, else the last healthy one before the onset, else, without a healthy one, the
    checkpoint whose best plateau is highest, else (nothing is wrong) the last. The envelope is taken over the
    checkpoints up to it. Raises `UsageError` where the paths hold several series or no such step.
    """
    diagnoses = inspect_paths(run_paths(paths), discriminator=discriminator).diagnoses
    if len(diagnoses) != 1:
        names = listed(item.trajectory.series for item in diagnoses)
        raise UsageError(f"the paths hold {len(diagnoses)} series ({names}); `fix` resumes one: name one run.")
    diagnosis = diagnoses[0]
    index, why = chosen_start(diagnosis, from_step)
    start = _local(diagnosis.trajectory.checkpoints[index])
    dynamic = dose is not None and dose.mode == "dynamic"
    envelope, source = series_envelope(diagnosis, index, dose.envelope) if dose and dynamic else ({}, "")
    own = is_training_state(start)
    recipe = str(read_state(state_path(start))["recipe"]) if own else ""
    step = diagnosis.trajectory.steps[index]
    begin = state_path(start) if own else start
    return ResumePlan(begin, step, recipe, why, diagnosis, envelope, source, (), stands_still(diagnosis, step))


def plan_restart(paths: Sequence[Path], *, from_step: int | None, discriminator: str | None) -> ResumePlan:
    """The same for a restart, which keeps the generator alone: a file without a discriminator will do, at step 0.

    Raises `UsageError` where several such files are named, and what `plan_resume` raises.
    """
    try:
        return plan_resume(paths, None, from_step=from_step, discriminator=discriminator)
    except NothingToExamine:
        if len(paths) != 1 or not paths[0].is_file() or not _holds_generator(paths[0]):
            raise
    why = "a generator alone; a fresh discriminator learns to judge it first"
    return ResumePlan(paths[0], 0, "", why, None, {}, "", ())


def run_paths(paths: Sequence[Path]) -> list[Path]:
    """The paths, with a folder that is a run of ours replaced by its own checkpoints: a control lies below it."""
    return [path for given in paths for path in (saved_states(given) if given.is_dir() else ()) or (given,)]


def stands_still(diagnosis: Diagnosis, step: int) -> bool:
    """Whether the discriminator stands still at a step or at the end: then nothing that keeps it will help."""
    if SpectrumState.STILL in (diagnosis.spectrum, diagnosis.states[diagnosis.trajectory.steps.index(step)].spectrum):
        return True
    frozen = (event for event in diagnosis.events if event.kind is EventKind.FROZEN)
    return any(event.first <= step <= event.last for event in frozen)


def _holds_generator(path: Path) -> bool:
    return bool(find_generators(open_path(path).tree, path))


def attach(state: TrainingState, dose: Dose, envelope: Envelope) -> Treatment:
    """Attach a treatment to a run's discriminator and return it; the optimizer keeps its parameters."""
    rising = dose.envelope in ("running", "official")
    treatment: Treatment
    if dose.apply == "parametrization":
        treatment = ForwardCompensation(
            state.discriminator,
            dose.mode,
            fraction=dose.fraction,
            interval=dose.interval,
            envelope=envelope,
            rising=rising,
            exclude=dose.exclude,
        )
    else:
        treatment = SpectralRegularizer(
            state.discriminator,
            dose.mode,
            fraction=dose.fraction,
            interval=dose.interval,
            scale=dose.scale,
            envelope=envelope,
            rising=rising,
            exclude=dose.exclude,
        )
    state.treatment = treatment
    return treatment


def _local(ref: CheckpointRef) -> Path:
    if not isinstance(ref.location, Path):
        raise UsageError(f"{printable(ref)}: only checkpoints of this disk are resumed from; fetch it first.")
    return ref.location


def measured_modes(path: Path) -> Evaluation | None:
    """The evaluation that a training state carries; None where it has none, or is no state of ours."""
    if not is_training_state(path):
        return None
    evaluation = read_state(state_path(path))["evaluation"]
    return None if evaluation is None else Evaluation.read(evaluation)


def chosen_start(diagnosis: Diagnosis, from_step: int | None) -> tuple[int, str]:
    """The index of the checkpoint that a treated run goes on from, and why that one; see `plan_resume`."""
    trajectory = diagnosis.trajectory
    if from_step is not None:
        if from_step not in trajectory.steps:
            steps = listed(trajectory.steps, 40)
            raise UsageError(f"--from {from_step}: no checkpoint of that {trajectory.step_unit}; there are {steps}.")
        return trajectory.steps.index(from_step), "named with --from"
    if diagnosis.onset is None:
        return len(trajectory.steps) - 1, f"the last one: the spectrum is {diagnosis.spectrum.value}"
    if diagnosis.last_healthy is not None:
        index = trajectory.steps.index(diagnosis.last_healthy)
        return index, f"the last sound one before the onset at {diagnosis.onset}"
    best = [state.best_plateau or 0.0 for state in diagnosis.states]
    return best.index(max(best)), "none is sound before the onset; its best plateau is the highest"
