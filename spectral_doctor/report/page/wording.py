"""The sentences of the page, which also stand for its pictures where these cannot be seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from spectral_doctor.diagnosis.records import Diagnosis, LayerFinding, LayerState, ModesStatement, SpectrumState
from spectral_doctor.records import CheckpointRef
from spectral_doctor.trajectory.curves import MetricCurve
from spectral_doctor.trajectory.records import SpectralTrajectory

State = SpectrumState | ModesStatement | LayerState
# The class of a statement in the style sheet and the sign that says it without colour.
_MARKS: dict[State, tuple[str, str]] = {
    SpectrumState.COLLAPSED: ("collapsed", "▼"),
    SpectrumState.EXPLODED: ("collapsed", "✸"),
    SpectrumState.NON_FINITE: ("collapsed", "✕"),
    SpectrumState.ZERO: ("collapsed", "0"),
    SpectrumState.DECLINING: ("declining", "↘"),
    SpectrumState.RECOVERING: ("declining", "↗"),
    SpectrumState.STILL: ("declining", "="),
    SpectrumState.SOUND: ("healthy", "●"),
    ModesStatement.LOST: ("collapsed", "▼"),
    ModesStatement.IN_DOUBT: ("declining", "≈"),
    ModesStatement.KEPT: ("healthy", "●"),
    LayerState.FALLEN: ("collapsed", "▼"),
    LayerState.LOW: ("declining", "↓"),
    LayerState.SOUND: ("healthy", "●"),
    LayerState.NON_FINITE: ("unclear", "✕"),
}
UNCLEAR = ("unclear", "?")
NOT_JUDGED = ("not-judged", "–")


def number(value: float) -> str:
    """Three significant digits, more before the point, and an exponent for the very large and the very small."""
    if value == 0.0 or 0.001 <= value < 1000.0:
        return f"{value:.3g}"
    return f"{value:.0f}" if 1000.0 <= value < 100_000.0 else f"{value:.1e}"


def mark(state: State | None) -> tuple[str, str]:
    """The class and the sign of a statement; None is a layer that is shown and not judged."""
    return NOT_JUDGED if state is None else _MARKS.get(state, UNCLEAR)


def layer_state(finding: LayerFinding) -> str:
    """What a layer is, in a word or two."""
    return f"not judged: {finding.reason}" if finding.state is None else finding.state.value


def span(trajectory: SpectralTrajectory) -> str:
    """How many checkpoints a series has, over which steps, and where these were read from."""
    unit, steps = trajectory.step_unit, trajectory.steps
    if len(steps) == 1:
        return "One checkpoint" + (f", {unit} {steps[0]}." if trajectory.step_source else ".")
    return f"{len(steps)} checkpoints, {unit} {steps[0]} to {steps[-1]} (from {trajectory.step_source})."


def advice(diagnosis: Diagnosis) -> tuple[str, CheckpointRef | None, str]:
    """What to do: a heading, the checkpoint it is about, and why."""
    found, unit = diagnosis.advice, diagnosis.trajectory.step_unit
    why = f"{found.why[:1].upper()}{found.why[1:]}."
    if found.checkpoint is None:
        return "nowhere", None, why
    if len(diagnosis.trajectory.steps) == 1:
        return "this checkpoint", found.checkpoint, "It is the only one given."
    return f"{unit} {found.step}", found.checkpoint, why


def since(diagnosis: Diagnosis) -> tuple[str, str]:
    """Since when the spectrum has been falling, and how exactly that is known."""
    trajectory = diagnosis.trajectory
    if len(trajectory.steps) == 1:
        return "–" if diagnosis.onset is None else "unknown", "One checkpoint shows no onset."
    if diagnosis.onset is None:
        return "–", "No onset in this series."
    if diagnosis.onset == trajectory.steps[0]:
        return f"{trajectory.step_unit} {diagnosis.onset} or before", "Every checkpoint given is affected."
    return f"{trajectory.step_unit} {diagnosis.onset}", f"Not yet at {diagnosis.onset_after}."


def course(values: Sequence[float | None], steps: Sequence[int], unit: str) -> str:
    """A curve in words: where it starts, its highest and lowest point, and where it ends."""
    known = [(step, value) for step, value in zip(steps, values, strict=True) if value is not None]
    if not known:
        return "no finite value"
    if len(known) == 1:
        return f"{known[0][1]:.3g} at {unit} {known[0][0]}"
    (first, start), (last, end) = known[0], known[-1]
    highest, lowest = max(known, key=lambda pair: pair[1]), min(known, key=lambda pair: pair[1])
    text = (
        f"{start:.3g} at {unit} {first}, highest {highest[1]:.3g} at {highest[0]}, "
        f"lowest {lowest[1]:.3g} at {lowest[0]}, {end:.3g} at {last}"
    )
    missing = len(values) - len(known)
    return f"{text}; not finite at {missing} of {len(values)} checkpoints" if missing else text


def metric_sentence(curve: MetricCurve, unit: str) -> str:
    """Where a metric stands, and where it was at its best."""
    last = f"{curve.values[-1]:.4g}" + (f" of {curve.most:.4g}" if curve.most is not None else "")
    text = f"{last} at {unit} {curve.steps[-1]}"
    if curve.best is not None and len(curve.steps) > 1:
        text += f"; best {curve.best[1]:.4g} at {curve.best[0]}"
    better = {True: "higher is better", False: "lower is better", None: "not known here which way is better"}
    return f"{text}; {better[curve.higher_is_better]}"


def by_reason(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """Names under the reason that they share, each once, in the order they came."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for name, reason in pairs:
        if name not in reasons[reason]:
            reasons[reason].append(name)
    return list(reasons.items())
