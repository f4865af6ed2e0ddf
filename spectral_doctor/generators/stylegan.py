"""StyleGAN2's generator (Karras et al., CVPR 2020), by the names that its authors' PyTorch code gives its parts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from spectral_doctor.arrays import Array
from spectral_doctor.errors import WeightError
from spectral_doctor.generators.layers import WAY_OUT
from spectral_doctor.generators.records import NotRebuilt, Rebuilt, Sampler

if TYPE_CHECKING:
    from torch import Tensor

_BLOCK = re.compile(r"synthesis\.b(\d+)\.")
_CONSTANT = "synthesis.b4.const"
_MAPPING_RATE = 0.01
_SLOPE, _GAIN = 0.2, math.sqrt(2)
_SMALL = 1e-8


def is_stylegan(network: Mapping[str, Array]) -> bool:
    """Whether its names are those of StyleGAN's mapping and synthesis."""
    outer = {name.partition(".")[0] for name in network}
    return {"mapping", "synthesis"} <= outer or ("style" in outer and "to_rgb1" in outer)


def stylegan2(network: Mapping[str, Array], parameters: int) -> Rebuilt | NotRebuilt:
    """StyleGAN2 with skips to the picture; the noise is the stored constant one, and nothing is truncated."""
    if "synthesis.input.freqs" in network:
        return NotRebuilt(f"StyleGAN3's filters follow from settings that its tensors do not tell; {WAY_OUT}")
    if _CONSTANT not in network:
        return NotRebuilt(f"a StyleGAN whose parts have other names than its authors gave them; {WAY_OUT}")
    if "mapping.embed.weight" in network:
        return NotRebuilt(f"it takes a label beside the latent; {WAY_OUT}")
    sides = sorted({int(match[1]) for name in network if (match := _BLOCK.match(name))})
    if sides != [4 << power for power in range(len(sides))] or any(".skip." in name for name in network):
        return NotRebuilt(f"a StyleGAN2 of another architecture than the one with skips to the picture; {WAY_OUT}")
    lacking = sorted(_expected(sides) - network.keys())
    if lacking:
        return NotRebuilt(f"a StyleGAN2 without '{lacking[0]}'; {WAY_OUT}")
    noise = (f"synthesis.b{side}.conv1.noise_const" for side in sides)
    if network["mapping.fc0.weight"].ndim != 2 or any(
        network[name].shape != (side, side) for name, side in zip(noise, sides, strict=True)
    ):
        return NotRebuilt(f"a StyleGAN2 whose tensors have other shapes than their names say; {WAY_OUT}")
    latent = network["mapping.fc0.weight"].shape[1]
    why = "read as StyleGAN2, Gaussian latents, not truncated, the stored noise"
    return Rebuilt("StyleGAN2", (latent,), parameters, why, partial(_ready, dict(network), tuple(sides)))


def _expected(sides: list[int]) -> set[str]:
    """The tensors without which there is no forward pass."""
    names = {"mapping.fc0.weight", "mapping.fc0.bias"}
    for side in sides:
        layers = ["conv1", "torgb"] if side == 4 else ["conv0", "conv1", "torgb"]
        for layer in layers:
            own = ["weight", "bias", "affine.weight", "affine.bias"]
            own += [] if layer == "torgb" else ["noise_const", "noise_strength"]
            names |= {f"synthesis.b{side}.{layer}.{leaf}" for leaf in own}
    return names


def _ready(network: dict[str, Array], sides: tuple[int, ...]) -> Sampler | NotRebuilt:
    import torch

    try:
        tensors = {
            name: torch.from_numpy(np.array(array.read(), dtype=np.float32))
            for name, array in network.items()
            if array.element.is_float
        }
    except WeightError as error:
        return NotRebuilt(f"it cannot be run: {error}")
    return Sampler(_Stylegan2(tensors, sides), "")


