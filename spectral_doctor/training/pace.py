"""How fast a treated run learns: rates of its own in place of those that it was trained with, and their end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch.optim import Optimizer

from spectral_doctor.errors import UsageError


@dataclass(frozen=True)
class Pace:
    """The rates of a treatment from step `first` to step `last`, and Adam's β1 where it is another than the run's.

    rate(step) = rate · min(1, 2 − 2·(step − first)/(last − first)) with `decay`: constant over the first half, then
    linear to zero. A pace stands above the schedule of a recipe's settings.
    """

    first: int
    last: int
    generator_rate: float
    discriminator_rate: float
    beta1: float | None = None
    decay: bool = False

    def factor(self, step: int) -> float:
        """What both rates are multiplied by in the step after `step` steps."""
        if not self.decay:
            return 1.0
        return max(min(1.0, 2 - 2 * (step - self.first) / max(self.last - self.first, 1)), 0.0)

    def set(self, step: int, generators: Sequence[Optimizer], discriminators: Sequence[Optimizer]) -> None:
        """Give the optimizers of both sides the rates of a step, and β1 where there is one."""
        pairs = ((generators, self.generator_rate), (discriminators, self.discriminator_rate))
        for optimizers, rate in pairs:
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = rate * self.factor(step)
                    if self.beta1 is not None:
                        group["betas"] = (self.beta1, group["betas"][1])

    def check(self, optimizers: Sequence[Optimizer]) -> None:
        """Raise `UsageError` where β1 is to be set on an optimizer that has none."""
        for optimizer in optimizers:
            if self.beta1 is not None and any("betas" not in group for group in optimizer.param_groups):
                name = type(optimizer).__name__
                raise UsageError(f"--beta1: the recipe's {name} has no betas; leave the option out.")

    def differs(self, other: Pace | None) -> list[str]:
        """What a run that goes on at this pace had otherwise before, in words; the end counts where rates fall."""
        if other is None:
            return ["there was none"]
        names = ["first", "generator_rate", "discriminator_rate", "beta1", "decay"] + ["last"] * self.decay
        return [
            f"{name} was {getattr(other, name)!r}, is {getattr(self, name)!r}"
            for name in names
            if getattr(other, name) != getattr(self, name)
        ]


def rates_in_force(optimizer: Optimizer) -> tuple[float, float]:
    """The largest learning rate of an optimizer as it stands, and the one that it began with (`initial_lr`)."""
    groups = optimizer.param_groups
    return max(float(group["lr"]) for group in groups), max(
        float(group.get("initial_lr", group["lr"])) for group in groups
    )
