"""What a training run is made of, and the recipes that are built in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from spectral_doctor.errors import UsageError, listed, printable
from spectral_doctor.evaluation import Evaluation, evaluate_codes, evaluate_mixture
from spectral_doctor.gan.data import Mixture, StackedDigits, grid, ring
from spectral_doctor.gan.losses import LOSSES, gradient_penalty, r1_penalty
from spectral_doctor.gan.networks import (
    ConvolutionalGenerator,
    Critic,
    ResNetDiscriminator,
    dcgan_discriminator,
    digit_classifier,
    mlp,
    wrapper,
)
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
        if settings.loss not in LOSSES:
            raise UsageError(f"--set loss={printable(settings.loss)}: expected one of {listed(LOSSES)}.")
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
        """The settings' loss, plus the gradient penalty and R1 where their weights are not zero."""
        settings = self.settings
        loss = LOSSES[settings.loss].discriminator(discriminator(real), discriminator(fake))
        if settings.gradient_penalty:
            loss = loss + settings.gradient_penalty * gradient_penalty(discriminator, real, fake, random)
        return loss + settings.r1 * r1_penalty(discriminator, real) if settings.r1 else loss

    def generator_loss(self, discriminator: nn.Module, fake: Tensor) -> Tensor:
        """The settings' loss on the generator's samples."""
        return LOSSES[self.settings.loss].generator(discriminator(fake))

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
    def _sampled(self, generator: nn.Module) -> Tensor:
        """The samples of an evaluation: always from the same latents, in evaluation mode."""
        training = generator.training
        generator.eval()
        random = torch.Generator().manual_seed(0)
        parts = [generator(self.latent(500, random)) for _ in range(-(-self.settings.samples // 500))]
        generator.train(training)
        return torch.cat(parts)[: self.settings.samples]


class MixtureRecipe(BaseRecipe):
    """A mixture of Gaussians, learnt by perceptrons with two hidden layers."""

    def __init__(self, settings: Settings, mixture: Mixture) -> None:
        super().__init__(settings)
        self.mixture = mixture

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """Build both perceptrons."""
        settings, dimensions = self.settings, self.mixture.means.shape[1]
        generator = mlp((settings.latent_dim, *[settings.generator_channels] * 2, dimensions), wrapper(False))
        body = mlp((dimensions, *[settings.discriminator_channels] * 2, 1), wrapper(settings.spectral_norm), 0.2)
        return generator, Critic(body)

    def real(self, count: int, random: torch.Generator) -> Tensor:
        """Draw from the mixture."""
        return self.mixture.sample(count, random)

    def evaluate(self, generator: nn.Module) -> Evaluation:
        """Modes captured, quality and KL of the generator's samples."""
        return evaluate_mixture(self._sampled(generator), self.mixture.means, self.mixture.standard_deviation)


class StackedDigitsRecipe(BaseRecipe):
    """Three digits stacked as channels, learnt by convolutional networks; modes are counted by a classifier."""

    def __init__(self, settings: Settings, data: Callable[[], StackedDigits]) -> None:
        super().__init__(settings)
        if settings.network not in ("resnet", "dcgan"):
            raise UsageError(f"--set network={printable(settings.network)}: expected 'resnet' or 'dcgan' for images.")
        self._load = data

    @cached_property
    def data(self) -> StackedDigits:
        """The images, made at first use."""
        return self._load()

    @cached_property
    def classifier(self) -> tuple[nn.Module, float]:
        """The digit classifier, trained once with a fixed seed, and its accuracy on held-out images."""
        return train_classifier(self.data)

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """Build the generator and the discriminator that the settings name."""
        settings = self.settings
        generator = ConvolutionalGenerator(settings.latent_dim, settings.generator_channels, settings.side, 3)
        wrap = wrapper(settings.spectral_norm)
        if settings.network == "dcgan":
            return generator, dcgan_discriminator(3, settings.discriminator_channels, settings.side, wrap)
        return generator, ResNetDiscriminator(3, settings.discriminator_channels, wrap)

    def real(self, count: int, random: torch.Generator) -> Tensor:
        """Draw stacked digits."""
        return self.data.sample(count, random)

    def evaluate(self, generator: nn.Module) -> Evaluation:
        """Modes captured and KL of the generator's images, by the classifier."""
        images, side = self._sampled(generator), self.settings.side
        classifier, _ = self.classifier
        with torch.no_grad():
            digits = classifier(images.reshape(-1, 1, side, side)).argmax(1).view(-1, 3)
        return evaluate_codes(digits @ torch.tensor([100, 10, 1]), 1000)


def train_classifier(data: StackedDigits, seed: int = 0, steps: int = 1500) -> tuple[nn.Module, float]:
    """Train the digit classifier on four fifths of the images; return it with its accuracy on the rest."""
    held_out = max(data.bank.shape[1] // 5, 1)
    train, test = data.bank[:, held_out:], data.bank[:, :held_out]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        classifier = digit_classifier(data.side)
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
        guesses = classifier(test.reshape(-1, 1, data.side, data.side)).argmax(1).view(10, held_out)
    return classifier, float((guesses == torch.arange(10)[:, None]).double().mean())


@dataclass(frozen=True)
class BuiltInRecipe:
    """A recipe by name: what it learns, its settings, and how it is built from them."""

    name: str
    description: str
    settings: Settings
    build: Callable[[Settings], Recipe]


def _glyphs(settings: Settings) -> Recipe:
    def load() -> StackedDigits:
        from spectral_doctor.gan.glyphs import stacked_glyphs

        return stacked_glyphs(settings.side, settings.images_per_digit)

    return StackedDigitsRecipe(settings, load)


_IMAGES = Settings(
    network="resnet",
    generator_channels=24,
    discriminator_channels=16,
    spectral_norm=True,
    latent_dim=64,
    loss="hinge",
    learning_rate_generator=5e-4,
    learning_rate_discriminator=5e-4,
    beta1=0.0,
    beta2=0.9,
    batch_size=64,
    n_dis=5,
    steps=1600,
    save_every=200,
    samples=5000,
)
RECIPES = {
    recipe.name: recipe
    for recipe in (
        BuiltInRecipe(
            "ring",
            "8 Gaussians on a circle of radius 1, σ 0.01",
            Settings(),
            lambda chosen: MixtureRecipe(chosen, ring()),
        ),
        BuiltInRecipe(
            "grid", "25 Gaussians, spacing 2, σ 0.05", Settings(), lambda chosen: MixtureRecipe(chosen, grid())
        ),
        BuiltInRecipe(
            "stacked-glyphs", "digits in matplotlib's fonts, three stacked as channels: 1 000 modes", _IMAGES, _glyphs
        ),
    )
}
