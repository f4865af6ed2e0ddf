"""Events of a series, and the advice that follows from it: each where it is given, and the nearest case without."""

from __future__ import annotations

from dataclasses import replace

from spectral_doctor.diagnosis.records import Diagnosis, Event, EventKind
from spectral_doctor.diagnosis.rules import diagnose
from spectral_doctor.records import Spectrum
from spectral_doctor.trajectory.curves import MetricCurve
from spectral_doctor.trajectory.records import LayerTrajectory
from tests.builders import identity, layer_over_steps, plateau_spectrum, series
from tests.diagnosis.judging import FIXED, judged


def with_sizes(*sizes: float, name: str = "conv") -> LayerTrajectory:
    """A layer whose σ1 takes the given values."""
    spectra = tuple(plateau_spectrum(0.9, sigma_max=size) for size in sizes)
    return LayerTrajectory(identity(name), spectra, (0,) * len(sizes))


def told(diagnosis: Diagnosis) -> list[tuple[str, int, int]]:
    """The kinds and steps of the events."""
    return [(event.kind.value, event.first, event.last) for event in diagnosis.events]


def test_falls_and_recoveries_are_told_between_two_checkpoints() -> None:
    """In step order; a sound series has none."""
    found = judged(layer_over_steps("conv", [0.9, 0.3, 0.3, 0.9, 0.2]))
    assert told(found) == [("fell", 0, 100), ("recovered", 200, 300), ("fell", 300, 400)]
    assert found.events[0] == Event(EventKind.FELL, 0, 100, (), "the spectrum fell: COLLAPSED")
    assert told(judged(layer_over_steps("conv", [0.9, 0.91, 0.9]))) == []


def test_a_stretch_without_motion_is_frozen() -> None:
    """From its first to its last checkpoint, also inside a series; one layer that moves ends it."""
    assert told(judged(with_sizes(1.0, 1.1, 1.1, 1.1, 1.2))) == [("frozen", 100, 300)]
    moving = with_sizes(1.0, 1.01, 1.02, 1.03, 1.04, name="other")
    assert told(judged(with_sizes(1.0, 1.1, 1.1, 1.1, 1.2), moving)) == []


def test_growth_to_the_largest_of_any_layer_is_told() -> None:
    """Three-fold within an interval; a small layer that grows to the size of others is no event."""
    assert told(judged(with_sizes(1.0, 1.1, 4.0))) == [("grew", 100, 200)]
    assert told(judged(with_sizes(0.01, 0.02, 0.9, name="head"), with_sizes(1.0, 1.1, 1.2))) == []


def test_advice_is_the_last_sound_checkpoint_before_the_onset() -> None:
    """And the latest where nothing is wrong."""
    found = judged(layer_over_steps("conv", [0.9, 0.92, 0.91, 0.5, 0.3]))
    assert (found.onset_after, found.onset, found.last_healthy) == (200, 300, 200)
    assert (found.advice.step, found.advice.why) == (200, "the last sound spectrum before step 300")
    sound = judged(layer_over_steps("conv", [0.9, 0.92, 0.91]))
    assert (sound.advice.step, sound.advice.why) == (200, "the latest")


def test_what_was_measured_comes_first() -> None:
    """Most modes, or the lowest FID; a metric of unknown direction says nothing."""
    trajectory = series(layer_over_steps("conv", [0.9, 0.92, 0.91, 0.5, 0.3]))
    steps = (0, 100, 200, 300, 400)
    modes = MetricCurve("modes captured", steps, (1.0, 8.0, 5.0, 2.0, 1.0), True, "file", 10.0)
    found = diagnose(trajectory, reference=FIXED, curves=[modes])
    assert (found.advice.step, found.advice.why) == (100, "best modes captured: 8 of 10")
    fid = MetricCurve("fid50k", steps, (90.0, 30.0, 20.0, 60.0, 80.0), False, "file")
    found = diagnose(trajectory, reference=FIXED, curves=[fid])
    assert (found.advice.step, found.advice.why) == (200, "best fid50k: 20")
    unknown = replace(modes, higher_is_better=None)
    assert diagnose(trajectory, reference=FIXED, curves=[unknown]).advice.step == 200


def test_a_collapse_from_the_first_checkpoint_has_nowhere_to_go_back_to() -> None:
    """The onset is then the first step, and earlier checkpoints are asked for."""
    found = judged(layer_over_steps("conv", [0.5, 0.4]))
    assert (found.onset_after, found.onset, found.last_healthy) == (None, 0, None)
    assert found.advice.checkpoint is None
    assert found.advice.why == "no sound checkpoint from before is among those given: add earlier ones"


def test_a_checkpoint_that_is_not_finite_is_never_recommended() -> None:
    """Neither it nor what came after."""
    found = judged(layer_over_steps("a", [0.9, 0.9, None, None]), layer_over_steps("b", [0.9, 0.91, 0.9, 0.9]))
    assert found.advice.step == 100


def test_untrained_weights_are_no_advice() -> None:
    """Where only they lie before the fall: start over."""
    import numpy as np

    weight = np.random.default_rng(0).uniform(-1, 1, (64, 576)) / 24.0
    random = Spectrum(tuple(np.linalg.svd(weight, compute_uv=False).tolist()))
    spectra = (random, plateau_spectrum(0.3), plateau_spectrum(0.2, sigma_max=1.1))
    found = judged(LayerTrajectory(identity("conv", form="plain"), spectra, (0, 0, 0)))
    assert [state.spectrum.value for state in found.states] == ["UNTRAINED", "COLLAPSED", "COLLAPSED"]
    assert found.advice.checkpoint is None
    assert found.advice.why.startswith("only untrained weights lie before: start over")
