"""The trajectory as rows of numbers: CSV, a row a discriminator, layer and step."""

from __future__ import annotations

import csv
import io

from spectral_doctor.errors import printable
from spectral_doctor.inspection import Inspection
from spectral_doctor.records import Spectrum

COLUMNS = (
    "discriminator",
    "layer",
    "step",
    "step_unit",
    "checkpoint",
    "sigma_1",
    "plateau",
    "sigma_2_ratio",
    "plateau_width",
    "stable_rank",
    "effective_rank",
    "deficit",
    "non_finite",
)


def render_csv(inspection: Inspection) -> str:
    """Return a head and one row a layer and checkpoint; a cell is empty where the weight is not finite."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for diagnosis in inspection.diagnoses:
        trajectory = diagnosis.trajectory
        for finding in diagnosis.layers:
            layer = finding.trajectory
            for index, step in enumerate(trajectory.steps):
                writer.writerow(
                    (
                        _cell(trajectory.discriminator),
                        _cell(layer.name),
                        step,
                        _cell(trajectory.step_unit),
                        _cell(str(trajectory.checkpoints[index])),
                        *_numbers(layer.spectra[index], finding.plateau[index]),
                        layer.deficit(index),
                        layer.non_finite[index],
                    )
                )
    return file.getvalue()


def _numbers(spectrum: Spectrum | None, plateau: float | None) -> tuple[float | None, ...]:
    if spectrum is None:
        return (None,) * 6
    return (
        spectrum.sigma_max,
        plateau,
        spectrum.ratio(2),
        spectrum.plateau_width,
        spectrum.stable_rank,
        spectrum.effective_rank,
    )


def _cell(text: str) -> str:
    """A name that a spreadsheet takes for text and never for a formula."""
    shown = printable(text)
    return f"'{shown}" if shown.startswith(("=", "+", "-", "@")) else shown
