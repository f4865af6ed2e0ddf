"""What happened in a series and when: falls, recoveries, stretches in which nothing moved, a layer that grew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from spectral_doctor.diagnosis.findings import HARDLY, moved
from spectral_doctor.diagnosis.records import Event, EventKind, SpectrumState, Thresholds
from spectral_doctor.diagnosis.states import SUNK, Standing
from spectral_doctor.errors import listed
from spectral_doctor.trajectory.records import LayerTrajectory, SpectralTrajectory

_RISEN = (SpectrumState.RECOVERING, SpectrumState.SOUND)


def events_of(trajectory: SpectralTrajectory, found: Sequence[Standing], thresholds: Thresholds) -> tuple[Event, ...]:
    """The timeline of a series, in step order; one checkpoint has none."""
    everything = [
        *_turns(trajectory, found),
        *_frozen(trajectory),
        *_growth(trajectory, thresholds),
    ]
    return tuple(sorted(everything, key=lambda event: (event.first, event.last)))


def _turns(trajectory: SpectralTrajectory, found: Sequence[Standing]) -> Iterator[Event]:
    """Where the spectrum sank, and where it rose again."""
    sunk = found[0].state in SUNK
    for index in range(1, len(found)):
        before, now = trajectory.steps[index - 1], trajectory.steps[index]
        if not sunk and found[index].state in SUNK:
            sunk = True
            yield Event(EventKind.FELL, before, now, (), f"the spectrum fell: {found[index].state.value}")
        elif sunk and found[index].state in _RISEN:
            sunk = False
            yield Event(EventKind.RECOVERED, before, now, (), f"the spectrum rose again: {found[index].state.value}")


def _frozen(trajectory: SpectralTrajectory) -> Iterator[Event]:
    """Unbroken stretches in which no layer moved by a ten-thousandth of its σ_1."""
    start: int | None = None
    for index in range(1, len(trajectory.steps) + 1):
        still = index < len(trajectory.steps) and not any(moved(layer, index, HARDLY) for layer in trajectory.layers)
        if still and start is None:
            start = index - 1
        elif not still and start is not None:
            first, last = trajectory.steps[start], trajectory.steps[index - 1]
            yield Event(EventKind.FROZEN, first, last, (), "no layer moved by a ten-thousandth of its σ1")
            start = None


def _growth(trajectory: SpectralTrajectory, thresholds: Thresholds) -> Iterator[Event]:
    """Where σ_1 of layers grew several-fold within one interval, to the largest of any layer so far."""
    largest = _largest(trajectory.layers, 0)
    for index, (before, now) in enumerate(pairwise(trajectory.steps), start=1):
        grown = [
            layer.name
            for layer in trajectory.layers
            if (new := layer.spectra[index]) and (old := layer.spectra[index - 1]) and old.sigma_max > 0.0
            if new.sigma_max >= thresholds.explosion * old.sigma_max and new.sigma_max > largest
        ]
        if grown:
            sentence = f"σ1 of {listed(grown)} grew {thresholds.explosion:g}-fold or more"
            yield Event(EventKind.GREW, before, now, tuple(grown), sentence)
        largest = max(largest, _largest(trajectory.layers, index))


def _largest(layers: Sequence[LayerTrajectory], index: int) -> float:
    return max((item.sigma_max for layer in layers if (item := layer.spectra[index])), default=0.0)
