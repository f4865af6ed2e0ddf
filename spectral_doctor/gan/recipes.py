"""What a training run is made of: the protocol of a recipe, and one to start from."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from spectral_doctor.errors import UsageError, listed, printable
from spectral_doctor.evaluation import Evaluation
from spectral_doctor.gan.losses import LOSSES, RELATIVISTIC, gradient_penalty, r1_penalty, r2_penalty
from spectral_doctor.gan.networks import evaluating
from spectral_doctor.gan.settings import Settings


class Recipe(Protocol):
    """What a training run needs to know; a user's own GAN is any object with these.

    All randomness comes from the generator that is handed in, so that a run can be resumed bit for bit.
    """

    settings: Settings

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """Build the generator and the discriminator."""
        ...

    def optimizers(self, generator: nn.Module, discriminator: nn.Module) -> tuple[Optimizer, Optimizer]:
        """Build the optimizers of the generator and the discriminator."""
        ...

    def latent(self, count: int, random: torch.Generator) -> Tensor:
        """Sample `count` latents."""
        ...

    def real(self, count: int, random: torch.Generator) -> Tensor:
        """Draw `count` real samples."""
        ...

    def discriminator_loss(
        self, discriminator: nn.Module, real: Tensor, fake: Tensor, random: torch.Generator
    ) -> Tensor:
        """The loss that the discriminator minimises."""
        ...

    def generator_loss(self, discriminator: nn.Module, fake: Tensor) -> Tensor:
        """The loss that the generator minimises."""
        ...

    def evaluate(self, generator: nn.Module) -> Evaluation | None:
        """Measure the generator's samples; None where there is no ground truth."""
        ...


class BaseRecipe:
    """A recipe to start from: Adam, Gaussian latents, the losses by name and the penalties.

    A recipe of your own adds `networks` and `real`, and `evaluate` where it knows the truth.
    """

    def __init__(self, settings: Settings) -> None:
        known = (*LOSSES, RELATIVISTIC)
        if settings.loss not in known:
            raise UsageError(f"--set loss={printable(settings.loss)}: expected one of {listed(known)}.")
        if settings.loss != RELATIVISTIC and (settings.penalty_fall or settings.penalty_by_variance):
            raise UsageError(f"--set penalty_fall=, penalty_by_variance=: go with loss={RELATIVISTIC}.")
        if settings.pack < 1 or settings.batch_size % settings.pack:
            raise UsageError(
                f"--set pack={settings.pack}: expected a number that divides batch_size={settings.batch_size}."
            )
        self.settings = settings

    def optimizers(self, generator: nn.Module, discriminator: nn.Module) -> tuple[Optimizer, Optimizer]:
        """Adam for both, with the settings' learning rates and betas."""
        settings, betas = self.settings, (self.settings.beta1, self.settings.beta2)
        return (
            Adam(generator.parameters(), settings.learning_rate_generator, betas),
            Adam(discriminator.parameters(), settings.learning_rate_discriminator, betas),
        )

    def latent(self, count: int, random: torch.Generator) -> Tensor:
        """Sample standard Gaussian latents (count, latent_dim)."""
        return torch.randn(count, self.settings.latent_dim, generator=random)

    def discriminator_loss(
        self, discriminator: nn.Module, real: Tensor, fake: Tensor, random: torch.Generator
    ) -> Tensor:
        """The settings' loss, plus the gradient penalty, R1 and R2 where their weights are not zero."""
        settings = self.settings
        loss = LOSSES[settings.loss].discriminator(discriminator(real), discriminator(fake))
        if settings.gradient_penalty:
            loss = loss + settings.gradient_penalty * gradient_penalty(discriminator, real, fake, random)
        if settings.r1:
            loss = loss + settings.r1 * r1_penalty(discriminator, real)
        return loss + settings.r2 * r2_penalty(discriminator, fake) if settings.r2 else loss

    def generator_loss(self, discriminator: nn.Module, fake: Tensor) -> Tensor:
        """The settings' loss on the generator's samples."""
        return LOSSES[self.settings.loss].generator(discriminator(fake))

    def introduction(self) -> str:
        """What a user should know before the first step; the empty string for nothing."""
        return ""

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """Build the generator and the discriminator; every recipe has its own."""
        raise UsageError(f"the recipe {type(self).__name__} has no method 'networks'.")

    def real(self, count: int, random: torch.Generator) -> Tensor:
        """Draw real samples; every recipe has its own."""
        raise UsageError(f"the recipe {type(self).__name__} has no method 'real'.")

    def evaluate(self, generator: nn.Module) -> Evaluation | None:
        """No ground truth is known, so there is nothing to measure."""
        return None

    @torch.no_grad()
    def sampled(self, generator: nn.Module) -> Tensor:
        """The samples of an evaluation: always from the same latents, in evaluation mode."""
        random = torch.Generator().manual_seed(0)
        device = next(generator.parameters()).device
        with evaluating(generator):
            parts = [
                generator(self.latent(500, random).to(device)).cpu() for _ in range(-(-self.settings.samples // 500))
            ]
        return torch.cat(parts)[: self.settings.samples]
