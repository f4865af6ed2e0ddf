"""The objective of Algorithm 1 of VEEGAN (Srivastava et al., NeurIPS 2017, arXiv 1705.07761).

The joint discriminator D_ω(z, x) learns log q_γ(x|z) p(z) / p_θ(z|x) p(x), so generated pairs are its positives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus


class Joint(Protocol):
    """A discriminator of pairs: latents (n, k) and samples (n, …) to logits (n,)."""

    def __call__(self, latent: Tensor, x: Tensor) -> Tensor:
        """Return one logit a pair."""
        ...


@dataclass(frozen=True)
class Objective:
    """The three losses; the defaults are the paper's, the switches are variants found elsewhere."""

    noise: bool = True
    mean_distance: bool = False
    adversarial_reconstructor: bool = False

    def distance(self, latent: Tensor, reconstructed: Tensor) -> Tensor:
        """d(z, F(x)) = ½‖z − F(x)‖², summed over the latent's dimensions, its mean over the batch.

        −log N(z; F(x), I) but for a constant: the reconstructor's output is the mean of a unit-variance Gaussian.
        """
        squares = (latent - reconstructed).square()
        return (squares.mean(dim=1) if self.mean_distance else squares.sum(dim=1)).mean() / 2

    def posterior_sample(self, reconstructor: nn.Module, real: Tensor, noise: Tensor) -> Tensor:
        """z_g ~ p_θ(z|x) = N(F_θ(x), I) for real x; `noise` (n, k) is standard Gaussian."""
        mean: Tensor = reconstructor(real).flatten(1)
        return mean + noise if self.noise else mean

    def discriminator_loss(
        self, joint: Joint, reconstructor: nn.Module, latent: Tensor, fake: Tensor, real: Tensor, noise: Tensor
    ) -> Tensor:
        """O_LR(ω) = −E log σ(D(z, x_g)) − E log(1 − σ(D(z_g, x))): no gradient reaches G or F."""
        with torch.no_grad():
            guessed = self.posterior_sample(reconstructor, real, noise)
        return softplus(-joint(latent, fake.detach())).mean() + softplus(joint(guessed, real)).mean()

    def generator_loss(
        self, joint: Joint, reconstructor: nn.Module, latent: Tensor, fake: Tensor, weight: float = 1.0
    ) -> Tensor:
        """E D(z, G(z)) + weight · E d(z, F(G(z))): the raw logit, and the distance, which teaches F as well.

        The gradient that reaches γ through d is weighted, the one that reaches θ is not: F learns by d whatever
        the weight. No gradient of the first term reaches F, whose output it does not see.
        """
        weighted = fake.detach() + weight * (fake - fake.detach())
        distance = self.distance(latent, reconstructor(weighted).flatten(1))
        return joint(latent, fake).mean() + distance

    def reconstructor_loss(self, joint: Joint, reconstructor: nn.Module, real: Tensor, noise: Tensor) -> Tensor | None:
        """What θ minimises beside d: None as published; −E D(z_g, x) in the adversarial variant."""
        if not self.adversarial_reconstructor:
            return None
        return -joint(self.posterior_sample(reconstructor, real, noise), real).mean()


def objective_of(variant: str) -> Objective:
    """The objective of a variant's name; "published" is the paper's."""
    return Objective(
        noise=variant != "no-noise",
        mean_distance=variant == "mean-distance",
        adversarial_reconstructor=variant == "adversarial-reconstructor",
    )
