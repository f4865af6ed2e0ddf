"""Generators of each family as PyTorch modules with random weights: what a rebuilt one is held against."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from spectral_doctor.arrays import Array, live_arrays
from spectral_doctor.generators.fitting import drawn


def arrays_of(module: nn.Module) -> dict[str, Array]:
    """A module's state dict as a file has it: copies, in its order."""
    return live_arrays({name: tensor.detach().clone() for name, tensor in module.state_dict().items()})


def remembering(module: nn.Module, *shape: int, uniform: bool = False) -> nn.Module:
    """The module with norms that remember 40 batches, scales and shifts that are not 1 and 0, in evaluation mode."""
    random = torch.Generator().manual_seed(5)
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.weight.data += 0.3 * torch.randn(part.weight.shape, generator=random)
            part.bias.data += 0.3 * torch.randn(part.bias.shape, generator=random)
            part.momentum = None
    module.train()
    with torch.no_grad():
        for seed in range(40):
            module(drawn(shape, 256, seed + 10, uniform=uniform))
    return module.eval()


def perceptron(activation: Callable[[], nn.Module] = nn.ReLU, *, outputs: int = 784) -> nn.Sequential:
    """Latent 16 → outputs, with tanh at the end where they are many."""
    layers = [nn.Linear(16, 32), activation(), nn.Linear(32, 48), activation(), nn.Linear(48, outputs)]
    return nn.Sequential(*layers, nn.Tanh()) if outputs >= 64 else nn.Sequential(*layers)


def normed_perceptron(activation: Callable[[], nn.Module], epsilon: float = 1e-5) -> nn.Sequential:
    """A perceptron with batch norms: latent 16 → 100."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((16, 64), (64, 64), (64, 64)):
        layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs, epsilon), activation()]
    return nn.Sequential(*layers, nn.Linear(64, 100), nn.Tanh())


def dcgan(activation: Callable[[], nn.Module] = nn.ReLU, *, latent: int = 12, width: int = 8) -> nn.Sequential:
    """DCGAN as PyTorch's tutorial has it, 1×1 → 32×32, without biases."""
    layers: list[nn.Module] = [nn.ConvTranspose2d(latent, 4 * width, 4, 1, 0, bias=False)]
    for inputs, outputs in ((4 * width, 2 * width), (2 * width, width)):
        layers += [nn.BatchNorm2d(inputs), activation(), nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)]
    layers += [nn.BatchNorm2d(width), activation(), nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False), nn.Tanh()]
    return nn.Sequential(*layers)


class ProjectedDcgan(nn.Module):
    """Linear → 7×7 map → transposed convolutions of sizes 5 (stride 1) and 4 → 14×14."""

    def __init__(self, stride: int = 1) -> None:
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(12, 16 * 49), nn.BatchNorm1d(16 * 49), nn.ReLU())
        first = nn.ConvTranspose2d(16, 8, 5, stride, 2, stride - 1)
        self.deconv = nn.Sequential(first, nn.BatchNorm2d(8), nn.ReLU(), nn.ConvTranspose2d(8, 1, 4, 2, 1), nn.Tanh())

    def forward(self, latent: Tensor) -> Tensor:
        """Return pictures."""
        image: Tensor = self.deconv(self.fc(latent).view(-1, 16, 7, 7))
        return image


class Upsampled(nn.Module):
    """A map that is upsampled with nothing between norm and upsampling at first, epsilon 0.8 in later norms."""

    def __init__(self) -> None:
        super().__init__()
        self.l1 = nn.Sequential(nn.Linear(12, 16 * 16))
        self.conv_blocks = nn.Sequential(
            *(nn.BatchNorm2d(16), nn.Upsample(scale_factor=2), nn.Conv2d(16, 16, 3, 1, 1)),
            *(nn.BatchNorm2d(16, 0.8), nn.LeakyReLU(0.2), nn.Upsample(scale_factor=2), nn.Conv2d(16, 8, 3, 1, 1)),
            *(nn.BatchNorm2d(8, 0.8), nn.LeakyReLU(0.2), nn.Conv2d(8, 1, 3, 1, 1), nn.Tanh()),
        )

    def forward(self, latent: Tensor) -> Tensor:
        """Return pictures."""
        image: Tensor = self.conv_blocks(self.l1(latent).view(-1, 16, 4, 4))
        return image


class ResidualBlock(nn.Module):
    """Norm, ReLU, upsampling, 3×3, norm, ReLU, 3×3; beside them upsampling and 1×1."""

    def __init__(self, inputs: int, outputs: int, mode: str) -> None:
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(inputs, outputs, 3, 1, 1), nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.b1, self.b2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        self.c_sc = nn.Conv2d(inputs, outputs, 1)
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's features."""
        inner = self.c1(functional.interpolate(functional.relu(self.b1(x)), scale_factor=2, mode=self.mode))
        inner = self.c2(functional.relu(self.b2(inner)))
        whole: Tensor = inner + self.c_sc(functional.interpolate(x, scale_factor=2, mode=self.mode))
        return whole


class ResidualGenerator(nn.Module):
    """SNGAN's generator: latent 12 → 4×4 → two blocks → 16×16."""

    def __init__(self, mode: str = "nearest") -> None:
        super().__init__()
        self.l1 = nn.Linear(12, 16 * 16)
        self.block2, self.block3 = ResidualBlock(16, 16, mode), ResidualBlock(16, 16, mode)
        self.b4, self.c4 = nn.BatchNorm2d(16), nn.Conv2d(16, 3, 3, 1, 1)

    def forward(self, latent: Tensor) -> Tensor:
        """Return pictures."""
        x = self.block3(self.block2(self.l1(latent).view(-1, 16, 4, 4)))
        return torch.tanh(self.c4(functional.relu(self.b4(x))))


def spectrally_normalised(module: nn.Sequential) -> nn.Sequential:
    """The module with spectral norm on its linear and (transposed) convolutional layers."""
    for part in module:
        if isinstance(part, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            parametrizations.spectral_norm(part)
    return module
