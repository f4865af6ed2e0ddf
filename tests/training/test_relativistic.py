"""The relativistic pairing loss against formulas written out here, its penalties, and its runs."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD

from spectral_doctor.errors import UsageError
from spectral_doctor.gan.builtin import RECIPES
from spectral_doctor.gan.losses import gradient_penalty, pairing_loss, r1_penalty, r2_penalty
from spectral_doctor.gan.settings import Settings
from spectral_doctor.training.folder import RunFolder
from spectral_doctor.training.loop import train, update
from spectral_doctor.training.relativistic import PairingPlan, Relativistic, coordinate_variance
from spectral_doctor.training.state import TrainingState, load_state
from spectral_doctor.training.world import World

EPSILON = torch.finfo(torch.float32).eps
SMALL: dict[str, Any] = {
    "loss": "relativistic",
    "r1": 0.5,
    "r2": 0.25,
    "penalty_fall": 4.0,
    "steps": 8,
    "save_every": 4,
    "batch_size": 16,
    "samples": 64,
    "generator_channels": 8,
    "discriminator_channels": 8,
}


def fresh(**changes: Any) -> TrainingState:
    """The small run's state before its first step."""
    return TrainingState.fresh(RECIPES["ring"].build(replace(Settings(), **{**SMALL, **changes})), 0, name="ring")


def descending(**changes: Any) -> TrainingState:
    """The same with plain gradient descent, whose step shows the gradient itself, where Adam's shows its sign."""
    state = fresh(**changes)
    state.generator_optimizer = SGD(state.generator.parameters(), 0.1)
    state.discriminator_optimizer = SGD(state.discriminator.parameters(), 0.1)
    return state


def test_the_pairing_loss_is_its_formula() -> None:
    """E log(1 + exp(D(worse) − D(better))), pair by pair; swapping the pairs' partners gives another value."""
    better, worse = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.0, 3.0, 0.5])
    by_hand = sum(math.log1p(math.exp(w - b)) for b, w in zip(better.tolist(), worse.tolist(), strict=True)) / 3
    assert pairing_loss(better, worse).item() == pytest.approx(by_hand, rel=8 * EPSILON)
    assert pairing_loss(better, worse).item() != pytest.approx(pairing_loss(better, worse.flip(0)).item(), rel=1e-3)
    assert pairing_loss(worse, better).item() != pytest.approx(by_hand, rel=1e-3)


def test_only_differences_of_logits_count() -> None:
    """A constant added to all logits changes nothing, where the logistic loss would change."""
    better, worse = torch.randn(2, 7, generator=torch.Generator().manual_seed(0)).double()
    assert pairing_loss(better + 3, worse + 3).item() == pytest.approx(pairing_loss(better, worse).item(), rel=1e-14)
    assert pairing_loss(better + 3, worse).item() != pytest.approx(pairing_loss(better, worse).item(), rel=1e-2)


