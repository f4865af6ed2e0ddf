"""Plots as inline SVG: curves that stretch with the page, and text that does not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spectral_doctor.report.page.markup import Markup, joined, tag

_GRID = 1000
_CLOSEST_TICKS = 0.17


@dataclass(frozen=True)
class Axis:
    """A scale from `low` to `high`, linear or logarithmic; `at` gives a value's place, from 0 to 1."""

    low: float
    high: float
    log: bool = False

    def at(self, value: float) -> float:
        """The place of a value, 0 at `low` and 1 at `high`; what lies outside is put at the end."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(max(value, self.low))
        return min(max((value - low) / (high - low), 0.0), 1.0)


@dataclass(frozen=True)
class Line:
    """Values over x with a class that decides how it looks; None leaves a gap. `dots` marks its points too."""

    xs: Sequence[float]
    ys: Sequence[float | None]
    class_: str
    dots: bool = False


@dataclass(frozen=True)
class Rule:
    """A line across the plot at a value, with a label: upright at an x, or level at a y.

    The label of an upright line stands above the plot in row `row`, to the left of the line where that lies
    beyond `turn` of the width.
    """

    value: float
    label: str
    class_: str
    upright: bool = True
    row: int = 0
    turn: float = 0.7


@dataclass(frozen=True)
class Box:
    """A filled rectangle behind the lines, from x to x and from y to y; None is the edge of the plot.

    A label stands beside it, on the side where there is more room.
    """

    class_: str
    x: tuple[float, float] | None = None
    y: tuple[float, float] | None = None
    label: str = ""


def step_axis(steps: Iterable[int]) -> Axis:
    """The axis of some steps; a single one stands in the middle."""
    known = list(steps)
    low, high = min(known), max(known)
    return Axis(low, high) if high > low else Axis(low - 0.5, high + 0.5)


def value_axis(values: Iterable[float], *, may_be_log: bool = True) -> Axis:
    """From 0 to a round number above the largest value, from the least where it is negative.

    Logarithmic where the values span more than two decades and that is allowed.
    """
    known = list(values)
    largest, least = max(known, default=1.0), min(known, default=0.0)
    if least < 0.0:
        return Axis(least, largest if largest > least else 0.0)
    smallest = min((value for value in known if value > 0.0), default=1.0)
    if may_be_log and largest > 100 * smallest:
        # Beyond 1e308 there is no float.
        return Axis(
            10.0 ** math.floor(math.log10(smallest)), 10.0 ** min(math.ceil(math.log10(largest)), 308), log=True
        )
    return Axis(0.0, _rounded_up(largest) if largest > 0.0 else 1.0)


def step_ticks(axis: Axis, steps: Sequence[int]) -> list[tuple[float, str]]:
    """Steps to label: the first, the last, and those between that leave room for their numbers."""
    chosen = [steps[0]]
    for step in steps[1:-1]:
        if (
            axis.at(step) - axis.at(chosen[-1]) >= _CLOSEST_TICKS
            and axis.at(steps[-1]) - axis.at(step) >= _CLOSEST_TICKS
        ):
            chosen.append(step)
    return [(float(step), step_label(step)) for step in dict.fromkeys([*chosen, steps[-1]])]


def step_label(step: int) -> str:
    """A step's number, thousands written `k` where nothing is lost by it."""
    return f"{step // 1000}k" if step >= 10_000 and step % 1000 == 0 else str(step)


def value_ticks(axis: Axis) -> list[tuple[float, str]]:
    """Three values of an axis: its ends and the middle."""
    middle = math.sqrt(axis.low * axis.high) if axis.log else (axis.low + axis.high) / 2
    return [
        (value, f"{value:.4g}" if axis.high < 10_000 else f"{value:.1e}") for value in (axis.low, middle, axis.high)
    ]


def plot(
    label: str,
    size: str,
    x: Axis,
    y: Axis,
    *,
    lines: Sequence[Line],
    x_ticks: Sequence[tuple[float, str]] = (),
    y_ticks: Sequence[tuple[float, str]] = (),
    rules: Sequence[Rule] = (),
    boxes: Sequence[Box] = (),
    lost: Sequence[float] = (),
) -> Markup:
    """A plot as one picture with `label` as its text; `size` is its class, `lost` the x where no value exists."""
    content = joined(
        [
            *(_box(x, y, box) for box in boxes),
            *(_y_tick(y.at(value), text) for value, text in y_ticks),
            *(_x_tick(x.at(value), text) for value, text in x_ticks),
            *(_rule(x if rule.upright else y, rule) for rule in rules),
            _curves(x, y, lines),
            *(_dot(x.at(at), y.at(value), line.class_) for line in lines for at, value in _points_to_dot(line)),
            *(_rule_label(x if rule.upright else y, rule) for rule in rules if rule.label),
            *(tag("text", "×", class_="lost", x=_percent(x.at(at)), y="50%", dy=".32em") for at in lost),
        ]
    )
    marked = " marked" if any(rule.upright and rule.label for rule in rules) else ""
    return tag("div", tag("svg", content, role="img", aria_label=label), class_=f"plot {size}{marked}")


