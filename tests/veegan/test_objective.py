"""Algorithm 1 of VEEGAN, term by term, each law with the mistake that other implementations make."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spectral_doctor.errors import UsageError
from spectral_doctor.veegan.objective import Joint, Objective, objective_of
from spectral_doctor.veegan.records import VARIANTS, VeeganPlan

LATENT, COUNT = 5, 400
Law = Callable[[Objective], None]


class Pairs(nn.Module):
    """A joint discriminator that remembers the pairs it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.linspace(-1.0, 1.0, LATENT + 2))
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, latent: Tensor, x: Tensor) -> Tensor:
        """A linear logit."""
        self.seen.append((latent, x))
        return torch.cat((latent, x), dim=1) @ self.weights


class World:
    """Networks, latents, samples and noise of one step, from a seed."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.generator = nn.Linear(LATENT, 2)
        self.reconstructor = nn.Linear(2, LATENT)
        self.joint = Pairs()
        self.latent = torch.randn(COUNT, LATENT)
        self.real = torch.randn(COUNT, 2) * 3 + 1
        self.noise = torch.randn(COUNT, LATENT)

    @property
    def fake(self) -> Tensor:
        """G(z), with its graph."""
        sample: Tensor = self.generator(self.latent)
        return sample

    def discriminator_loss(self, objective: Objective) -> Tensor:
        """O_LR of this step."""
        arguments = (self.joint, self.reconstructor, self.latent, self.fake, self.real, self.noise)
        return objective.discriminator_loss(*arguments)


def gradient(loss: Tensor, module: nn.Module) -> list[Tensor]:
    """The gradient of a loss by a network's parameters, zero where there is none."""
    parameters = list(module.parameters())
    found = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]


def d_is_half_the_square_summed_over_the_latent(objective: Objective) -> None:
    """d = ½ Σ_k (z_k − F_k)², mean over the batch: −log N(z; F, I) up to its constant."""
    world = World()
    guess = world.reconstructor(world.fake).detach()
    z, f = world.latent.double().numpy(), guess.double().numpy()
    log_density = -0.5 * ((z - f) ** 2).sum(axis=1) - LATENT / 2 * math.log(2 * math.pi)
    expected = -log_density.mean() - LATENT / 2 * math.log(2 * math.pi)
    assert float(objective.distance(world.latent, guess)) == pytest.approx(expected, rel=1e-5)


def noise_of_unit_variance_is_added_to_f(objective: Objective) -> None:
    """What D sees beside real x has mean F(x) and, about it, variance 1 in every latent dimension."""
    world = World()
    world.discriminator_loss(objective)
    (latent,) = [z for z, x in world.joint.seen if torch.equal(x, world.real)]
    residual = latent - world.reconstructor(world.real).detach()
    np.testing.assert_allclose(residual.std(dim=0).numpy(), 1.0, atol=0.15)
    np.testing.assert_allclose(residual.mean(dim=0).numpy(), 0.0, atol=0.2)


def f_learns_by_reconstruction_alone(objective: Objective) -> None:
    """θ's gradient over a whole step is that of d, whatever the weight; ω's loss moves neither F nor G."""
    world = World()
    for weight in (1.0, 0.0, 0.3):
        total = world.discriminator_loss(objective)
        total = total + objective.generator_loss(world.joint, world.reconstructor, world.latent, world.fake, weight)
        extra = objective.reconstructor_loss(world.joint, world.reconstructor, world.real, world.noise)
        total = total if extra is None else total + extra
        difference = world.latent - world.reconstructor(world.fake.detach())
        expected = gradient(difference.square().sum(dim=1).mean() / 2, world.reconstructor)
        for got, wanted in zip(gradient(total, world.reconstructor), expected, strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-7)
    assert all(not g.any() for g in gradient(world.discriminator_loss(objective), world.generator))


def real_samples_are_paired_with_their_own_reconstruction(objective: Objective) -> None:
    """The pairs are (z, G(z)) and (F(x) + ε, x), with that x on both sides."""
    world = World()
    world.discriminator_loss(objective)
    pairs = {("real" if torch.equal(x, world.real) else "fake"): z for z, x in world.joint.seen}
    assert pairs.keys() == {"real", "fake"}
    assert torch.equal(pairs["fake"], world.latent)
    own = (pairs["real"] - world.reconstructor(world.real)).detach().square().mean()
    other = (pairs["real"] - world.reconstructor(world.fake)).detach().square().mean()
    assert float(own) < 1.5 < float(other)


def generated_pairs_are_the_positives_of_o_lr(objective: Objective) -> None:
    """O_LR = −E log σ(D(z, G(z))) − E log(1 − σ(D(F(x) + ε, x))), computed by its formula in NumPy."""
    world = World()
    loss = float(world.discriminator_loss(objective).detach())
    w = world.joint.weights.detach().double().numpy()
    f = world.reconstructor(world.real).detach() + world.noise
    generated = np.hstack([world.latent.double().numpy(), world.fake.detach().double().numpy()]) @ w
    real = np.hstack([f.double().numpy(), world.real.double().numpy()]) @ w
    positive, negative = (1 / (1 + np.exp(-logits)) for logits in (generated, real))
    assert loss == pytest.approx(-np.log(positive).mean() - np.log(1 - negative).mean(), rel=1e-5)