@dataclass(frozen=True, eq=False)
class _Stylegan2:
    """The forward pass over tensors by their stored names."""

    tensors: dict[str, Tensor]
    sides: tuple[int, ...]

    def __call__(self, latent: Tensor) -> Tensor:
        style = self._mapped(latent)
        features = self.tensors[_CONSTANT].expand(len(latent), -1, -1, -1)
        picture: Tensor | None = None
        for side in self.sides:
            block = f"synthesis.b{side}"
            if side > self.sides[0]:
                features = self._convolved(f"{block}.conv0", features, style, up=True)
            features = self._convolved(f"{block}.conv1", features, style)
            drawn = self._drawn(f"{block}.torgb", features, style)
            picture = drawn if picture is None else _doubled(picture) + drawn
        assert picture is not None
        return picture

    def _mapped(self, latent: Tensor) -> Tensor:
        """z/rms(z) through layers with weights of rate 0.01: W·0.01/√in, b·0.01, leaky ReLU of gain √2."""
        from torch.nn import functional

        x = latent * (latent.square().mean(dim=1, keepdim=True) + _SMALL).rsqrt()
        index = 0
        while f"mapping.fc{index}.weight" in self.tensors:
            weight, bias = (self.tensors[f"mapping.fc{index}.{leaf}"] for leaf in ("weight", "bias"))
            x = functional.linear(x, weight * (_MAPPING_RATE / math.sqrt(weight.shape[1])), bias * _MAPPING_RATE)
            x = functional.leaky_relu(x, _SLOPE) * _GAIN
            index += 1
        return x

    def _styles(self, layer: str, style: Tensor) -> Tensor:
        from torch.nn import functional

        weight, bias = (self.tensors[f"{layer}.affine.{leaf}"] for leaf in ("weight", "bias"))
        return functional.linear(style, weight / math.sqrt(weight.shape[1]), bias)

    def _convolved(self, layer: str, x: Tensor, style: Tensor, *, up: bool = False) -> Tensor:
        """A convolution whose weight w·s is scaled to length one an output, by scaling what goes in and comes out."""
        from torch.nn import functional

        weight, scale = self.tensors[f"{layer}.weight"], self._styles(layer, style)
        lengths = (scale.square() @ weight.square().sum(dim=(2, 3)).T + _SMALL).rsqrt()
        x = x * scale[:, :, None, None]
        if up:
            x = _smoothed(functional.conv_transpose2d(x, weight.transpose(0, 1), stride=2), (1, 1))
        else:
            x = functional.conv2d(x, weight, padding=weight.shape[2] // 2)
        noise = self.tensors[f"{layer}.noise_const"] * self.tensors[f"{layer}.noise_strength"]
        x = x * lengths[:, :, None, None] + noise + self.tensors[f"{layer}.bias"][:, None, None]
        return functional.leaky_relu(x, _SLOPE) * _GAIN

    def _drawn(self, layer: str, x: Tensor, style: Tensor) -> Tensor:
        from torch.nn import functional

        weight = self.tensors[f"{layer}.weight"]
        scale = self._styles(layer, style) / math.sqrt(weight[0].numel())
        made: Tensor = functional.conv2d(x * scale[:, :, None, None], weight, self.tensors[f"{layer}.bias"])
        return made


def _doubled(picture: Tensor) -> Tensor:
    """Twice the sides: zeros between the values, then smoothed."""
    count, channels, height, width = picture.shape
    spread = picture.new_zeros(count, channels, 2 * height, 2 * width)
    spread[:, :, ::2, ::2] = picture
    return _smoothed(spread, (2, 1))


def _smoothed(x: Tensor, padding: tuple[int, int]) -> Tensor:
    """The filter [1, 3, 3, 1]/4 along both axes, which keeps the level of a map that was spread with zeros."""
    from torch.nn import functional

    line = x.new_tensor([1.0, 3.0, 3.0, 1.0]) / 4
    kernel = (line[:, None] * line[None, :]).expand(x.shape[1], 1, 4, 4)
    return functional.conv2d(functional.pad(x, (*padding, *padding)), kernel, groups=x.shape[1])
