"""At which rates a treatment trains: those of the run, or safe ones proposed from them."""

from __future__ import annotations

from spectral_doctor.training.pace import Pace, rates_in_force
from spectral_doctor.training.state import TrainingState
from spectral_doctor.treatment.records import Regimen

# Adam's own default. Up to it a rate is left alone: every healthy recipe here learns at it or below.
USUAL = 1e-3


def safe_rate(began: float) -> float:
    """A rate to treat at, from the one that a network began with: a tenth of it, not below 1e-3; itself up to there."""
    return began if began <= USUAL else max(began / 10, USUAL)


def pace_of(regimen: Regimen, state: TrainingState, first: int, last: int) -> Pace | None:
    """The pace that a regimen means for a run at step `first`; None where it changes nothing.

    "own" are the rates in force at the checkpoint; "safe" comes from those that its optimizers began with
    (`initial_lr`), for a schedule may have raised them, or ended them. Raises `UsageError` where β1 is to be set on an
    optimizer that has none.
    """
    if regimen == Regimen():
        return None
    rates = []
    for optimizer in (state.generator_optimizer, state.discriminator_optimizer):
        in_force, began = rates_in_force(optimizer)
        rate = regimen.rate
        rates.append(rate if isinstance(rate, float) else in_force if rate == "own" else safe_rate(began))
    pace = Pace(first, last, rates[0], rates[1], regimen.beta1, regimen.decay)
    pace.check([optimizer for side in state.optimizers() for optimizer in side])
    return pace
