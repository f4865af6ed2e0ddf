"""Metrics on samples against their closed forms, with the traps that published code fell into."""

from __future__ import annotations

import math
from dataclasses import asdict

import pytest
import torch

from spectral_doctor.evaluation import Evaluation, coverage_and_density, evaluate_codes, evaluate_mixture
from spectral_doctor.evaluation.modes import solid_ceiling
from spectral_doctor.gan.data import grid, ring

EARLY = ("samples", "modes", "modes_captured", "high_quality_fraction", "kl", "kl_floor", "counts")


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


def test_a_mode_is_solid_from_a_fifth_of_its_fair_share() -> None:
    """At the edge, for equal and unequal weights; what is far from every mode counts in the share alone."""
    means = torch.tensor([[0.0, 0.0], [10.0, 0.0]])
    for held, solid in ((20, 1), (19, 0)):
        samples = torch.cat((means[:1].expand(held, 2), torch.full((200 - held, 2), 99.0)))
        assert evaluate_mixture(samples, means, 1.0).solid_modes == solid
    samples = torch.cat((means[:1].expand(190, 2), means[1:].expand(10, 2)))
    assert evaluate_mixture(samples, means, 1.0).solid_modes == 1
    unequal = evaluate_mixture(samples, means, 1.0, weights=(0.8, 0.2))
    assert unequal.solid_modes == 2
    assert unequal.kl == pytest.approx(0.95 * math.log(0.95 / 0.8) + 0.05 * math.log(0.05 / 0.2))


def test_the_ceiling_is_what_an_even_sampler_scores() -> None:
    """Against samples: eight modes at any quality, and a thousand at two qualities."""
    assert solid_ceiling(2500, [1 / 8] * 8, 0.3) == pytest.approx(8.0)
    random = seeded(1)
    for quality in (1.0, 0.3):
        scored = []
        for _ in range(20):
            codes = torch.randint(1000, (2500,), generator=random)
            good = torch.rand(2500, generator=random) < quality
            measured = evaluate_codes(codes, 1000, good)
            assert measured.solid_modes is not None
            scored.append(measured.solid_modes)
        expected = 1000 * (1 - math.exp(-2.5 * quality))
        assert solid_ceiling(2500, [1e-3] * 1000, quality) == pytest.approx(expected, rel=0.01)
        assert sum(scored) / 20 == pytest.approx(expected, rel=0.02)
    assert solid_ceiling(2500, [1e-3] * 1000, 0.0) == 0.0


def test_an_evaluation_is_read_back_from_its_mapping() -> None:
    """With its spread; and one of an earlier version, which had neither solid modes nor spread."""
    samples = ring().sample(300, seeded())
    measured = ring().evaluate(samples, 8)
    assert Evaluation.read(asdict(measured)) == measured
    early = {key: value for key, value in asdict(measured).items() if key in EARLY}
    assert Evaluation.read(early).counts == measured.counts
    assert Evaluation.read(early).solid_modes is None
