"""The summary sentences of a diagnosis."""

from __future__ import annotations

from collections.abc import Sequence

from spectral_doctor.diagnosis.records import Argument, LayerFinding, StepState, Thresholds, Verdict
from spectral_doctor.errors import printable
from spectral_doctor.trajectory.records import SpectralTrajectory

# Below this an argument changes the odds by less than two fifths and is not worth a word.
_SLIGHT = 0.35
_FALL = 0.05


def summarise(
    trajectory: SpectralTrajectory,
    states: Sequence[StepState],
    onset: int | None,
    layers: Sequence[LayerFinding],
    arguments: Sequence[Argument],
    spectrally_normalised: bool,
    thresholds: Thresholds,
) -> str:
    """Say what was seen, since when, how likely a collapse is, and what counted for and against it."""
    last = states[-1]
    judged = [layer for layer in layers if layer.verdict is not None]
    if last.best_plateau is None or last.probability is None:
        if not judged:
            return _nothing_judged(layers, thresholds)
        return "No judged layer has finite weights at the last checkpoint."
    best = f"the best plateau, in {printable(last.best_layer)}, is {last.best_plateau:.2f}"
    low = sum(layer.verdict is Verdict.COLLAPSED for layer in judged)
    since = _since(trajectory, onset)
    match last.verdict:
        case Verdict.HEALTHY:
            text = _healthy(low, len(judged), best)
        case Verdict.DECLINING:
            text = f"The spectrum is declining{since}: {best}{_from_best(states)}."
        case Verdict.COLLAPSED:
            text = f"{_collapse(arguments)}{since}: {best}{_from_best(states)}."
        case _:
            text = f"Too little to go by: {best}. {_missing(states, spectrally_normalised, thresholds)}"
    limits = _limits(states, last.verdict, spectrally_normalised)
    return f"{text} Probability of mode collapse {last.probability:.2f}.{_weighed(arguments)}{limits}"


def _healthy(low: int, judged: int, best: str) -> str:
    if 2 * low > judged:
        return f"No sign of a collapse, though {low} of {judged} judged layers have a low plateau; {best}."
    return f"No spectral collapse: {judged - low} of {judged} judged layers keep their plateau; {best}."


def _nothing_judged(layers: Sequence[LayerFinding], thresholds: Thresholds) -> str:
    if any(layer.reason == "clipped" for layer in layers):
        return "The weights are clipped: a spectrum near rank 1 is then normal, and nothing else can be judged."
    return f"No layer of rank {thresholds.smallest_rank} or more that is being trained could be judged."


def _collapse(arguments: Sequence[Argument]) -> str:
    """The collapse in the words of the plateau where it counts, else of the strongest argument for it."""
    found = [item.name for item in arguments if item.weight > _SLIGHT and item.name != "normalised"]
    name = "shortfall" if "shortfall" in found else next(iter(found), "")
    return {
        "still": "The discriminator has stopped moving, its spectrum collapsed",
        "outgrowth": "One layer has outgrown the others, and the spectrum has collapsed",
        "first": "The first layer has lost its directions",
    }.get(name, "Even the best layers have lost their plateau")


def _missing(states: Sequence[StepState], spectrally_normalised: bool, thresholds: Thresholds) -> str:
    if not spectrally_normalised:
        if len(states) == 1:
            return "Without spectral norm low plateaus are common, and one checkpoint shows no change."
        return "Without spectral norm low plateaus are common, and nothing in this series changed for the worse."
    if (states[-1].probability or 0.0) < thresholds.collapsed_at:
        return f"One checkpoint shows no trend, and its probability lies below {thresholds.collapsed_at:g}."
    return f"One checkpoint whose judged layers all have a rank below {thresholds.rank_for_one} can look so by chance."


def _weighed(arguments: Sequence[Argument]) -> str:
    """The evidence for and against, the strongest first, each with what it adds to the log-odds."""
    parts = []
    for word, sign in (("For", 1), ("Against", -1)):
        items = [f"{item.sentence} ({item.weight:+.1f})" for item in arguments if sign * item.weight > _SLIGHT]
        if items:
            parts.append(f" {word} it: {'; '.join(items)}.")
    return "".join(parts)


def _since(trajectory: SpectralTrajectory, onset: int | None) -> str:
    if onset is None or len(trajectory.steps) == 1:
        return ""
    if onset == trajectory.steps[0]:
        return " in every checkpoint given"
    return f" since {trajectory.step_unit} {onset}"


def _from_best(states: Sequence[StepState]) -> str:
    best = max(
        (state for state in states if state.best_plateau is not None),
        key=lambda state: state.best_plateau or 0.0,
    )
    if (best.best_plateau or 0.0) - (states[-1].best_plateau or 0.0) <= _FALL:
        return ""
    return f", down from {best.best_plateau:.2f} at {best.step}"


def _limits(states: Sequence[StepState], verdict: Verdict, spectrally_normalised: bool) -> str:
    if verdict is Verdict.NOT_ENOUGH_EVIDENCE:
        return ""
    limits = []
    if len(states) == 1:
        limits.append("one checkpoint shows no trend")
    if not spectrally_normalised:
        limits.append("without spectral norm spectra tell less")
    return f" Weak evidence: {' and '.join(limits)}." if limits else ""
