"""The summary sentence of a diagnosis."""

from __future__ import annotations

from collections.abc import Sequence

from spectral_doctor.diagnosis.records import LayerFinding, StepState, Thresholds, Verdict
from spectral_doctor.errors import printable
from spectral_doctor.trajectory.records import SpectralTrajectory


def summarise(
    trajectory: SpectralTrajectory,
    states: Sequence[StepState],
    onset: int | None,
    layers: Sequence[LayerFinding],
    spectrally_normalised: bool,
    thresholds: Thresholds,
) -> str:
    """Say in one or two sentences what was seen, since when, and how much it weighs."""
    last = states[-1]
    judged = [layer for layer in layers if layer.verdict is not None]
    if last.best_plateau is None:
        if not judged:
            return f"No layer of rank {thresholds.smallest_rank} or more that is being trained could be judged."
        return "No judged layer has finite weights at the last checkpoint."
    low = sum(layer.verdict is Verdict.COLLAPSED for layer in judged)
    best = f"the best plateau, in {printable(last.best_layer)}, is {last.best_plateau:.2f}"
    kept = f"{len(judged) - low} of {len(judged)} judged layers keep their plateau; {best}"
    since = _since(trajectory, onset)
    match last.verdict:
        case Verdict.HEALTHY:
            text = f"No spectral collapse: {kept}."
        case Verdict.DECLINING:
            text = f"The spectrum is declining{since}: {kept}{_from_best(states, thresholds.fall)}."
        case Verdict.COLLAPSED:
            text = f"Even the best layers have lost their plateau{since}: {best}{_from_best(states, thresholds.fall)}."
        case _:
            text = (
                f"The plateaus are low ({best}), but without spectral norm there is no published baseline for one "
                "checkpoint's level, and no fall was seen in this series."
            )
    return text + _weight(states, spectrally_normalised, last.verdict)


def _since(trajectory: SpectralTrajectory, onset: int | None) -> str:
    if onset is None or len(trajectory.steps) == 1:
        return ""
    if onset == trajectory.steps[0]:
        return " in every checkpoint given"
    return f" since {trajectory.step_unit} {onset}"


def _from_best(states: Sequence[StepState], least: float) -> str:
    best = max(
        (state for state in states if state.best_plateau is not None),
        key=lambda state: state.best_plateau or 0.0,
    )
    if (best.best_plateau or 0.0) - (states[-1].best_plateau or 0.0) <= least:
        return ""
    return f", down from {best.best_plateau:.2f} at {best.step}"


def _weight(states: Sequence[StepState], spectrally_normalised: bool, verdict: Verdict) -> str:
    if verdict is Verdict.NOT_ENOUGH_EVIDENCE:
        return ""
    limits = []
    if len(states) == 1:
        limits.append("one checkpoint shows no trend")
    if not spectrally_normalised:
        limits.append("without spectral norm the thresholds have no published baseline")
    return f" Weak evidence: {' and '.join(limits)}." if limits else ""
