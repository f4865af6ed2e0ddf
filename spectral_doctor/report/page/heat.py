"""The heat map: a table with one row a layer and one column a checkpoint, coloured by the plateau."""

from __future__ import annotations

from collections.abc import Sequence

from spectral_doctor.diagnosis.records import Diagnosis
from spectral_doctor.report.page.charts import thinned
from spectral_doctor.report.page.drawing import step_label
from spectral_doctor.report.page.layers import LayerView, state_sign
from spectral_doctor.report.page.markup import Markup, joined, scroll_region, tag
from spectral_doctor.report.page.palette import HEAT_LEVELS
from spectral_doctor.report.page.wording import layer_state

MOST_COLUMNS = 60
MOST_NUMBERED = 20


def heat_map(diagnosis: Diagnosis, views: Sequence[LayerView]) -> Markup:
    """σk/σ1 of every layer at every checkpoint; where there are many, the numbers are for screen readers only."""
    steps = diagnosis.trajectory.steps
    columns = thinned(range(len(steps)), MOST_COLUMNS)
    if diagnosis.onset is not None:
        columns = sorted({*columns, steps.index(diagnosis.onset)})
    dense = len(columns) > MOST_NUMBERED
    onset = diagnosis.onset if len(steps) > 1 else None
    head = [tag("th", "layer", scope="col", class_="name")]
    labelled = set(_with_room(thinned(columns, 6), columns, onset, steps) if dense else columns)
    for index in columns:
        head.append(_column_head(steps[index], steps[index] == onset, index in labelled))
    body = [tag("tr", *_row(view, diagnosis, columns, onset), **view.data) for view in views]
    caption = f"Plateau σk/σ1 of each layer (rows) at each {diagnosis.trajectory.step_unit} (columns)."
    if len(columns) < len(steps):
        caption += f" {len(columns)} of {len(steps)} checkpoints are shown; the layers' numbers have all."
    table = tag(
        "table",
        tag("thead", tag("tr", *head)),
        tag("tbody", *body, data_sortable=True),
        class_="heat dense" if dense else "heat",
        aria_label=caption,
    )
    title = tag(
        "p",
        tag("strong", "Heat map"),
        " ",
        tag("span", f"{caption}{_onset_words(onset)}", class_="muted"),
        class_="above",
    )
    return joined([title, _scale(), scroll_region("Heat map of the plateau", table)])


def _scale() -> Markup:
    """The colours of the cells over the plateau that they stand for, with the other two kinds of cell."""
    width = 100 / HEAT_LEVELS
    blocks = [
        tag("rect", class_=f"fill-{level}", x=f"{level * width:.2f}%", y="0", width=f"{width:.2f}%", height="100%")
        for level in range(HEAT_LEVELS)
    ]
    bar = tag("svg", *blocks, class_="scale", role="img", aria_label="Colours from plateau 0 to plateau 1")
    words = " 1 (whole). NaN: not finite. –: too small for a plateau."
    return tag("p", "Scale: 0 (lost) ", bar, words, class_="muted legend heat-scale")


def heat_level(value: float) -> int:
    """The step of the colour scale for a plateau between 0 and 1."""
    return min(max(round(value * (HEAT_LEVELS - 1)), 0), HEAT_LEVELS - 1)


def _onset_words(onset: int | None) -> str:
    return "" if onset is None else f" The line marks the onset at {onset}."


def _with_room(chosen: Sequence[int], columns: Sequence[int], onset: int | None, steps: Sequence[int]) -> list[int]:
    """The columns among those chosen whose label would not run into that of the onset."""
    if onset is None:
        return list(chosen)
    at = columns.index(steps.index(onset))
    return [index for index in chosen if abs(columns.index(index) - at) > 4]


def _column_head(step: int, is_onset: bool, labelled: bool) -> Markup:
    hidden = None if labelled or is_onset else "unseen"
    text = tag("span", step_label(step), class_=hidden)
    sign = tag("span", "onset ", class_="unseen") if is_onset else None
    return tag("th", sign, text, scope="col", class_="onset" if is_onset else None)


def _row(view: LayerView, diagnosis: Diagnosis, columns: Sequence[int], onset: int | None) -> list[Markup]:
    spoken = f"{view.name}, {layer_state(view.finding)}"
    link = tag("a", view.short, href=f"#{view.anchor}", title=view.name, aria_label=spoken)
    cells = [tag("th", state_sign(view.finding.state), " ", link, scope="row", class_="name")]
    for index in columns:
        at_onset = " onset" if diagnosis.trajectory.steps[index] == onset else ""
        value = view.finding.plateau[index]
        if value is None:
            cells.append(tag("td", tag("span", "NaN"), class_=f"broken{at_onset}"))
        elif view.finding.plateau_index < 2:
            cells.append(tag("td", tag("span", "–"), class_=f"none{at_onset}"))
        else:
            cells.append(tag("td", tag("span", f"{value:.2f}"), class_=f"heat-{heat_level(value)}{at_onset}"))
    return cells
