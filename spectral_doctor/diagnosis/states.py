"""The state of the spectrum at every checkpoint of a series, by definition, in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spectral_doctor.diagnosis.evidence import Panel, depth_at
from spectral_doctor.diagnosis.findings import STILL, moved, two_step_index
from spectral_doctor.diagnosis.records import SpectrumState, Thresholds
from spectral_doctor.diagnosis.untrained import is_untrained
from spectral_doctor.records import Kind
from spectral_doctor.trajectory.records import SpectralTrajectory

# How far the spectrum must have come up again from its deepest to be called recovering, in depth.
_RISE = 0.4
SUNK = (SpectrumState.DECLINING, SpectrumState.COLLAPSED)


@dataclass(frozen=True)
class Standing:
    """The spectrum at a checkpoint: its state, its depth, the least and the greatest depth up to it."""

    state: SpectrumState
    depth: float | None
    least: float
    greatest: float


@dataclass(frozen=True)
class _Past:
    """What a state has to know of the checkpoints before it."""

    trained: int = 0
    least: float = float("inf")
    greatest: float = float("-inf")
    second: float = 0.0

    def with_checkpoint(self, depth: float, second: float | None) -> _Past:
        return _Past(
            self.trained + 1, min(self.least, depth), max(self.greatest, depth), max(self.second, second or 0.0)
        )


def standings(trajectory: SpectralTrajectory, panel: Panel, thresholds: Thresholds) -> Iterator[Standing]:
    """The standing at every checkpoint, in order; an untrained one is no past that a spectrum could fall from."""
    past, still, untrained = _Past(), _still_runs(trajectory), True
    seconds = [_best_second(panel, index, thresholds) for index in range(len(trajectory.steps))]
    unjudged = _unjudged(trajectory, panel, thresholds)
    for index in range(len(trajectory.steps)):
        depth = depth_at(panel, index, thresholds)
        untrained = _untrained(trajectory, 0) if index == 0 else untrained and still[index] == index
        state = _faulty(trajectory, panel, index, thresholds) or (unjudged if depth is None else None)
        if state is None and untrained:
            state = SpectrumState.UNTRAINED
        if state is None and depth is not None:
            past = past.with_checkpoint(depth, seconds[index])
            state = _by_depth(depth, past, seconds[index] if panel.normalised else None, thresholds)
            if still[index] > 0 and 2 * still[index] >= index and state is not SpectrumState.COLLAPSED:
                state = SpectrumState.STILL
        yield Standing(state or SpectrumState.NOT_JUDGED, depth, past.least, past.greatest)


def _still_runs(trajectory: SpectralTrajectory) -> list[int]:
    """For every checkpoint, over how many intervals before it no layer has moved."""
    runs = [0]
    for index in range(1, len(trajectory.steps)):
        runs.append(0 if any(moved(layer, index, STILL) for layer in trajectory.layers) else runs[-1] + 1)
    return runs


def _untrained(trajectory: SpectralTrajectory, index: int) -> bool:
    pairs = [(layer.identity, layer.spectra[index]) for layer in trajectory.layers]
    return is_untrained([(identity, item) for identity, item in pairs if item is not None])


def _faulty(trajectory: SpectralTrajectory, panel: Panel, index: int, thresholds: Thresholds) -> SpectrumState | None:
    """The states that are told from single values, whatever came before."""
    layers = [layer for layer in trajectory.layers if layer.identity.kind != Kind.EMBEDDING.value]
    if any(layer.non_finite[index] for layer in trajectory.layers):
        return SpectrumState.NON_FINITE
    sizes = [item.sigma_max for layer in layers if (item := layer.spectra[index]) is not None]
    if sizes and max(sizes) == 0.0:
        return SpectrumState.ZERO
    if sizes and max(sizes) > thresholds.largest_sigma:
        return SpectrumState.EXPLODED
    spectra = [layer.spectra[index] for layer in panel.layers]
    treated = sum(item is not None and two_step_index(item) > 0 for item in spectra)
    return SpectrumState.COMPENSATED if 2 * treated > len(spectra) else None


def _unjudged(trajectory: SpectralTrajectory, panel: Panel, thresholds: Thresholds) -> SpectrumState:
    if panel.layers:
        return SpectrumState.NOT_JUDGED
    if any(layer.clipped >= thresholds.clipped_share for layer in trajectory.layers):
        return SpectrumState.CLIPPED
    several = len(trajectory.steps) > 1
    return SpectrumState.STILL if several and not any(_moves(trajectory)) else SpectrumState.NOT_JUDGED


def _moves(trajectory: SpectralTrajectory) -> Iterator[bool]:
    for layer in trajectory.layers:
        yield from (moved(layer, index, 0.0) for index in range(1, len(layer.spectra)))


def _by_depth(depth: float, past: _Past, second: float | None, thresholds: Thresholds) -> SpectrumState:
    """SOUND, DECLINING, COLLAPSED or RECOVERING; a trend is claimed of a series only.

    `second` is the best σ_2/σ_1 under spectral norm, `past` what includes this checkpoint.
    """
    risen = past.greatest > 0.0 and past.greatest - depth >= _RISE
    if depth > 0.0:
        return SpectrumState.RECOVERING if risen else SpectrumState.COLLAPSED
    near = depth >= thresholds.declining_from
    if near and risen:
        return SpectrumState.RECOVERING
    if near and depth - past.least >= thresholds.decline:
        return SpectrumState.DECLINING
    left = second is not None and second < thresholds.second_below <= past.second
    return SpectrumState.DECLINING if left and depth > past.least else SpectrumState.SOUND


def _best_second(panel: Panel, index: int, thresholds: Thresholds) -> float | None:
    """The best σ_2/σ_1 among the layers of published rank, whose fall is the onset in Liu et al.'s curves."""
    seconds = [
        item.ratio(2)
        for layer in panel.layers
        if layer.identity.rank >= thresholds.published_rank and (item := layer.spectra[index])
    ]
    return max(seconds, default=None)


def onset_index(found: Sequence[Standing]) -> int | None:
    """Where the unbroken stretch of DECLINING or COLLAPSED states that ends the series begins; None without one."""
    if found[-1].state not in SUNK:
        return None
    onset = len(found) - 1
    while onset > 0 and found[onset - 1].state in SUNK:
        onset -= 1
    return onset
