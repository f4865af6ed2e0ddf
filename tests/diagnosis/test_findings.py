"""What is found beside the state of the spectrum: where, and the nearest case where it is not."""

from __future__ import annotations

import numpy as np
import pytest

from spectral_doctor.compensation import StaticCompensation, raised
from spectral_doctor.diagnosis.findings import find_faults, two_step_index
from spectral_doctor.diagnosis.records import Finding, FindingKind, SpectrumState, Thresholds
from spectral_doctor.diagnosis.rules import diagnose
from spectral_doctor.records import Spectrum
from spectral_doctor.trajectory.records import LayerTrajectory, SpectralTrajectory
from tests.builders import identity, layer_over_steps, plateau_spectrum, series


def faults(trajectory: SpectralTrajectory) -> list[Finding]:
    """The faults of a series under the default thresholds."""
    return list(find_faults(trajectory, Thresholds()))


def with_sizes(sizes: list[float]) -> LayerTrajectory:
    """A layer whose σ1 takes the given values."""
    return LayerTrajectory(
        identity("conv"), tuple(plateau_spectrum(0.9, sigma_max=size) for size in sizes), (0,) * len(sizes)
    )


def test_a_healthy_series_has_no_fault() -> None:
    """The negative of them all."""
    assert faults(series(layer_over_steps("conv", [0.9, 0.91, 0.92]))) == []


def test_values_that_are_not_finite_name_layer_and_step() -> None:
    """Since when, where, and whether it still is so."""
    (finding,) = faults(series(layer_over_steps("a", [0.9, None, None]), layer_over_steps("b", [0.9, 0.8, 0.7])))
    assert (finding.kind, finding.layers, finding.since, finding.current) == (FindingKind.NON_FINITE, ("a",), 100, True)
    assert finding.sentence == "1 value is NaN or infinite in 'a' at step 100"
    (healed,) = faults(series(layer_over_steps("a", [0.9, None, 0.9])))
    assert not healed.current
    assert healed.sentence.endswith("and finite again at the last")


def test_growth_of_sigma_1_is_exploding_only_at_its_largest() -> None:
    """Three-fold since the last checkpoint to a new maximum; a spike that healed, or slow growth, is not."""
    (finding,) = faults(series(with_sizes([1.0, 1.1, 4.0])))
    assert finding.kind is FindingKind.EXPLODING
    assert finding.sentence == "σ1 of 'conv' has grown up to 3.6-fold at step 200"
    assert faults(series(with_sizes([1.0, 9.0, 1.0]))) == []
    assert faults(series(with_sizes([5.0, 1.0, 4.0]))) == []
    assert faults(series(with_sizes([1.0, 2.0, 4.0]))) == []


def test_the_same_weights_again_are_unchanged() -> None:
    """Equal to the last bit: the layer, or the whole discriminator, is not being trained."""
    still = LayerTrajectory(identity("a"), (plateau_spectrum(0.9),) * 3, (0, 0, 0))
    moving = layer_over_steps("b", [0.9, 0.91, 0.92])
    (one,) = faults(series(still, moving))
    assert (one.kind, one.layers, one.since) == (FindingKind.UNCHANGED, ("a",), 0)
    assert one.sentence == "'a' has not changed since step 0"
    (whole,) = faults(series(still))
    assert whole.sentence == "no layer has changed since step 0: the discriminator is not being trained"


def test_a_zero_weight_is_named() -> None:
    """A layer of zeros passes nothing on."""
    zero = LayerTrajectory(identity("a", rank=4), (Spectrum((0.0,) * 4),), (0,))
    (finding,) = faults(series(zero))
    assert finding.kind is FindingKind.ZERO
    assert finding.sentence == "every value is zero in 'a' in the one checkpoint given"


@pytest.mark.parametrize(
    ("values", "index"),
    [
        ((1.0, 1.0, 0.99, 0.98, 0.02, 0.02, 0.01, 0.01), 4),
        ((1.0, 1.0, 1.0, 1.0, 0.75, 0.7, 0.6, 0.5), 0),
        ((1.0, 1.0, 1.0, 1.0, 0.73, 0.7, 0.6, 0.5), 4),
        ((1.0, 1.0, 0.02, 0.02, 0.02, 0.02, 0.01, 0.01), 0),
        ((1.0, 1.0, 1.0, 1.0, 0.97, 0.95, 0.93, 0.9), 0),
        ((1.0,) * 8, 0),
        ((1.0, 1.0, 1.0, *(0.1,) * 13), 0),
        ((0.0,) * 8, 0),
    ],
    ids=["treated", "a slope", "a cliff", "two values", "a plateau", "orthogonal", "under a quarter", "zero"],
)
def test_a_two_step_spectrum_is_flat_and_then_a_cliff(values: tuple[float, ...], index: int) -> None:
    """At least three values and a quarter of them all, with less than three quarters of the last behind."""
    assert two_step_index(Spectrum(values)) == index


def test_a_compensated_spectrum_is_named_and_not_called_collapsed() -> None:
    """What a static compensation with half the rank leaves, beside a rank-one spike that is a collapse."""
    trained = plateau_spectrum(0.3, 64)
    half = raised(np.array(trained.values), StaticCompensation(0.5)).tolist()
    treated = Spectrum(tuple(value if position < 32 else 0.02 for position, value in enumerate(half)))
    (finding,) = faults(series(LayerTrajectory(identity("conv"), (treated,), (0,))))
    assert finding.kind is FindingKind.COMPENSATED
    assert finding.sentence == (
        "a two-step spectrum, flat and then a cliff, in 'conv' (to value 32 of 64 in 'conv'): what a static "
        "compensation leaves, judged by its flat part"
    )
    assert diagnose(series(LayerTrajectory(identity("conv"), (treated,), (0,)))).spectrum is SpectrumState.COMPENSATED
    assert faults(series(LayerTrajectory(identity("conv"), (trained,), (0,)))) == []
    assert diagnose(series(LayerTrajectory(identity("conv"), (trained,), (0,)))).spectrum is SpectrumState.COLLAPSED


def test_a_clipped_critic_is_named_and_not_judged() -> None:
    """Near rank 1 with a third of its weights at the bound; with 4 % of them it is judged like any other."""

    def critic(share: float) -> SpectralTrajectory:
        return series(LayerTrajectory(identity("conv", form="plain"), (plateau_spectrum(0.05),), (0,), (share,)))

    (finding,) = faults(critic(0.33))
    assert finding.kind is FindingKind.CLIPPED
    assert finding.sentence == (
        "33% or more of the weights of 'conv' have one and the same size, the largest: clipped, as in the first WGAN, "
        "where a spectrum near rank 1 is normal and not judged"
    )
    diagnosis = diagnose(critic(0.33))
    assert diagnosis.spectrum is SpectrumState.CLIPPED
    assert diagnosis.summary == (
        "The spectrum is CLIPPED: the weights are clipped, where a spectrum near rank 1 is normal and not judged. "
        "Whether modes are lost is not known: a spectrum that is CLIPPED tells nothing."
    )
    assert faults(critic(0.04)) == []
    assert diagnose(critic(0.04)).layers[0].reason == ""
