"""Adversarial losses on logits, and the two gradient penalties."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

Scorer = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class AdversarialLoss:
    """A pair of losses: of the discriminator on (real, fake) logits, and of the generator on fake logits."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]


LOSSES = {
    # Lim & Ye 2017; Miyato et al. 2018
    "hinge": AdversarialLoss(
        lambda real, fake: relu(1 - real).mean() + relu(1 + fake).mean(), lambda fake: -fake.mean()
    ),
    # Goodfellow et al. 2014, with the non-saturating loss of the generator
    "logistic": AdversarialLoss(
        lambda real, fake: softplus(-real).mean() + softplus(fake).mean(), lambda fake: softplus(-fake).mean()
    ),
    # Mao et al. 2017, a = 0, b = c = 1
    "least-squares": AdversarialLoss(
        lambda real, fake: ((real - 1) ** 2).mean() / 2 + (fake**2).mean() / 2,
        lambda fake: ((fake - 1) ** 2).mean() / 2,
    ),
    # Arjovsky et al. 2017; goes with a gradient penalty
    "wasserstein": AdversarialLoss(lambda real, fake: fake.mean() - real.mean(), lambda fake: -fake.mean()),
}
# The loss whose generator is judged against real samples too, so that it has a step of its own.
RELATIVISTIC = "relativistic"


def pairing_loss(better: Tensor, worse: Tensor) -> Tensor:
    """E softplus(D(worse) − D(better)) over pairs of logits (n,), (n,): the relativistic pairing loss.

    The discriminator minimises it with real samples as the better ones, the generator with its own
    (Jolicoeur-Martineau 2019; Huang et al. 2024, arXiv 2501.05441, eq. 2, f(t) = −softplus(−t)). In a pair only the
    difference counts, so a generator that falls short of one region is told so by the real samples there.
    """
    return softplus(worse - better).mean()


def gradient_penalty(discriminator: Scorer, real: Tensor, fake: Tensor, random: torch.Generator) -> Tensor:
    """E (‖∇D(x̂)‖₂ − 1)², x̂ uniform between a real and a fake sample (Gulrajani et al. 2017, eq. 3)."""
    share = torch.rand(len(real), *[1] * (real.ndim - 1), generator=random)
    between = (share * real + (1 - share) * fake).requires_grad_()
    norms: Tensor = torch.linalg.vector_norm(_input_gradient(discriminator, between), dim=1)
    return ((norms - 1) ** 2).mean()


def r1_penalty(discriminator: Scorer, real: Tensor) -> Tensor:
    """E ‖∇D(x)‖² / 2 over real samples (Mescheder et al. 2018, eq. 9), to be weighted by γ."""
    return _input_gradient(discriminator, real.detach().requires_grad_()).square().sum(dim=1).mean() / 2


def r2_penalty(discriminator: Scorer, fake: Tensor) -> Tensor:
    """E ‖∇D(x)‖² / 2 over generated samples (Mescheder et al. 2018, eq. 10), to be weighted by γ."""
    return r1_penalty(discriminator, fake)


def _input_gradient(discriminator: Scorer, x: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
    return gradient.flatten(1)
