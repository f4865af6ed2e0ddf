"""The sentences of the page, which also stand for its pictures where these cannot be seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from spectral_doctor.diagnosis.records import Diagnosis, LayerFinding, Verdict
from spectral_doctor.records import CheckpointRef
from spectral_doctor.trajectory.curves import MetricCurve
from spectral_doctor.trajectory.records import SpectralTrajectory

# The class of a verdict in the style sheet and the sign that says it without colour.
_MARKS = {
    Verdict.COLLAPSED: ("collapsed", "▼"),
    Verdict.DECLINING: ("declining", "↘"),
    Verdict.HEALTHY: ("healthy", "●"),
}
UNCLEAR = ("unclear", "?")
NOT_JUDGED = ("not-judged", "–")


def number(value: float) -> str:
    """Three significant digits, more before the point, and an exponent for the very large and the very small."""
    if value == 0.0 or 0.001 <= value < 1000.0:
        return f"{value:.3g}"
    return f"{value:.0f}" if 1000.0 <= value < 100_000.0 else f"{value:.1e}"


def mark(verdict: Verdict | None) -> tuple[str, str]:
    """The class and the sign of a verdict; None is a layer that is shown and not judged."""
    return NOT_JUDGED if verdict is None else _MARKS.get(verdict, UNCLEAR)


def layer_state(finding: LayerFinding) -> str:
    """What a layer is, in a word or two."""
    if finding.verdict is None:
        return f"not judged: {finding.reason}"
    return "not finite" if finding.verdict is Verdict.NOT_ENOUGH_EVIDENCE else finding.verdict.value.lower()


def span(trajectory: SpectralTrajectory) -> str:
    """How many checkpoints a series has, over which steps, and where these were read from."""
    unit, steps = trajectory.step_unit, trajectory.steps
    if len(steps) == 1:
        return "One checkpoint" + (f", {unit} {steps[0]}." if trajectory.step_source else ".")
    return f"{len(steps)} checkpoints, {unit} {steps[0]} to {steps[-1]} (from {trajectory.step_source})."


def advice(diagnosis: Diagnosis) -> tuple[str, CheckpointRef | None, str]:
    """What to do: a heading, the checkpoint it is about, and why."""
    unit = diagnosis.trajectory.step_unit
    if diagnosis.onset is not None and diagnosis.resume_from is not None:
        there = "still there " if diagnosis.healthy_is_gone else ""
        why = f"The last healthy checkpoint {there}before the onset at {unit} {diagnosis.onset}."
        return f"{unit} {diagnosis.last_healthy}", diagnosis.resume_from, why
    if diagnosis.onset is not None and diagnosis.healthy_is_gone:
        return "none is left", None, "The healthy checkpoints before the onset are no longer there as they were."
    if diagnosis.onset is not None:
        why = "No healthy checkpoint before the onset is among those given; add earlier ones to find one."
        return "no checkpoint known", None, why
    if diagnosis.resume_from is not None:
        if len(diagnosis.trajectory.steps) == 1:
            return "this checkpoint", diagnosis.resume_from, "It is the only one given."
        why = "No onset was found; this is the latest healthy checkpoint."
        return f"{unit} {diagnosis.last_healthy}", diagnosis.resume_from, why
    return "none", None, "No checkpoint among those given can be recommended."


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
