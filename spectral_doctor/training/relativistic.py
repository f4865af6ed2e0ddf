"""The relativistic pairing loss as the step of a run, with both gradient penalties (R3GAN's loss)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from spectral_doctor.errors import UsageError
from spectral_doctor.gan.losses import gradient_penalty, pairing_loss, r1_penalty, r2_penalty
from spectral_doctor.gan.recipes import Recipe
from spectral_doctor.gan.settings import Settings
from spectral_doctor.training.records import StepLosses
from spectral_doctor.training.state import TrainingState
from spectral_doctor.training.world import World


@dataclass(frozen=True)
class PairingPlan:
    """How strongly the discriminator's gradients are held: γ of R1 and R2, and their course over `over` steps.

    After t steps each γ is multiplied by exp(−fall·min(t / over, 1)), and with `by_variance` by the variance of a
    coordinate of real data: ‖∇D‖² falls with the square of the data's scale, so γ then means the same for all data.
    """

    r1: float = 1.0
    r2: float = 1.0
    fall: float = 4.0
    over: int = 1000
    by_variance: bool = True

    def __post_init__(self) -> None:
        for name in ("r1", "r2", "fall"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise UsageError(
                    f"relativistic {name}={getattr(self, name):g}: expected a number that is not negative."
                )
        if self.over < 1:
            raise UsageError(f"relativistic over={self.over}: expected at least 1 step.")

    @classmethod
    def of(cls, settings: Settings) -> PairingPlan:
        """The plan that a recipe's settings ask for, over the whole run."""
        return cls(settings.r1, settings.r2, settings.penalty_fall, settings.steps, settings.penalty_by_variance)

    def factor_at(self, updates: int) -> float:
        """What both γ are multiplied by after so many steps."""
        return math.exp(-self.fall * min(updates / self.over, 1.0))


class Relativistic:
    """The step of R3GAN (Huang et al. 2024): D and G by pairs of a real and a generated sample, D under R1 and R2.

    Whatever losses the recipe has are not asked; its data, latents and optimizers are. The settings' gradient penalty
    is added where it has a weight. Generator, discriminator and optimizers stay those of the run.
    """

    name = "relativistic"

    def __init__(self, state: TrainingState, plan: PairingPlan | None = None) -> None:
        self.plan = plan or PairingPlan.of(state.recipe.settings)
        self.updates = 0
        self.variance = coordinate_variance(state.recipe) if self.plan.by_variance else 1.0

    def step(self, state: TrainingState, world: World) -> StepLosses:
        """One step: `n_dis` updates of the discriminator, one of the generator."""
        for _ in range(state.recipe.settings.n_dis):
            discriminator_loss = self._update_discriminator(state, world)
        fake = state.generator(self._latent(state, world))
        with torch.no_grad():
            real_logits = state.discriminator(self._real(state, world))
        loss = pairing_loss(state.discriminator(fake), real_logits)
        state.generator_optimizer.zero_grad()
        # Only the generator's gradients are wanted here, so the discriminator's are not computed.
        taught = [parameter for parameter in state.generator.parameters() if parameter.requires_grad]
        loss.backward(inputs=taught)  # type: ignore[no-untyped-call]
        world.average_gradients(state.generator)
        state.generator_optimizer.step()
        self.updates += 1
        return StepLosses(*world.mean((discriminator_loss.item(), loss.item())))

    def optimizers(self) -> tuple[tuple[Optimizer, ...], tuple[Optimizer, ...]]:
        """None beside the run's own."""
        return (), ()

    def state_dict(self) -> dict[str, Any]:
        """The plan, the position in γ's course, and the data's variance."""
        return {"mode": self.name, "plan": asdict(self.plan), "updates": self.updates, "variance": self.variance}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken; raises `UsageError` where that was with another plan.

        A run may be given more steps than it had, and γ then falls over those.
        """
        before, now = state["plan"], asdict(self.plan)
        keys = [key for key in now if key != "over" and before.get(key) != now[key]]
        if keys:
            changed = "; ".join(f"{key} was {before.get(key)!r}, is {now[key]!r}" for key in keys)
            raise UsageError(f"trained with other penalties ({changed}); resume with the same ones.")
        self.updates, self.variance = int(state["updates"]), float(state["variance"])

    def _update_discriminator(self, state: TrainingState, world: World) -> Tensor:
        with torch.no_grad():
            fake = state.generator(self._latent(state, world))
        real = self._real(state, world)
        discriminator, settings = state.discriminator, state.recipe.settings
        loss = pairing_loss(discriminator(real), discriminator(fake))
        scale = self.plan.factor_at(self.updates) * self.variance
        if self.plan.r1:
            loss = loss + scale * self.plan.r1 * r1_penalty(discriminator, real)
        if self.plan.r2:
            loss = loss + scale * self.plan.r2 * r2_penalty(discriminator, fake)
        if settings.gradient_penalty:
            loss = loss + settings.gradient_penalty * gradient_penalty(discriminator, real, fake, state.random)
        state.discriminator_optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        world.average_gradients(discriminator)
        state.discriminator_optimizer.step()
        if state.treatment is not None:
            state.treatment.step()
        return loss

    def _latent(self, state: TrainingState, world: World) -> Tensor:
        return world.part(state.recipe.latent(state.recipe.settings.batch_size, state.random))

    def _real(self, state: TrainingState, world: World) -> Tensor:
        return world.part(state.recipe.real(state.recipe.settings.batch_size, state.random))


def coordinate_variance(recipe: Recipe, samples: int = 1024) -> float:
    """The mean over coordinates of the variance of real data, from samples drawn with a seed of their own."""
    real = recipe.real(samples, torch.Generator().manual_seed(0)).flatten(1).double()
    return float(real.var(dim=0, correction=0).mean())
