"""The sentences of a diagnosis: what was seen of the spectrum, then of the modes."""

from __future__ import annotations

from collections.abc import Sequence

from spectral_doctor.diagnosis.records import (
    Argument,
    Diagnosis,
    LayerFinding,
    LayerState,
    ModesEstimate,
    ModesStatement,
    SpectrumState,
    StepState,
    Tier,
)
from spectral_doctor.errors import printable
from spectral_doctor.trajectory.records import SpectralTrajectory

# Below this an argument changes the odds by less than two fifths and is not worth a word.
_SLIGHT = 0.35
_FALL = 0.05
_STATES = {
    SpectrumState.UNTRAINED: "every layer is as at initialisation: spectra and sizes of random weights",
    SpectrumState.EXPLODED: "a largest singular value that no trained layer has",
    SpectrumState.NON_FINITE: "weights are NaN or infinite",
    SpectrumState.ZERO: "every weight is zero",
    SpectrumState.CLIPPED: "the weights are clipped, where a spectrum near rank 1 is normal and not judged",
    SpectrumState.COMPENSATED: "most judged layers have the two-step spectrum that a static compensation leaves",
    SpectrumState.STILL: "no layer has moved for half of the series or more",
    SpectrumState.NOT_JUDGED: "no layer of rank 8 or more that is being trained could be judged",
}


def summarise(
    trajectory: SpectralTrajectory,
    states: Sequence[StepState],
    onset: int | None,
    layers: Sequence[LayerFinding],
    modes: ModesEstimate,
) -> str:
    """Say what was seen of the spectrum, since when, and what is inferred about modes."""
    return f"{_spectrum(trajectory, states, onset, layers)} {modes_sentence(modes)}"


def spectrum_sentence(diagnosis: Diagnosis) -> str:
    """The first half of the summary: the state of the spectrum, since when, and what was seen."""
    return _spectrum(diagnosis.trajectory, diagnosis.states, diagnosis.onset, diagnosis.layers)


def _spectrum(
    trajectory: SpectralTrajectory, states: Sequence[StepState], onset: int | None, layers: Sequence[LayerFinding]
) -> str:
    last = states[-1]
    if last.spectrum in _STATES:
        return f"The spectrum is {last.spectrum.value}: {_STATES[last.spectrum]}."
    judged = [layer for layer in layers if layer.state is not None]
    low = sum(layer.state in (LayerState.LOW, LayerState.FALLEN) for layer in judged)
    counted = f"{low} of {len(judged)} judged layers below the reference range"
    best = ""
    if last.best_plateau is not None:
        best = f"; the best plateau, in {printable(last.best_layer)}, is {last.best_plateau:.2f}{_from_best(states)}"
    return f"The spectrum is {last.spectrum.value}{_since(trajectory, onset)}: {counted}{best}."


def modes_sentence(modes: ModesEstimate) -> str:
    """The statement about modes with its probability, what it rests on, and the evidence for and against."""
    if modes.statement is ModesStatement.NOT_KNOWN:
        chance = "" if modes.probability is None else f" (probability {modes.probability:.2f})"
        return f"Whether modes are lost is not known: {modes.why}{chance}."
    said = {
        ModesStatement.LOST: "Modes are probably lost",
        ModesStatement.IN_DOUBT: "Modes may be lost",
        ModesStatement.KEPT: "No sign of lost modes",
    }[modes.statement]
    if modes.tier is Tier.MEASURED:
        return f"Modes are {modes.statement.value} as the run measured them: {modes.why}."
    why = f"; {modes.why}" if modes.why else ""
    certain = 1.0 if modes.probability is None else modes.probability
    return f"{said}: probability {certain:.2f} by {modes.tier.value}{why}.{weighed(modes.arguments)}"


def weighed(arguments: Sequence[Argument]) -> str:
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
