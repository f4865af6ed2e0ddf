"""Each piece of evidence by hand, with the nearest case that must not count."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from spectral_doctor.diagnosis.evidence import Evidence, depth_at, evidence_at, not_judged, panel_of
from spectral_doctor.diagnosis.random_matrix import expected_ratio
from spectral_doctor.diagnosis.records import Thresholds
from spectral_doctor.trajectory.records import LayerTrajectory
from tests.builders import identity, layer_over_steps, plateau_spectrum, series
from tests.diagnosis.judging import FIXED

RANDOM = expected_ratio(64, 576, 5)


def evidence_of(*layers: LayerTrajectory, index: int = -1) -> Evidence:
    """The evidence at a checkpoint of a series with these layers."""
    trajectory, thresholds = series(*layers), Thresholds()
    panel = panel_of(trajectory, thresholds, FIXED)
    place = index % len(trajectory.steps)
    depths = [depth for at in range(place + 1) if (depth := depth_at(panel, at, thresholds)) is not None]
    found = evidence_at(trajectory, panel, place, min(depths), thresholds)
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


def test_the_first_layer_counts_by_its_plateau_and_not_by_its_second_value() -> None:
    """One surviving second direction cannot outvote the rest."""
    two = LayerTrajectory(identity("a"), (plateau_spectrum(0.2, second=0.99),), (0,))
    assert evidence_of(two).first == two.spectra[0].ratio(5)  # type: ignore[union-attr]


def test_the_fall_is_from_the_best_depth_so_far() -> None:
    """By the definition of depth; rising again takes it back."""
    fallen = evidence_of(layer_over_steps("a", [0.8, 0.9, 0.7]))
    assert fallen.fall == pytest.approx(math.log((1.05 - 0.7) / (1.05 - 0.9)))
    assert evidence_of(layer_over_steps("a", [0.8, 0.7, 0.9])).fall == 0.0


def test_growth_is_of_judged_layers_and_bounded() -> None:
    """A head that starts near zero says nothing, whatever it grows by; a judged layer at most 2."""
    head = LayerTrajectory(
        identity("head", kind="linear", form="plain", rank=1),
        tuple(plateau_spectrum(1.0, 1, size) for size in (0.01, 1.0)),
        (0, 0),
    )
    body = [sized(name, (1.0, 1.1)) for name in ("a", "b", "c")]
    assert evidence_of(head, *body).outgrowth == 0.0
    assert evidence_of(sized("x", (0.001, 1e3)), *body).outgrowth == 2.0
    assert evidence_of(sized("x", (1.0, 8.0)), *body).outgrowth == pytest.approx(math.log(8 / 1.1) - 1.0)
    assert evidence_of(sized("x", (1.0, 8.0), "spectral norm"), *body).outgrowth == 0.0


@pytest.mark.parametrize(("rank", "kind", "reason"), [(3, "conv", "rank 3"), (64, "embedding", "an embedding")])
def test_heads_shortcuts_and_embeddings_are_shown_and_not_judged(rank: int, kind: str, reason: str) -> None:
    """By rank and kind; a convolution of rank 8 is judged."""
    assert not_judged(layer_over_steps("x", [0.9], rank=rank, kind=kind), Thresholds()) == reason
    assert not_judged(layer_over_steps("x", [0.9], rank=8), Thresholds()) == ""
