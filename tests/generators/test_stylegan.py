"""StyleGAN2's forward pass against one that is written out sample by sample, as its paper draws it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from spectral_doctor.arrays import Array, Live
from spectral_doctor.generators.fitting import drawn
from spectral_doctor.generators.rebuild import rebuilt
from spectral_doctor.generators.records import NotRebuilt, Rebuilt

TOLERANCE = 1000 * float(np.finfo(np.float32).eps)
WAY_OUT = "name its code with --generator FILE.py:FACTORY"
SIDES = (4, 8, 16)
WIDTH, LATENT = 6, 10


def stored(seed: int = 0) -> dict[str, Tensor]:
    """The tensors of a small StyleGAN2, none of them at its first value."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random)

    tensors = {"synthesis.b4.const": normal(WIDTH, 4, 4), "mapping.w_avg": normal(WIDTH)}
    for index, inputs in enumerate((LATENT, WIDTH)):
        tensors |= {f"mapping.fc{index}.weight": 100 * normal(WIDTH, inputs), f"mapping.fc{index}.bias": normal(WIDTH)}
    for side in SIDES:
        for layer, outputs, size in (("conv0", WIDTH, 3), ("conv1", WIDTH, 3), ("torgb", 3, 1)):
            name = f"synthesis.b{side}.{layer}"
            if name == "synthesis.b4.conv0":
                continue
            tensors |= {f"{name}.weight": normal(outputs, WIDTH, size, size), f"{name}.bias": normal(outputs)}
            tensors |= {f"{name}.affine.weight": normal(WIDTH, WIDTH), f"{name}.affine.bias": 1 + normal(WIDTH)}
            if layer != "torgb":
                tensors |= {f"{name}.noise_const": normal(side, side), f"{name}.noise_strength": normal()}
    return tensors


def arrays_of(tensors: dict[str, Tensor]) -> dict[str, Array]:
    """Tensors as a file has them."""
    return {name: Live(tensor) for name, tensor in tensors.items()}


def smoothed(x: Tensor) -> Tensor:
    """A map with zeros between its values under the filter [1, 3, 3, 1], made whole again by its gain of 4."""
    height, width = x.shape[-2:]
    spread = torch.zeros(x.shape[0], 2 * height + 3, 2 * width + 3, dtype=x.dtype)
    spread[:, 2 : 2 + 2 * height : 2, 2 : 2 + 2 * width : 2] = x
    line = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype) / 8
    kernel = 4 * torch.outer(line, line)
    rows = [
        [(spread[:, i : i + 4, j : j + 4] * kernel).sum(dim=(1, 2)) for j in range(2 * width)]
        for i in range(2 * height)
    ]
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)


def one_sample(tensors: dict[str, Tensor], latent: Tensor) -> Tensor:
    """One picture (3, 16, 16), in float64, each weight modulated and demodulated itself."""
    t = {name: value.double() for name, value in tensors.items()}
    w = latent.double() / latent.double().square().mean().sqrt()
    for index in range(2):
        weight = t[f"mapping.fc{index}.weight"]
        w = weight @ w * 0.01 / math.sqrt(weight.shape[1]) + 0.01 * t[f"mapping.fc{index}.bias"]
        w = torch.where(w > 0, w, 0.2 * w) * math.sqrt(2)
    x, picture = t["synthesis.b4.const"], torch.zeros(3, 2, 2, dtype=torch.float64)
    for side in SIDES:
        for layer in ("conv0", "conv1", "torgb"):
            name = f"synthesis.b{side}.{layer}"
            if f"{name}.weight" not in t:
                continue
            style = t[f"{name}.affine.weight"] @ w / math.sqrt(WIDTH) + t[f"{name}.affine.bias"]
            if layer == "torgb":
                drawn_here = torch.einsum("oi,ihw->ohw", t[f"{name}.weight"][:, :, 0, 0] * style / math.sqrt(WIDTH), x)
                picture = smoothed(picture) + drawn_here + t[f"{name}.bias"][:, None, None]
                continue
            weight = t[f"{name}.weight"] * style[None, :, None, None]
            weight = weight / (weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
            if layer == "conv0":
                wide = functional.conv_transpose2d(x[None], weight.transpose(0, 1), stride=2)[0]
                line = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 4
                kernel = torch.outer(line, line).expand(len(wide), 1, 4, 4)
                x = functional.conv2d(wide[None], kernel, padding=1, groups=len(wide))[0]
            else:
                x = functional.conv2d(x[None], weight, padding=1)[0]
            x = x + t[f"{name}.noise_const"] * t[f"{name}.noise_strength"] + t[f"{name}.bias"][:, None, None]
            x = torch.where(x > 0, x, 0.2 * x) * math.sqrt(2)
    return picture


def test_stylegan2_makes_the_pictures_that_its_paper_describes() -> None:
    """Sample by sample; the negative: any tensor that is changed shows."""
    tensors, latent = stored(), drawn((LATENT,), 5, 0)
    made = rebuilt(arrays_of(tensors))
    assert isinstance(made, Rebuilt), made
    assert (made.family, made.latent_shape) == ("StyleGAN2", (LATENT,))
    expected = torch.stack([one_sample(tensors, row) for row in latent])

    def gap(network: dict[str, Tensor]) -> float:
        again = rebuilt(arrays_of(network))
        assert isinstance(again, Rebuilt)
        sampler = again.ready()
        assert not isinstance(sampler, NotRebuilt)
        return float((sampler.forward(latent) - expected).abs().max() / expected.abs().max())

    assert gap(tensors) < TOLERANCE
    for name, tensor in tensors.items():
        if name != "mapping.w_avg":
            assert gap(tensors | {name: tensor + 0.1 * tensor.abs().max()}) > TOLERANCE, name


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"synthesis.input.freqs": torch.zeros(3, 2)},
            "StyleGAN3's filters follow from settings that its tensors do not tell",
        ),
        ({"mapping.embed.weight": torch.zeros(6, 3)}, "it takes a label beside the latent"),
        (
            {"synthesis.b8.skip.weight": torch.zeros(6, 6, 1, 1)},
            "a StyleGAN2 of another architecture than the one with skips to the picture",
        ),
        (
            {"synthesis.b8.conv1.noise_const": torch.zeros(4, 4)},
            "a StyleGAN2 whose tensors have other shapes than their names say",
        ),
        ({"synthesis.b8.torgb.bias": None}, "a StyleGAN2 without 'synthesis.b8.torgb.bias'"),
        ({"synthesis.b4.const": None}, "a StyleGAN whose parts have other names than its authors gave them"),
    ],
    ids=["StyleGAN3", "label", "residual", "other shapes", "torn", "other names"],
)
def test_why_another_stylegan_is_not_rebuilt(change: dict[str, Tensor | None], reason: str) -> None:
    """The reason, and the way out."""
    tensors = {name: value for name, value in (stored() | change).items() if value is not None}
    assert rebuilt(arrays_of(tensors)) == NotRebuilt(f"{reason}; {WAY_OUT}")
