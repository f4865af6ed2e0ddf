"""What a treatment did, in words: a table of what was raised, and before beside after."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from io import StringIO
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from spectral_doctor.diagnosis.records import Diagnosis, Thresholds
from spectral_doctor.errors import printable
from spectral_doctor.records import Spectrum

if TYPE_CHECKING:
    from spectral_doctor.evaluation import Evaluation, Spread
    from spectral_doctor.state_dicts.compensating import LayerChange
    from spectral_doctor.training.pace import Pace
    from spectral_doctor.treatment.records import ResumePlan, Standing, TreatmentOutcome, TreatmentResult

STILL = (
    "The discriminator stands still: no treatment that keeps it will help, only a fresh one. Use --mode restart, "
    "which keeps the generator."
)

# What the columns beside a layer's name take.
_NUMBERS = 56


def render_changes(result: TreatmentResult, *, width: int = 80) -> str:
    """A table a discriminator: how many values of each layer were raised, its plateau and σ1 before and after."""
    console = _console(_wide(width, (change.layer for item in result.discriminators for change in item.changes)))
    for item in result.discriminators:
        table = Table(box=SIMPLE_HEAD, pad_edge=False, title=printable(item.discriminator), title_justify="left")
        for column in ("layer", "raised", "σk/σ1", "→", "σ1", "→ "):
            table.add_column(column, justify="left" if column == "layer" else "right")
        for change in item.changes:
            table.add_row(Text(printable(change.layer)), *_row(change))
        console.print(table)
        if item.envelope_source:
            console.print(Text(f"Envelope: {item.envelope_source}."))
        for skipped in item.untouched:
            console.print(Text(f"Untouched: {printable(skipped.name)}: {printable(skipped.sentence)}."))
    return _text(console)


def render_plan(plan: ResumePlan, pace: Pace | None = None, *, width: int = 80) -> str:
    """From where a run is resumed and why, the envelope's source, the rates, and what is missing."""
    console = _console(width)
    unit = "step"
    if plan.diagnosis is not None:
        console.print(Text(f"Before: {plan.diagnosis.summary}"))
        unit = plan.diagnosis.trajectory.step_unit
    console.print(Text(f"Resuming from {printable(plan.start)} ({unit} {plan.step}): {plan.why}."))
    if plan.still:
        console.print(Text(STILL))
    if plan.envelope_source:
        console.print(Text(f"Envelope: {plan.envelope_source}."))
    if pace is not None:
        console.print(Text(_rates(pace)))
    if plan.revived:
        console.print(Text(f"Revived: {plan.revived} units of the generator that never fired, drawn anew."))
    for warning in plan.warnings:
        console.print(Text(f"Missing: {warning}."))
    return _text(console)


def render_outcome(outcome: TreatmentOutcome, *, width: int = 80) -> str:
    """The treated run beside its control and the untreated run at the same step, then their modes step by step."""
    standings = outcome.standings
    names = {layer: None for item in standings for layer in item.plateaus}
    console = _console(_wide(width, names))
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(f"{outcome.step_unit} {outcome.step}")
    for item in standings:
        table.add_column(item.name)
    table.add_row("spectrum", *(item.spectrum.value for item in standings))
    table.add_row("modes", *(item.modes.value for item in standings))
    table.add_row("best plateau", *(_number(item.best_plateau) for item in standings))
    for name, row in _SAMPLE_ROWS:
        cells = [row(item) for item in standings]
        if any(cell is not None for cell in cells):
            table.add_row(name, *(cell or "not measured" for cell in cells))
    for layer in names:
        table.add_row(Text(f"σk/σ1 {printable(layer)}"), *(_number(item.plateaus.get(layer)) for item in standings))
    console.print(table)
    for sentence in outcome.absent:
        console.print(Text(f"{sentence[0].upper()}{sentence[1:]}."))
    if len(outcome.course) > 1:
        console.print(_course(outcome))
    return _text(console)


def _course(outcome: TreatmentOutcome) -> Table:
    """Solid modes and quality of all runs at every step that two of them have."""
    names = [name for name in outcome.diagnoses if any(name in found for _, found in outcome.course)]
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(f"{outcome.step_unit}", justify="right")
    for name in names:
        table.add_column(name)
    for step, found in outcome.course:
        table.add_row(str(step), *(_short_modes(found.get(name)) for name in names))
    return table


def _short_modes(evaluation: Evaluation | None) -> str:
    if evaluation is None:
        return "—"
    quality = evaluation.high_quality_fraction
    told = _modes(evaluation)
    return told if quality is None else f"{told}, {quality:.0%}"


def _rates(pace: Pace) -> str:
    parts = [f"generator {pace.generator_rate:.4g}, discriminator {pace.discriminator_rate:.4g}"]
    if pace.decay:
        parts.append("falling to zero over the second half")
    if pace.beta1 is not None:
        parts.append(f"β1 {pace.beta1:g}")
    return f"Rates: {'; '.join(parts)}."


def live_words(diagnosis: Diagnosis) -> str:
    """Both statements of a live run, and the best plateau."""
    return f"{diagnosis.words}, best plateau {_number(diagnosis.states[-1].best_plateau)}"


def _row(change: LayerChange) -> tuple[str, str, str, str, str]:
    index = Thresholds().plateau_index(change.before.size)
    return (
        f"{change.raised} of {change.before.size}",
        f"{change.before.ratio(index):.2f}",
        f"{change.after.ratio(index):.2f}",
        _short(change.before),
        _short(change.after),
    )


def _short(spectrum: Spectrum) -> str:
    return f"{spectrum.sigma_max:.3g}"


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.2f}"


def _modes(evaluation: Evaluation) -> str:
    """Solid modes; where quality was not measured the modes captured."""
    if evaluation.solid_modes is None:
        return f"{evaluation.modes_captured} of {evaluation.modes} captured"
    return f"{evaluation.solid_modes} of {evaluation.modes}"


def _of_modes(tell: Callable[[Evaluation], str | None]) -> Callable[[Standing], str | None]:
    return lambda item: None if item.evaluation is None else tell(item.evaluation)


def _of_spread(tell: Callable[[Spread], float | None], form: str) -> Callable[[Standing], str | None]:
    def told(item: Standing) -> str | None:
        value = None if item.spread is None else tell(item.spread)
        return None if value is None else format(value, form)

    return told


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{share:.1%}"


_SAMPLE_ROWS: tuple[tuple[str, Callable[[Standing], str | None]], ...] = (
    (
        "solid modes",
        _of_modes(lambda found: None if found.solid_modes is None else f"{found.solid_modes} of {found.modes}"),
    ),
    ("modes captured", _of_modes(lambda found: f"{found.modes_captured} of {found.modes}")),
    ("high quality", _of_modes(lambda found: _percent(found.high_quality_fraction))),
    ("KL to real weights", _of_modes(lambda found: f"{found.kl:.3f}")),
    ("energy distance", _of_spread(lambda spread: spread.energy, ".3f")),
    ("real data covered", _of_spread(lambda spread: spread.coverage, ".1%")),
    (
        "spread, real data 1",
        _of_spread(
            lambda spread: None if spread.relative_deviation is None else math.exp(spread.relative_deviation), ".2f"
        ),
    ),
)


def _wide(width: int, names: Iterable[str]) -> int:
    """The width in which no name is cut: beside the longest, all numbers of its row."""
    return max([width, *(len(printable(name)) + _NUMBERS for name in names)])


def _console(width: int) -> Console:
    return Console(file=StringIO(), width=width, color_system=None, highlight=False, legacy_windows=False)


def _text(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())
