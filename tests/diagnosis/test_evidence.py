"""Each piece of evidence by hand, with the nearest case that must not count."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from spectral_doctor.diagnosis.evidence import Evidence, evidence_at, not_judged, panel_of
from spectral_doctor.diagnosis.random_matrix import expected_ratio
from spectral_doctor.diagnosis.records import Thresholds
from spectral_doctor.records import Spectrum
from spectral_doctor.trajectory.records import LayerTrajectory
from tests.builders import identity, layer_over_steps, plateau_spectrum, series

RANDOM = expected_ratio(64, 576, 5)


def evidence_of(*layers: LayerTrajectory, index: int = -1) -> Evidence:
    """The evidence at a checkpoint of a series with these layers."""
    trajectory = series(*layers)
    found = evidence_at(trajectory, panel_of(trajectory, Thresholds()), index % len(trajectory.steps), Thresholds())
    assert found is not None
    return found


def sized(name: str, sizes: Sequence[float], form: str = "plain") -> LayerTrajectory:
    """A layer whose σ1 takes the given values, with a plateau at 0.9."""
    spectra = tuple(plateau_spectrum(0.9, sigma_max=size) for size in sizes)
    return LayerTrajectory(identity(name, form=form), spectra, (0,) * len(sizes))


def test_a_layer_like_random_weights_falls_short_by_nothing() -> None:
    """ln 1 = 0 at the expected ratio, below 0 above it, ln 2 where it is twice as far from a full plateau."""
    assert evidence_of(layer_over_steps("a", [RANDOM])).shortfall == pytest.approx(0.0, abs=1e-9)
    assert evidence_of(layer_over_steps("a", [0.99])).shortfall < 0
    twice = 1.05 - 2 * (1.05 - RANDOM)
    assert evidence_of(layer_over_steps("a", [twice])).shortfall == pytest.approx(math.log(2))


def test_only_the_better_half_of_the_layers_counts() -> None:
    """A fall in one layer is normal; of three layers the best one stands for all."""
    alone = evidence_of(layer_over_steps("a", [0.97]))
    beside = evidence_of(layer_over_steps("a", [0.97]), layer_over_steps("b", [0.2]), layer_over_steps("c", [0.1]))
    assert beside.shortfall == alone.shortfall
    four = [layer_over_steps(f"l{index}", [value]) for index, value in enumerate((0.97, 0.6, 0.2, 0.1))]
    assert evidence_of(*four).shortfall > alone.shortfall


def test_the_first_layer_is_the_first_that_has_two_values() -> None:
    """Embeddings are no layers that see the input, and rank 1 has no second value."""
    embedding = layer_over_steps("embed", [0.2], kind="embedding")
    head = layer_over_steps("one", [1.0], rank=1)
    assert evidence_of(embedding, head, layer_over_steps("conv", [0.7])).first == pytest.approx(0.7)


def test_layers_that_stopped_are_counted_from_the_second_checkpoint_on() -> None:
    """Half of them still: 0.5. A move by a thousandth of σ1 is a move, and one checkpoint says nothing."""
    still = LayerTrajectory(
        identity("a"), (plateau_spectrum(0.8), plateau_spectrum(0.9), plateau_spectrum(0.9)), (0,) * 3
    )
    moving = layer_over_steps("b", [0.9, 0.9, 0.9])
    assert evidence_of(still, moving).still == 0.5
    assert evidence_of(still, moving, index=1).still == 0.0
    assert evidence_of(still, moving, index=0).still == 0.0


def test_one_layer_that_outgrows_the_rest_counts_without_spectral_norm_only() -> None:
    """ln 20 over the median's ln 1, as far as it exceeds 1; growth by e over the median, or all alike, is normal."""
    rest = [sized("b", [1.0, 1.01]), sized("c", [1.0, 0.99])]
    assert evidence_of(sized("a", [1.0, 20.0]), *rest).outgrowth == pytest.approx(math.log(20 / 1.01) - 1, abs=1e-6)
    assert evidence_of(sized("a", [1.0, 2.7]), *rest).outgrowth == 0.0
    assert evidence_of(*(sized(name, [1.0, 20.0 + index]) for index, name in enumerate("abc"))).outgrowth == 0.0
    normalised = [sized(name, [1.0, size], "spectral norm") for name, size in (("a", 20.0), ("b", 1.01), ("c", 0.99))]
    assert evidence_of(*normalised).outgrowth == 0.0
    assert (evidence_of(*normalised).normalised, evidence_of(*rest).normalised) == (1.0, 0.0)


@pytest.mark.parametrize(("share", "reason"), [(0.05, "clipped"), (0.049, "")])
def test_a_clipped_layer_is_not_judged(share: float, reason: str) -> None:
    """From a twentieth of its weights at one size on."""
    layer = LayerTrajectory(identity("a", form="plain"), (plateau_spectrum(0.1),), (0,), (share,))
    assert not_judged(layer, Thresholds()) == reason


def test_a_two_step_spectrum_is_judged_by_its_upper_step() -> None:
    """Rank 8 raised to the fourth value and nothing behind: the plateau is that of the flat part."""
    treated = Spectrum((1.0, 1.0, 1.0, 1.0, 0.02, 0.02, 0.01, 0.01))
    fallen = Spectrum((1.0, 0.9, 0.7, 0.5, 0.02, 0.02, 0.01, 0.01))
    layers = [LayerTrajectory(identity("a", rank=8), (spectrum,), (0,)) for spectrum in (treated, fallen)]
    assert evidence_of(layers[0]).shortfall < 0 < evidence_of(layers[1]).shortfall


def test_without_a_finite_layer_there_is_no_evidence() -> None:
    """And with one of two there is that of the other."""
    trajectory = series(layer_over_steps("a", [None]))
    assert evidence_at(trajectory, panel_of(trajectory, Thresholds()), 0, Thresholds()) is None
    assert evidence_of(layer_over_steps("a", [None]), layer_over_steps("b", [0.9])).first == pytest.approx(0.9)
