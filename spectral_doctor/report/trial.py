"""A trial of treatments as a line an arm, a table, a picture, and a mapping of plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from io import StringIO
from typing import TYPE_CHECKING, Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from spectral_doctor.treatment.scoring import Measured
    from spectral_doctor.treatment.trial import ArmResult, Finalists


def arm_line(result: ArmResult) -> str:
    """What an arm came to, in one line."""
    parts = [f"{name} {value}" for name, value in _cells(result.measured).items() if value]
    fault = f"; {result.fault}" if result.fault else ""
    return f"{result.arm}, step {result.step}: {', '.join(parts)}{fault}"


def render_trial(
    results: Sequence[ArmResult], finished: Sequence[ArmResult], chosen: Finalists, kept: str, *, width: int = 100
) -> str:
    """All arms at the end of the trial, then those that were taken to the end, and which run to keep."""
    console = Console(file=StringIO(), width=width, color_system=None, highlight=False, legacy_windows=False)
    for title, rows in (("Trial", results), ("To the end", finished)):
        names = [name for name in _COLUMNS if any(_cells(row.measured)[name] for row in rows)]
        table = Table(box=SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
        for column in ("arm", "step", *names):
            table.add_column(column, justify="left" if column == "arm" else "right")
        for row in rows:
            cells = _cells(row.measured)
            table.add_row(row.arm + (f" ({row.fault})" if row.fault else ""), str(row.step), *(cells[n] for n in names))
        console.print(table)
    known = bool(results) and results[0].measured.truth_is_known
    score = "the score: real data covered, less the energy distance"
    by = "solid modes, then the score" if known else score
    also = f" Best by {score}: {chosen.best_by_score}." if chosen.best_by_score != chosen.best else ""
    console.print(f"Best by {by}: {chosen.best}.{also} Keep: {kept}.")
    assert isinstance(console.file, StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def trial_content(
    results: Sequence[ArmResult], finished: Sequence[ArmResult], chosen: Finalists, kept: str
) -> dict[str, Any]:
    """A trial as plain values, for a JSON file."""
    return {
        "best": chosen.best,
        "best_by_score": chosen.best_by_score,
        "keep": kept,
        "arms": [_row(item) for item in results],
        "finished": [_row(item) for item in finished],
    }


def draw_trial(results: Sequence[ArmResult], finished: Sequence[ArmResult]) -> Figure:
    """Every arm's modes (the score, where no truth is known) as a bar; where it ended up as a second one."""
    figure = Figure(figsize=(7, 0.9 + 0.45 * len(results)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    ends = {item.arm: item for item in finished}
    for place, item in enumerate(results):
        axes.barh(place - 0.18, _height(item.measured), 0.34, color="#8a8f98", label="trial" if place == 0 else None)
        if item.arm in ends:
            label = "to the end" if item.arm == finished[0].arm else None
            axes.barh(place + 0.18, _height(ends[item.arm].measured), 0.34, color="#1a4f8b", label=label)
    axes.set_yticks(range(len(results)), [item.arm for item in results], fontsize=8)
    axes.invert_yaxis()
    found = results[0].measured.evaluation if results and results[0].measured.truth_is_known else None
    if found is not None:
        # All modes of the data, so that a bar shows what is missing, and no bar at all is none.
        axes.set_xlim(0, found.modes)
    axes.set_xlabel("score without truth" if found is None else f"solid modes of {found.modes}", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=8, frameon=False)
    return figure


_COLUMNS = ("solid modes", "high quality", "KL", "energy", "covered", "reconstruction", "score")


def _cells(item: Measured) -> dict[str, str]:
    found, score = item.evaluation, item.score
    solid = quality = kl = ""
    if found is not None:
        solid = "" if found.solid_modes is None else f"{found.solid_modes} of {found.modes}"
        quality = "" if found.high_quality_fraction is None else f"{found.high_quality_fraction:.1%}"
        kl = f"{found.kl:.3f}"
    told = (f"{score.energy:.3f}", f"{score.coverage:.1%}", f"{score.reconstruction:.3f}", f"{score.value:.3f}")
    return dict(zip(_COLUMNS, (solid, quality, kl, *told), strict=True))


def _height(item: Measured) -> float:
    return float(item.rank[0])


def _row(item: ArmResult) -> dict[str, Any]:
    found = item.measured.evaluation
    kept = ("solid_modes", "modes_captured", "modes", "high_quality_fraction", "kl")
    return {
        "arm": item.arm,
        "step": item.step,
        "fault": item.fault,
        "score": {**asdict(item.measured.score), "value": item.measured.score.value},
        "measured": None if found is None else {name: getattr(found, name) for name in kept},
    }
