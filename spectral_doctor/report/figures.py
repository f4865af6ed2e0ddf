"""Pictures of a diagnosis: what happened over the steps, every layer's spectrum, and samples of the generator."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure

from spectral_doctor.diagnosis.records import Diagnosis
from spectral_doctor.report.courses import course_rows
from spectral_doctor.report.inks import MAP, ink, literally, state_mark
from spectral_doctor.report.panels import draw_spectra, panel_titles
from spectral_doctor.report.samples import draw_sheet, has_picture

if TYPE_CHECKING:
    from spectral_doctor.witnessing import Testimony

PLOT_FORMATS = ("png", "svg", "pdf")
_COLUMNS = 5
_WIDTH, _PANEL, _SHEETS_WIDTH = 11.0, 1.75, 2.2
_MOST_SHEETS = 2


def draw(diagnoses: Sequence[Diagnosis], testimonies: Mapping[str, Sequence[Testimony]] | None = None) -> Figure:
    """Draw all series in one figure, one below the other.

    On top, over the steps: σ_k/σ_1 of every judged layer with the reference range of the best, events, onset and the
    checkpoint to go back to; below it, on axes of their own, the probability that modes are lost and what the run
    measured. Then a panel a layer: its relative spectrum σ_j/σ_1 at every step, dark first and bright last. Where
    `testimonies` (by discriminator) has samples of the generator, they stand beside the courses.
    """
    told = testimonies or {}
    heights = [_height(item) for item in diagnoses]
    figure = Figure(figsize=(_WIDTH, sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    blocks = figure.subfigures(len(diagnoses), 1, height_ratios=heights, squeeze=False)
    for block, diagnosis in zip(blocks[:, 0], diagnoses, strict=True):
        _draw_series(block, diagnosis, told.get(diagnosis.trajectory.discriminator, ()))
    return figure


def render_figure(figure: Figure, plot_format: str) -> bytes:
    """Return a figure as the bytes of a png, svg or pdf file, the same for the same figure."""
    buffer = io.BytesIO()
    metadata = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[plot_format]
    figure.savefig(buffer, format=plot_format, dpi=110, metadata=metadata)
    return buffer.getvalue()


def _height(diagnosis: Diagnosis) -> float:
    return sum(row.height for row in course_rows(diagnosis)) + _PANEL * _panel_rows(diagnosis) + 0.9


def _panel_rows(diagnosis: Diagnosis) -> int:
    return -(-len(diagnosis.trajectory.layers) // _COLUMNS)


def _draw_series(block: SubFigure, diagnosis: Diagnosis, testimonies: Sequence[Testimony]) -> None:
    colour, sign = state_mark(diagnosis.spectrum)
    name = literally(diagnosis.trajectory.discriminator)
    block.suptitle(f"{sign} {name}: {diagnosis.words}", color=colour, fontsize=12)
    above = sum(row.height for row in course_rows(diagnosis))
    heights = [above, _PANEL * _panel_rows(diagnosis)]
    top, bottom = block.subfigures(2, 1, squeeze=False, height_ratios=heights)[:, 0]
    sheets = _chosen(testimonies)
    if sheets:
        top, side = top.subfigures(1, 2, squeeze=False, width_ratios=[_WIDTH - _SHEETS_WIDTH, _SHEETS_WIDTH])[0]
        _draw_sheets(side, sheets, diagnosis.trajectory.step_unit)
    _draw_courses(top, diagnosis)
    _draw_panels(bottom, diagnosis)


def _draw_courses(block: SubFigure, diagnosis: Diagnosis) -> None:
    """The rows over one axis of steps, labelled at the lowest."""
    rows = course_rows(diagnosis)
    grid = block.add_gridspec(len(rows), 1, height_ratios=[row.height for row in rows])
    axes = [block.add_subplot(grid[0, 0])]
    axes += [block.add_subplot(grid[place, 0], sharex=axes[0]) for place in range(1, len(rows))]
    for row, panel in zip(rows, axes, strict=True):
        row.draw(panel, diagnosis)
        panel.tick_params(labelsize=8, labelbottom=panel is axes[-1])
    axes[-1].set_xlabel(diagnosis.trajectory.step_unit, fontsize=8)


def _draw_panels(block: SubFigure, diagnosis: Diagnosis) -> None:
    steps, rows, count = diagnosis.trajectory.steps, _panel_rows(diagnosis), len(diagnosis.layers)
    grid = block.add_gridspec(rows, _COLUMNS)
    caption = "Relative spectrum of every layer. Light bar: where healthy layers of its kind have σk/σ1."
    block.suptitle(caption, fontsize=8, color=ink("muted"))
    axes = []
    for index, (finding, title) in enumerate(zip(diagnosis.layers, panel_titles(diagnosis.layers), strict=True)):
        panel = block.add_subplot(grid[index // _COLUMNS, index % _COLUMNS])
        draw_spectra(panel, finding, steps, title)
        if index % _COLUMNS == 0:
            panel.set_ylabel("σj/σ1", fontsize=7)
        if index + _COLUMNS >= count:
            panel.set_xlabel("index j", fontsize=7)
        axes.append(panel)
    if len(steps) > 1:
        scale = ScalarMappable(Normalize(steps[0], steps[-1]), MAP)
        block.colorbar(scale, ax=axes, label=diagnosis.trajectory.step_unit, shrink=0.8, aspect=30)


def _chosen(testimonies: Sequence[Testimony]) -> list[Testimony]:
    """Those whose samples are drawn: the most diverse before the last, and the last."""
    shown = [item for item in testimonies if item.evidence is not None and has_picture(item.evidence.preview)]
    if len(shown) < _MOST_SHEETS:
        return shown
    best = max(shown[:-1], key=lambda item: -np.inf if item.witness.diversity is None else item.witness.diversity)
    return [best, shown[-1]]


def _draw_sheets(block: SubFigure, sheets: Sequence[Testimony], unit: str) -> None:
    axes = block.subplots(len(sheets), 1, squeeze=False)[:, 0]
    for panel, item in zip(axes, sheets, strict=True):
        assert item.evidence is not None
        assert item.evidence.preview is not None
        draw_sheet(panel, item.evidence.preview)
        last = ", the last" if item is sheets[-1] else ", the most kinds"
        panel.set_title(f"samples of G, {unit} {item.step}{last}", fontsize=7.5, color=ink("ink"))
