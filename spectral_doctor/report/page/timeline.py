"""What happened and when, and what the generator made meanwhile."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from spectral_doctor.diagnosis.records import Diagnosis, EventKind
from spectral_doctor.report.page.drawing import Axis, Box, Line, plot, step_ticks
from spectral_doctor.report.page.markup import Markup, tag

if TYPE_CHECKING:
    from spectral_doctor.generators.records import Floats
    from spectral_doctor.witnessing import Testimony

MOST_SHEETS = 5
_SCALE = 4


def timeline(diagnosis: Diagnosis, x: Axis) -> Markup | None:
    """A row for every kind of event, a bar for every event over the steps; None where nothing happened."""
    kinds = [kind for kind in EventKind if any(event.kind is kind for event in diagnosis.events)]
    steps, unit = diagnosis.trajectory.steps, diagnosis.trajectory.step_unit
    if not kinds or len(steps) == 1:
        return None
    y = Axis(0.0, float(len(kinds)))
    places = {kind: len(kinds) - 1 - index for index, kind in enumerate(kinds)}
    boxes = []
    named: set[EventKind] = set()
    for event in diagnosis.events:
        label = "" if event.kind in named else event.kind.value
        named.add(event.kind)
        place = places[event.kind]
        bar = (event.first, event.last), (place + 0.2, place + 0.8)
        boxes.append(Box(f"event-{event.kind.value}", *bar, label))
    words = "; ".join(f"{event.kind.value} {event.first} to {event.last}" for event in diagnosis.events)
    picture = plot(
        f"Timeline: {words}.",
        f"rows-{len(kinds)}",
        x,
        y,
        lines=[],
        x_ticks=step_ticks(x, steps),
        boxes=boxes,
    )
    head = tag("figcaption", tag("strong", "Timeline"), " ", tag("span", f"Across: {unit}.", class_="muted"))
    return tag("figure", head, picture, class_="timeline")


def samples(testimonies: Sequence[Testimony], unit: str, prefix: str) -> Markup | None:
    """Sheets of the generator's samples over the run, the first and the last among them; None without a picture."""
    shown = [(item, picture) for item in testimonies if (picture := _sheet(item)) is not None]
    if not shown:
        return None
    if len(shown) > MOST_SHEETS:
        chosen = {round(place * (len(shown) - 1) / (MOST_SHEETS - 1)) for place in range(MOST_SHEETS)}
        shown = [shown[index] for index in sorted(chosen)]
    figures = [
        tag("figure", picture, tag("figcaption", f"{unit} {item.step}{_kinds(item)}", class_="muted"))
        for item, picture in shown
    ]
    title = tag("h3", "Samples of the generator", id=f"{prefix}-samples")
    note = tag("p", "Drawn anew from the checkpoints, by one seed.", class_="muted")
    return tag("section", title, note, tag("div", *figures, class_="sheets"), aria_labelledby=f"{prefix}-samples")


def _kinds(item: Testimony) -> str:
    diversity = item.witness.diversity
    return "" if diversity is None else f": about {math.exp(diversity):.0f} kinds"


def _sheet(item: Testimony) -> Markup | None:
    preview = None if item.evidence is None else item.evidence.preview
    if preview is None:
        return None
    label = f"{len(preview)} samples of the generator at {item.step}"
    if preview.ndim == 2 and preview.shape[1] == 2:
        xs, ys = preview[:, 0].tolist(), preview[:, 1].tolist()
        reach = max(map(abs, (*xs, *ys)), default=1.0) * 1.1 or 1.0
        axis = Axis(-reach, reach)
        points = [Line([a], [b], "metric", dots=True) for a, b in zip(xs, ys, strict=True)]
        ticks = [(-reach, f"{-reach:.2g}"), (reach, f"{reach:.2g}")]
        return plot(label, "square", axis, axis, lines=points, x_ticks=ticks, y_ticks=ticks)
    if preview.ndim == 4 and preview.shape[1] in (1, 3):
        return tag("img", src=f"data:image/png;base64,{_png(preview)}", alt=label, class_="sheet")
    return None


def _png(images: Floats) -> str:
    """A square sheet of images in [-1, 1] as PNG in base 64, small ones enlarged without blur."""
    from PIL import Image

    from spectral_doctor.report.samples import tiled

    sheet = (tiled(images, math.isqrt(len(images))) * 255).round().astype("uint8")
    picture = Image.fromarray(sheet)
    if max(picture.size) < 200:
        picture = picture.resize((picture.width * _SCALE, picture.height * _SCALE), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
