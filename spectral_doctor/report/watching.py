"""A run that is being watched: a line a checkpoint, and the table of a live view."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from spectral_doctor.diagnosis.records import Diagnosis, StepState
from spectral_doctor.errors import printable
from spectral_doctor.inspection import Inspection
from spectral_doctor.report.sparkline import sparkline

_TREND = 24

# What tells one state of a discriminator from another: its name, its step, its checkpoint's file.
StateKey = tuple[str, int, str]


def states(inspection: Inspection) -> Iterator[tuple[StateKey, str]]:
    """Every state that is known, each with its line: `step 625: COLLAPSED, best plateau 0.79 in block1.c1 (…)`."""
    for diagnosis in inspection.diagnoses:
        for state in diagnosis.states:
            name = diagnosis.trajectory.discriminator
            key = (name, state.step, state.checkpoint.partition(" (")[0])
            yield key, _line(diagnosis, state)


def live_table(inspection: Inspection) -> Table:
    """One row a discriminator: where it is, its verdict, its best plateau, and how that came."""
    table = Table(box=None, pad_edge=False)
    for column in ("discriminator", "last", "verdict", "best σk/σ1", "trend"):
        table.add_column(column)
    for diagnosis in inspection.diagnoses:
        trajectory, last = diagnosis.trajectory, diagnosis.states[-1]
        table.add_row(
            Text(printable(trajectory.discriminator)),
            f"{trajectory.step_unit} {last.step}",
            diagnosis.verdict.value,
            _number(last.best_plateau),
            sparkline([state.best_plateau for state in diagnosis.states], _TREND),
        )
    return table


def _line(diagnosis: Diagnosis, state: StepState) -> str:
    unit = diagnosis.trajectory.step_unit
    where = f" in {printable(state.best_layer)}" if state.best_layer else ""
    name = printable(diagnosis.trajectory.discriminator)
    return f"{unit} {state.step}: {state.verdict.value}, best plateau {_number(state.best_plateau)}{where} ({name})"


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.2f}"
