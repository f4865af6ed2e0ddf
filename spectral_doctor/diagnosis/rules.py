"""The rules: from a spectral trajectory to a verdict, step by step and layer by layer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

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
from spectral_doctor.errors import NoObservations
from spectral_doctor.trajectory.records import LayerTrajectory, SpectralTrajectory

_FALLEN = (Verdict.DECLINING, Verdict.COLLAPSED)
# A single layer is called low where it falls short twice as far as random weights, and falling from 0.05 on.
_LOW, _FALL = math.log(2.0), 0.05
# Without spectral norm: half as far again short as at its best in the series, or a layer that outgrows the rest.
_WORSE = math.log(1.5)


def diagnose(trajectory: SpectralTrajectory, thresholds: Thresholds | None = None) -> Diagnosis:
    """Judge one discriminator's series, in one pass over its checkpoints.

    The evidence of all layers and their history gives a probability of collapse at each checkpoint (`model`),
    and the thresholds make it a verdict. A fall in one layer is normal: it is the better half that counts. The
    verdict is NOT ENOUGH EVIDENCE where a high probability rests on one checkpoint's level alone, and COLLAPSED
    only where it has held since the checkpoint before.

    Raises `NoObservations` for a series without a checkpoint.
    """
    if not trajectory.steps:
        raise NoObservations(trajectory.discriminator)
    thresholds = thresholds or Thresholds()
    panel = panel_of(trajectory, thresholds)
    layers = tuple(_layer_finding(layer, panel, thresholds) for layer in trajectory.layers)
    evidence = [evidence_at(trajectory, panel, index, thresholds) for index in range(len(trajectory.steps))]
    states = tuple(_states(trajectory, panel, layers, evidence, thresholds))
    onset_index = _onset_index(states) if states[-1].verdict in _FALLEN else None
    healthy = _last_healthy(states, onset_index, _first_non_finite(trajectory))
    onset = None if onset_index is None else trajectory.steps[onset_index]
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


def _states(
    trajectory: SpectralTrajectory,
    panel: Panel,
    layers: Sequence[LayerFinding],
    evidence: Sequence[Evidence | None],
    thresholds: Thresholds,
) -> Iterator[StepState]:
    judged = [finding for finding in layers if finding.verdict is not None]
    past = _Past()
    for index, now in enumerate(evidence):
        likely = None if now is None else FORMULA.probability(now)
        plateaus = [(finding.plateau[index], finding.layer) for finding in judged]
        best, layer = max(((value, name) for value, name in plateaus if value is not None), default=(None, ""))
        yield StepState(
            step=trajectory.steps[index],
            checkpoint=trajectory.checkpoints[index],
            verdict=_verdict(panel, now, likely, past, thresholds),
            probability=likely,
            best_plateau=best,
            best_layer=layer,
            deficit=trajectory.deficit(index),
        )
        past = past.with_checkpoint(now, likely)


@dataclass(frozen=True)
class _Past:
    """What a verdict has to know of the checkpoints before it: how many, the least shortfall, the last probability."""

    count: int = 0
    least_shortfall: float = math.inf
    likely: float | None = None

    def with_checkpoint(self, evidence: Evidence | None, likely: float | None) -> _Past:
        """The same with one checkpoint more; one that is not finite adds to the count alone."""
        if evidence is None:
            return replace(self, count=self.count + 1)
        return _Past(self.count + 1, min(self.least_shortfall, evidence.shortfall), likely)


def _verdict(panel: Panel, now: Evidence | None, likely: float | None, past: _Past, thresholds: Thresholds) -> Verdict:
    if now is None or likely is None:
        return Verdict.NOT_ENOUGH_EVIDENCE
    several = past.count > 0
    if likely < thresholds.doubtful_at:
        return Verdict.HEALTHY
    if likely < thresholds.declining_at:
        if panel.normalised:
            return Verdict.DECLINING if _second_is_low(panel, past.count, thresholds) else Verdict.HEALTHY
        return Verdict.HEALTHY if several else Verdict.NOT_ENOUGH_EVIDENCE
    if not (panel.normalised or _changed(now, past)):
        return Verdict.NOT_ENOUGH_EVIDENCE
    wide = max(layer.identity.rank for layer in panel.layers) >= thresholds.rank_for_one
    # A spike is no collapse: the checkpoint before has to be declining at least, where there is one.
    held = past.likely is None or past.likely >= thresholds.declining_at
    if likely >= thresholds.collapsed_at and held and (wide or several):
        return Verdict.COLLAPSED
    return Verdict.DECLINING if several else Verdict.NOT_ENOUGH_EVIDENCE


def _changed(now: Evidence, past: _Past) -> bool:
    """Whether something happened within the series that a level at one checkpoint cannot show."""
    worse = now.shortfall - min(past.least_shortfall, now.shortfall)
    return worse >= _WORSE or now.still > 0.0 or now.outgrowth > 0.0


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
    """The last healthy checkpoint that one can still go back to; a file that was overwritten since is none."""
    end = min(len(states) if onset is None else onset, first_non_finite)
    healthy = (index for index in reversed(range(end)) if states[index].verdict is Verdict.HEALTHY)
    return next((index for index in healthy if states[index].checkpoint.is_present), None)


def _layer_finding(layer: LayerTrajectory, panel: Panel, thresholds: Thresholds) -> LayerFinding:
    values = plateau(layer, thresholds)
    reason = not_judged(layer, thresholds)
    if not reason and layer.name not in panel.names:
        reason = "no SN"
    return LayerFinding(
        trajectory=layer,
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
