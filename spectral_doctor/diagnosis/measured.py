"""What a run measured of its own samples says about modes: where it did, nothing has to be inferred."""

from __future__ import annotations

from collections.abc import Sequence

from spectral_doctor.diagnosis.records import ModesEstimate, ModesStatement, Tier
from spectral_doctor.trajectory.curves import MODES, SOLID, MetricCurve

# Of the best so far: below, modes are lost; from there on, kept. A run has learnt once half of all modes were there.
_LOST_BELOW, _KEPT_FROM, _LEARNT = 0.5, 0.7, 0.5


def measured(curves: Sequence[MetricCurve], step: int) -> ModesEstimate | None:
    """The statement by the solid modes (else the modes captured) that a run measured at a step; None where it did not.

    LOST below half of the best so far, KEPT from seven tenths of it on, in a run that has reached half of all modes.
    """
    curve = next((item for name in (SOLID, MODES) for item in curves if item.name == name), None)
    if curve is None or curve.most is None or step not in curve.steps:
        return None
    place = curve.steps.index(step)
    now, best = curve.values[place], max(curve.values[: place + 1])
    if best < _LEARNT * curve.most:
        return None
    why = f"{curve.name} {now:g} of {curve.most:g}, and {best:g} at best so far"
    return ModesEstimate(_word(now / best), None, Tier.MEASURED, (), why)


def _word(share: float) -> ModesStatement:
    if share < _LOST_BELOW:
        return ModesStatement.LOST
    return ModesStatement.KEPT if share >= _KEPT_FROM else ModesStatement.IN_DOUBT
