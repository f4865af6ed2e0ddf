"""The rules: from a spectral trajectory to a verdict, step by step and layer by layer."""

from __future__ import annotations

import math
from collections.abc import Sequence

from spectral_doctor.diagnosis.evidence import Evidence, Panel, evidence_at, not_judged, panel_of, plateau, shortfall
from spectral_doctor.diagnosis.findings import find_faults
from spectral_doctor.diagnosis.model import FORMULA, arguments
from spectral_doctor.diagnosis.records import (
    Diagnosis,
    LayerFinding,
    StepState,
    Thresholds,
    Verdict,
)
from spectral_doctor.diagnosis.wording import summarise
from spectral_doctor.trajectory.records import LayerTrajectory, SpectralTrajectory

_FALLEN = (Verdict.DECLINING, Verdict.COLLAPSED)
# A single layer is called low where it falls short twice as far as random weights, and falling from 0.05 on.
_LOW, _FALL = math.log(2.0), 0.05
# Without spectral norm: half as far again short as at its best in the series, or a layer that outgrows the rest.
_WORSE = math.log(1.5)


def diagnose(trajectory: SpectralTrajectory, thresholds: Thresholds | None = None) -> Diagnosis:
    """Judge one discriminator's series.

    The evidence of all layers and their history gives a probability of collapse at each checkpoint (`model`),
    and the thresholds make it a verdict. A fall in one layer is normal: it is the better half that counts. The
    verdict is NOT ENOUGH EVIDENCE where a high probability rests on one checkpoint's level alone, and COLLAPSED
    only where it has held since the checkpoint before.
    """
    thresholds = thresholds or Thresholds()
    panel = panel_of(trajectory, thresholds)
    evidence = [evidence_at(trajectory, panel, index, thresholds) for index in range(len(trajectory.steps))]
    states = tuple(_state(trajectory, panel, evidence[: index + 1], thresholds) for index in range(len(evidence)))
    onset_index = _onset_index(states) if states[-1].verdict in _FALLEN else None
    healthy = _last_healthy(states, onset_index, _first_non_finite(trajectory))
    onset = None if onset_index is None else trajectory.steps[onset_index]
    layers = tuple(_layer_finding(layer, panel, thresholds) for layer in trajectory.layers)
    last = evidence[-1]
    found = () if last is None else arguments(last, len(states))
    return Diagnosis(
        trajectory=trajectory,
        thresholds=thresholds,
        verdict=states[-1].verdict,
        probability=states[-1].probability,
        arguments=found,
        summary=summarise(trajectory, states, onset, layers, found, panel.normalised, thresholds),
        onset=onset,
        onset_after=trajectory.steps[onset_index - 1] if onset_index else None,
        last_healthy=None if healthy is None else trajectory.steps[healthy],
        resume_from=None if healthy is None else trajectory.checkpoints[healthy],
        states=states,
        layers=layers,
        findings=find_faults(trajectory, thresholds),
    )


def _state(
    trajectory: SpectralTrajectory, panel: Panel, evidence: Sequence[Evidence | None], thresholds: Thresholds
) -> StepState:
    index, now = len(evidence) - 1, evidence[-1]
    plateaus = [(plateau(layer, thresholds)[index], layer.name) for layer in panel.layers]
    best, layer = max(((value, name) for value, name in plateaus if value is not None), default=(None, ""))
    return StepState(
        step=trajectory.steps[index],
        checkpoint=trajectory.checkpoints[index],
        verdict=_verdict(panel, evidence, thresholds),
        probability=None if now is None else FORMULA.probability(now),
        best_plateau=best,
        best_layer=layer,
        deficit=trajectory.deficit(index),
    )


