"""The classifier that knows the digits, and what it says about generated ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Adam

from spectral_doctor.evaluation.modes import Evaluation, evaluate_codes
from spectral_doctor.evaluation.quality import Manifold
from spectral_doctor.evaluation.spread import MEASURED, measured_spread
from spectral_doctor.gan.data import StackedDigits
from spectral_doctor.gan.networks import digit_classifier

REFERENCE = 2000


@dataclass(frozen=True, eq=False)
class _Seen:
    """What the classifier makes of digits (n, 1, side, side): class (n,), features (n, 128), confidence (n,)."""

    digits: NDArray[np.int64]
    features: NDArray[np.float64]
    confidence: NDArray[np.float64]


class DigitJudge:
    """Evaluates images of stacked digits, by a classifier and by how near they come to 2 000 real digits.

    A digit is of high quality when it lies within the manifold of real ones both in the classifier's features and in
    pixels: nearer to a real digit than that one's k-th neighbour, k a fiftieth of them (Kynkäänniemi et al. 2019).
    Features alone are not enough: of noise 47 % lies among scikit-learn's digits there, in pixels none.
    A stack counts for a solid mode when all its digits are of high quality. The digits that the classifier did not
    train on say what real data scores.
    """

    def __init__(self, bank: Tensor, classifier: nn.Module) -> None:
        self.bank, self.classifier = bank, classifier
        known, unseen = (_some(part) for part in _split(bank))
        features, neighbours = self._see(known).features, max(len(known) // 50, 1)
        self.manifolds = Manifold.around(features, neighbours), Manifold.around(known.numpy(), neighbours)
        self.covered = Manifold.around(features)
        seen = self._see(unseen)
        self.real_high_quality = float(self._good(unseen, seen).mean())
        self.real_confidence = float(seen.confidence.mean())

    def evaluate(self, images: Tensor, latent_dim: int) -> Evaluation:
        """Evaluate generated images (n, stack, side, side); `latent_dim` bounds how widely they can be spread."""
        stack, side = images.shape[1], images.shape[-1]
        if not bool(torch.isfinite(images).all()):
            nothing = np.zeros(len(images), dtype=np.int64)
            return evaluate_codes(nothing, 10**stack, nothing, 0.0, finite=False)
        digits = images.reshape(-1, 1, side, side)
        seen = self._see(digits)
        good = self._good(digits, seen)
        # Coverage grows with the number of fakes: as many as there are real ones.
        coverage, density = self.covered.coverage_and_density(seen.features[: len(self.covered.real)])
        real = StackedDigits(self.bank, stack).sample(MEASURED, torch.Generator().manual_seed(1))
        return evaluate_codes(
            seen.digits.reshape(-1, stack) @ 10 ** np.arange(stack)[::-1],
            10**stack,
            good.reshape(-1, stack).all(axis=1),
            float(good.mean()),
            real_high_quality=self.real_high_quality,
            density=density,
            coverage=coverage,
            confidence=float(seen.confidence.mean()),
            real_confidence=self.real_confidence,
            spread=measured_spread(images, latent_dim, real),
        )

    def _good(self, digits: Tensor, seen: _Seen) -> NDArray[np.bool_]:
        by_features, by_pixels = self.manifolds
        return by_features.contains(seen.features) & by_pixels.contains(digits.numpy())

    @torch.no_grad()
    def _see(self, digits: Tensor) -> _Seen:
        assert isinstance(self.classifier, nn.Sequential)
        features = self.classifier[:-1](digits)
        chances = torch.softmax(self.classifier[-1](features), dim=1)
        confidence, found = chances.max(dim=1)
        return _Seen(found.numpy(), features.double().numpy(), confidence.double().numpy())


@lru_cache(maxsize=2)
def train_classifier(bank: Tensor, seed: int = 0, steps: int = 1500) -> tuple[nn.Module, float]:
    """Train the digit classifier on four fifths of a bank (10, n, side, side); return its accuracy on the rest too."""
    (train, test), side = _split(bank), bank.shape[-1]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        classifier = digit_classifier(side)
    random = torch.Generator().manual_seed(seed)
    optimizer = Adam(classifier.parameters(), 1e-3)
    for _ in range(steps):
        labels = torch.randint(10, (128,), generator=random)
        images = train[labels, torch.randint(train.shape[1], (128,), generator=random)].unsqueeze(1)
        noisy = images + 0.1 * torch.randn(images.shape, generator=random)
        optimizer.zero_grad()
        nn.functional.cross_entropy(classifier(noisy), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        guesses = classifier(test.reshape(-1, 1, side, side)).argmax(1).view(10, -1)
    return classifier, float((guesses == torch.arange(10)[:, None]).double().mean())


@lru_cache(maxsize=2)
def digit_judge(bank: Tensor) -> DigitJudge:
    """The judge of a bank of digits (10, n, side, side), its classifier trained at first use."""
    return DigitJudge(bank, train_classifier(bank)[0])


def _split(bank: Tensor) -> tuple[Tensor, Tensor]:
    """The digits a classifier trains on, and the fifth that it does not see."""
    held_out = max(bank.shape[1] // 5, 1)
    return bank[:, held_out:], bank[:, :held_out]


def _some(bank: Tensor) -> Tensor:
    """At most 2 000 digits (n, 1, side, side) of a bank (10, m, side, side), always the same."""
    digits = bank.reshape(-1, 1, *bank.shape[-2:])
    return digits[torch.randperm(len(digits), generator=torch.Generator().manual_seed(0))[:REFERENCE]]