def _curves(x: Axis, y: Axis, lines: Sequence[Line]) -> Markup:
    """The lines in a square of their own, stretched over the plot; their width stays."""
    drawn = [
        tag("polyline", class_=line.class_, points=" ".join(f"{_grid(x.at(a))},{_grid(1 - y.at(b))}" for a, b in run))
        for line in lines
        for run in _unbroken(line)
        if len(run) > 1
    ]
    box = {"viewBox": f"0 0 {_GRID} {_GRID}", "preserveAspectRatio": "none", "width": "100%", "height": "100%"}
    return tag("svg", *drawn, class_="stretch", **box)


def _unbroken(line: Line) -> list[list[tuple[float, float]]]:
    runs: list[list[tuple[float, float]]] = [[]]
    for at, value in zip(line.xs, line.ys, strict=True):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((at, value))
    return runs


def _points_to_dot(line: Line) -> list[tuple[float, float]]:
    """All points of a dotted line; of another, those that stand alone and would not be seen."""
    return [point for run in _unbroken(line) if line.dots or len(run) == 1 for point in run]


def _dot(x: float, y: float, class_: str) -> Markup:
    return tag("circle", class_=f"dot {class_}", cx=_percent(x), cy=_percent(1 - y), r="3")


def _y_tick(place: float, text: str) -> Markup:
    y = _percent(1 - place)
    line = tag("line", class_="grid", x1="0", x2="100%", y1=y, y2=y)
    return joined([line, tag("text", text, class_="tick left", x="-8", y=y, dy=".32em")])


def _x_tick(place: float, text: str) -> Markup:
    return tag("text", text, class_="tick below", x=_percent(place), y="100%", dy="1.6em")


def _rule(axis: Axis, rule: Rule) -> Markup:
    place = axis.at(rule.value)
    if rule.upright:
        x = _percent(place)
        return tag("line", class_=f"rule {rule.class_}", x1=x, x2=x, y1="0", y2="100%")
    y = _percent(1 - place)
    return tag("line", class_=f"rule {rule.class_}", x1="0", x2="100%", y1=y, y2=y)


def _rule_label(axis: Axis, rule: Rule) -> Markup:
    """The label above an upright line, on the side where there is room, or beside the left end of a level one."""
    place = axis.at(rule.value)
    if rule.upright:
        y = str(-8 - 16 * rule.row)
        side = "to-left" if place > rule.turn else "to-right"
        return tag("text", rule.label, class_=f"label {rule.class_} {side}", x=_percent(place), y=y)
    return tag("text", rule.label, class_=f"label {rule.class_} left", x="-8", y=_percent(1 - place), dy=".32em")


def _box(x: Axis, y: Axis, box: Box) -> Markup:
    """At least a pixel in a thousand wide, so that an event between two near steps is seen."""
    left, right = (0.0, 1.0) if box.x is None else (x.at(box.x[0]), x.at(box.x[1]))
    low, high = (0.0, 1.0) if box.y is None else (y.at(box.y[0]), y.at(box.y[1]))
    size = {"x": _percent(left), "y": _percent(1 - high), "width": _percent(max(right - left, 0.004))}
    drawn = tag("rect", class_=f"box {box.class_}", height=_percent(max(high - low, 0.004)), **size)
    if not box.label:
        return drawn
    after = 1 - right >= left
    place = {"x": _percent(right if after else left), "dx": "6" if after else "-6", "y": _percent(1 - (low + high) / 2)}
    return joined([drawn, tag("text", box.label, class_="to-right" if after else "to-left", dy=".32em", **place)])


def legend(entries: Sequence[tuple[str, str, str]]) -> Markup:
    """What the marks of a plot mean: pairs of a mark and words; a mark is its shape (line, box, dot) and its class."""
    shapes = {
        "line": lambda class_: tag("line", class_=class_, x1="0", x2="100%", y1="50%", y2="50%"),
        "upright": lambda class_: tag("line", class_=class_, x1="50%", x2="50%", y1="0", y2="100%"),
        "box": lambda class_: tag("rect", class_=class_, width="100%", height="100%"),
    }
    items = [
        tag("li", tag("svg", shapes[shape](class_), class_="swatch", aria_hidden="true"), f" {words}")
        for shape, class_, words in entries
    ]
    return tag("ul", *items, class_="key muted")


def _percent(place: float) -> str:
    return f"{100 * place:.2f}".rstrip("0").rstrip(".") + "%"


def _grid(place: float) -> str:
    return str(round(_GRID * place))


def _rounded_up(value: float) -> float:
    """The next of 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= value * 0.999), value)
