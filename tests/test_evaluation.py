"""Metrics on samples against their closed forms, with the traps that published code fell into."""

from __future__ import annotations

import math

import pytest
import torch

from spectral_doctor.evaluation import coverage_and_density, evaluate_codes, evaluate_mixture
from spectral_doctor.gan.data import grid, ring


def seeded(seed: int = 0) -> torch.Generator:
    """A source of randomness of its own."""
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("mixture", [ring(), grid()], ids=["ring", "grid"])
def test_true_samples_capture_all_modes_at_the_quality_of_a_gaussian(mixture: object) -> None:
    """A perfect sampler is within 3σ with 1 − e^−4.5, and its KL is near the floor."""
    from spectral_doctor.gan.data import Mixture

    assert isinstance(mixture, Mixture)
    count = 20_000
    measured = evaluate_mixture(mixture.sample(count, seeded()), mixture.means, mixture.quality_radius)
    expected = 1 - math.exp(-4.5)
    assert measured.high_quality_fraction == pytest.approx(
        expected, abs=4 * math.sqrt(expected * (1 - expected) / count)
    )
    assert measured.modes_captured == measured.modes == len(mixture.means)
    assert measured.kl_floor == (measured.modes - 1) / (2 * count)
    # 2N·KL is near χ² with m − 1 degrees: mean m − 1, deviation √(2(m − 1)).
    degrees = measured.modes - 1
    assert 2 * count * measured.kl < degrees + 5 * math.sqrt(2 * degrees)


def test_the_ring_has_eight_distinct_modes() -> None:
    """Copied code that takes linspace(0, 2π, 8) has seven."""
    assert torch.cdist(ring().means, ring().means).add(torch.eye(8)).min() > 0.7


def test_one_mode_is_one_mode_and_its_distance_is_the_ceiling() -> None:
    """ln m, and the negative: two modes are nearer."""
    means = ring().means
    assert evaluate_mixture(means[:1].expand(100, 2), means, 0.03).kl == pytest.approx(math.log(8))
    assert evaluate_mixture(means[:2].repeat(50, 1), means, 0.03).kl == pytest.approx(math.log(4))


def test_samples_of_low_quality_capture_nothing() -> None:
    """Far from every mode: no mode, no quality, and the ceiling as distance; NaN likewise."""
    for bad in (torch.full((10, 2), 9.0), torch.full((10, 2), float("nan"))):
        measured = evaluate_mixture(bad, ring().means, 0.03)
        assert (measured.modes_captured, measured.high_quality_fraction, measured.kl) == (0, 0.0, math.log(8))


def test_codes_are_counted() -> None:
    """Each code once is uniform; the counts are kept."""
    measured = evaluate_codes(torch.arange(10), 10)
    assert (measured.modes_captured, measured.counts) == (10, (1,) * 10)
    assert measured.kl == pytest.approx(0.0)
    assert measured.high_quality_fraction is None


def test_coverage_and_density_fall_where_modes_are_missing() -> None:
    """Near 1 for samples of the same distribution; coverage is halved when half of it is missing."""
    real, same = ring().sample(800, seeded(1)), ring().sample(800, seeded(2))
    coverage, density = coverage_and_density(real, same)
    assert coverage > 0.9
    assert density == pytest.approx(1.0, abs=0.2)
    half = same[same[:, 0] > 0.1]
    assert coverage_and_density(real, half)[0] < 0.6
