"""Which checkpoint to go back to, or to build on: by what was measured, then by modes, then by the spectrum."""

from __future__ import annotations

from collections.abc import Sequence

from spectral_doctor.diagnosis.records import Advice, ModesStatement, SpectrumState, StepState
from spectral_doctor.trajectory.curves import MetricCurve
from spectral_doctor.trajectory.records import SpectralTrajectory

_TROUBLED = (SpectrumState.DECLINING, SpectrumState.COLLAPSED, SpectrumState.EXPLODED, SpectrumState.NON_FINITE)
_SLIGHT = 0.1
_NO_START = (SpectrumState.UNTRAINED, SpectrumState.EXPLODED, SpectrumState.NON_FINITE, SpectrumState.ZERO)
START_OVER = (
    "only untrained weights lie before: start over, with a lower discriminator rate, spectral norm or a gradient "
    "penalty"
)


def advised(
    trajectory: SpectralTrajectory, states: Sequence[StepState], curves: Sequence[MetricCurve], end: int
) -> Advice:
    """The advice on a series; `end` is the index from which on no checkpoint is to be gone back to.

    A checkpoint of which the run measured the most modes, or the best FID, comes first. Else, before `end`, the latest
    with a sound spectrum whose modes are not called lost, and that is still there. An untrained one is never advice.
    """
    troubled = states[-1].spectrum in _TROUBLED or states[-1].modes is ModesStatement.LOST
    measured = _best_measured(states, curves, troubled)
    if measured is not None:
        return measured
    usable = [item for item in states[:end] if item.checkpoint.is_present and item.spectrum is SpectrumState.SOUND]
    kept = [item for item in usable if item.modes is not ModesStatement.LOST]
    unit = trajectory.step_unit
    if kept:
        why = f"the last sound spectrum before {unit} {states[end].step}" if end < len(states) else _latest(troubled)
        return Advice(kept[-1].checkpoint, kept[-1].step, why)
    if not troubled:
        return Advice(None, None, "no checkpoint has a sound spectrum to build on")
    if any(item.spectrum is SpectrumState.SOUND and not item.checkpoint.is_present for item in states[:end]):
        return Advice(None, None, "the sound checkpoints before are no longer there as they were")
    if any(item.spectrum is SpectrumState.UNTRAINED for item in states):
        return Advice(None, None, START_OVER)
    return Advice(None, None, "no sound checkpoint from before is among those given: add earlier ones")


def _latest(troubled: bool) -> str:
    return "the last with a sound spectrum" if troubled else "the latest"


def _best_measured(states: Sequence[StepState], curves: Sequence[MetricCurve], troubled: bool) -> Advice | None:
    """The present, trained checkpoint with the best of the first metric that has a direction.

    Where nothing is wrong the last is advised, unless it is a tenth worse than the best.
    """
    for curve in curves:
        if curve.higher_is_better is None:
            continue
        values = dict(zip(curve.steps, curve.values, strict=True))
        usable = [
            item
            for item in states
            if item.step in values and item.checkpoint.is_present and item.spectrum not in _NO_START
        ]
        if usable:
            sign = 1 if curve.higher_is_better else -1
            best = max(usable, key=lambda item: (sign * values[item.step], item.step))
            last = values.get(states[-1].step)
            if (
                not troubled
                and last is not None
                and sign * (values[best.step] - last) <= _SLIGHT * abs(values[best.step])
            ):
                return None
            most = "" if curve.most is None else f" of {curve.most:g}"
            return Advice(best.checkpoint, best.step, f"best {curve.name}: {values[best.step]:g}{most}")
    return None
