"""The curves of a series over its steps: plateau, metrics; and of one layer: spectra, plateau, σ1."""

from __future__ import annotations

from collections.abc import Sequence

from spectral_doctor.diagnosis.records import Diagnosis, LayerFinding
from spectral_doctor.diagnosis.reference import Range
from spectral_doctor.report.page.drawing import (
    Axis,
    Box,
    Line,
    Rule,
    legend,
    plot,
    step_axis,
    step_label,
    step_ticks,
    value_axis,
    value_ticks,
)
from spectral_doctor.report.page.markup import Markup, tag
from spectral_doctor.report.page.palette import FAN_LEVELS
from spectral_doctor.report.page.wording import course, metric_sentence
from spectral_doctor.trajectory.curves import MetricCurve
from spectral_doctor.trajectory.records import LayerTrajectory, SpectralTrajectory

MOST_SPECTRA = 24
MOST_POINTS = 64
_UNIT = Axis(0.0, 1.05)
_UNIT_TICKS = ((0.0, "0"), (0.5, "0.5"), (1.0, "1"))


def shared_axis(trajectory: SpectralTrajectory, curves: Sequence[MetricCurve]) -> Axis:
    """One axis for the plateau and the metrics below it, so that what happened together stands together."""
    return step_axis([*trajectory.steps, *(step for curve in curves for step in curve.steps)])


def plateau_chart(diagnosis: Diagnosis, x: Axis) -> Markup:
    """σk/σ1 of every judged layer, the best of them in bold, its reference range, events, and the onset."""
    trajectory = diagnosis.trajectory
    best = [state.best_plateau for state in diagnosis.states]
    judged = [item for item in diagnosis.layers if item.state is not None]
    reference = _best_range(diagnosis)
    onset = "" if diagnosis.onset is None else f" Onset at {diagnosis.onset}."
    text = course(best, trajectory.steps, trajectory.step_unit)
    picture = plot(
        f"Plateau of the best layer: {text}.{onset}",
        "tall",
        x,
        _UNIT,
        lines=[
            *(Line(trajectory.steps, item.plateau, "each") for item in judged),
            Line(trajectory.steps, best, "best", dots=len(best) <= 40),
        ],
        x_ticks=step_ticks(x, trajectory.steps),
        y_ticks=_UNIT_TICKS,
        rules=_markers(diagnosis),
        boxes=[] if reference is None else [Box("range", y=(reference.low, reference.high))],
        lost=[step for step, value in zip(trajectory.steps, best, strict=True) if value is None],
    )
    key = [("line", "best", "the best of the judged layers"), ("line", "each", f"each of them ({len(judged)})")]
    if reference is not None:
        seen = f"n = {reference.count}" if reference.count else "by random weights"
        key.append(("box", "box range", f"healthy for such a layer, {reference.low:.2f}–{reference.high:.2f} ({seen})"))
    if diagnosis.onset is not None:
        key.append(("upright", "rule onset", "onset"))
    return _figure("Plateau σk/σ1", f"Across: {trajectory.step_unit}.", picture, key)


def probability_chart(diagnosis: Diagnosis, x: Axis) -> Markup | None:
    """The probability that modes are lost, with where it becomes a word; None where it is nowhere known."""
    trajectory, thresholds = diagnosis.trajectory, diagnosis.thresholds
    chances = [state.probability for state in diagnosis.states]
    if not any(chance is not None for chance in chances):
        return None
    picture = plot(
        f"Probability that modes are lost: {course(chances, trajectory.steps, trajectory.step_unit)}.",
        "middle",
        x,
        Axis(0.0, 1.0),
        lines=[Line(trajectory.steps, chances, "chance", dots=len(chances) <= 40)],
        x_ticks=step_ticks(x, trajectory.steps),
        y_ticks=(
            (0.0, "0"),
            (thresholds.kept_below, f"{thresholds.kept_below:g}"),
            (thresholds.lost_at, f"{thresholds.lost_at:g}"),
            (1.0, "1"),
        ),
        rules=_markers(diagnosis, labelled=False),
    )
    words = f"LOST from {thresholds.lost_at:g} on, KEPT below {thresholds.kept_below:g}, IN DOUBT between."
    return _figure("Probability that modes are lost", words, picture, [("line", "chance", "probability")])


def _best_range(diagnosis: Diagnosis) -> Range | None:
    """Where the best layer of the last checkpoint would be healthy."""
    name = diagnosis.states[-1].best_layer
    return next((item.reference for item in diagnosis.layers if item.layer == name), None)


def metric_chart(curve: MetricCurve, diagnosis: Diagnosis, x: Axis) -> Markup:
    """A metric over the same steps, with the same markers."""
    unit = diagnosis.trajectory.step_unit
    # Counts of modes are compared by their differences, distances by their ratios.
    y = value_axis(curve.values, may_be_log=curve.higher_is_better is False)
    sentence = metric_sentence(curve, unit)
    picture = plot(
        f"{curve.name}: {course(curve.values, curve.steps, unit)}.",
        "middle",
        x,
        y,
        lines=[Line(curve.steps, curve.values, "metric", dots=len(curve.steps) <= 40)],
        x_ticks=step_ticks(x, curve.steps),
        y_ticks=value_ticks(y),
        rules=_markers(diagnosis),
    )
    scale = " Logarithmic." if y.log else ""
    return _figure(curve.name, f"{sentence}. From {curve.source}.{scale}", picture)


