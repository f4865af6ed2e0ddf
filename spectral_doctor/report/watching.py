"""A run that is being watched: a line a checkpoint, and the table of a live view."""

from __future__ import annotations

import json
from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from spectral_doctor.diagnosis.records import Diagnosis
from spectral_doctor.errors import printable
from spectral_doctor.inspection import Inspection
from spectral_doctor.records import Location, SeriesId
from spectral_doctor.report.sparkline import sparkline

_TREND = 24

# What tells one state of a discriminator from another: its series, its step, and its file, whatever became of that.
StateKey = tuple[SeriesId, int, Location]


def states(inspection: Inspection) -> Iterator[tuple[StateKey, Diagnosis, int]]:
    """Every state that is known: its key, the diagnosis it belongs to, and its place there."""
    for diagnosis in inspection.diagnoses:
        for index, state in enumerate(diagnosis.states):
            yield (diagnosis.trajectory.series, state.step, state.checkpoint.location), diagnosis, index


def state_line(diagnosis: Diagnosis, index: int) -> str:
    """One state in a line: `step 625: COLLAPSED spectrum, modes LOST, best plateau 0.79 in c1 (netD)`."""
    state = diagnosis.states[index]
    where = f" in {printable(state.best_layer)}" if state.best_layer else ""
    name = printable(diagnosis.trajectory.discriminator)
    return (
        f"{diagnosis.trajectory.step_unit} {state.step}: {state.spectrum.value} spectrum, modes {state.modes.value}, "
        f"best plateau {_number(state.best_plateau)}{where} ({name})"
    )


def state_json(diagnosis: Diagnosis, index: int) -> str:
    """The same as a JSON object in a line."""
    state = diagnosis.states[index]
    told = {
        "type": "state",
        "discriminator": diagnosis.trajectory.discriminator,
        "step": state.step,
        "step_unit": diagnosis.trajectory.step_unit,
        "checkpoint": str(state.checkpoint),
        "spectrum": state.spectrum.value,
        "modes": state.modes.value,
        "best_plateau": state.best_plateau,
        "best_layer": state.best_layer,
    }
    return json.dumps(told, allow_nan=False)


def state_values(diagnosis: Diagnosis, index: int) -> dict[str, float]:
    """One state as named numbers for a tracker: `best_plateau`, and of every layer σ1, plateau and deficit."""
    best = diagnosis.states[index].best_plateau
    values = {} if best is None else {"best_plateau": best}
    for finding in diagnosis.layers:
        layer, spectrum = finding.trajectory, finding.trajectory.spectra[index]
        numbers = {
            "sigma_max": None if spectrum is None else spectrum.sigma_max,
            "plateau": finding.plateau[index],
            "deficit": layer.deficit(index),
        }
        values |= {f"{key}/{layer.name}": value for key, value in numbers.items() if value is not None}
    return values


def live_table(inspection: Inspection) -> Table:
    """One row a discriminator: where it is, both statements, its best plateau, and how that came."""
    table = Table(box=None, pad_edge=False)
    for column in ("discriminator", "last", "spectrum", "modes", "best σk/σ1", "trend"):
        table.add_column(column, overflow="fold")
    for diagnosis in inspection.diagnoses:
        trajectory, last = diagnosis.trajectory, diagnosis.states[-1]
        table.add_row(
            Text(printable(trajectory.discriminator)),
            f"{trajectory.step_unit} {last.step}",
            diagnosis.spectrum.value,
            diagnosis.modes.statement.value,
            _number(last.best_plateau),
            sparkline([state.best_plateau for state in diagnosis.states], _TREND),
        )
    return table


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.2f}"
