"""Spread against closed forms and what it must not change with."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spectral_doctor.evaluation.quality import Floats, Manifold, distances
from spectral_doctor.evaluation.spread import energy_distance, measured_spread, vendi_score

FLOOR = math.log(1e-6)


def drawn(count: int, dimensions: int, seed: int = 0) -> Floats:
    """Standard Gaussian samples."""
    return np.random.default_rng(seed).standard_normal((count, dimensions))


def test_participation_is_the_share_of_directions_filled() -> None:
    """1 for an isotropic cloud, ln k / ln d for k of d directions, 0 on a line and for a constant."""
    cloud = drawn(768, 8)
    assert measured_spread(cloud, 32).participation == pytest.approx(1.0, abs=0.02)
    assert measured_spread(cloud * (np.arange(8) < 2), 32).participation == pytest.approx(1 / 3, abs=0.02)
    assert measured_spread(cloud * (np.arange(8) < 1), 32).participation == pytest.approx(0.0, abs=1e-9)
    assert measured_spread(np.ones((768, 8)), 32).participation == 0.0
    # bounded by latent and by 16
    assert measured_spread(drawn(768, 40), 4).participation > 2
    assert measured_spread(drawn(768, 16), 99).participation == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("scale", [0.01, 1.0, 300.0])
def test_what_needs_no_real_data_does_not_change_with_scale(scale: float) -> None:
    """Participation, deviation and Vendi score; the negative: against real data size does."""
    cloud, real = drawn(768, 6) + 2, drawn(768, 6, 1) + 2
    one, other = measured_spread(cloud, 8, real), measured_spread(scale * cloud, 8, real)
    assert other.participation == pytest.approx(one.participation)
    assert other.deviation == pytest.approx(one.deviation)
    assert other.vendi == pytest.approx(one.vendi)
    assert other.relative_deviation == pytest.approx(math.log(scale), abs=0.05)
    assert one.size is not None
    assert other.size is not None
    assert (abs(other.size - one.size) < 0.1) is (scale == 1.0)


def test_deviation_is_of_the_samples_around_their_mean() -> None:
    """ln √(d / (d + ‖m‖²)) for unit variance around m; a constant is at the floor."""
    assert measured_spread(drawn(768, 4) + 3, 8).deviation == pytest.approx(0.5 * math.log(4 / 40), abs=0.03)
    assert measured_spread(np.ones((10, 3)), 8).deviation == FLOOR
    assert measured_spread(np.zeros((10, 3)), 8).deviation == FLOOR


@pytest.mark.parametrize("modes", [1, 4, 8])
def test_the_vendi_score_counts_tight_modes(modes: int) -> None:
    """As many as there are on a circle; one for a constant, and for zeros."""
    angles = np.arange(256) % modes * 2 * np.pi / modes
    ring = np.stack((np.cos(angles), np.sin(angles)), axis=1) + 1e-4 * drawn(256, 2)
    assert vendi_score(ring) == pytest.approx(modes, rel=0.05)
    assert vendi_score(np.zeros((256, 2))) == 1.0


def test_energy_is_zero_for_the_same_distribution_and_one_far_away() -> None:
    """Against its definition on few points, and at both ends."""
    one, other = np.array([[0.0], [1.0]]), np.array([[0.0], [3.0]])
    between, within = (0 + 3 + 1 + 2) / 4, 1 + 3
    assert energy_distance(one, other) == pytest.approx(1 - within / (2 * between))
    assert abs(energy_distance(drawn(768, 3), drawn(768, 3, 1))) < 0.005
    assert energy_distance(drawn(768, 3), drawn(768, 3, 1) + 1) > 0.05
    assert energy_distance(drawn(768, 3), drawn(768, 3, 1) + 1e4) == pytest.approx(1.0, abs=1e-3)
    assert energy_distance(np.zeros((5, 2)), np.zeros((5, 2))) == 0.0


def test_distances_are_those_of_the_definition() -> None:
    """Far from the origin too, where ‖a‖² + ‖b‖² − 2a·b cancels: to √eps of the data's own size."""
    one, other = drawn(50, 7) + 1e5, drawn(60, 7, 1) + 1e5
    expected = np.linalg.norm(one[:, None] - other, axis=2)
    assert np.abs(distances(one, other) - expected).max() < 10 * math.sqrt(np.finfo(np.float64).eps)


def test_the_manifold_holds_real_data_and_not_what_is_between() -> None:
    """Two clusters: samples of either are inside, samples halfway are not."""
    real = np.concatenate((drawn(300, 5), drawn(300, 5, 1) + 20))
    manifold = Manifold.around(real)
    assert manifold.contains(drawn(200, 5, 2)).mean() > 0.9
    assert not manifold.contains(drawn(200, 5, 2) + 10).any()
    with pytest.raises(ValueError, match="expected more than 5 real samples, got 5"):
        Manifold.around(real[:5])


def on_ring(counts: list[int], spread: float, seed: int = 0) -> Floats:
    """So many samples around each of the modes on a circle of radius 1."""
    angles = np.repeat(np.arange(len(counts)) * 2 * np.pi / len(counts), counts)
    return np.stack((np.cos(angles), np.sin(angles)), axis=1) + spread * drawn(sum(counts), 2, seed)


@pytest.mark.parametrize(("kept", "precise"), [(8, 1.0), (6, 1.0), (3, 1.0), (8, 0.6), (4, 0.6)])
def test_served_and_evenness_are_the_share_of_the_modes_that_are_kept(kept: int, precise: float) -> None:
    """Of eight modes, also where the rest of the samples lies scattered over them all."""
    real = on_ring([96] * 8, 0.02)
    on_modes = round(768 * precise)
    scattered = np.random.default_rng(2).uniform(-1.2, 1.2, (768 - on_modes, 2))
    samples = np.concatenate((on_ring([on_modes // kept] * kept + [0] * (8 - kept), 0.02, 1), scattered))
    spread = measured_spread(np.random.default_rng(3).permutation(samples), 8, real)
    assert spread.served == pytest.approx(kept / 8, abs=0.01)
    assert spread.evenness == pytest.approx(kept / 8, abs=0.06)


def test_samples_elsewhere_and_too_few_real_ones() -> None:
    """Nothing is served far away; no neighbourhoods without twenty real samples."""
    far = measured_spread(drawn(100, 3) + 100, 8, drawn(100, 3, 1))
    assert (far.served, far.evenness) == (0.0, 0.0)
    few = measured_spread(drawn(100, 3), 8, drawn(19, 3, 1))
    assert (few.served, few.evenness) == (None, None)


def test_visits_are_counted_ball_by_ball() -> None:
    """Against counting; real data have their fair share of themselves."""
    real, samples = drawn(60, 2), drawn(40, 2, 1) * 1.5
    manifold = Manifold.around(real, 6)
    counted = [sum(np.linalg.norm(x - y) < r for x in samples) for y, r in zip(real, manifold.radii, strict=True)]
    assert manifold.visits(samples) == pytest.approx(np.array(counted) / (6 * 40 / 60))
    assert manifold.visits(real) == pytest.approx(np.ones(60))  # itself and five neighbours lie strictly inside