def spectrum_fan(finding: LayerFinding, trajectory: SpectralTrajectory) -> Markup:
    """Every relative spectrum of a layer over its index, early ones dark, late ones bright; its range at k."""
    layer = finding.trajectory
    rank, count = layer.identity.rank, len(layer.spectra)
    if rank == 1:
        return tag("p", "One singular value: there is no spectrum to see.", class_="muted alone")
    indices = thinned(range(rank), MOST_POINTS)
    lines = []
    for index in thinned(range(count), MOST_SPECTRA):
        spectrum = layer.spectra[index]
        if spectrum is None:
            continue
        level = FAN_LEVELS - 1 if count == 1 else round(index * (FAN_LEVELS - 1) / (count - 1))
        relative = spectrum.relative
        values = [relative[place] for place in indices]
        dots = rank <= 16 and index == count - 1
        lines.append(Line([place + 1 for place in indices], values, f"spectrum fan-{level}", dots))
    x = Axis(1.0, float(rank))
    return plot(
        f"Relative spectra over {count} checkpoints, {rank} values each. {_fan_words(layer, trajectory)}",
        "fan",
        x,
        _UNIT,
        lines=lines,
        x_ticks=[(1.0, "1"), (float(rank), str(rank))],
        y_ticks=_UNIT_TICKS,
        boxes=_range_at_k(finding, x),
        lost=[] if lines else [(x.low + x.high) / 2],
    )


def plateau_course(finding: LayerFinding, diagnosis: Diagnosis) -> Markup:
    """σk/σ1 of one layer over the steps."""
    trajectory = diagnosis.trajectory
    text = f"σk/σ1: {course(finding.plateau, trajectory.steps, trajectory.step_unit)}."
    reference = None if finding.state is None else finding.reference
    boxes = [] if reference is None else [Box("range", y=(reference.low, reference.high))]
    return _small(text, "σk/σ1", finding.plateau, _UNIT, ((0.0, "0"), (1.0, "1")), diagnosis, boxes)


def sigma_course(layer: LayerTrajectory, diagnosis: Diagnosis) -> Markup:
    """σ1 of one layer over the steps."""
    trajectory = diagnosis.trajectory
    values = [None if spectrum is None else spectrum.sigma_max for spectrum in layer.spectra]
    y = value_axis(value for value in values if value is not None)
    ticks = value_ticks(y)
    text = f"σ1: {course(values, trajectory.steps, trajectory.step_unit)}."
    return _small(text, "σ1, logarithmic" if y.log else "σ1", values, y, (ticks[0], ticks[-1]), diagnosis)


def thinned(items: Sequence[int], most: int) -> list[int]:
    """At most so many items at even distances, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(index * (len(items) - 1) / (most - 1))] for index in range(most)]


def _small(
    label: str,
    title: str,
    values: Sequence[float | None],
    y: Axis,
    y_ticks: Sequence[tuple[float, str]],
    diagnosis: Diagnosis,
    boxes: Sequence[Box] = (),
) -> Markup:
    steps = diagnosis.trajectory.steps
    x = step_axis(steps)
    picture = plot(
        label,
        "small",
        x,
        y,
        lines=[Line(steps, values, "course")],
        x_ticks=[(float(step), step_label(step)) for step in (steps[0], steps[-1])],
        y_ticks=y_ticks,
        rules=_markers(diagnosis, labelled=False),
        boxes=boxes,
        lost=[step for step, value in zip(steps, values, strict=True) if value is None],
    )
    return tag("div", tag("p", title, class_="mini"), picture)


def _markers(diagnosis: Diagnosis, *, labelled: bool = True) -> list[Rule]:
    """The onset and the checkpoint to go back to; none in a series of one checkpoint."""
    if diagnosis.onset is None or len(diagnosis.trajectory.steps) == 1:
        return []
    onset = Rule(diagnosis.onset, f"onset {diagnosis.onset}" if labelled else "", "onset", row=1)
    if diagnosis.last_healthy is None or not labelled:
        return [onset]
    return [onset, Rule(diagnosis.last_healthy, f"last sound {diagnosis.last_healthy}", "resume", turn=0.45)]


def _fan_words(layer: LayerTrajectory, trajectory: SpectralTrajectory) -> str:
    """The first and the last finite spectrum at a few places."""
    known = [(step, item) for step, item in zip(trajectory.steps, layer.spectra, strict=True) if item is not None]
    if not known:
        return "No checkpoint has finite weights."
    places = list(dict.fromkeys(min(place, layer.identity.rank) for place in (2, 5, -(-layer.identity.rank // 2))))
    sentences = []
    for step, item in dict.fromkeys((known[0], known[-1])):
        values = ", ".join(f"σ{place}/σ1 {item.ratio(place):.2f}" for place in places)
        sentences.append(f"At {trajectory.step_unit} {step}: {values}.")
    return " ".join(sentences)


def _range_at_k(finding: LayerFinding, x: Axis) -> list[Box]:
    """A bar at index k, where healthy layers of this kind have their plateau."""
    reference, k = finding.reference, finding.plateau_index
    if finding.state is None or reference is None:
        return []
    half = (x.high - x.low) / 60
    return [Box("range", (k - half, k + half), (reference.low, reference.high))]


def _figure(title: str, caption: str, picture: Markup, key: Sequence[tuple[str, str, str]] = ()) -> Markup:
    head = tag("figcaption", tag("strong", title), " ", tag("span", caption, class_="muted"))
    return tag("figure", head, legend(key) if key else None, picture)
