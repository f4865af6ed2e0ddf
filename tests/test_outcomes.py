"""The rule on samples whose truth is known, and on courses; each with what must not pass for it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from spectral_doctor.evaluation import Course, Evaluation, Outcome, course, outcomes
from spectral_doctor.gan.classifier import DigitJudge, train_classifier
from spectral_doctor.gan.data import Mixture, StackedDigits, grid, reshaped, ring
from spectral_doctor.gan.networks import ConvolutionalGenerator

H, L, P, N, D = Outcome.HEALTHY, Outcome.MODES_LOST, Outcome.IMPRECISE, Outcome.NEVER_LEARNT, Outcome.DIVERGED
MIXTURES = {
    "ring": ring(),
    "grid": grid(),
    "stretched": reshaped(ring(), stretch=8),
    "shifted": reshaped(grid(), shift=3),
    "unequal": reshaped(ring(), imbalance=10),
}


def seeded(seed: int = 0) -> torch.Generator:
    """A source of randomness of its own."""
    return torch.Generator().manual_seed(seed)


def alone(evaluation: Evaluation) -> Outcome:
    """The outcome of one checkpoint that nothing came before."""
    return outcomes([evaluation])[0]


def scored(modes: float, quality: float, covered: float = 1.0) -> Evaluation:
    """An evaluation with these shares."""
    solid, covering = round(100 * modes), round(100 * covered)
    return Evaluation(100, 100, 100, quality, 0.0, 0.0, (), solid, covering, 100.0)


@pytest.mark.parametrize("name", MIXTURES)
def test_of_mixtures_only_real_data_is_healthy(name: str) -> None:
    """Noise over the data's box, an untrained perceptron, a constant on a mode, one perfect mode, the real data."""
    mixture = MIXTURES[name]
    real = mixture.sample(2500, seeded(5))
    low, high = real.min(dim=0).values, real.max(dim=0).values
    noise = low + (high - low) * torch.rand(2500, 2, generator=seeded())
    torch.manual_seed(0)
    untrained = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.ReLU(), torch.nn.Linear(64, 2))
    first = Mixture(mixture.means[:1], mixture.standard_deviation, None, None, mixture.stretch, mixture.shift)
    cases: list[tuple[Tensor, Outcome]] = [
        (noise, N),
        (real[:1].expand(2500, 2), Outcome.CONSTANT),
        (first.sample(2500, seeded()), L),
        (real, H),
        (real * 50, D),
        (torch.full_like(real, float("nan")), D),
    ]
    for samples, expected in cases:
        measured = mixture.evaluate(samples, 8)
        assert alone(measured) is expected
        if expected is N:
            assert measured.solid_modes == 0
    raw = mixture.evaluate(untrained(torch.randn(2500, 8, generator=seeded())).detach(), 8)
    assert outcomes([raw], [0]) == (N,)


def test_noise_captures_modes_and_has_no_solid_one() -> None:
    """The count that scatter is rewarded by, beside the one that it is not."""
    noise = 10 * torch.rand(2500, 2, generator=seeded()) - 5
    measured = grid().evaluate(noise, 8)
    assert measured.modes_captured > 15
    assert (measured.solid_modes, measured.covered_modes) == (0, 25)


@pytest.fixture(scope="module")
def digits() -> StackedDigits:
    """Ten shapes of 8×8, each jittered in place and brightness: images that a classifier learns at once."""
    random = seeded(3)
    shapes = (torch.rand(10, 1, 8, 8, generator=random) > 0.5).float()
    bright = 0.7 + 0.3 * torch.rand(10, 60, 1, 1, generator=random)
    return StackedDigits((2 * (shapes * bright) - 1 + 0.1 * torch.randn(10, 60, 8, 8, generator=random)).clamp(-1, 1))


def test_of_images_only_real_data_is_healthy(digits: StackedDigits) -> None:
    """The same five, with classifier and manifold; quality and confidence stand beside real data's."""
    judge = DigitJudge(digits.bank, train_classifier(digits.bank, steps=150)[0])
    real = digits.sample(1500, seeded(5))
    torch.manual_seed(0)
    generator = ConvolutionalGenerator(8, 16, 8, 3).eval()
    with torch.no_grad():
        untrained = generator(torch.randn(1500, 8, generator=seeded()))
    one_mode = digits.bank[4, torch.randint(60, (1500, 3), generator=seeded())]
    cases: list[tuple[Tensor, Outcome]] = [
        (2 * torch.rand(1500, 3, 8, 8, generator=seeded()) - 1, N),
        (untrained, N),
        (real[:1].expand(1500, 3, 8, 8), Outcome.CONSTANT),
        (one_mode, L),
        (real, H),
        (torch.full_like(real, float("nan")), D),
    ]
    for images, expected in cases:
        assert alone(judge.evaluate(images, 8)) is expected
    truth = judge.evaluate(real, 8)
    assert truth.coverage is not None
    assert truth.coverage > 0.9
    assert truth.confidence == pytest.approx(truth.real_confidence, abs=0.05)
    noise = judge.evaluate(cases[0][0], 8)
    assert noise.solid_modes == 0
    assert noise.modes_captured > 10
    assert (noise.coverage, noise.density) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("modes", "quality", "expected"),
    [
        *[(0.7, 0.4, H), (0.69, 0.4, Outcome.UNCLEAR), (0.5, 0.4, Outcome.UNCLEAR), (0.49, 0.4, L)],
        *[(1.0, 0.39, P), (0.1, 0.39, P), (1.0, 0.2, P), (1.0, 0.19, N), (0.0, 0.0, N)],
    ],
)
def test_one_checkpoint_is_judged_by_the_rule(modes: float, quality: float, expected: Outcome) -> None:
    """At its edges, from below."""
    assert alone(scored(modes, quality)) is expected


