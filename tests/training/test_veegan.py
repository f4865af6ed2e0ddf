"""A step of VEEGAN is a step of Algorithm 1, written out here a second time."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Adam

from spectral_doctor.gan.builtin import RECIPES
from spectral_doctor.training.state import TrainingState
from spectral_doctor.training.veegan import Veegan
from spectral_doctor.training.world import World
from spectral_doctor.veegan.records import VARIANTS, VeeganPlan

SMALL = {"batch_size": "32", "generator_channels": "8", "discriminator_channels": "8", "latent_dim": "4"}


def attached(plan: VeeganPlan, **changes: str) -> tuple[TrainingState, Veegan]:
    """A fresh run of `ring` with VEEGAN, its head away from zero so that every term has a gradient."""
    recipe = RECIPES["ring"].build(RECIPES["ring"].settings.changed({**SMALL, **changes}))
    state = TrainingState.fresh(recipe, seed=1)
    veegan = Veegan(state, plan)
    state.method = veegan
    nn.init.normal_(veegan.joint.head[2].weight, generator=torch.Generator().manual_seed(3))  # type: ignore[arg-type]
    return state, veegan


def algorithm_1(state: TrainingState, veegan: Veegan, weight: float) -> dict[str, list[Tensor]]:
    """The networks after one step, by the formulas of the paper and nothing of the package's but the networks."""
    generator, discriminator, head, reconstructor = copy.deepcopy(
        (state.generator, state.discriminator, veegan.joint.head, veegan.reconstructor)
    )
    random = torch.Generator()
    random.set_state(state.random.get_state())
    recipe, count = state.recipe, state.recipe.settings.batch_size

    def joint(z: Tensor, x: Tensor) -> Tensor:
        (body,) = discriminator.children()
        assert isinstance(body, nn.Sequential)
        features = body[:-1](x)
        logit: Tensor = head(torch.cat((features, z), dim=1)) - body[-1](features)
        return logit.squeeze(1)

    def step(networks: tuple[nn.Module, ...], gradients: dict[int, Tensor], rate: float) -> None:
        for network in networks:
            optimizer = Adam(network.parameters(), rate, (0.5, 0.999))
            for parameter in network.parameters():
                parameter.grad = gradients[id(parameter)]
            optimizer.step()

    def gradients_of(loss: Tensor, *networks: nn.Module) -> dict[int, Tensor]:
        parameters = [parameter for network in networks for parameter in network.parameters()]
        return dict(zip(map(id, parameters), torch.autograd.grad(loss, parameters, retain_graph=True), strict=True))

    rates = (recipe.settings.learning_rate_discriminator, recipe.settings.learning_rate_generator)
    z = recipe.latent(count, random)
    x = recipe.real(count, random)
    noise = torch.randn(count, 4, generator=random)
    x_g, z_g = generator(z).detach(), reconstructor(x).detach() + noise
    sigma = torch.sigmoid
    loss = -(torch.log(sigma(joint(z, x_g))) + torch.log(1 - sigma(joint(z_g, x)))).mean()
    step((discriminator, head), gradients_of(loss, discriminator, head), rates[0])
    z = recipe.latent(count, random)
    x_g = generator(z)
    distance = 0.5 * ((z - reconstructor(x_g)) ** 2).sum(dim=1).mean()
    gradients = gradients_of(joint(z, x_g).mean() + weight * distance, generator)
    gradients |= gradients_of(distance, reconstructor)
    step((generator, reconstructor), gradients, rates[1])
    networks = {"G": generator, "D": discriminator, "h": head, "F": reconstructor}
    return {name: [value.detach() for value in network.parameters()] for name, network in networks.items()}


def after_a_step(state: TrainingState, veegan: Veegan) -> dict[str, list[Tensor]]:
    """The networks after one step of the package."""
    veegan.step(state, World())
    networks = {
        "G": state.generator,
        "D": state.discriminator,
        "h": veegan.joint.head,
        "F": veegan.reconstructor,
    }
    return {name: [value.detach() for value in network.parameters()] for name, network in networks.items()}


def largest_difference(one: dict[str, list[Tensor]], two: dict[str, list[Tensor]]) -> dict[str, float]:
    """The largest difference of a parameter, by network."""
    return {name: max(float((a - b).abs().max()) for a, b in zip(one[name], two[name], strict=True)) for name in one}


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_a_step_is_algorithm_1(weight: float) -> None:
    """ω by O_LR, γ by the raw logit and d, θ by d alone."""
    state, veegan = attached(VeeganPlan(weight=weight))
    expected = algorithm_1(state, veegan, weight)
    differences = largest_difference(expected, after_a_step(state, veegan))
    assert max(differences.values()) < 2e-5, differences


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "published"])
def test_a_variants_step_is_another(variant: str) -> None:
    """The negative: the comparison above sees each of them."""
    state, veegan = attached(VeeganPlan(variant=variant))
    expected = algorithm_1(state, veegan, 1.0)
    differences = largest_difference(expected, after_a_step(state, veegan))
    moved = {"adversarial-reconstructor": "F", "mean-distance": "G", "no-noise": "h"}[variant]
    assert differences[moved] > 2e-4, differences


def test_the_warm_up_teaches_the_reconstructor_alone() -> None:
    """F comes nearer to z; G, D and their optimizers are those that were given, as they were."""
    state, veegan = attached(VeeganPlan(warm_up=200, ramp=10))
    before = copy.deepcopy((state.generator.state_dict(), state.discriminator.state_dict()))
    latent = state.recipe.latent(500, torch.Generator().manual_seed(9))

    def distance() -> float:
        with torch.no_grad():
            return float(veegan.objective.distance(latent, veegan.reconstructor(state.generator(latent))))

    at_first = distance()
    for _ in range(400):
        veegan._warm_up(state, World())
    # Two of the latent's four dimensions are all that a sample in the plane can tell.
    assert distance() < 0.93 * at_first
    after = (state.generator.state_dict(), state.discriminator.state_dict())
    for one, two in zip(before, after, strict=True):
        assert all(torch.equal(value, two[key]) for key, value in one.items())
    assert not state.generator_optimizer.state_dict()["state"]


def test_penalties_hold_for_the_joint_discriminator() -> None:
    """R1 and the gradient penalty of the settings change ω's update."""
    plain = after_a_step(*attached(VeeganPlan()))
    for changes in ({"r1": "10"}, {"gradient_penalty": "10"}):
        penalised = after_a_step(*attached(VeeganPlan(), **changes))
        assert largest_difference(plain, penalised)["D"] > 1e-4


def test_every_update_of_the_discriminator_is_counted_by_a_compensation() -> None:
    """`n_dis` of them a step."""

    class Counting:
        """A treatment that counts."""

        def __init__(self) -> None:
            self.count = 0

        def step(self) -> None:
            """One update."""
            self.count += 1

        def state_dict(self) -> dict[str, object]:
            """Nothing."""
            return {}

        def load_state_dict(self, state: object) -> None:
            """Nothing."""

    state, veegan = attached(VeeganPlan(), n_dis="3")
    treatment = Counting()
    state.treatment = treatment
    for _ in range(2):
        veegan.step(state, World())
    assert treatment.count == 6