def _verdict(panel: Panel, evidence: Sequence[Evidence | None], thresholds: Thresholds) -> Verdict:
    now = evidence[-1]
    if now is None:
        return Verdict.NOT_ENOUGH_EVIDENCE
    likely = FORMULA.probability(now)
    if likely < thresholds.doubtful_at:
        return Verdict.HEALTHY
    if likely < thresholds.declining_at:
        if panel.normalised:
            low = _second_is_low(panel, len(evidence) - 1, thresholds)
            return Verdict.DECLINING if low else Verdict.HEALTHY
        return Verdict.HEALTHY if len(evidence) > 1 else Verdict.NOT_ENOUGH_EVIDENCE
    if not (panel.normalised or _changed(evidence)):
        return Verdict.NOT_ENOUGH_EVIDENCE
    wide = max(layer.identity.rank for layer in panel.layers) >= thresholds.rank_for_one
    if likely >= thresholds.collapsed_at and _held(evidence, thresholds) and (wide or len(evidence) > 1):
        return Verdict.COLLAPSED
    return Verdict.DECLINING if len(evidence) > 1 else Verdict.NOT_ENOUGH_EVIDENCE


def _held(evidence: Sequence[Evidence | None], thresholds: Thresholds) -> bool:
    """Whether the checkpoint before was at least declining too, where there is one: a spike is no collapse."""
    before = [item for item in evidence[:-1] if item is not None]
    return not before or FORMULA.probability(before[-1]) >= thresholds.declining_at


def _changed(evidence: Sequence[Evidence | None]) -> bool:
    """Whether something happened within the series that a level at one checkpoint cannot show."""
    known = [item for item in evidence if item is not None]
    worse = known[-1].shortfall - min(item.shortfall for item in known)
    return worse >= _WORSE or known[-1].still > 0.0 or known[-1].outgrowth > 0.0


def _second_is_low(panel: Panel, index: int, thresholds: Thresholds) -> bool:
    """Whether the best σ_2/σ_1 is low among the layers of published rank: the onset in Liu et al.'s curves."""
    seconds = [
        item.ratio(2)
        for layer in panel.layers
        if layer.identity.rank >= thresholds.published_rank and (item := layer.spectra[index])
    ]
    return bool(seconds) and max(seconds) < thresholds.second_below


def _first_non_finite(trajectory: SpectralTrajectory) -> int:
    for index in range(len(trajectory.steps)):
        if any(layer.non_finite[index] for layer in trajectory.layers):
            return index
    return len(trajectory.steps)


def _onset_index(states: Sequence[StepState]) -> int:
    onset = len(states) - 1
    while onset > 0 and states[onset - 1].verdict in _FALLEN:
        onset -= 1
    return onset


def _last_healthy(states: Sequence[StepState], onset: int | None, first_non_finite: int) -> int | None:
    end = min(len(states) if onset is None else onset, first_non_finite)
    healthy = [index for index in range(end) if states[index].verdict is Verdict.HEALTHY]
    return healthy[-1] if healthy else None


def _layer_finding(layer: LayerTrajectory, panel: Panel, thresholds: Thresholds) -> LayerFinding:
    values = plateau(layer, thresholds)
    reason = not_judged(layer, thresholds)
    if not reason and layer.name not in panel.names:
        reason = "no SN"
    return LayerFinding(
        layer=layer.name,
        verdict=None if reason else _layer_verdict(layer, values, thresholds),
        reason=reason,
        plateau_index=min(thresholds.plateau_index(layer.identity.rank), layer.identity.rank),
        plateau=values,
        deficit=layer.deficit(),
    )


def _layer_verdict(layer: LayerTrajectory, values: Sequence[float | None], thresholds: Thresholds) -> Verdict:
    spectrum, last = layer.spectra[-1], values[-1]
    if spectrum is None or last is None:
        return Verdict.NOT_ENOUGH_EVIDENCE
    if shortfall(spectrum, layer.identity, thresholds) >= _LOW:
        return Verdict.COLLAPSED
    best = max(value for value in values if value is not None)
    return Verdict.DECLINING if best - last > _FALL else Verdict.HEALTHY
