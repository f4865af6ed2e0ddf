"""From a spectral trajectory to a diagnosis: the state of the spectrum, the statement about modes, and advice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spectral_doctor.diagnosis.advice import advised
from spectral_doctor.diagnosis.events import events_of
from spectral_doctor.diagnosis.evidence import (
    Panel,
    evidence_at,
    not_judged,
    panel_of,
    plateau,
    plateau_index,
    ranges_of,
)
from spectral_doctor.diagnosis.findings import find_faults
from spectral_doctor.diagnosis.formulas import FORMULAS
from spectral_doctor.diagnosis.measured import measured
from spectral_doctor.diagnosis.model import estimate
from spectral_doctor.diagnosis.records import (
    Diagnosis,
    LayerFinding,
    LayerState,
    ModesEstimate,
    SpectrumState,
    StepState,
    Thresholds,
)
from spectral_doctor.diagnosis.reference import Range, Reference
from spectral_doctor.diagnosis.states import Standing, onset_index, standings
from spectral_doctor.diagnosis.witness import Witness, in_series
from spectral_doctor.diagnosis.wording import summarise
from spectral_doctor.errors import NoObservations
from spectral_doctor.trajectory.curves import MetricCurve
from spectral_doctor.trajectory.records import LayerTrajectory, SpectralTrajectory

# A layer below its range has fallen, and is not only low, where it has lost this much of its own best plateau.
_FALLEN = 0.8


def diagnose(
    trajectory: SpectralTrajectory,
    thresholds: Thresholds | None = None,
    *,
    reference: Reference | None = None,
    witnesses: Mapping[int, Witness] | None = None,
    curves: Sequence[MetricCurve] = (),
) -> Diagnosis:
    """Judge one discriminator's series, in one pass over its checkpoints.

    At each the state of the spectrum is told, by definition and from the weights alone (`states`), and whether modes
    are lost (`model`), with `witnesses` of the generator, by step, and `curves` of what the run measured.
    Raises `NoObservations` for a series without a checkpoint.
    """
    if not trajectory.steps:
        raise NoObservations(trajectory.discriminator)
    thresholds, reference = thresholds or Thresholds(), reference or Reference.shipped()
    panel = panel_of(trajectory, thresholds, reference)
    found = list(standings(trajectory, panel, thresholds))
    told = in_series(witnesses or {})
    estimates = _estimates(trajectory, panel, found, thresholds, told, curves)
    layers = tuple(_layer_findings(trajectory, panel, thresholds, reference))
    states = tuple(_states(trajectory, layers, found, estimates))
    sunk = onset_index(found)
    end = min(len(found) if sunk is None else sunk, _first_non_finite(trajectory))
    onset = None if sunk is None else trajectory.steps[sunk]
    return Diagnosis(
        trajectory=trajectory,
        thresholds=thresholds,
        spectrum=found[-1].state,
        modes=estimates[-1],
        summary=summarise(trajectory, states, onset, layers, estimates[-1]),
        onset=onset,
        onset_after=trajectory.steps[sunk - 1] if sunk else None,
        last_healthy=next((item.step for item in reversed(states[:end]) if _is_sound(item)), None),
        advice=advised(trajectory, states, curves, end),
        states=states,
        layers=layers,
        findings=find_faults(trajectory, thresholds),
        events=events_of(trajectory, found, thresholds),
        curves=tuple(curves),
        witness=told.get(trajectory.steps[-1]),
    )


def _is_sound(state: StepState) -> bool:
    return state.spectrum is SpectrumState.SOUND and state.checkpoint.is_present


def _estimates(
    trajectory: SpectralTrajectory,
    panel: Panel,
    found: Sequence[Standing],
    thresholds: Thresholds,
    witnesses: Mapping[int, Witness],
    curves: Sequence[MetricCurve],
) -> list[ModesEstimate]:
    widest = max((layer.identity.rank for layer in panel.layers), default=0)
    return [
        measured(curves, trajectory.steps[index])
        or estimate(
            FORMULAS,
            evidence_at(trajectory, panel, index, standing.least, thresholds),
            witnesses.get(trajectory.steps[index]),
            standing.state,
            widest,
            thresholds,
        )
        for index, standing in enumerate(found)
    ]


def _states(
    trajectory: SpectralTrajectory,
    layers: Sequence[LayerFinding],
    found: Sequence[Standing],
    estimates: Sequence[ModesEstimate],
) -> list[StepState]:
    judged = [finding for finding in layers if finding.state is not None]
    states = []
    for index, (standing, modes) in enumerate(zip(found, estimates, strict=True)):
        plateaus = [(finding.plateau[index], finding.layer) for finding in judged]
        best, layer = max(((value, name) for value, name in plateaus if value is not None), default=(None, ""))
        states.append(
            StepState(
                step=trajectory.steps[index],
                checkpoint=trajectory.checkpoints[index],
                spectrum=standing.state,
                modes=modes.statement,
                depth=standing.depth,
                probability=modes.probability,
                best_plateau=best,
                best_layer=layer,
                deficit=trajectory.deficit(index),
            )
        )
    return states


def _first_non_finite(trajectory: SpectralTrajectory) -> int:
    for index in range(len(trajectory.steps)):
        if any(layer.non_finite[index] for layer in trajectory.layers):
            return index
    return len(trajectory.steps)


def _layer_findings(
    trajectory: SpectralTrajectory, panel: Panel, thresholds: Thresholds, reference: Reference
) -> list[LayerFinding]:
    ranges = ranges_of(trajectory, thresholds, reference)
    return [_layer_finding(layer, ranges.get(layer.name), panel, thresholds) for layer in trajectory.layers]


def _layer_finding(
    layer: LayerTrajectory, reference: Range | None, panel: Panel, thresholds: Thresholds
) -> LayerFinding:
    values = plateau(layer, thresholds)
    reason = not_judged(layer, thresholds)
    if not reason and layer.name not in panel.names:
        reason = "no SN"
    return LayerFinding(
        trajectory=layer,
        state=None if reason or reference is None else _layer_state(layer, values, reference, thresholds),
        reason=reason,
        plateau_index=plateau_index(layer.identity, thresholds),
        plateau=values,
        deficit=layer.deficit(),
        reference=reference,
    )


def _layer_state(
    layer: LayerTrajectory, values: Sequence[float | None], reference: Range, thresholds: Thresholds
) -> LayerState:
    spectrum, last = layer.spectra[-1], values[-1]
    if spectrum is None or last is None:
        return LayerState.NON_FINITE
    if last >= reference.low:
        return LayerState.SOUND
    best = max(value for value in values if value is not None)
    return LayerState.FALLEN if last < _FALLEN * best else LayerState.LOW
