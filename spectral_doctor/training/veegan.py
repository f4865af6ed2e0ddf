"""VEEGAN as the step of a run: the reconstructor and the discriminator's head beside the run's own networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from spectral_doctor.errors import UsageError
from spectral_doctor.gan.losses import gradient_penalty, r1_penalty
from spectral_doctor.gan.networks import evaluating
from spectral_doctor.training.records import StepLosses
from spectral_doctor.training.state import TrainingState
from spectral_doctor.training.world import World
from spectral_doctor.veegan.joint import JointDiscriminator
from spectral_doctor.veegan.objective import objective_of
from spectral_doctor.veegan.reconstructor import flat, reconstructor_for
from spectral_doctor.veegan.records import VeeganPlan


class Veegan:
    """VEEGAN attached to a run: what a step is, and all that the run's own state does not hold.

    Generator, discriminator and their optimizers stay those of the run, in their layout; reconstructor and head
    have optimizers of their own, Adam with the settings' rates of the generator and the discriminator. ω, then
    γ and θ are updated in turn, where the paper updates them at once. The settings' penalties on D hold for the
    joint discriminator's gradient in x. Raises `UsageError` where the discriminator or reconstructor does not fit.
    """

    name = "veegan"

    def __init__(self, state: TrainingState, plan: VeeganPlan | None = None) -> None:
        self.plan = plan or VeeganPlan()
        self.objective = objective_of(self.plan.variant)
        self.updates = 0
        recipe, settings = state.recipe, state.recipe.settings
        device = next(state.generator.parameters()).device
        latent = recipe.latent(2, torch.Generator().manual_seed(0)).to(device)
        with torch.no_grad(), evaluating(state.generator):
            sample = state.generator(latent)
        self.reconstructor = reconstructor_for(recipe, state.generator, state.seed)
        with torch.random.fork_rng():
            torch.manual_seed(state.seed)
            self.joint = JointDiscriminator(state.discriminator, sample, flat(latent).shape[1], self.plan.head)
        betas = (settings.beta1, settings.beta2)
        self.reconstructor_optimizer = Adam(self.reconstructor.parameters(), settings.learning_rate_generator, betas)
        self.head_optimizer = Adam(self.joint.head.parameters(), settings.learning_rate_discriminator, betas)

    def step(self, state: TrainingState, world: World) -> StepLosses:
        """One step of Algorithm 1: `n_dis` updates of ω, one of γ and θ; the warm-up before the first."""
        if self.updates == 0:
            for _ in range(self.plan.warm_up):
                self._warm_up(state, world)
        for _ in range(state.recipe.settings.n_dis):
            discriminator_loss = self._update_discriminator(state, world)
        latent = self._latent(state, world)
        fake = state.generator(latent)
        weight = self.plan.weight_at(self.updates)
        loss = self.objective.generator_loss(self.joint, self.reconstructor, flat(latent), fake, weight)
        state.generator_optimizer.zero_grad()
        self.reconstructor_optimizer.zero_grad()
        # Only γ's and θ's gradients are wanted here, so D's are not computed.
        taught = [*state.generator.parameters(), *self.reconstructor.parameters()]
        loss.backward(inputs=[parameter for parameter in taught if parameter.requires_grad])  # type: ignore[no-untyped-call]
        self._teach_adversarially(state, world)
        world.average_gradients(state.generator)
        world.average_gradients(self.reconstructor)
        state.generator_optimizer.step()
        self.reconstructor_optimizer.step()
        self.updates += 1
        return StepLosses(*world.mean((discriminator_loss.item(), loss.item())))

    def optimizers(self) -> tuple[tuple[Optimizer, ...], tuple[Optimizer, ...]]:
        """The reconstructor's learns beside the generator's, the head's beside the discriminator's."""
        return (self.reconstructor_optimizer,), (self.head_optimizer,)

    def state_dict(self) -> dict[str, Any]:
        """The plan, the position in the ramp, reconstructor, head and both optimizers."""
        return {
            "mode": self.name,
            "plan": asdict(self.plan),
            "updates": self.updates,
            "reconstructor": self.reconstructor.state_dict(),
            "head": self.joint.head.state_dict(),
            "reconstructor_optimizer": self.reconstructor_optimizer.state_dict(),
            "head_optimizer": self.head_optimizer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken; raises `UsageError` where that was with another plan."""
        before, now = state["plan"], asdict(self.plan)
        changed = [f"{key} was {before.get(key)!r}, is {now[key]!r}" for key in now if before.get(key) != now[key]]
        if changed:
            raise UsageError(f"VEEGAN was trained with another plan ({'; '.join(changed)}); resume with the same one.")
        self.updates = int(state["updates"])
        self.reconstructor.load_state_dict(state["reconstructor"])
        self.joint.head.load_state_dict(state["head"])
        self.reconstructor_optimizer.load_state_dict(state["reconstructor_optimizer"])
        self.head_optimizer.load_state_dict(state["head_optimizer"])

    def _update_discriminator(self, state: TrainingState, world: World) -> Tensor:
        latent = self._latent(state, world)
        with torch.no_grad():
            fake = state.generator(latent)
        real = self._real(state, world)
        noise = self._noise(state, world)
        loss = self.objective.discriminator_loss(self.joint, self.reconstructor, flat(latent), fake, real, noise)
        loss = loss + self._penalty(state, flat(latent), fake, real)
        state.discriminator_optimizer.zero_grad()
        self.head_optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        world.average_gradients(self.joint)
        state.discriminator_optimizer.step()
        self.head_optimizer.step()
        if state.treatment is not None:
            state.treatment.step()
        return loss

    def _penalty(self, state: TrainingState, latent: Tensor, fake: Tensor, real: Tensor) -> Tensor:
        settings, penalty = state.recipe.settings, torch.zeros((), device=real.device)

        def scored(x: Tensor) -> Tensor:
            return self.joint(latent, x)  # type: ignore[no-any-return]

        if settings.gradient_penalty:
            penalty = penalty + settings.gradient_penalty * gradient_penalty(scored, real, fake, state.random)
        return penalty + settings.r1 * r1_penalty(scored, real) if settings.r1 else penalty

    def _teach_adversarially(self, state: TrainingState, world: World) -> None:
        """Add the adversarial variant's gradient to the reconstructor's; as published there is none."""
        if not self.objective.adversarial_reconstructor:
            return
        real, noise = self._real(state, world), self._noise(state, world)
        loss = self.objective.reconstructor_loss(self.joint, self.reconstructor, real, noise)
        if loss is not None:
            loss.backward()  # type: ignore[no-untyped-call]

    def _warm_up(self, state: TrainingState, world: World) -> None:
        """Teach the reconstructor alone on (G(z), z); the generator is not touched."""
        latent = self._latent(state, world)
        with torch.no_grad(), evaluating(state.generator):
            fake = state.generator(latent)
        loss = self.objective.distance(flat(latent), self.reconstructor(fake).flatten(1))
        self.reconstructor_optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        world.average_gradients(self.reconstructor)
        self.reconstructor_optimizer.step()

    def _latent(self, state: TrainingState, world: World) -> Tensor:
        return world.part(state.recipe.latent(state.recipe.settings.batch_size, state.random))

    def _real(self, state: TrainingState, world: World) -> Tensor:
        return world.part(state.recipe.real(state.recipe.settings.batch_size, state.random))

    def _noise(self, state: TrainingState, world: World) -> Tensor:
        count, size = state.recipe.settings.batch_size, self.joint.latent_size
        return world.part(torch.randn(count, size, generator=state.random))
