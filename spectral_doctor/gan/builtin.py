"""The recipes that are built in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spectral_doctor.errors import UsageError, listed, printable
from spectral_doctor.evaluation import Evaluation
from spectral_doctor.gan.classifier import digit_judge, train_classifier
from spectral_doctor.gan.data import Mixture, StackedDigits, embedded_mixture, grid, reshaped, ring
from spectral_doctor.gan.files import Images, digit_files, image_folder, scikit_digits
from spectral_doctor.gan.networks import (
    ConvolutionalGenerator,
    Critic,
    Packed,
    ResNetDiscriminator,
    Wrap,
    cnn_discriminator,
    dcgan_discriminator,
    mlp,
    wrapper,
)
from spectral_doctor.gan.recipes import BaseRecipe, Recipe
from spectral_doctor.gan.settings import Settings

_IMAGE_NETWORKS: dict[str, Callable[[int, int, int, Wrap], nn.Module]] = {
    "resnet": lambda image_channels, channels, side, wrap: ResNetDiscriminator(image_channels, channels, wrap),
    "dcgan": dcgan_discriminator,
    "cnn": cnn_discriminator,
}


class MixtureRecipe(BaseRecipe):
    """A mixture of Gaussians of the geometry that is set, learnt by perceptrons with two hidden layers."""

    def __init__(self, settings: Settings, mixture: Mixture) -> None:
        super().__init__(settings)
        if min(settings.stretch, settings.imbalance) <= 0 or settings.standard_deviation < 0:
            raise UsageError("--set stretch=, imbalance=, standard_deviation=: expected numbers above 0.")
        if settings.standard_deviation:
            mixture = replace(mixture, standard_deviation=settings.standard_deviation)
        self.mixture = reshaped(mixture, settings.stretch, settings.shift, settings.imbalance)

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """Build both perceptrons."""
        settings, dimensions = self.settings, self.mixture.means.shape[1]
        generator = mlp((settings.latent_dim, *[settings.generator_channels] * 2, dimensions), wrapper(False))
        sizes = (settings.pack * dimensions, *[settings.discriminator_channels] * 2, 1)
        return generator, _packed(Critic(mlp(sizes, wrapper(settings.spectral_norm), 0.2)), settings.pack)

    def real(self, count: int, random: torch.Generator) -> Tensor:
        """Draw from the mixture; of one in subspaces from 10 000 samples of it, where a draw would cost a step."""
        if self.mixture.bases is None:
            return self.mixture.sample(count, random)
        return self._bank[torch.randint(len(self._bank), (count,), generator=random)]

    @cached_property
    def _bank(self) -> Tensor:
        return self.mixture.sample(10_000, torch.Generator().manual_seed(2))

    def evaluate(self, generator: nn.Module) -> Evaluation:
        """Modes, quality and spread of the generator's samples."""
        return self.mixture.evaluate(self.sampled(generator), self.settings.latent_dim)


class ImageRecipe(BaseRecipe):
    """Images, learnt by convolutional networks; without labels there is no ground truth."""

    def __init__(self, settings: Settings, data: Callable[[], StackedDigits | Images]) -> None:
        super().__init__(settings)
        if settings.network not in _IMAGE_NETWORKS:
            raise UsageError(
                f"--set network={printable(settings.network)}: expected one of {listed(_IMAGE_NETWORKS)} for images."
            )
        self._load = data

    @cached_property
    def data(self) -> StackedDigits | Images:
        """The images, made at first use."""
        data = self._load()
        side = data.bank.shape[-1]
        if side != self.settings.side:
            raise UsageError(f"--set side={self.settings.side}: the images have a side of {side}.")
        return data

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """Build the generator and the discriminator that the settings name."""
        settings = self.settings
        channels, wrap = self.image_channels, wrapper(settings.spectral_norm)
        generator = ConvolutionalGenerator(
            settings.latent_dim, settings.generator_channels, settings.side, channels, settings.start_side
        )
        build = _IMAGE_NETWORKS[settings.network]
        body = build(settings.pack * channels, settings.discriminator_channels, settings.side, wrap)
        return generator, _packed(body, settings.pack)

    @property
    def image_channels(self) -> int:
        """How many channels an image has: three colours."""
        return 3

    def real(self, count: int, random: torch.Generator) -> Tensor:
        """Draw images."""
        return self.data.sample(count, random)


