"""Pictures of a diagnosis: every layer's spectrum over the steps, and the plateaus' trajectory."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator

from spectral_doctor.diagnosis.records import Diagnosis, LayerFinding, LayerState, SpectrumState
from spectral_doctor.errors import printable

PLOT_FORMATS = ("png", "svg", "pdf")
_COLUMNS = 5
# The bright end of viridis is too pale to read on white.
_MAP = ListedColormap(colormaps["viridis"].colors[:225])  # type: ignore[attr-defined]
_GREEN, _AMBER, _RED, _VIOLET = "#2a7f3f", "#b07a00", "#b3261e", "#6b4a8e"
_SPECTRUM_COLORS = {
    SpectrumState.SOUND: _GREEN,
    SpectrumState.DECLINING: _AMBER,
    SpectrumState.RECOVERING: _AMBER,
    SpectrumState.STILL: _AMBER,
    SpectrumState.COLLAPSED: _RED,
    SpectrumState.EXPLODED: _RED,
    SpectrumState.NON_FINITE: _RED,
    SpectrumState.ZERO: _RED,
}
# Every layer's state by colour and by a sign in its title.
_LAYER_MARKS = {
    LayerState.SOUND: (_GREEN, "●"),
    LayerState.LOW: (_AMBER, "↓"),
    LayerState.FALLEN: (_RED, "▼"),
    LayerState.NON_FINITE: (_RED, "✕"),
}


def draw(diagnoses: Sequence[Diagnosis]) -> Figure:
    """Draw all series in one figure, one below the other.

    On top the trajectory of σ_k/σ_1 of every judged layer, with the probability that modes are lost and the onset;
    below it one panel a layer with its relative spectrum σ_j/σ_1 at every step, dark first, bright last.
    """
    heights = [2.6 + 1.6 * _panel_rows(item) for item in diagnoses]
    figure = Figure(figsize=(11, sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    blocks = figure.subfigures(len(diagnoses), 1, height_ratios=heights, squeeze=False)
    for block, diagnosis in zip(blocks[:, 0], diagnoses, strict=True):
        _draw_series(block, diagnosis)
    return figure


def render_figure(figure: Figure, plot_format: str) -> bytes:
    """Return a figure as the bytes of a png, svg or pdf file, the same for the same figure."""
    buffer = io.BytesIO()
    metadata = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[plot_format]
    figure.savefig(buffer, format=plot_format, dpi=110, metadata=metadata)
    return buffer.getvalue()


def _panel_rows(diagnosis: Diagnosis) -> int:
    return -(-len(diagnosis.trajectory.layers) // _COLUMNS)


def _draw_series(block: SubFigure, diagnosis: Diagnosis) -> None:
    trajectory = diagnosis.trajectory
    rows = _panel_rows(diagnosis)
    grid = block.add_gridspec(1 + rows, _COLUMNS, height_ratios=[2.2] + [1.6] * rows)
    block.suptitle(
        f"{_plain(trajectory.discriminator)}: {diagnosis.words}",
        color=_SPECTRUM_COLORS.get(diagnosis.spectrum, _VIOLET),
        fontsize=12,
    )
    _draw_plateaus(block.add_subplot(grid[0, :]), diagnosis)
    axes = []
    for index, finding in enumerate(diagnosis.layers):
        panel = block.add_subplot(grid[1 + index // _COLUMNS, index % _COLUMNS])
        _draw_spectra(panel, finding, trajectory.steps)
        axes.append(panel)
    if len(trajectory.steps) > 1:
        scale = ScalarMappable(Normalize(trajectory.steps[0], trajectory.steps[-1]), _MAP)
        block.colorbar(scale, ax=axes, label=trajectory.step_unit, shrink=0.6, aspect=30)


def _draw_plateaus(axes: Axes, diagnosis: Diagnosis) -> None:
    trajectory = diagnosis.trajectory
    for finding in diagnosis.layers:
        values = [float("nan") if value is None else value for value in finding.plateau]
        if finding.state is None:
            continue
        axes.plot(trajectory.steps, values, color="#8a8f98", linewidth=0.9, marker=".", markersize=3)
    best = [float("nan") if state.best_plateau is None else state.best_plateau for state in diagnosis.states]
    axes.plot(trajectory.steps, best, color="#1a4f8b", linewidth=2.2, marker="o", markersize=4, label="best layer")
    chances = [float("nan") if state.probability is None else state.probability for state in diagnosis.states]
    axes.plot(
        trajectory.steps,
        chances,
        color="#b3261e",
        linestyle="--",
        linewidth=1.4,
        label="probability that modes are lost",
    )
    if diagnosis.onset is not None and len(trajectory.steps) > 1:
        axes.axvline(diagnosis.onset, color="#b07a00", linestyle=":", linewidth=1.5, label=f"onset, {diagnosis.onset}")
    axes.set_ylim(0, 1.05)
    axes.set_xlabel(trajectory.step_unit, fontsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("plateau σk/σ1, probability", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=8, loc="lower left", ncols=3, frameon=False)


def _draw_spectra(axes: Axes, finding: LayerFinding, steps: Sequence[int]) -> None:
    layer = finding.trajectory
    span = max(steps[-1] - steps[0], 1)
    for step, spectrum in zip(steps, layer.spectra, strict=True):
        if spectrum is None:
            continue
        indices = range(1, spectrum.size + 1)
        axes.plot(
            indices,
            spectrum.relative,
            color=_MAP((step - steps[0]) / span),
            linewidth=1.0,
            marker="." if spectrum.size < 12 else None,
            markersize=3,
        )
    color, sign = ("#444444", "–") if finding.state is None else _LAYER_MARKS[finding.state]
    axes.set_title(f"{sign} {_plain(_tail(layer.name))}", fontsize=7.5, color=color)
    axes.set_ylim(0, 1.05)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.tick_params(labelsize=6)
    if any(spectrum is None for spectrum in layer.spectra):
        axes.text(0.5, 0.5, "NaN/Inf", transform=axes.transAxes, ha="center", color="#b3261e", fontsize=8)


def _tail(name: str, length: int = 28) -> str:
    return name if len(name) <= length else f"…{name[len(name) - length + 1 :]}"


def _plain(name: str) -> str:
    """A name as matplotlib shows it literally: escaped, and without the `$` that opens a formula."""
    return printable(name).replace("$", r"\$")