def g_minimises_the_raw_logit_and_d(objective: Objective) -> None:
    """γ's gradient is that of mean D(z, G(z)) plus the weight times that of d: no logarithm, no sigmoid."""
    world = World()
    weight = 0.3
    loss = objective.generator_loss(world.joint, world.reconstructor, world.latent, world.fake, weight)
    logit = (torch.cat((world.latent, world.fake), dim=1) @ world.joint.weights).mean()
    distance = (world.latent - world.reconstructor(world.fake)).square().sum(dim=1).mean() / 2
    wanted = gradient(logit + weight * distance, world.generator)
    for got, expected in zip(gradient(loss, world.generator), wanted, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


LAWS: tuple[Law, ...] = (
    d_is_half_the_square_summed_over_the_latent,
    noise_of_unit_variance_is_added_to_f,
    f_learns_by_reconstruction_alone,
    real_samples_are_paired_with_their_own_reconstruction,
    generated_pairs_are_the_positives_of_o_lr,
    g_minimises_the_raw_logit_and_d,
)


class FakePairedWithReal(Objective):
    """The mistake of one notebook: real x beside F of the generated sample."""

    def discriminator_loss(
        self, joint: Joint, reconstructor: nn.Module, latent: Tensor, fake: Tensor, real: Tensor, noise: Tensor
    ) -> Tensor:
        """Pairs (F(G(z)) + ε, x)."""
        guessed = (reconstructor(fake) + noise).detach()
        softplus = nn.functional.softplus
        return softplus(-joint(latent, fake.detach())).mean() + softplus(joint(guessed, real)).mean()


class GradientIntoF(Objective):
    """The mistake of leaving F in ω's graph."""

    def discriminator_loss(
        self, joint: Joint, reconstructor: nn.Module, latent: Tensor, fake: Tensor, real: Tensor, noise: Tensor
    ) -> Tensor:
        """O_LR with z_g attached to θ."""
        softplus = nn.functional.softplus
        guessed = reconstructor(real) + noise
        return softplus(-joint(latent, fake.detach())).mean() + softplus(joint(guessed, real)).mean()


class RealIsPositive(Objective):
    """The sign of a plain GAN, which is not VEEGAN's."""

    def discriminator_loss(
        self, joint: Joint, reconstructor: nn.Module, latent: Tensor, fake: Tensor, real: Tensor, noise: Tensor
    ) -> Tensor:
        """O_LR with the classes exchanged."""
        guessed = (reconstructor(real) + noise).detach()
        softplus = nn.functional.softplus
        return softplus(joint(latent, fake.detach())).mean() + softplus(-joint(guessed, real)).mean()


class NonSaturating(Objective):
    """G with the log-sigmoid of other GANs."""

    def generator_loss(
        self, joint: Joint, reconstructor: nn.Module, latent: Tensor, fake: Tensor, weight: float = 1.0
    ) -> Tensor:
        """log(1 + e^D) in the raw logit's place."""
        distance = self.distance(latent, reconstructor(fake))
        return nn.functional.softplus(joint(latent, fake)).mean() + weight * distance


@pytest.mark.parametrize("law", LAWS, ids=lambda law: str(law.__name__))
def test_the_objective_is_the_papers(law: Law) -> None:
    """Every law holds for the default."""
    law(objective_of("published"))


@pytest.mark.parametrize(
    ("law", "mistaken"),
    [
        (d_is_half_the_square_summed_over_the_latent, objective_of("mean-distance")),
        (noise_of_unit_variance_is_added_to_f, objective_of("no-noise")),
        (f_learns_by_reconstruction_alone, objective_of("adversarial-reconstructor")),
        (f_learns_by_reconstruction_alone, GradientIntoF()),
        (real_samples_are_paired_with_their_own_reconstruction, FakePairedWithReal()),
        (generated_pairs_are_the_positives_of_o_lr, RealIsPositive()),
        (g_minimises_the_raw_logit_and_d, NonSaturating()),
    ],
    ids=["mean", "no noise", "adversarial F", "attached F", "wrong pair", "wrong sign", "log-sigmoid"],
)
def test_a_mistaken_objective_breaks_its_law(law: Law, mistaken: Objective) -> None:
    """The negative of each law."""
    with pytest.raises(AssertionError):
        law(mistaken)


def test_variants_are_named_and_not_the_default() -> None:
    """Every name but "published" is another objective."""
    assert VeeganPlan().variant == "published"
    assert objective_of("published") == Objective()
    assert all(objective_of(name) != Objective() for name in VARIANTS if name != "published")


def test_the_weight_rises_over_the_ramp() -> None:
    """From 0 to the weight, and then it stays."""
    plan = VeeganPlan(weight=2.0, ramp=4)
    assert [plan.weight_at(step) for step in (0, 1, 2, 4, 9)] == [0.0, 0.5, 1.0, 2.0, 2.0]
    assert VeeganPlan(weight=2.0).weight_at(0) == 2.0


@pytest.mark.parametrize(
    ("key", "text", "sentence"),
    [
        ("variant", "best", "--veegan variant=best: expected one of 'published', 'adversarial-reconstructor'"),
        ("weight", "-1", "--veegan weight=-1: expected a number that is not negative."),
        ("weight", "nan", "--veegan weight=nan: expected a number that is not negative."),
        ("ramp", "x", "--veegan ramp=x: expected a value of type int."),
        ("ramp", "-3", "--veegan ramp=-3: expected at least 0."),
        ("head", "0", "--veegan head=0: expected at least 1."),
        ("speed", "1", "--veegan speed: no such value; there are 'head', 'ramp', 'variant', 'warm_up', 'weight'."),
    ],
)
def test_a_plan_says_what_is_wrong_with_it(key: str, text: str, sentence: str) -> None:
    """The key, what was expected, what came."""
    with pytest.raises(UsageError) as caught:
        VeeganPlan().changed({key: text})
    assert str(caught.value).startswith(sentence)
