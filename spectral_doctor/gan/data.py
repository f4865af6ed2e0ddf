"""The data of the built-in recipes: mixtures of Gaussians, and digits stacked as channels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Mixture:
    """Equal Gaussians around means (m, d)."""

    means: Tensor
    standard_deviation: float

    def sample(self, count: int, random: torch.Generator) -> Tensor:
        """Draw samples (count, d)."""
        centres = self.means[torch.randint(len(self.means), (count,), generator=random)]
        return centres + self.standard_deviation * torch.randn(centres.shape, generator=random)


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