def test_both_penalties_are_their_formulas() -> None:
    """For D(x) = xᵀAx / 2 the gradient is Ax: E ‖Ax‖² / 2, which of real samples is not that of generated ones."""

    class Quadratic(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x.square() * torch.tensor([1.0, 3.0])).sum(dim=1) / 2

    real, fake = torch.tensor([[1.0, 1.0], [2.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    assert r1_penalty(Quadratic(), real).item() == pytest.approx((10 + 4) / 2 / 2)
    assert r2_penalty(Quadratic(), fake).item() == pytest.approx(9 / 2 / 2)


def stepped_by_hand(state: TrainingState, r1: float, r2: float) -> None:
    """One step written out: gradients of the logits by autograd over each sample, the same draws."""
    recipe, random = state.recipe, state.random
    count = recipe.settings.batch_size
    with torch.no_grad():
        fake = state.generator(recipe.latent(count, random))
    real = recipe.real(count, random)
    logits = [state.discriminator(samples) for samples in (real, fake)]
    loss = torch.log1p(torch.exp(logits[1] - logits[0])).mean()
    for samples, weight in ((real, r1), (fake, r2)):
        for one in samples:
            leaf = one[None].clone().requires_grad_()
            (slope,) = torch.autograd.grad(state.discriminator(leaf).sum(), leaf, create_graph=True)
            loss = loss + weight * slope.square().sum() / 2 / count
    state.discriminator_optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    state.discriminator_optimizer.step()
    fake = state.generator(recipe.latent(count, random))
    real = recipe.real(count, random)
    loss = torch.log1p(torch.exp(state.discriminator(real) - state.discriminator(fake))).mean()
    state.generator_optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    state.generator_optimizer.step()


def largest_difference(one: TrainingState, other: TrainingState) -> float:
    """Between the weights of two runs."""
    return max(
        float((a - b).abs().max().detach())
        for pair in ((one.generator, other.generator), (one.discriminator, other.discriminator))
        for a, b in zip(pair[0].parameters(), pair[1].parameters(), strict=True)
    )


@pytest.mark.parametrize(("r1", "r2", "same"), [(0.5, 0.25, True), (0.25, 0.5, False), (0.5, 0.0, False)])
def test_a_step_is_the_one_written_out(r1: float, r2: float, same: bool) -> None:
    """Weights after a step are those of a step by hand, and are not where the penalties' weights are others."""
    ours, by_hand = descending(), descending()
    update(ours, World())
    stepped_by_hand(by_hand, r1, r2)
    assert (largest_difference(ours, by_hand) < 16 * EPSILON) is same


def test_the_penalties_fall_geometrically_to_their_end() -> None:
    """γ·e⁻⁴ at the end, γ·e⁻² half way, and no lower after the end."""
    plan = PairingPlan(fall=4.0, over=100)
    assert [plan.factor_at(step) for step in (0, 50, 100, 200)] == pytest.approx(
        [1.0, math.exp(-2), math.exp(-4), math.exp(-4)]
    )
    assert PairingPlan(fall=0.0, over=100).factor_at(70) == 1.0


def test_the_variance_is_that_of_the_data() -> None:
    """Ring: half the squared radius a coordinate; grid: that of {-4, …, 4}; and γ is multiplied by it."""
    ring, grid = (RECIPES[name].build(RECIPES[name].settings) for name in ("ring", "grid"))
    assert coordinate_variance(ring) == pytest.approx(0.5, rel=0.05)
    assert coordinate_variance(grid) == pytest.approx(8.0, rel=0.05)
    assert Relativistic(fresh()).variance == 1.0
    scaled = descending(penalty_by_variance=True)
    assert isinstance(scaled.method, Relativistic)
    assert scaled.method.variance == pytest.approx(0.5, rel=0.05)
    by_hand, unscaled = descending(), descending()
    update(scaled, World())
    stepped_by_hand(by_hand, 0.5 * scaled.method.variance, 0.25 * scaled.method.variance)
    stepped_by_hand(unscaled, 0.5, 0.25)
    assert largest_difference(scaled, by_hand) < 16 * EPSILON < largest_difference(scaled, unscaled)


def test_a_run_goes_on_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    """The same bits after an interruption, γ's course included; without the position in it other ones."""
    for name in ("whole", "stopped", "other"):
        (tmp_path / name).mkdir()
    whole, stopped = fresh(), fresh(steps=4)
    train(whole, RunFolder(tmp_path / "whole"))
    assert isinstance(stopped.method, Relativistic)
    stopped.method.plan = replace(stopped.method.plan, over=8)
    train(stopped, RunFolder(tmp_path / "stopped"))
    resumed = fresh()
    load_state(resumed, tmp_path / "stopped" / "step-000004.pt")
    train(resumed, RunFolder(tmp_path / "stopped"))
    assert largest_difference(whole, resumed) == 0.0
    forgetful = fresh()
    load_state(forgetful, tmp_path / "stopped" / "step-000004.pt")
    assert isinstance(forgetful.method, Relativistic)
    forgetful.method.updates = 0
    train(forgetful, RunFolder(tmp_path / "other"))
    assert largest_difference(whole, forgetful) > 0.0


def test_another_loss_or_plan_is_not_resumed(tmp_path: Path) -> None:
    """A state of this loss does not go on with another one, nor with other penalties."""
    train(fresh(steps=4), RunFolder(tmp_path))
    with pytest.raises(UsageError, match="trained with --mode relativistic, not gan; resume with the same"):
        load_state(fresh(loss="logistic", penalty_fall=0.0), tmp_path / "step-000004.pt")
    other = fresh()
    assert isinstance(other.method, Relativistic)
    with pytest.raises(UsageError, match=r"other penalties \(r1 was 0.5, is 2.0\)"):
        Relativistic(other, PairingPlan(2.0, 0.25, by_variance=False)).load_state_dict(other.method.state_dict())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"loss": "hinge", "r1": 0.0, "r2": 0.0},
            "--set penalty_fall=, penalty_by_variance=: go with loss=relativistic.",
        ),
        ({"r2": -1.0}, "relativistic r2=-1: expected a number that is not negative."),
        ({"r1": math.inf}, "relativistic r1=inf: expected a number that is not negative."),
        ({"pack": 3}, "--set pack=3: expected a number that divides batch_size=16."),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, Any], sentence: str) -> None:
    """What cannot be meant is said, with what was expected."""
    with pytest.raises(UsageError) as caught:
        fresh(**changes)
    assert str(caught.value) == sentence


def test_packs_are_judged_together() -> None:
    """PacGAN: a logit a pack, of its members side by side, in their order; a batch that does not divide is named."""
    recipe = RECIPES["ring"].build(replace(Settings(), pack=2, discriminator_channels=8))
    _, discriminator = recipe.networks()
    x = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    body = discriminator.body
    assert isinstance(body, nn.Module)
    by_hand = torch.stack([body(torch.cat((x[2 * i], x[2 * i + 1]))[None])[0] for i in range(3)])
    assert torch.equal(discriminator(x), by_hand) or torch.allclose(discriminator(x), by_hand, rtol=0, atol=1e-6)
    assert not torch.allclose(discriminator(x.flip(0)), by_hand.flip(0), atol=1e-4)
    with pytest.raises(UsageError, match="a batch of 5 does not divide into packs of 2"):
        discriminator(x[:5])
    images = RECIPES["stacked-digits"].build(replace(RECIPES["stacked-digits"].settings, pack=2))
    assert images.networks()[1](torch.randn(4, 3, 8, 8)).shape == (2,)


def test_the_gradient_penalty_goes_with_it() -> None:
    """Where its weight is set the settings' gradient penalty is added to the discriminator's loss."""
    plain, held = fresh(r1=0.0, r2=0.0), fresh(r1=0.0, r2=0.0, gradient_penalty=10.0)
    losses = [update(state, World()).discriminator for state in (plain, held)]
    again, random = fresh(), torch.Generator().manual_seed(0)
    recipe, count = again.recipe, again.recipe.settings.batch_size
    with torch.no_grad():
        fake = again.generator(recipe.latent(count, random))
    real = recipe.real(count, random)
    penalty = 10 * gradient_penalty(again.discriminator, real, fake, random)
    assert losses[1] - losses[0] == pytest.approx(penalty.item(), rel=1e-5)