class StackedDigitsRecipe(ImageRecipe):
    """Digits stacked as channels, three or as many as are set: 10 to 1 000 modes, counted by a classifier."""

    def __init__(self, settings: Settings, digits: Callable[[], StackedDigits]) -> None:
        if settings.stack not in (1, 2, 3):
            raise UsageError(f"--set stack={settings.stack}: expected 1, 2 or 3 digits.")
        super().__init__(settings, lambda: _stacked(digits(), settings.stack))

    @property
    def image_channels(self) -> int:
        """How many channels an image has: one a digit."""
        return self.settings.stack

    def introduction(self) -> str:
        """The classifier's accuracy: what the counted modes can be trusted for."""
        accuracy = train_classifier(self._digits.bank)[1]
        return f"classifier that counts the modes: accuracy {accuracy:.1%} on held-out images"

    def evaluate(self, generator: nn.Module) -> Evaluation:
        """Modes, quality and spread of the generator's images, by the classifier and its features."""
        return digit_judge(self._digits.bank).evaluate(self.sampled(generator), self.settings.latent_dim)

    @property
    def _digits(self) -> StackedDigits:
        assert isinstance(self.data, StackedDigits)
        return self.data


@dataclass(frozen=True)
class BuiltInRecipe:
    """A recipe by name: what it learns, its settings, and how it is built from them.

    `veegan` are the settings that `train --mode veegan` begins from, where they are others.
    """

    name: str
    description: str
    settings: Settings
    build: Callable[[Settings], Recipe]
    veegan: Mapping[str, Any] = field(default_factory=dict)

    def settings_for(self, mode: str) -> Settings:
        """The settings that training begins from by a mode, "gan" or "veegan"."""
        return replace(self.settings, **self.veegan) if mode == "veegan" else self.settings


def _packed(body: nn.Module, pack: int) -> nn.Module:
    return Packed(body, pack) if pack > 1 else body


@lru_cache(maxsize=8)
def _stacked(digits: StackedDigits, stack: int) -> StackedDigits:
    """The digits, that many to an image; the same object for the same ones, so that their judge is kept."""
    return replace(digits, stack=stack)


def _glyphs(settings: Settings) -> Recipe:
    def load() -> StackedDigits:
        from spectral_doctor.gan.glyphs import stacked_glyphs

        return stacked_glyphs(settings.side, settings.images_per_digit)

    return StackedDigitsRecipe(settings, load)


def _path(settings: Settings) -> Path:
    if not settings.path:
        raise UsageError("this recipe needs data of yours: --set path=FILE_OR_FOLDER.")
    return Path(settings.path)


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
# The discriminator learns at half of the generator's rate, or it tears the modes apart before the generator has reached
# them; both rates fall to zero over the second half, or the modes stay blurred.
_VEEGAN: dict[str, Any] = {
    "latent_dim": 8,
    "batch_size": 128,
    "learning_rate_generator": 1e-3,
    "learning_rate_discriminator": 5e-4,
    "decay": True,
}
_BUILT_IN = (
    BuiltInRecipe(
        "ring",
        "8 Gaussians on a circle of radius 1, σ 0.01",
        Settings(),
        lambda chosen: MixtureRecipe(chosen, ring()),
        {**_VEEGAN, "steps": 4000},
    ),
    BuiltInRecipe(
        "grid",
        "25 Gaussians, spacing 2, σ 0.05",
        Settings(),
        lambda chosen: MixtureRecipe(chosen, grid()),
        {**_VEEGAN, "steps": 16000},
    ),
    BuiltInRecipe(
        "synthetic-1200d",
        "ten 700-dimensional Gaussians in 1 200 dimensions",
        Settings(latent_dim=256, learning_rate_generator=2e-4, learning_rate_discriminator=2e-4),
        lambda chosen: MixtureRecipe(chosen, embedded_mixture()),
        {**_VEEGAN, "steps": 5000},
    ),
    BuiltInRecipe(
        "stacked-glyphs", "digits in matplotlib's fonts, three stacked as channels: 1 000 modes", _IMAGES, _glyphs
    ),
    BuiltInRecipe(
        "stacked-digits",
        "scikit-learn's real 8×8 digits, stacked: 1 000 modes (extra `data`)",
        _IMAGES,
        lambda chosen: StackedDigitsRecipe(chosen, scikit_digits),
    ),
    BuiltInRecipe(
        "stacked-mnist",
        "28×28 digits of yours, stacked: --set path=, an npz or a folder of IDX files",
        replace(_IMAGES, side=28),
        lambda chosen: StackedDigitsRecipe(chosen, lambda: digit_files(_path(chosen))),
    ),
    BuiltInRecipe(
        "images",
        "a folder of pictures, scaled to --set side=: --set path=; no ground truth",
        replace(_IMAGES, side=32),
        lambda chosen: ImageRecipe(chosen, lambda: image_folder(_path(chosen), chosen.side)),
    ),
)
RECIPES = {recipe.name: recipe for recipe in _BUILT_IN}
