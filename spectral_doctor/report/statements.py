"""What a terminal shows of one diagnosis: both statements, and a line for everything that one has to know."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator

from spectral_doctor.diagnosis.records import Diagnosis, ModesStatement, SpectrumState, Tier
from spectral_doctor.diagnosis.witness import Witness
from spectral_doctor.diagnosis.wording import modes_sentence, spectrum_sentence
from spectral_doctor.errors import printable
from spectral_doctor.records import Certainty
from spectral_doctor.report.colors import MODES_COLORS, SPECTRUM_COLORS, colored
from spectral_doctor.report.listing import recognised
from spectral_doctor.report.sparkline import sparkline
from spectral_doctor.trajectory.curves import MetricCurve

_LABEL = 12
_TREND_WIDTH = 16
_MORE = {
    Tier.DISCRIMINATOR: "; --witness asks the generator too",
    Tier.GENERATOR: "",
    Tier.SAMPLES: "; --data compares them with real data",
    Tier.DATA: "",
    Tier.ALONE: "",
    Tier.MEASURED: "",
}


def statements(diagnosis: Diagnosis, width: int, color: bool, explain: bool, whole: bool = False) -> list[str]:
    """The lines of one diagnosis above its layers, at most `width` wide; the headline may be `whole` in its line."""
    lines = [*_heading(diagnosis, width, color, whole)]
    for label, text in _rows(diagnosis, explain):
        lines += textwrap.wrap(
            text,
            width,
            initial_indent=f"  {label:{_LABEL}}",
            subsequent_indent=" " * (_LABEL + 2),
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def headline(diagnosis: Diagnosis, color: bool = False, since: str = "") -> str:
    """Both statements in one line, in colour where asked for; `since` says since when the spectrum is so."""
    spectrum, modes = diagnosis.spectrum, diagnosis.modes
    told = modes.statement is not ModesStatement.NOT_KNOWN and modes.probability is not None
    chance = f" {modes.probability:.2f}" if told else ""
    return (
        f"{colored(spectrum.value, SPECTRUM_COLORS[spectrum], color)} spectrum{since} · "
        f"modes {colored(modes.statement.value, MODES_COLORS[modes.statement], color)}{chance}"
    )


def _heading(diagnosis: Diagnosis, width: int, color: bool, whole: bool) -> Iterator[str]:
    trajectory = diagnosis.trajectory
    what = f"{printable(trajectory.discriminator)} · {_when(diagnosis)}"
    if trajectory.certainty is Certainty.INFERRED:
        what += f" · {recognised(trajectory)}"
    plain = f"{headline(diagnosis)}    {what}"
    if whole or len(plain) <= width:
        yield f"{headline(diagnosis, color)}    {what}"
        return
    yield headline(diagnosis, color)
    yield from textwrap.wrap(what, width, initial_indent="  ", subsequent_indent="    ", break_long_words=False)


def _when(diagnosis: Diagnosis) -> str:
    trajectory = diagnosis.trajectory
    unit, steps = trajectory.step_unit, trajectory.steps
    if len(steps) == 1:
        return "one checkpoint" + (f", {unit} {steps[0]}" if trajectory.step_source else "")
    return f"{len(steps)} checkpoints, {unit} {steps[0]}–{steps[-1]}"


def _rows(diagnosis: Diagnosis, explain: bool) -> Iterator[tuple[str, str]]:
    trajectory, unit = diagnosis.trajectory, diagnosis.trajectory.step_unit
    yield from _plateau_row(diagnosis)
    if diagnosis.spectrum not in (SpectrumState.SOUND, SpectrumState.COLLAPSED, SpectrumState.DECLINING):
        yield "spectrum", spectrum_sentence(diagnosis).partition(": ")[2].rstrip(".")
    for event in diagnosis.events:
        yield event.kind.value, f"{unit} {event.first}–{event.last}  {printable(event.sentence)}"
    for finding in diagnosis.findings:
        yield finding.kind.value.lower(), printable(finding.sentence)
    if diagnosis.witness is not None:
        yield "witness", witness_words(diagnosis.witness)
    for curve in diagnosis.curves[:1]:
        yield "samples", _curve(curve, unit)
    if explain or diagnosis.modes.statement is ModesStatement.NOT_KNOWN:
        yield "modes", modes_sentence(diagnosis.modes)
    yield _advice(diagnosis)
    if diagnosis.modes.statement is not ModesStatement.NOT_KNOWN:
        yield "rests on", f"{diagnosis.modes.tier.value}{_MORE[diagnosis.modes.tier]}"
    if explain:
        yield "network", recognised(trajectory)
        if trajectory.step_source and len(trajectory.steps) > 1:
            yield "steps", f"from {printable(trajectory.step_source)}"
    for note in trajectory.notes:
        yield "note", printable(note)


def _plateau_row(diagnosis: Diagnosis) -> Iterator[tuple[str, str]]:
    """Since when, and the best layer's plateau σ_k/σ_1 beside what is healthy for such a layer."""
    states, unit = diagnosis.states, diagnosis.trajectory.step_unit
    last = states[-1].best_plateau
    if last is None:
        return
    first = next(state.best_plateau for state in states if state.best_plateau is not None)
    course = f"{first:.2f} → {last:.2f}" if len(states) > 1 else f"{last:.2f}"
    trend = f"  {sparkline([state.best_plateau for state in states], _TREND_WIDTH)}" if len(states) > 1 else ""
    reference = next((item.reference for item in diagnosis.layers if item.layer == states[-1].best_layer), None)
    healthy = ""
    if reference is not None:
        healthy = f"  healthy {reference.low:.2f}–{reference.high:.2f}" + (
            f", n = {reference.count}" if reference.count else ", random weights"
        )
    if diagnosis.onset is not None and len(states) > 1:
        after = "" if diagnosis.onset_after is None else f" (not yet at {diagnosis.onset_after})"
        yield "since", f"{unit} {diagnosis.onset}{after}"
    yield "plateau", f"best layer {course}{trend}{healthy}"


def witness_words(witness: Witness) -> str:
    """What the generator showed at the last checkpoint, or why it could not be sampled."""
    if witness.diversity is None:
        return f"the generator could not be sampled: {printable(witness.why)}"
    if witness.constant:
        return f"all {witness.samples} samples of G are the same ({printable(witness.why)})"
    fewer = f", {math.exp(witness.loss):.1f} times fewer than at best" if witness.loss > 0.2 else ""
    real = "" if witness.coverage is None else f"; {witness.coverage:.0%} of real samples have one close by"
    return (
        f"{witness.samples} samples of G: about {math.exp(witness.diversity):.0f} kinds{fewer}, spread "
        f"{witness.participation:.2f} of 1{real} ({printable(witness.why)})"
    )


def _curve(curve: MetricCurve, unit: str) -> str:
    most = "" if curve.most is None else f" of {curve.most:g}"
    best = "" if curve.best is None else f"; best {curve.best[1]:g} at {unit} {curve.best[0]}"
    return f"{printable(curve.name)} {curve.values[-1]:g}{most} at {unit} {curve.steps[-1]}{best}"


def _advice(diagnosis: Diagnosis) -> tuple[str, str]:
    advice, unit = diagnosis.advice, diagnosis.trajectory.step_unit
    last = diagnosis.trajectory.steps[-1]
    label = "build on" if advice.step == last else "go back"
    if advice.checkpoint is None:
        return "go back", f"nowhere: {advice.why}"
    named = f"{unit} {advice.step} ({advice.why}): " if diagnosis.trajectory.step_source else ""
    return label, f"{named}{printable(advice.checkpoint)}"
