"""What the options of `fix` prescribe: a compensation, VEEGAN, a restart, and the rates to train at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spectral_doctor.errors import UsageError, listed, printable

if TYPE_CHECKING:
    from spectral_doctor.training.records import RestartPlan
    from spectral_doctor.treatment.records import Dose, Prescription, Regimen

COMPENSATIONS = ("static", "dynamic")
MODES = (*COMPENSATIONS, "veegan", "restart", "trial")
ENVELOPES = ("running", "held", "median", "official")


@dataclass(frozen=True)
class DoseTexts:
    """What the options of a compensation say, as they were typed."""

    fraction: float
    interval: int | None
    scale: str | None
    envelope: str
    apply: str
    exclude: tuple[str, ...]

    def dose(self, mode: str) -> Dose:
        """The dose that they mean; raises `UsageError`."""
        for option, value, allowed in (
            ("--scale", self.scale, ("hold", "one", "free", None)),
            ("--envelope", self.envelope, ENVELOPES),
            ("--apply", self.apply, ("projection", "parametrization")),
        ):
            if value not in allowed:
                expected = listed(item for item in allowed if item is not None)
                raise UsageError(f"{option} {printable(value)}: expected one of {expected}.")
        if not 0.0 <= self.fraction <= 1.0:
            raise UsageError(f"--fraction {self.fraction:g}: expected between 0 and 1.")
        from spectral_doctor.treatment.records import Dose

        chosen = self.interval or (5 if self.apply == "projection" else 1)
        return Dose(mode, self.fraction, chosen, self.scale, self.envelope, self.apply, self.exclude)


@dataclass(frozen=True)
class Options:
    """All that decides a prescription, as it was typed; None is what was not given."""

    mode: str | None
    companion: str | None
    veegan: tuple[str, ...]
    restart: tuple[str, ...]
    rate: str | None
    decay: bool | None
    beta1: float | None
    revive: bool | None
    arms: str | None
    dose: DoseTexts

    def checked_mode(self) -> str:
        """The mode, and no option beside it that goes with another; raises `UsageError`."""
        if self.mode is None:
            raise UsageError(f"--mode: say how to treat it; expected one of {listed(MODES)}.")
        if self.mode not in MODES:
            raise UsageError(f"--mode {printable(self.mode)}: expected one of {listed(MODES)}.")
        for option, value, home in (
            ("--with", self.companion, ("veegan",)),
            ("--veegan", self.veegan, ("veegan",)),
            ("--restart", self.restart, ("restart", "trial")),
            ("--arms", self.arms, ("trial",)),
        ):
            if value and self.mode not in home:
                raise UsageError(f"{option}: goes with --mode {' or '.join(home)}.")
        if self.companion not in (*COMPENSATIONS, None):
            raise UsageError(f"--with {printable(self.companion)}: expected one of {listed(COMPENSATIONS)}.")
        if self.mode == "trial" and {self.decay, self.beta1, self.revive} != {None}:
            raise UsageError("--decay, --beta1, --revive: a trial's arms have their own; leave them out.")
        return self.mode

    def prescription(self, steps: int) -> Prescription:
        """What a resumed run is treated with over so many steps; raises `UsageError`."""
        from spectral_doctor.cli.train import assigned
        from spectral_doctor.treatment.records import Prescription, attached_plan

        mode = self.checked_mode()
        treated = self.companion if mode == "veegan" else mode if mode in COMPENSATIONS else None
        return Prescription(
            self.dose.dose(treated) if treated else None,
            attached_plan(steps).changed(assigned("--veegan", self.veegan)) if mode == "veegan" else None,
            self.restart_plan() if mode == "restart" else None,
            self._regimen(mode == "restart"),
            mode == "restart" if self.revive is None else self.revive,
        )

    def restart_plan(self) -> RestartPlan:
        """How a fresh discriminator is taught; raises `UsageError`."""
        from spectral_doctor.cli.train import assigned
        from spectral_doctor.training.records import RestartPlan

        return RestartPlan().changed(assigned("--restart", self.restart))

    @property
    def trial_rate(self) -> str | float:
        """At which rate those arms of a trial train that do not keep the run's own; raises `UsageError`."""
        return _rate(self.rate or "safe")

    def _regimen(self, restarting: bool) -> Regimen:
        from spectral_doctor.treatment.records import Regimen

        if self.beta1 is not None and not 0 <= self.beta1 < 1:
            raise UsageError(f"--beta1 {self.beta1:g}: expected from 0 to below 1.")
        rate = _rate(self.rate or ("safe" if restarting else "own"))
        decay = restarting if self.decay is None else self.decay
        return Regimen(rate, decay, 0.0 if restarting and self.beta1 is None else self.beta1)


def _rate(text: str) -> str | float:
    if text in ("own", "safe"):
        return text
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise UsageError(f"--rate {printable(text)}: expected 'own', 'safe', or a number above 0.")
    return rate
