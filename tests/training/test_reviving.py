"""Units that never fire: drawn anew, and no sample changes."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Adam

from spectral_doctor.gan.networks import ConvolutionalGenerator, mlp, wrapper
from spectral_doctor.training.reviving import revive

LATENTS = torch.randn(256, 5, generator=torch.Generator().manual_seed(0))


def with_dead_units(generator: nn.Module, layer: nn.Module, dead: list[int]) -> nn.Module:
    """Push units of a layer so far down that no latent makes them fire."""
    with torch.no_grad():
        bias = layer.bias
        assert isinstance(bias, Tensor)
        bias[dead] = -1e3
    return generator.eval()


def perceptron() -> nn.Sequential:
    """Two hidden layers of 16, of which units 1, 4 and 7 of the second never fire."""
    generator = lively()
    with_dead_units(generator, generator[2], [1, 4, 7])
    return generator


def lively() -> nn.Sequential:
    """Two hidden layers of 16, whose units all fire for some latent."""
    torch.manual_seed(0)
    generator = mlp((5, 16, 16, 2), wrapper(False))
    with torch.no_grad():
        nn.init.constant_(bias(generator[0]), 0.5)
        nn.init.constant_(bias(generator[2]), 0.5)
    return generator


def weight(module: nn.Module) -> Tensor:
    """A layer's weight."""
    return module.get_parameter("weight")


def bias(module: nn.Module) -> Tensor:
    """A layer's bias."""
    return module.get_parameter("bias")


def slope(module: nn.Module) -> Tensor:
    """The gradient of a layer's weight."""
    found = module.get_parameter("weight").grad
    assert found is not None
    return found


def fired(generator: nn.Sequential) -> Tensor:
    """Which units of the second hidden layer fire for a latent at least."""
    return generator[:4](LATENTS).gt(0).any(dim=0)  # type: ignore[no-any-return]


def test_dead_units_fire_again_and_no_sample_changes() -> None:
    """To the bit, on other latents too; a live unit's weights stay as they were."""
    generator = perceptron()
    before = copy.deepcopy(generator)
    assert int((~fired(generator)).sum()) == 3
    count = revive(generator, LATENTS, Adam(generator.parameters()), torch.Generator().manual_seed(1))
    assert count == 3
    assert bool(fired(generator).all())
    other = torch.randn(99, 5, generator=torch.Generator().manual_seed(2))
    assert torch.equal(generator(other), before(other))
    alive = [index for index in range(16) if index not in (1, 4, 7)]
    assert torch.equal(weight(generator[2])[alive], weight(before[2])[alive])
    assert torch.equal(weight(generator[4])[:, alive], weight(before[4])[:, alive])
    assert not torch.equal(weight(generator[2])[[1, 4, 7]], weight(before[2])[[1, 4, 7]])


def test_without_zeroes_behind_them_the_samples_would_change() -> None:
    """The negative: what reads the revived units has to forget them."""
    generator = perceptron()
    before, read = generator(LATENTS), weight(generator[4]).detach().clone()
    revive(generator, LATENTS, Adam(generator.parameters()), torch.Generator().manual_seed(1))
    with torch.no_grad():
        weight(generator[4]).copy_(read)
    assert not torch.allclose(generator(LATENTS), before)


def test_revived_units_learn() -> None:
    """Their weights have a gradient after one step, which dead ones never have."""
    generator = perceptron()
    generator(LATENTS).square().sum().backward()
    assert not slope(generator[2])[[1, 4, 7]].any()
    optimizer = Adam(generator.parameters(), 1e-2)
    revive(generator, LATENTS, optimizer, torch.Generator().manual_seed(1))
    for _ in range(2):
        optimizer.zero_grad()
        generator(LATENTS).square().sum().backward()
        optimizer.step()
    assert bool(slope(generator[2])[[1, 4, 7]].any(dim=1).all())


def test_adams_moments_of_revived_weights_start_from_zero() -> None:
    """Those of others stay."""
    generator = perceptron()
    optimizer = Adam(generator.parameters(), 1e-6)
    generator(LATENTS).square().sum().backward()
    optimizer.step()
    moment = optimizer.state[weight(generator[4])]["exp_avg"]
    moment += 1
    before = moment.clone()
    revive(generator, LATENTS, optimizer, torch.Generator().manual_seed(1))
    assert not moment[:, [1, 4, 7]].any()
    assert torch.equal(moment[:, [0, 2, 3]], before[:, [0, 2, 3]])


def test_nothing_is_drawn_where_all_units_fire() -> None:
    """Every weight is what it was."""
    generator = lively()
    before = copy.deepcopy(generator.state_dict())
    assert revive(generator, LATENTS, Adam(generator.parameters()), torch.Generator()) == 0
    assert all(torch.equal(value, before[key]) for key, value in generator.state_dict().items())


def test_convolutions_behind_batch_norm_are_revived() -> None:
    """A channel that batch norm keeps below zero; an upsampling lies between it and what reads it."""
    torch.manual_seed(0)
    generator = ConvolutionalGenerator(5, 4, 16, 3, smallest=4)
    for module in generator.body:
        if isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.bias, 3.0)
    norm = generator.body[4]
    with_dead_units(generator, norm, [0, 2])
    before = generator(LATENTS[:8])
    assert revive(generator, LATENTS, Adam(generator.parameters()), torch.Generator().manual_seed(1)) == 2
    torch.testing.assert_close(generator(LATENTS[:8]), before, rtol=1e-5, atol=1e-6)
    assert bool((bias(norm)[[0, 2]] == 0).all())


def test_a_layer_whose_place_cannot_be_told_is_left_alone() -> None:
    """A unit read by two layers, or by one of another width, is not touched."""

    class Forked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.rectify, self.left = nn.Linear(5, 6), nn.ReLU(), nn.Linear(3, 2)

        def forward(self, latent: Tensor) -> Tensor:
            hidden = self.rectify(self.first(latent))
            result: Tensor = self.left(hidden[:, :3]) + hidden[:, 3:5]
            return result

    torch.manual_seed(0)
    generator = Forked()
    with_dead_units(generator, generator.first, [1])
    before = copy.deepcopy(generator.state_dict())
    assert revive(generator, LATENTS, Adam(generator.parameters()), torch.Generator()) == 0
    assert all(torch.equal(value, before[key]) for key, value in generator.state_dict().items())
    assert pytest.approx(before["first.bias"][1].item()) == -1e3
