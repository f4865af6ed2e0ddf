"""What a series does over its steps, a row of a picture each: plateaus and events, probability, what was measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from spectral_doctor.diagnosis.records import Diagnosis, EventKind, LayerFinding, LayerState
from spectral_doctor.report.inks import ink, literally, state_mark

# A layer's state by the shape at the end of its line; hollow is milder than filled.
_SHAPES = {
    LayerState.SOUND: ("o", False, "in range"),
    LayerState.LOW: ("v", False, "low"),
    LayerState.FALLEN: ("v", True, "fallen"),
    LayerState.NON_FINITE: ("X", True, "not finite"),
}


@dataclass(frozen=True)
class Course:
    """One row: how high it is in inches, and what draws it."""

    height: float
    draw: Callable[[Axes, Diagnosis], None]


def course_rows(diagnosis: Diagnosis) -> list[Course]:
    """The rows that a diagnosis has something for."""
    rows = [Course(2.9, _plateaus)]
    if any(state.probability is not None for state in diagnosis.states):
        rows.append(Course(1.2, _probability))
    if diagnosis.curves:
        rows.append(Course(1.2, _measured))
    return rows


def _plateaus(axes: Axes, diagnosis: Diagnosis) -> None:
    """Every judged layer thin, its state as a shape at its end; the best bold; its range as a band; events above."""
    trajectory = diagnosis.trajectory
    last = diagnosis.states[-1].best_layer
    best_range = next((item.reference for item in diagnosis.layers if item.layer == last), None)
    if best_range is not None:
        seen = f"n = {best_range.count}" if best_range.count else "random weights"
        label = f"healthy, best layer ({seen})"
        axes.axhspan(best_range.low, best_range.high, color=ink("range"), zorder=0, label=label)
    for finding in diagnosis.layers:
        if finding.state is not None:
            values = _numbers(finding.plateau)
            axes.plot(trajectory.steps, values, color=ink("quiet"), linewidth=0.8)
            _shape(axes, finding, trajectory.steps)
    best = _numbers([state.best_plateau for state in diagnosis.states])
    axes.plot(trajectory.steps, best, color=ink("best"), linewidth=2.2, label="best layer")
    for state, (shape, filled, word) in _SHAPES.items():
        if any(item.state is state for item in diagnosis.layers):
            color = state_mark(state)[0]
            style = {"color": color, "marker": shape, "linestyle": "none", "markersize": 6}
            axes.plot([], [], markerfacecolor=color if filled else "white", label=f"layer {word}", **style)  # type: ignore[arg-type]
    _marks(axes, diagnosis)
    axes.set_ylim(0, 1.05)
    if len(trajectory.steps) == 1:
        axes.set_xticks(trajectory.steps)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.set_ylabel("plateau σk/σ1", fontsize=8)
    axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)


def _shape(axes: Axes, finding: LayerFinding, steps: Sequence[int]) -> None:
    """The state of a layer, where its line ends."""
    assert finding.state is not None
    known = [(step, value) for step, value in zip(steps, finding.plateau, strict=True) if value is not None]
    if known:
        shape, filled, _ = _SHAPES[finding.state]
        color = state_mark(finding.state)[0]
        place = ([known[-1][0]], [known[-1][1]])
        axes.plot(*place, marker=shape, markersize=6, color=color, markerfacecolor=color if filled else "white")


def _marks(axes: Axes, diagnosis: Diagnosis) -> None:
    """Events, the onset, and the checkpoint to go back to, as lines and spans with their words above the axes."""
    if len(diagnosis.trajectory.steps) == 1:
        return
    notes = []
    for event in diagnosis.events:
        frozen = event.kind is EventKind.FROZEN
        axes.axvspan(
            event.first,
            event.last,
            facecolor="none" if frozen else ink("declining-ground"),
            edgecolor=ink("line"),
            hatch="///" if frozen else None,
            linewidth=0,
            zorder=-1,
        )
        notes.append(((event.first + event.last) / 2, event.kind.value, ink("declining")))
    if diagnosis.onset is not None:
        axes.axvline(diagnosis.onset, color=ink("declining"), linestyle=":", linewidth=1.5)
        notes.append((diagnosis.onset, f"onset {diagnosis.onset}", ink("declining")))
    if diagnosis.advice.step is not None:
        axes.axvline(diagnosis.advice.step, color=ink("healthy"), linewidth=1.2)
        notes.append((diagnosis.advice.step, f"go back {diagnosis.advice.step}", ink("healthy")))
    _write_above(axes, notes, diagnosis.trajectory.steps)


def _write_above(axes: Axes, notes: Sequence[tuple[float, str, str]], steps: Sequence[int]) -> None:
    """Words above the axes, on as many lines as keep them apart; words of one place stand together."""
    ends: list[float] = []
    span = max(steps[-1] - steps[0], 1)
    merged: dict[tuple[str, str], list[float]] = {}
    for at, word, color in notes:
        merged.setdefault((word, color), []).append(at)
    for (word, color), places in sorted(merged.items(), key=lambda item: item[1]):
        for at in dict.fromkeys(places):
            place, width = (at - steps[0]) / span, 0.013 * len(word) + 0.02
            row = next((index for index, end in enumerate(ends) if end <= place - width / 2), len(ends))
            if row > 3:
                continue
            ends[row : row + 1] = [place + width / 2]
            axes.annotate(
                literally(word),
                (at, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(0, 3 + 9 * row),
                textcoords="offset points",
                ha="left" if place < 0.03 else "right" if place > 0.97 else "center",
                fontsize=7,
                color=color,
                annotation_clip=False,
            )


def _probability(axes: Axes, diagnosis: Diagnosis) -> None:
    """The probability that modes are lost, with where it becomes a word."""
    thresholds = diagnosis.thresholds
    values = _numbers([state.probability for state in diagnosis.states])
    color = ink("collapsed")
    axes.plot(diagnosis.trajectory.steps, values, color=color, linestyle="--", linewidth=1.4, marker="s", markersize=3)
    for level, word in ((thresholds.lost_at, "LOST from here"), (thresholds.kept_below, "KEPT below")):
        axes.axhline(level, color=ink("edge"), linewidth=0.8, linestyle=":")
        label = f"{word} ({level:g})"
        axes.annotate(label, (1.01, level), xycoords=("axes fraction", "data"), fontsize=7, va="center")
    axes.set_ylim(-0.05, 1.05)
    axes.set_ylabel("P(modes lost)", fontsize=8)


def _measured(axes: Axes, diagnosis: Diagnosis) -> None:
    """The first metric that the run measured of its own samples."""
    curve = diagnosis.curves[0]
    axes.plot(curve.steps, curve.values, color=ink("best"), linewidth=1.6, marker="D", markersize=3)
    if curve.most is not None:
        axes.set_ylim(0, curve.most * 1.05)
    axes.set_ylabel(literally(curve.name), fontsize=8)
    axes.annotate("measured by the run", (1.01, 0.5), xycoords="axes fraction", fontsize=7, va="center")


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]
