"""Attaching changes nothing: the joint logit is −D(x) until the first update."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from spectral_doctor.errors import UsageError
from spectral_doctor.gan.networks import (
    Critic,
    ResNetDiscriminator,
    cnn_discriminator,
    dcgan_discriminator,
    evaluating,
    mlp,
    wrapper,
)
from spectral_doctor.parametrizations import ForwardCompensation
from spectral_doctor.veegan.joint import JointDiscriminator, last_layer

LATENT = 6


def discriminators() -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    """Every kind of discriminator with the shape of its samples."""
    torch.manual_seed(0)
    regularized = cnn_discriminator(3, 8, 8, wrapper(True))
    ForwardCompensation(regularized, "static")
    strangers = nn.Sequential(
        nn.Conv2d(1, 8, 4, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(8, 1, 4),
        nn.Flatten(),
    )
    return {
        "MLP": (Critic(mlp((2, 32, 32, 1), wrapper(False), 0.2)), (2,)),
        "DCGAN": (dcgan_discriminator(3, 8, 16, wrapper(True)), (3, 16, 16)),
        "ResNet": (ResNetDiscriminator(3, 8, wrapper(True)), (3, 8, 8)),
        "regularised CNN": (regularized, (3, 8, 8)),
        "a stranger's": (strangers, (1, 8, 8)),
    }


@pytest.mark.parametrize("name", list(discriminators()))
def test_attached_it_is_minus_d_to_the_last_bit(name: str) -> None:
    """For random pairs; and D's own weights, buffers and hooks are as they were."""
    discriminator, shape = discriminators()[name]
    before = {key: value.clone() for key, value in discriminator.state_dict().items()}
    joint = JointDiscriminator(discriminator, torch.randn(3, *shape), LATENT)
    x, z = torch.randn(64, *shape), torch.randn(64, LATENT)
    with torch.no_grad(), evaluating(joint):
        assert torch.equal(joint(z, x), -discriminator(x).flatten())
    assert all(torch.equal(value, before[key]) for key, value in discriminator.state_dict().items())
    assert all(not module._forward_pre_hooks for module in discriminator.modules())


@pytest.mark.parametrize("name", list(discriminators()))
def test_a_head_that_is_not_zero_changes_the_logit(name: str) -> None:
    """The negative; and then the logit depends on z."""
    discriminator, shape = discriminators()[name]
    joint = JointDiscriminator(discriminator, torch.randn(3, *shape), LATENT)
    nn.init.normal_(joint.head[2].weight)  # type: ignore[arg-type]
    x, z = torch.randn(64, *shape), torch.randn(64, LATENT)
    with torch.no_grad(), evaluating(joint):
        assert not torch.equal(joint(z, x), -discriminator(x).flatten())
        assert not torch.equal(joint(z, x), joint(-z, x))


def test_the_head_learns_in_its_first_update_although_it_is_zero() -> None:
    """The last layer has a gradient, and so h leaves zero at once."""
    discriminator, shape = discriminators()["MLP"]
    joint = JointDiscriminator(discriminator, torch.randn(3, *shape), LATENT)
    joint(torch.randn(8, LATENT), torch.randn(8, *shape)).sum().backward()
    gradient = joint.head[2].weight.grad
    assert isinstance(gradient, Tensor)
    assert gradient.any()


def test_the_last_layer_is_the_one_that_runs_last() -> None:
    """Not the one that was made last."""

    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(4, 1)
            self.body = spectral_norm(nn.Linear(2, 4))

        def forward(self, x: Tensor) -> Tensor:
            logit: Tensor = self.head(torch.relu(self.body(x)))
            return logit

    assert last_layer(Backwards(), torch.randn(2, 2)) == "head"
    assert last_layer(nn.Linear(2, 1), torch.randn(2, 2)) == ""
    joint = JointDiscriminator(nn.Linear(2, 1), torch.randn(2, 2), LATENT)
    assert joint(torch.randn(5, LATENT), torch.randn(5, 2)).shape == (5,)


@pytest.mark.parametrize(
    ("discriminator", "sentence"),
    [
        (nn.Conv2d(1, 1, 3), "VEEGAN needs a discriminator with one logit a sample; this one gives (1, 4, 4)."),
        (nn.Flatten(), "VEEGAN needs a discriminator with one logit a sample; this one gives (36,)."),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(36, 1), nn.Sigmoid()),
            "the discriminator ends in a sigmoid; VEEGAN needs its logit: leave the sigmoid to the loss.",
        ),
        (
            nn.Sequential(nn.AvgPool2d(6), nn.Flatten()),
            "VEEGAN found no layer with a weight matrix in the discriminator, so it has no features.",
        ),
    ],
    ids=["patches", "features", "sigmoid", "no weights"],
)
def test_what_is_no_plain_d_is_refused(discriminator: nn.Module, sentence: str) -> None:
    """With what came and what was expected."""
    with pytest.raises(UsageError) as caught:
        JointDiscriminator(discriminator, torch.randn(2, 1, 6, 6), LATENT)
    assert str(caught.value) == sentence
