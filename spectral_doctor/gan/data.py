"""The data of the built-in recipes: mixtures of Gaussians, and digits stacked as channels."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from spectral_doctor.evaluation.modes import Evaluation, evaluate_mixture
from spectral_doctor.evaluation.spread import MEASURED, measured_spread


@dataclass(frozen=True, eq=False)
class Mixture:
    """Gaussians around means (m, d), stretched and shifted: x = (mean + noise)·stretch + shift.

    `bases` (m, d, k) gives each a k-dimensional subspace to spread in; without it they spread in all d. `weights`
    (m,) add up to 1; without them all modes are equal. `stretch` and `shift` are vectors (d,).
    """

    means: Tensor
    standard_deviation: float
    bases: Tensor | None = None
    weights: Tensor | None = None
    stretch: Tensor | None = None
    shift: Tensor | None = None

    @property
    def quality_radius(self) -> float:
        """How far from its mean a sample of high quality may be, before stretch and shift.

        3σ in two dimensions, as in VEEGAN. In k dimensions a true sample lies near √k·σ from its mean (26.5σ
        for k = 700, so the published 10σ would reject real data); there it is three deviations beyond,
        (√k + 3/√2)·σ.
        """
        directions = self.means.shape[1] if self.bases is None else self.bases.shape[2]
        if directions == 2:
            return 3.0 * self.standard_deviation
        return (math.sqrt(directions) + 3 / math.sqrt(2)) * self.standard_deviation

    def sample(self, count: int, random: torch.Generator) -> Tensor:
        """Draw samples (count, d)."""
        if self.weights is None:
            modes = torch.randint(len(self.means), (count,), generator=random)
        else:
            modes = torch.multinomial(self.weights, count, replacement=True, generator=random)
        samples = self.means[modes]
        if self.bases is None:
            samples = samples + self.standard_deviation * torch.randn(count, self.means.shape[1], generator=random)
        else:
            noise = self.standard_deviation * torch.randn(count, self.bases.shape[2], generator=random)
            for mode in range(len(self.means)):
                samples[modes == mode] += noise[modes == mode] @ self.bases[mode].T
        if self.stretch is not None:
            samples = samples * self.stretch
        return samples if self.shift is None else samples + self.shift

    def evaluate(self, samples: Tensor, latent_dim: int) -> Evaluation:
        """Modes, quality and spread of samples (n, d); a distance to a mean is taken with stretch and shift undone."""
        finite = bool(torch.isfinite(samples).all())
        return evaluate_mixture(
            self._straightened(samples),
            self.means,
            self.quality_radius,
            weights=None if self.weights is None else self.weights.tolist(),
            real_high_quality=self._real_high_quality,
            spread=measured_spread(samples, latent_dim, self._real[:MEASURED]) if finite else None,
        )

    def _straightened(self, samples: Tensor) -> Tensor:
        samples = samples if self.shift is None else samples - self.shift
        return samples if self.stretch is None else samples / self.stretch

    @cached_property
    def _real(self) -> Tensor:
        return self.sample(2500, torch.Generator().manual_seed(1))

    @cached_property
    def _real_high_quality(self) -> float | None:
        return evaluate_mixture(self._straightened(self._real), self.means, self.quality_radius).high_quality_fraction


def reshaped(mixture: Mixture, stretch: float = 1.0, shift: float = 0.0, imbalance: float = 1.0) -> Mixture:
    """Give a mixture another geometry: its first axis stretched, all shifted, its modes of unequal weight.

    Weights fall from the first mode to the last in equal ratios, the first `imbalance` times the last.
    """
    count, dimensions = mixture.means.shape
    along = torch.ones(dimensions)
    along[0] = stretch
    falling = imbalance ** -(torch.arange(count) / max(count - 1, 1))
    return replace(
        mixture,
        weights=None if imbalance == 1 else falling / falling.sum(),
        stretch=None if stretch == 1 else along,
        shift=None if shift == 0 else torch.full((dimensions,), shift),
    )


def ring() -> Mixture:
    """Eight Gaussians on a circle of radius 1, σ = 0.01; eight distinct ones, where copied code has seven."""
    angles = torch.arange(8) * (2 * math.pi / 8)
    return Mixture(torch.stack((angles.cos(), angles.sin()), dim=1), 0.01)


def grid() -> Mixture:
    """Twenty-five Gaussians at {-4, -2, 0, 2, 4}², σ = 0.05."""
    axis = torch.arange(-4.0, 5.0, 2.0)
    return Mixture(torch.cartesian_prod(axis, axis), 0.05)


@dataclass(frozen=True, eq=False)
class StackedDigits:
    """Digits (10, n, side, side) in [-1, 1], `stack` independent ones stacked as channels: 10^stack modes."""

    bank: Tensor
    stack: int = 3

    @property
    def side(self) -> int:
        """The images' side in pixels."""
        return int(self.bank.shape[-1])

    def sample(self, count: int, random: torch.Generator) -> Tensor:
        """Draw images (count, stack, side, side)."""
        digits = torch.randint(10, (count, self.stack), generator=random)
        return self.bank[digits, torch.randint(self.bank.shape[1], (count, self.stack), generator=random)]


def embedded_mixture(modes: int = 10, dimensions: int = 1200, subspace: int = 700) -> Mixture:
    """Ten 700-dimensional Gaussians in 1 200 dimensions (VEEGAN's third synthetic set), always the same.

    The paper gives neither means nor deviation: means are drawn from N(0, I), each Gaussian has σ = 0.1 in a
    random subspace of its own.
    """
    random = torch.Generator().manual_seed(0)
    means = torch.randn(modes, dimensions, generator=random)
    spread = torch.randn(modes, dimensions, subspace, generator=random)
    return Mixture(means, 0.1, torch.linalg.qr(spread)[0])
