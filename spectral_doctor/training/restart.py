"""A restart: the generator is kept, and a fresh discriminator learns to judge it by pairs of real and generated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spectral_doctor.errors import UsageError
from spectral_doctor.training.records import RestartPlan, StepLosses
from spectral_doctor.training.relativistic import PairingPlan, Relativistic
from spectral_doctor.training.state import TrainingState
from spectral_doctor.training.world import World


class Restart(Relativistic):
    """The relativistic step for a generator that is kept and a discriminator that knows nothing yet.

    R1 and R2 are weighted alike by γ = `gamma` · s² · exp(−`anneal` · t), where s² is the variance of a coordinate of
    the data and t goes from 0 to 1 over the treatment's steps. Before the first step the discriminator alone learns,
    for `warm_up` updates against the generator as it stands.
    """

    name = "restart"

    def __init__(self, state: TrainingState, plan: RestartPlan, steps: int) -> None:
        super().__init__(state, PairingPlan(plan.gamma, plan.gamma, plan.anneal, max(steps, 1), by_variance=True))
        self.warm_up = plan.warm_up

    def step(self, state: TrainingState, world: World) -> StepLosses:
        """The warm-up before the first step, then that of the loss."""
        if self.updates == 0:
            for _ in range(self.warm_up):
                self._update_discriminator(state, world)
        return super().step(state, world)

    def state_dict(self) -> dict[str, Any]:
        """What the loss keeps, and how long the warm-up was."""
        return {**super().state_dict(), "warm_up": self.warm_up}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken; raises `UsageError` where that was with another plan."""
        if state["warm_up"] != self.warm_up:
            raise UsageError(
                f"restarted with warm_up {state['warm_up']!r}, not {self.warm_up!r}; resume with the same one."
            )
        super().load_state_dict(state)
