"""A table of `reproduce` as a picture: every run's modes and quality over its steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from spectral_doctor.reproduction.records import Point, Run, Table

_PANELS: tuple[tuple[str, Callable[[Point], float | None]], ...] = (
    ("solid modes", lambda point: point.solid),
    ("quality", lambda point: point.quality),
    ("σ5/σ1 of the discriminator, median layer", lambda point: point.plateau),
)


def draw_table(table: Table, runs: Sequence[Run]) -> Figure:
    """Three panels, a line a run, a colour an arm: solid modes, quality and the plateau over the steps."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    colors = colormaps["tab20"].colors  # type: ignore[attr-defined]
    for axes, (title, value) in zip(figure.subplots(1, len(_PANELS)), _PANELS, strict=True):
        for index, arm in enumerate(table.arms):
            for count, run in enumerate(run for run in runs if run.arm == arm.name):
                pairs = [(point.step, number) for point in run.points if (number := value(point)) is not None]
                label = arm.name if count == 0 else None
                axes.plot(*zip(*pairs, strict=True), color=colors[index % len(colors)], linewidth=1, label=label)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("step")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=8)
    return figure
