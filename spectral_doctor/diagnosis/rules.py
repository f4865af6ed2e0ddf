"""The rules: from a spectral trajectory to a verdict, step by step and layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spectral_doctor.checkpoints.records import Form, Kind
from spectral_doctor.diagnosis.findings import find_faults, still_since
from spectral_doctor.diagnosis.records import (
    Diagnosis,
    LayerFinding,
    StepState,
    Thresholds,
    Verdict,
)
from spectral_doctor.diagnosis.wording import summarise
from spectral_doctor.trajectory.records import LayerTrajectory, SpectralTrajectory

_NORMALISED = (Form.SPECTRAL_NORM.value, Form.SPECTRAL_REGULARIZATION.value)
_FALLEN = (Verdict.DECLINING, Verdict.COLLAPSED)


@dataclass(frozen=True)
class _Panel:
    """The layers that are judged, as numbers: σ_k/σ_1 and σ_2/σ_1 of each at every checkpoint."""

    names: tuple[str, ...]
    plateau: tuple[tuple[float | None, ...], ...]
    second: tuple[tuple[float | None, ...], ...]
    spectrally_normalised: bool

    def best(self, index: int) -> tuple[float | None, str]:
        """The highest plateau at a checkpoint and the layer that has it."""
        present = [
            (row[index] or 0.0, name)
            for row, name in zip(self.plateau, self.names, strict=True)
            if row[index] is not None
        ]
        return max(present) if present else (None, "")

    def best_second(self, index: int) -> float | None:
        """The highest σ_2/σ_1 at a checkpoint among the layers of published rank; None without one."""
        return max((value for row in self.second if (value := row[index]) is not None), default=None)


def diagnose(trajectory: SpectralTrajectory, thresholds: Thresholds | None = None) -> Diagnosis:
    """Judge one discriminator's series.

    A fall in one layer is normal, so the discriminator is judged by its best layers: it is COLLAPSED when
    even the best plateau σ_k/σ_1 is gone, DECLINING when it falls against its own best (papers.md A6,
    measurements.md), and the verdict is NOT ENOUGH EVIDENCE where no published baseline applies.
    """
    thresholds = thresholds or Thresholds()
    panel = _panel(trajectory, thresholds)
    states = tuple(_state(trajectory, panel, index, thresholds) for index in range(len(trajectory.steps)))
    verdict = states[-1].verdict
    findings = find_faults(trajectory, thresholds)
    onset_index = _onset_index(states) if verdict in _FALLEN else None
    healthy = _last_healthy(states, onset_index, _first_non_finite(trajectory))
    layers = tuple(_layer_finding(layer, panel, thresholds) for layer in trajectory.layers)
    onset = None if onset_index is None else trajectory.steps[onset_index]
    return Diagnosis(
        trajectory=trajectory,
        thresholds=thresholds,
        verdict=verdict,
        summary=summarise(trajectory, states, onset, layers, panel.spectrally_normalised, thresholds),
        onset=onset,
        last_healthy=None if healthy is None else trajectory.steps[healthy],
        resume_from=None if healthy is None else trajectory.checkpoints[healthy],
        states=states,
        layers=layers,
        findings=findings,
    )


def _not_judged(layer: LayerTrajectory, thresholds: Thresholds) -> str:
    """Say why a layer is shown and not judged; the empty string where it is judged.

    A layer that never moves in the series is not being trained, so its plateau is that of its initial
    values: taken as evidence it would keep any discriminator healthy.
    """
    if layer.identity.kind == Kind.EMBEDDING.value:
        return "an embedding"
    if layer.identity.rank < thresholds.smallest_rank:
        return f"rank {layer.identity.rank}"
    if len(layer.spectra) > 1 and still_since(layer) == 0:
        return "unchanged"
    return ""


def _first_non_finite(trajectory: SpectralTrajectory) -> int:
    for index in range(len(trajectory.steps)):
        if any(layer.non_finite[index] for layer in trajectory.layers):
            return index
    return len(trajectory.steps)


def _panel(trajectory: SpectralTrajectory, thresholds: Thresholds) -> _Panel:
    judged = [layer for layer in trajectory.layers if not _not_judged(layer, thresholds)]
    normalised = [layer for layer in judged if layer.identity.form in _NORMALISED]
    chosen = normalised or judged
    return _Panel(
        names=tuple(layer.name for layer in chosen),
        plateau=tuple(_plateau(layer, thresholds) for layer in chosen),
        second=tuple(
            tuple(None if spectrum is None else spectrum.ratio(2) for spectrum in layer.spectra)
            for layer in chosen
            if layer.identity.rank >= thresholds.published_rank
        ),
        spectrally_normalised=bool(normalised),
    )


def _plateau(layer: LayerTrajectory, thresholds: Thresholds) -> tuple[float | None, ...]:
    k = thresholds.plateau_index(layer.identity.rank)
    return tuple(None if spectrum is None else spectrum.ratio(k) for spectrum in layer.spectra)


def _state(trajectory: SpectralTrajectory, panel: _Panel, index: int, thresholds: Thresholds) -> StepState:
    best, layer = panel.best(index)
    return StepState(
        step=trajectory.steps[index],
        checkpoint=trajectory.checkpoints[index],
        verdict=_verdict_at(panel, index, thresholds),
        best_plateau=best,
        best_layer=layer,
        deficit=trajectory.deficit(index),
    )


def _verdict_at(panel: _Panel, index: int, thresholds: Thresholds) -> Verdict:
    best, _ = panel.best(index)
    if best is None:
        return Verdict.NOT_ENOUGH_EVIDENCE
    falling = _fallen(panel, index, thresholds)
    sustained = falling and (
        (index > 0 and _fallen(panel, index - 1, thresholds)) or _most_layers_fell(panel, index, thresholds)
    )
    if best < thresholds.collapsed_below:
        if panel.spectrally_normalised or sustained:
            return Verdict.COLLAPSED
        return Verdict.NOT_ENOUGH_EVIDENCE
    second = panel.best_second(index)
    low_second = panel.spectrally_normalised and second is not None and second < thresholds.declining_below
    return Verdict.DECLINING if sustained or low_second else Verdict.HEALTHY


def _fallen(panel: _Panel, index: int, thresholds: Thresholds) -> bool:
    values = [value for earlier in range(index + 1) if (value := panel.best(earlier)[0]) is not None]
    return bool(values) and max(values) - values[-1] > thresholds.fall


def _most_layers_fell(panel: _Panel, index: int, thresholds: Thresholds) -> bool:
    fell = 0
    for row in panel.plateau:
        values = [value for value in row[: index + 1] if value is not None]
        fell += bool(values) and max(values) - values[-1] > thresholds.fall
    return 2 * fell > len(panel.plateau)


def _onset_index(states: Sequence[StepState]) -> int:
    onset = len(states) - 1
    while onset > 0 and states[onset - 1].verdict in _FALLEN:
        onset -= 1
    return onset


def _last_healthy(states: Sequence[StepState], onset: int | None, first_non_finite: int) -> int | None:
    end = min(len(states) if onset is None else onset, first_non_finite)
    healthy = [index for index in range(end) if states[index].verdict is Verdict.HEALTHY]
    return healthy[-1] if healthy else None


def _layer_finding(layer: LayerTrajectory, panel: _Panel, thresholds: Thresholds) -> LayerFinding:
    plateau = _plateau(layer, thresholds)
    reason = _not_judged(layer, thresholds)
    if not reason and layer.name not in panel.names:
        reason = "no SN"
    return LayerFinding(
        layer=layer.name,
        verdict=None if reason else _layer_verdict(plateau, thresholds),
        reason=reason,
        plateau_index=min(thresholds.plateau_index(layer.identity.rank), layer.identity.rank),
        plateau=plateau,
        deficit=layer.deficit(),
    )


def _layer_verdict(plateau: Sequence[float | None], thresholds: Thresholds) -> Verdict:
    last = plateau[-1]
    if last is None:
        return Verdict.NOT_ENOUGH_EVIDENCE
    if last < thresholds.collapsed_below:
        return Verdict.COLLAPSED
    best = max(value for value in plateau if value is not None)
    return Verdict.DECLINING if best - last > thresholds.fall else Verdict.HEALTHY
