"""The reconstructor F_θ: x → z."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from spectral_doctor.errors import UsageError, printable
from spectral_doctor.gan.networks import evaluating, mlp, wrapper
from spectral_doctor.gan.recipes import Recipe


def reconstructor_for(recipe: Recipe, generator: nn.Module, seed: int) -> nn.Module:
    """Build the reconstructor of a recipe: its own `reconstructor()` where it has one, else one by sample shape.

    Samples of one axis get a perceptron with two hidden layers as wide as the generator's, images strided
    convolutions, everything else a perceptron on the flattened sample. The seed decides the initial weights and no
    other randomness is touched. Raises `UsageError` where its output is not of the latent's size.
    """
    device = next(generator.parameters()).device
    latent = recipe.latent(2, torch.Generator().manual_seed(0)).to(device)
    with torch.no_grad(), evaluating(generator):
        sample = generator(latent)
    size = latent[0].numel()
    own = getattr(recipe, "reconstructor", None)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        width = recipe.settings.generator_channels
        reconstructor = own() if own else default_reconstructor(tuple(sample.shape[1:]), size, width)
    reconstructor.to(device)
    with torch.no_grad(), evaluating(reconstructor):
        output = reconstructor(sample)
    if tuple(output.flatten(1).shape) != (2, size):
        raise UsageError(
            f"the recipe's reconstructor gives {printable(tuple(output.shape[1:]))} a sample; "
            f"expected the {size} values of a latent."
        )
    return reconstructor


def default_reconstructor(shape: tuple[int, ...], size: int, width: int) -> nn.Module:
    """A reconstructor for samples of a shape: (n, *shape) → (n, size)."""
    if len(shape) == 3 and min(shape[1:]) >= 4:
        return _convolutional(shape, size, width)
    return nn.Sequential(nn.Flatten(), *mlp((math.prod(shape), width, width, size), wrapper(False)))


def _convolutional(shape: tuple[int, ...], size: int, width: int) -> nn.Module:
    """Strided convolutions down to a side of at most 4, doubling the channels, and two linear layers."""
    inputs, height, breadth = shape
    layers: list[nn.Module] = [nn.Conv2d(inputs, width, 3, padding=1), nn.LeakyReLU(0.2)]
    while min(height, breadth) > 4:
        layers += [nn.Conv2d(width, 2 * width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        width, height, breadth = 2 * width, height // 2, breadth // 2
    hidden = max(4 * width, 2 * size)
    layers += [nn.Flatten(), nn.Linear(width * height * breadth, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, size)]
    return nn.Sequential(*layers)


def flat(latent: Tensor) -> Tensor:
    """A latent of whatever shape as (n, size): what a reconstructor gives and the joint discriminator takes."""
    return latent.flatten(1)
