"""The arms of a trial: treatments by name, each a prescription."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from spectral_doctor.errors import UsageError, listed, printable
from spectral_doctor.training.records import RestartPlan
from spectral_doctor.treatment.records import UNTREATED, Dose, Prescription, Regimen, attached_plan

PLAIN = "plain"
PARTS = ("calm", "revive", "restart", "veegan", "static", "dynamic")
ARMS = (PLAIN, "calm", "restart", "veegan", "static", "dynamic", "veegan+dynamic")
SAFE = Regimen("safe", decay=True, beta1=0.0)
# Methods take the place of a plain GAN's step, compensations are two ways to treat one discriminator.
_AT_MOST_ONE = (("restart", "veegan"), ("static", "dynamic"), ("restart", "dynamic"))


@dataclass(frozen=True)
class Pharmacy:
    """What the arms' parts are made of, where a user asked for other doses than the usual ones.

    `rate` is that of the arms that leave the run's own: "safe", or a number for both networks.
    """

    static: Dose = field(default_factory=lambda: Dose("static"))
    dynamic: Dose = field(default_factory=lambda: Dose("dynamic"))
    restart: RestartPlan = field(default_factory=RestartPlan)
    rate: str | float = "safe"


def checked_arms(names: Sequence[str]) -> tuple[str, ...]:
    """The arms by their names, `plain` among them, each once; raises `UsageError` for one that there is not.

    A name is `plain`, or parts joined by a plus: `veegan+dynamic`.
    """
    for name in names:
        parts = name.split("+")
        unknown = [part for part in parts if part not in PARTS] if name != PLAIN else []
        if unknown:
            raise UsageError(
                f"--arms {printable(name)}: expected '{PLAIN}', or {listed(PARTS)}, joined by a plus; "
                f"'{printable(unknown[0])}' is none."
            )
        for one, other in _AT_MOST_ONE:
            if one in parts and other in parts:
                raise UsageError(f"--arms {printable(name)}: '{one}' and '{other}' do not go together.")
    return tuple(dict.fromkeys((PLAIN, *names)))


def restarts(arm: str) -> bool:
    """Whether an arm trains a fresh discriminator."""
    return "restart" in arm.split("+")


def prescribed(arm: str, steps: int, pharmacy: Pharmacy | None = None) -> Prescription:
    """What an arm of a trial over so many steps is treated with.

    `plain` is the control. `calm` changes the rates alone: safe ones that decay, β1 = 0. `restart` and `veegan` train
    at those as well; `static` and `dynamic` at the run's own, unless `calm` is a part too. `revive` draws the
    generator's dead units anew; `restart` does so always.
    """
    if arm == PLAIN:
        return UNTREATED
    given, parts = pharmacy or Pharmacy(), set(arm.split("+"))
    return Prescription(
        given.static if "static" in parts else given.dynamic if "dynamic" in parts else None,
        attached_plan(steps) if "veegan" in parts else None,
        given.restart if "restart" in parts else None,
        replace(SAFE, rate=given.rate) if parts & {"calm", "restart", "veegan"} else Regimen(),
        bool(parts & {"revive", "restart"}),
    )
