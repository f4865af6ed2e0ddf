"""Recipes, networks and losses: what is built, what is refused, and the laws of the losses."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from spectral_doctor.errors import UsageError
from spectral_doctor.gan.losses import LOSSES, gradient_penalty, r1_penalty
from spectral_doctor.gan.networks import halvings
from spectral_doctor.gan.recipes import RECIPES
from spectral_doctor.gan.settings import Settings


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("spectral_norm", ["true", "false"])
def test_every_recipe_builds_networks_that_fit_its_data(name: str, spectral_norm: str) -> None:
    """A latent becomes a sample of the data's shape, and a sample one logit."""
    changes = {"spectral_norm": spectral_norm, "images_per_digit": "5"}
    recipe = RECIPES[name].build(RECIPES[name].settings.changed(changes))
    random = torch.Generator().manual_seed(0)
    generator, discriminator = recipe.networks()
    real, fake = recipe.real(3, random), generator(recipe.latent(3, random))
    assert real.shape == fake.shape
    assert discriminator(real).shape == (3,)
    assert any("parametrizations" in key for key in discriminator.state_dict()) is (spectral_norm == "true")


@pytest.mark.parametrize(("side", "expected"), [(8, 1), (16, 2), (28, 2), (32, 3), (5, 0)])
def test_sides_are_halved_down_to_four_or_an_odd_side(side: int, expected: int) -> None:
    """28 → 14 → 7; 32 → 16 → 8 → 4."""
    assert halvings(side) == expected


@pytest.mark.parametrize("network", ["resnet", "dcgan"])
@pytest.mark.parametrize("side", [8, 16, 28])
def test_image_networks_are_settable(network: str, side: int) -> None:
    """Both discriminators at every side; the ResNet has the papers' ten convolutions."""
    settings = RECIPES["stacked-glyphs"].settings.changed({"network": network, "side": str(side)})
    generator, discriminator = RECIPES["stacked-glyphs"].build(settings).networks()
    images = generator(torch.zeros(2, settings.latent_dim))
    assert images.shape == (2, 3, side, side)
    assert discriminator(images).shape == (2,)
    convolutions = sum(isinstance(module, nn.Conv2d) for module in discriminator.modules())
    assert convolutions == (10 if network == "resnet" else halvings(side))


@pytest.mark.parametrize(
    ("assignments", "sentence"),
    [
        ({"stepz": "3"}, "--set stepz: no such setting; there are 'batch_size'"),
        ({"steps": "many"}, "--set steps=many: expected a value of type int."),
        ({"spectral_norm": "perhaps"}, "--set spectral_norm=perhaps: expected a value of type bool."),
    ],
)
def test_wrong_settings_are_named(assignments: dict[str, str], sentence: str) -> None:
    """The key, the value, and what was expected."""
    with pytest.raises(UsageError) as caught:
        Settings().changed(assignments)
    assert str(caught.value).startswith(sentence)


def test_wrong_choices_are_named() -> None:
    """A loss or a network there is not."""
    with pytest.raises(UsageError, match="--set loss=best: expected one of 'hinge'"):
        RECIPES["ring"].build(Settings(loss="best"))
    with pytest.raises(UsageError, match="--set network=mlp: expected 'resnet' or 'dcgan' for images"):
        RECIPES["stacked-glyphs"].build(Settings(network="mlp"))


@pytest.mark.parametrize(
    ("name", "at_zero"), [("hinge", 2.0), ("logistic", 2 * math.log(2)), ("least-squares", 0.5), ("wasserstein", 0.0)]
)
def test_a_discriminator_is_rewarded_for_telling_apart(name: str, at_zero: float) -> None:
    """At zero logits each loss has its known value; better logits lower it, worse ones raise it."""
    loss = LOSSES[name]
    zero, up, down = torch.zeros(4), torch.full((4,), 0.5), torch.full((4,), -0.5)
    assert loss.discriminator(zero, zero).item() == pytest.approx(at_zero)
    if name != "least-squares":
        assert loss.discriminator(up, down) < loss.discriminator(zero, zero) < loss.discriminator(down, up)
    assert loss.generator(up) < loss.generator(down)


def test_the_penalties_have_their_closed_forms() -> None:
    """For D(x) = w·x the gradient is w everywhere: (‖w‖ − 1)² and ‖w‖²/2."""
    linear = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[3.0, 4.0]]))
    x = torch.randn(6, 2)
    random = torch.Generator().manual_seed(0)
    assert gradient_penalty(linear, x, x + 1, random).item() == pytest.approx(16.0)
    assert r1_penalty(linear, x).item() == pytest.approx(12.5)
