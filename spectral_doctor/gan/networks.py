"""The networks of the built-in recipes, their widths settable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from spectral_doctor.errors import UsageError

Wrap = Callable[[nn.Module], nn.Module]


def wrapper(spectrally_normalised: bool) -> Wrap:
    """Return what a discriminator's layers are wrapped in: spectral norm, or nothing."""
    return spectral_norm if spectrally_normalised else (lambda module: module)


def mlp(sizes: tuple[int, ...], wrap: Wrap, slope: float = 0.0) -> nn.Sequential:
    """A perceptron through layers of the given sizes, (leaky) ReLU between them: (n, sizes[0]) → (n, sizes[-1])."""
    layers: list[nn.Module] = []
    for index, (inputs, outputs) in enumerate(pairwise(sizes)):
        layers.append(wrap(nn.Linear(inputs, outputs)))
        if index < len(sizes) - 2:
            layers.append(nn.LeakyReLU(slope) if slope else nn.ReLU())
    return nn.Sequential(*layers)


class Critic(nn.Module):
    """A discriminator body with its single output squeezed: x (n, …) → logit (n,)."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        """Return one logit a sample."""
        logit: Tensor = self.body(x)
        return logit.flatten(1).squeeze(1)


class Packed(nn.Module):
    """A discriminator of `pack` samples at once (PacGAN, Lin et al. 2018): x (n, c, …) → logits (n / pack,).

    Neighbours in the batch are put side by side along the second axis, so `body` takes (n / pack, pack·c, …).
    Raises `UsageError` where the batch does not divide.
    """

    def __init__(self, body: nn.Module, pack: int) -> None:
        super().__init__()
        self.body, self.pack = body, pack

    def forward(self, x: Tensor) -> Tensor:
        """Return one logit a pack."""
        if len(x) % self.pack:
            raise UsageError(f"a batch of {len(x)} does not divide into packs of {self.pack}.")
        logits: Tensor = self.body(x.reshape(len(x) // self.pack, self.pack * x.shape[1], *x.shape[2:]))
        return logits


def halvings(side: int, smallest: int = 4) -> int:
    """How often an image side is halved on its way down to a side of at most `smallest`, or to an odd one."""
    count = 0
    while side > smallest and side % 2 == 0:
        side, count = side // 2, count + 1
    return count


class ConvolutionalGenerator(nn.Module):
    """A DCGAN generator (Radford et al. 2016) with nearest upsampling.

    latent (n, latent_dim) → image (n, image_channels, side, side) in [-1, 1]. The first side is at most `smallest`.
    """

    def __init__(self, latent_dim: int, channels: int, side: int, image_channels: int, smallest: int = 4) -> None:
        super().__init__()
        self.start_side = side >> halvings(side, smallest)
        self.channels = 2 * channels
        self.start = nn.Linear(latent_dim, self.channels * self.start_side**2)
        layers: list[nn.Module] = [nn.BatchNorm2d(self.channels), nn.ReLU()]
        width = self.channels
        for _ in range(halvings(side, smallest)):
            layers += [nn.Upsample(scale_factor=2), nn.Conv2d(width, channels, 3, padding=1)]
            layers += [nn.BatchNorm2d(channels), nn.ReLU()]
            width = channels
        self.body = nn.Sequential(*layers, nn.Conv2d(width, image_channels, 3, padding=1), nn.Tanh())

    def forward(self, latent: Tensor) -> Tensor:
        """Return one image a latent."""
        start = self.start(latent).view(-1, self.channels, self.start_side, self.start_side)
        image: Tensor = self.body(start)
        return image


def dcgan_discriminator(image_channels: int, channels: int, side: int, wrap: Wrap) -> Critic:
    """The DCGAN discriminator without batch norm: strided 4×4 convolutions, doubling the channels."""
    layers: list[nn.Module] = []
    inputs, outputs, steps = image_channels, channels, halvings(side)
    for _ in range(steps):
        layers += [wrap(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)]
        inputs, outputs = outputs, 2 * outputs
    return Critic(nn.Sequential(*layers, nn.Flatten(), wrap(nn.Linear(inputs * (side >> steps) ** 2, 1))))


def cnn_discriminator(image_channels: int, channels: int, side: int, wrap: Wrap) -> Critic:
    """The standard CNN of SNGAN (Miyato et al. 2018, table 3): 3×3 and strided 4×4 convolutions in turn."""
    layers: list[nn.Module] = [wrap(nn.Conv2d(image_channels, channels, 3, padding=1)), nn.LeakyReLU(0.1)]
    width, steps = channels, halvings(side)
    for _ in range(steps):
        layers += [wrap(nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)), nn.LeakyReLU(0.1)]
        layers += [wrap(nn.Conv2d(2 * width, 2 * width, 3, padding=1)), nn.LeakyReLU(0.1)]
        width *= 2
    return Critic(nn.Sequential(*layers, nn.Flatten(), wrap(nn.Linear(width * (side >> steps) ** 2, 1))))


class ResidualBlock(nn.Module):
    """A residual block of the SNGAN discriminator; the shortcut has a convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, wrap: Wrap, *, first: bool = False, pool: bool = False) -> None:
        super().__init__()
        self.first, self.pool = first, pool
        self.c1 = wrap(nn.Conv2d(inputs, outputs, 3, padding=1))
        self.c2 = wrap(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.c_sc = wrap(nn.Conv2d(inputs, outputs, 1)) if first or pool else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's features, at half the side where it pools."""
        residual = self.c2(functional.relu(self.c1(x if self.first else functional.relu(x))))
        features: Tensor = residual + (x if self.c_sc is None else self.c_sc(x))
        return functional.avg_pool2d(features, 2) if self.pool else features


class ResNetDiscriminator(nn.Module):
    """The ten-convolution discriminator of SNGAN and SR-GAN (arXiv 1908.10999): image → logit (n,)."""

    def __init__(self, image_channels: int, channels: int, wrap: Wrap) -> None:
        super().__init__()
        self.block1 = ResidualBlock(image_channels, channels, wrap, first=True, pool=True)
        self.block2 = ResidualBlock(channels, channels, wrap, pool=True)
        self.block3 = ResidualBlock(channels, channels, wrap)
        self.block4 = ResidualBlock(channels, channels, wrap)
        self.head = wrap(nn.Linear(channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return one logit an image."""
        features = self.block4(self.block3(self.block2(self.block1(x))))
        logit: Tensor = self.head(functional.relu(features).sum(dim=(2, 3)))
        return logit.squeeze(1)


def digit_classifier(side: int) -> nn.Sequential:
    """The small classifier that counts the modes of digit data: (n, 1, side, side) → (n, 10)."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * (side // 2) ** 2, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode for a block, then every part back into the mode it had."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def parameters_are_finite(module: nn.Module) -> bool:
    """Say whether every parameter and floating buffer of a network is finite."""
    return all(bool(torch.isfinite(value).all()) for value in module.state_dict().values() if value.is_floating_point())
