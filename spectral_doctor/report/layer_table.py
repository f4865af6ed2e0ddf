"""The layers of a discriminator as a table in plain text."""

from __future__ import annotations

from collections.abc import Sequence

from spectral_doctor.diagnosis.records import Diagnosis, LayerFinding
from spectral_doctor.errors import printable
from spectral_doctor.report.colors import LAYER_COLORS, painted
from spectral_doctor.report.listing import FORMS, layer_rows
from spectral_doctor.report.shortening import shortened_apart
from spectral_doctor.report.sparkline import sparkline

_INDENT = "  "
_LEAST_NAME = 10
_TREND_WIDTH = 8
_HEADS = ("layer", "matrix", "norm", "σ1", "σk/σ1", "healthy", "deficit", "trend", "layer is")
_LEFT = (0, 2, 7, 8)


def layer_table(
    diagnosis: Diagnosis, width: int, color: bool, most: int | None = None, whole: bool = False
) -> list[str]:
    """A heading and a row a layer; with `most`, the worst judged ones alone, under a line that says so.

    Names give way where the table is wider than `width`, unless they are to stay `whole`.
    """
    rows = layer_rows(diagnosis)
    title: list[str] = []
    if most is not None and len(rows) > most:
        worst = sorted((row for row in rows if row[0].state is not None), key=lambda row: _height(row[0]))[:most]
        rows = [row for row in rows if any(row is kept for kept in worst)]
        title = [f"  worst {len(rows)} of {len(diagnosis.layers)} layers (--layers shows all)"] if rows else []
    cells = [_cells(finding, name) for finding, name in rows]
    if not cells:
        return title
    widths = [max(len(row[column]) for row in [_HEADS, *cells]) for column in range(len(_HEADS))]
    gap = 2 if _room(widths, width, 2) >= min(widths[0], _LEAST_NAME) else 1
    if not whole:
        widths[0] = min(widths[0], max(_LEAST_NAME, _room(widths, width, gap)))
    names = shortened_apart([row[0] for row in cells], widths[0])
    widths[0] = max(widths[0], *map(len, names))
    lines = [*title, _line(_HEADS, widths, gap)]
    for (finding, _), row, name in zip(rows, cells, names, strict=True):
        row[0] = name
        lines.append(painted(_line(row, widths, gap), len(row[-1]), LAYER_COLORS.get(finding.state), color))
    return lines


def _room(widths: Sequence[int], width: int, gap: int) -> int:
    """What is left for the names."""
    return width - len(_INDENT) - sum(widths[1:]) - gap * (len(widths) - 1)


def _height(finding: LayerFinding) -> float:
    """How far the plateau stands above the lower end of its range."""
    value = finding.plateau[-1]
    return -1.0 if value is None or finding.reference is None else value - finding.reference.low


def _line(row: Sequence[str], widths: Sequence[int], gap: int) -> str:
    cells = [
        cell.ljust(width) if column in _LEFT else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return _INDENT + (" " * gap).join(cells).rstrip()


def _cells(finding: LayerFinding, name: str) -> list[str]:
    layer, reference = finding.trajectory, finding.reference
    spectrum, plateau = layer.spectra[-1], finding.plateau[-1]
    rows, columns = layer.identity.matrix_shape
    return [
        printable(name),
        f"{rows}×{columns}",
        printable(FORMS.get(layer.identity.form, layer.identity.form)),
        "NaN/Inf" if spectrum is None else _number(spectrum.sigma_max),
        "" if plateau is None or finding.plateau_index < 2 else f"{plateau:.2f}",
        "" if reference is None or finding.state is None else f"{reference.low:.2f}–{reference.high:.2f}",
        "" if finding.deficit is None or len(layer.spectra) == 1 else f"{finding.deficit:.2f}",
        sparkline(finding.plateau, _TREND_WIDTH),
        finding.reason if finding.state is None else finding.state.value,
    ]


def _number(value: float) -> str:
    return f"{value:.3g}" if 0.001 <= value < 10_000 or value == 0 else f"{value:.1e}"