@pytest.mark.parametrize(
    ("modes", "covered", "expected"), [(0.4, 0.49, L), (0.4, 0.5, P), (0.6, 0.4, P), (0.9, 0.4, P), (0.0, 0.1, L)]
)
def test_fair_quality_is_imprecise_unless_few_modes_are_covered(
    modes: float, covered: float, expected: Outcome
) -> None:
    """Few of both is lost; with poor quality neither."""
    assert alone(scored(modes, 0.3, covered)) is expected
    assert alone(scored(modes, 0.1, covered)) is N


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        # a level is left lower than it is reached
        ([(1.0, 0.5), (0.5, 0.5), (0.49, 0.5), (0.69, 0.5), (0.7, 0.5)], (H, H, L, L, H)),
        ([(1.0, 0.5), (1.0, 0.25), (1.0, 0.24), (1.0, 0.39), (1.0, 0.4)], (H, H, P, P, H)),
        ([(1.0, 0.2), (1.0, 0.1), (1.0, 0.09), (1.0, 0.19), (1.0, 0.2)], (P, P, N, N, P)),
        # poor after it had learnt is diverged; poor after few good modes is not
        ([(1.0, 0.5), (0.0, 0.0)], (H, D)),
        ([(0.1, 0.5), (0.0, 0.0)], (L, N)),
    ],
)
def test_a_course_keeps_its_level(shares: Sequence[tuple[float, float]], expected: tuple[Outcome, ...]) -> None:
    """Hysteresis at both edges of every level, and what was learnt before."""
    found = outcomes([scored(*pair) for pair in shares for _ in range(3)])
    assert found == tuple(one for one in expected for _ in range(3))


@pytest.mark.parametrize(
    ("modes", "expected"),
    [
        # one checkpoint aside is passed over, wherever it is; two are not
        ((1.0, 1.0, 0.0, 1.0, 1.0), (H, H, H, H, H)),
        ((0.0, 1.0, 1.0, 1.0, 0.0), (H, H, H, H, H)),
        ((1.0, 1.0, 0.0, 0.0, 1.0, 1.0), (H, H, L, L, H, H)),
        # a fall for good is at its place, but at the very end, where it may be an aside
        ((1.0, 1.0, 1.0, 0.0, 0.0), (H, H, H, L, L)),
        ((1.0, 1.0, 1.0, 1.0, 0.0), (H, H, H, H, H)),
        # with two there is nothing to pass over
        ((1.0, 0.0), (H, L)),
    ],
)
def test_a_checkpoint_is_judged_among_its_neighbours(modes: Sequence[float], expected: tuple[Outcome, ...]) -> None:
    """The median of three."""
    assert outcomes([scored(share, 1.0) for share in modes]) == expected


def test_step_0_has_learnt_nothing() -> None:
    """Whatever its samples look like, and it leaves no trace in what follows."""
    assert outcomes([scored(1.0, 1.0), scored(0.0, 0.0)], [0, 100]) == (N, N)
    assert outcomes([scored(1.0, 1.0), scored(0.0, 0.0)], [50, 100]) == (H, D)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ((N, P, L), Course.NEVER_BETTER),
        ((N, H, H), Course.KEPT),
        ((N, H, L), Course.FELL),
        ((N, H, D), Course.FELL),
        ((N, H, L, H), Course.RECOVERED),
        ((N,), Course.NEVER_BETTER),
    ],
)
def test_the_course_of_a_run(found: tuple[Outcome, ...], expected: Course) -> None:
    """The last checkpoint in the light of those before."""
    assert course(found) is expected


def test_what_cannot_be_judged_is_refused() -> None:
    """No checkpoint; an evaluation of another version, without solid modes."""
    with pytest.raises(ValueError, match="expected the outcome of at least one checkpoint"):
        course(())
    with pytest.raises(ValueError, match="expected an evaluation with solid modes and quality"):
        outcomes([Evaluation(10, 2, 2, 1.0, 0.0, 0.0, (5, 5))])
