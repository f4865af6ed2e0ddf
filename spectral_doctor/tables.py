"""Rows of facts as tables of other tools: HTML for a notebook, a DataFrame for pandas."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from spectral_doctor.errors import MissingExtra, printable

if TYPE_CHECKING:
    import pandas

Cell = str | int | float | bool | None


def html_table(rows: Sequence[Mapping[str, Cell]], caption: str = "") -> str:
    """Rows as an HTML table, names from files as text and never as markup; without a row the caption alone."""
    head = f"<caption>{_escaped(caption)}</caption>" if caption else ""
    if not rows:
        return f"<p>{_escaped(caption)}</p>"
    names = "".join(f'<th scope="col">{_escaped(name)}</th>' for name in rows[0])
    body = "".join(f"<tr>{''.join(f'<td>{_escaped(_shown(cell))}</td>' for cell in row.values())}</tr>" for row in rows)
    return f"<table>{head}<thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>"


def data_frame(rows: Sequence[Mapping[str, Cell]], what: str) -> pandas.DataFrame:
    """Rows as a DataFrame, a column a key; raises `MissingExtra`, which names `what`, without pandas."""
    try:
        from pandas import DataFrame
    except ImportError as error:
        raise MissingExtra(what, "pandas", "'spectral-doctor[pandas]'") from error
    return DataFrame(list(rows))


def _shown(cell: Cell) -> str:
    if cell is None:
        return "–"
    return f"{cell:.3g}" if isinstance(cell, float) else str(cell)


def _escaped(text: str) -> str:
    return html.escape(printable(text))
