"""The curves of a series over its steps: plateau, metrics; and of one layer: spectra, plateau, σ1."""

from __future__ import annotations

from collections.abc import Sequence

from spectral_doctor.diagnosis.records import Diagnosis, LayerFinding
from spectral_doctor.report.page.drawing import (
    Axis,
    Line,
    Rule,
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
    """σk/σ1 of every judged layer, the best of them in bold, the probability that modes are lost, and the onset."""
    trajectory = diagnosis.trajectory
    best = [state.best_plateau for state in diagnosis.states]
    judged = [item for item in diagnosis.layers if item.state is not None]
    chances = [state.probability for state in diagnosis.states]
    chance = course(chances, trajectory.steps, trajectory.step_unit)
    onset = "" if diagnosis.onset is None else f" Onset at {diagnosis.onset}."
    text = course(best, trajectory.steps, trajectory.step_unit)
    picture = plot(
        f"Plateau of the best layer: {text}. Probability that modes are lost: {chance}.{onset}",
        "tall",
        x,
        _UNIT,
        lines=[
            *(Line(trajectory.steps, item.plateau, "each") for item in judged),
            Line(trajectory.steps, chances, "chance"),
            Line(trajectory.steps, best, "best", dots=len(best) <= 40),
        ],
        x_ticks=step_ticks(x, trajectory.steps),
        y_ticks=_UNIT_TICKS,
        rules=_markers(diagnosis),
        lost=[step for step, value in zip(trajectory.steps, best, strict=True) if value is None],
    )
    return _figure(
        "Plateau σk/σ1",
        f"Bold: the best of the judged layers ({len(judged)}). Grey: each of them. Dashed: the probability "
        "that modes are lost. "
        f"Across: {trajectory.step_unit}.",
        picture,
    )


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


def spectrum_fan(layer: LayerTrajectory, trajectory: SpectralTrajectory) -> Markup:
    """Every relative spectrum of a layer over its index, the early ones dark and the late ones bright."""
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
        values = [spectrum.relative[place] for place in indices]
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
        lost=[] if lines else [(x.low + x.high) / 2],
    )


def plateau_course(finding: LayerFinding, diagnosis: Diagnosis) -> Markup:
    """σk/σ1 of one layer over the steps."""
    trajectory = diagnosis.trajectory
    text = f"σk/σ1: {course(finding.plateau, trajectory.steps, trajectory.step_unit)}."
    return _small(text, "σk/σ1", finding.plateau, _UNIT, ((0.0, "0"), (1.0, "1")), diagnosis)


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


def _figure(title: str, caption: str, picture: Markup) -> Markup:
    head = tag("figcaption", tag("strong", title), " ", tag("span", caption, class_="muted"))
    return tag("figure", head, picture)
