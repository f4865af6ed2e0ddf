"""What a treatment did, in words: a table of what was raised, and before beside after."""

from __future__ import annotations

from collections.abc import Iterable
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
    from spectral_doctor.evaluation import Evaluation
    from spectral_doctor.state_dicts.compensating import LayerChange
    from spectral_doctor.treatment.records import ResumePlan, TreatmentOutcome, TreatmentResult

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


def render_plan(plan: ResumePlan, *, width: int = 80) -> str:
    """From where a run is resumed and why, the envelope's source, and what is missing with its consequence."""
    console = _console(width)
    console.print(Text(f"Before: {plan.diagnosis.summary}"))
    unit = plan.diagnosis.trajectory.step_unit
    console.print(Text(f"Resuming from {printable(plan.start)} ({unit} {plan.step}): {plan.why}."))
    if plan.envelope_source:
        console.print(Text(f"Envelope: {plan.envelope_source}."))
    for warning in plan.warnings:
        console.print(Text(f"Missing: {warning}."))
    return _text(console)


def render_outcome(outcome: TreatmentOutcome, *, width: int = 80) -> str:
    """The run given beside the treated one: both statements, best plateau, modes, and every layer's plateau."""
    console = _console(_wide(width, (finding.layer for finding in outcome.before.layers)))
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("", "before", "after"):
        table.add_column(column)
    pair = (outcome.before, outcome.after)
    unit = outcome.after.trajectory.step_unit
    table.add_row(f"last {unit}", *(str(item.trajectory.steps[-1]) for item in pair))
    table.add_row("spectrum", *(item.spectrum.value for item in pair))
    table.add_row("modes", *(item.modes.statement.value for item in pair))
    table.add_row("best plateau", *(_number(item.states[-1].best_plateau) for item in pair))
    table.add_row("modes captured", _modes(outcome.modes_before), _modes(outcome.modes_after))
    table.add_row("KL to uniform", _kl(outcome.modes_before), _kl(outcome.modes_after))
    pair_of_modes = (outcome.modes_before, outcome.modes_after)
    if any(item is not None and item.high_quality_fraction is not None for item in pair_of_modes):
        table.add_row("high quality", *map(_quality, pair_of_modes))
    after = {finding.layer: finding.plateau[-1] for finding in outcome.after.layers}
    for finding in outcome.before.layers:
        values = (_number(finding.plateau[-1]), _number(after.get(finding.layer)))
        table.add_row(Text(f"σk/σ1 {printable(finding.layer)}"), *values)
    console.print(table)
    return _text(console)


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


def _modes(evaluation: Evaluation | None) -> str:
    return "not measured" if evaluation is None else f"{evaluation.modes_captured} of {evaluation.modes}"


def _kl(evaluation: Evaluation | None) -> str:
    return "not measured" if evaluation is None else f"{evaluation.kl:.3f}"


def _quality(evaluation: Evaluation | None) -> str:
    share = None if evaluation is None else evaluation.high_quality_fraction
    return "not measured" if share is None else f"{share:.1%}"


def _wide(width: int, names: Iterable[str]) -> int:
    """The width in which no name is cut: beside the longest, all numbers of its row."""
    return max([width, *(len(printable(name)) + _NUMBERS for name in names)])


def _console(width: int) -> Console:
    return Console(file=StringIO(), width=width, color_system=None, highlight=False, legacy_windows=False)


def _text(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())
