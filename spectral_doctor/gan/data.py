"""The data of the built-in recipes: mixtures of Gaussians, and digits stacked as channels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Mixture:
    """Equal Gaussians around means (m, d).

    `bases` (m, d, k) gives each a k-dimensional subspace to spread in; without it they spread in all d.
    """

    means: Tensor
    standard_deviation: float
    bases: Tensor | None = None

    @property
    def quality_radius(self) -> float:
        """How far from its mean a sample of high quality may be.

        3σ in two dimensions, as in VEEGAN. In k dimensions a true sample lies near √k·σ from its mean (26.5σ
        for k = 700, so the published 10σ would reject real data); there it is three deviations beyond,
        (√k + 3/√2)·σ.
        """
        if self.bases is None:
            return 3.0 * self.standard_deviation
        return (math.sqrt(self.bases.shape[2]) + 3 / math.sqrt(2)) * self.standard_deviation

    def sample(self, count: int, random: torch.Generator) -> Tensor:
        """Draw samples (count, d)."""
        modes = torch.randint(len(self.means), (count,), generator=random)
        if self.bases is None:
            return self.means[modes] + self.standard_deviation * torch.randn(count, 2, generator=random)
        noise = self.standard_deviation * torch.randn(count, self.bases.shape[2], generator=random)
        samples = self.means[modes]
        for mode in range(len(self.means)):
            samples[modes == mode] += noise[modes == mode] @ self.bases[mode].T
        return samples


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
    """Digits (10, n, side, side) in [-1, 1], three independent ones stacked as channels: 1 000 modes."""

    bank: Tensor

    @property
    def side(self) -> int:
        """The images' side in pixels."""
        return int(self.bank.shape[-1])

    def sample(self, count: int, random: torch.Generator) -> Tensor:
        """Draw images (count, 3, side, side)."""
        digits = torch.randint(10, (count, 3), generator=random)
        return self.bank[digits, torch.randint(self.bank.shape[1], (count, 3), generator=random)]


def embedded_mixture(modes: int = 10, dimensions: int = 1200, subspace: int = 700) -> Mixture:
    """Ten 700-dimensional Gaussians in 1 200 dimensions (VEEGAN's third synthetic set), always the same.

    The paper gives neither means nor deviation: means are drawn from N(0, I), each Gaussian has σ = 0.1 in a
    random subspace of its own.
    """
    random = torch.Generator().manual_seed(0)
    means = torch.randn(modes, dimensions, generator=random)
    spread = torch.randn(modes, dimensions, subspace, generator=random)
    return Mixture(means, 0.1, torch.linalg.qr(spread)[0])
