"""Pictures: every layer is in them, names are literal, and the same figure gives the same bytes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from spectral_doctor import witnessing
from spectral_doctor.diagnosis.rules import diagnose
from spectral_doctor.diagnosis.witness import Witness
from spectral_doctor.evaluation.spread import measured_spread
from spectral_doctor.generators.records import SampleEvidence
from spectral_doctor.report.figures import PLOT_FORMATS, draw, render_figure
from tests.builders import layer_over_steps, series
from tests.diagnosis.judging import judged

MAGIC = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.mark.parametrize("plot_format", PLOT_FORMATS)
def test_every_format_is_written(plot_format: str) -> None:
    """The bytes open as what the ending says."""
    diagnosis = diagnose(series(layer_over_steps("conv", [0.97, None, 0.4])))
    assert render_figure(draw([diagnosis]), plot_format).startswith(MAGIC[plot_format])


def panels(figure: Figure) -> list[Axes]:
    """The panels of the layers, of all series."""
    return [axes for axes in axes_of(figure) if axes.get_title() and "samples of G" not in axes.get_title()]


def axes_of(figure: Figure | SubFigure) -> list[Axes]:
    """All axes of a figure and of the figures in it, each once."""
    return list(dict.fromkeys(figure.axes))


def with_label(figure: Figure, label: str) -> Axes:
    """The axes whose values are called so."""
    (found,) = [axes for axes in axes_of(figure) if axes.get_ylabel() == label]
    return found


def test_there_is_one_panel_a_layer_and_a_trajectory_a_series() -> None:
    """Titles are the layers' names, each with the sign of its state; the line of the best layer holds its numbers."""
    first = judged(*(layer_over_steps(f"conv{index}", [0.97, 0.4]) for index in range(7)))
    second = judged(layer_over_steps("other", [0.9]))
    assert [axes.get_title() for axes in panels(draw([first, second]))] == [
        *(f"▼ conv{index}" for index in range(7)),
        "● other",
    ]
    best = next(
        line for line in with_label(draw([first]), "plateau σk/σ1").get_lines() if line.get_label() == "best layer"
    )
    assert np.asarray(best.get_ydata()) == pytest.approx([0.97, 0.4])


def test_every_axis_is_labelled() -> None:
    """Values at the left of every row of panels, what they run over below each column, the step below the courses."""
    figure = draw([judged(*(layer_over_steps(f"conv{index}", [0.97, 0.9]) for index in range(7)))])
    shown = panels(figure)
    assert [index for index, axes in enumerate(shown) if axes.get_ylabel() == "σj/σ1"] == [0, 5]
    assert [index for index, axes in enumerate(shown) if axes.get_xlabel() == "index j"] == [2, 3, 4, 5, 6]
    assert [axes.get_xlabel() for axes in axes_of(figure)].count("step") == 1


@pytest.mark.parametrize("rank", [1, 2, 12])
def test_an_index_is_a_whole_number(rank: int) -> None:
    """Also where a layer has one value only."""
    (panel,) = panels(draw([judged(layer_over_steps("conv", [0.9, 0.9], rank=rank))]))
    shown = [tick for tick in panel.get_xticks() if 0.5 <= tick <= rank + 0.5]
    assert shown
    assert all(tick == round(tick) for tick in shown)


def test_probability_and_plateau_have_axes_of_their_own() -> None:
    """Neither is read off the scale of the other; without a probability there is no second row."""
    found = judged(layer_over_steps("conv", [0.97, 0.4]))
    unknown = replace(found, states=tuple(replace(state, probability=None) for state in found.states))
    known = replace(found, states=tuple(replace(state, probability=0.25) for state in found.states))
    figure = draw([known])
    (line, *_) = with_label(figure, "P(modes lost)").get_lines()
    assert list(np.asarray(line.get_ydata())) == [0.25, 0.25]
    assert all(0.25 not in np.asarray(one.get_ydata()) for one in with_label(figure, "plateau σk/σ1").get_lines())
    assert "P(modes lost)" not in {axes.get_ylabel() for axes in axes_of(draw([unknown]))}


def test_the_reference_range_is_a_band_and_events_are_marked() -> None:
    """The band spans the best layer's range; onset, event and the checkpoint to go back to are named above the axes."""
    found = judged(layer_over_steps("conv", [0.97, 0.97, 0.4]))
    axes = with_label(draw([found]), "plateau σk/σ1")
    reference = found.layers[0].reference
    assert reference is not None
    (band,) = [item for item in axes.patches if str(item.get_label()).startswith("healthy, best layer")]
    low, high = band.get_extents().transformed(axes.transData.inverted()).intervaly
    assert (low, high) == pytest.approx((reference.low, reference.high))
    assert {text.get_text() for text in axes.texts} == {
        *(event.kind.value for event in found.events),
        f"onset {found.onset}",
        f"go back {found.advice.step}",
    }
    assert found.events


@pytest.mark.parametrize(
    ("plateaus", "shape", "filled"),
    [([0.9, 0.9], "o", False), ([0.5, 0.45], "v", False), ([0.9, 0.45], "v", True), ([0.9, None], "X", True)],
)
def test_a_layers_state_is_a_shape(plateaus: list[float | None], shape: str, filled: bool) -> None:
    """At the end of its line, and in the legend in words: readable without colour."""
    axes = with_label(draw([judged(layer_over_steps("conv", plateaus))]), "plateau σk/σ1")
    ends = [line for line in axes.get_lines() if line.get_marker() == shape]
    assert len(ends) == 2
    assert all((line.get_markerfacecolor() != "white") is filled for line in ends)


def test_samples_of_the_generator_stand_beside() -> None:
    """The most diverse before the last, and the last, as sheets or as points; none of another shape."""
    found = judged(layer_over_steps("conv", [0.97, 0.9, 0.9]))
    rng = np.random.default_rng(0)
    for shape, drawn in (((16, 1, 8, 8), True), ((16, 3, 8, 8), True), ((16, 2), True), ((16, 5), False)):
        told = [
            shown_at(step, rng.normal(size=shape).astype(np.float32), diversity)
            for step, diversity in ((0, 1.0), (100, 3.0), (200, 2.0))
        ]
        titles = [axes.get_title() for axes in axes_of(draw([found], {"netD": told}))]
        sheets = [title for title in titles if "samples of G" in title]
        expected = ["samples of G, step 100, the most kinds", "samples of G, step 200, the last"]
        assert sheets == (expected if drawn else [])


def shown_at(step: int, samples: NDArray[np.float32], diversity: float) -> witnessing.Testimony:
    """What a generator showed at a step."""
    evidence = SampleEvidence(measured_spread(samples, 4), len(samples), 0.0, False, 4, "as said", preview=samples)
    return witnessing.Testimony(step, Witness(diversity=diversity), evidence)


@pytest.mark.parametrize(
    ("plateaus", "rank", "sign"),
    [
        ([0.9, 0.9], 64, "●"),
        ([0.5, 0.45], 64, "↓"),
        ([0.9, 0.45], 64, "▼"),
        ([0.9, None], 64, "✕"),
        ([0.9, 0.9], 4, "–"),
    ],
)
def test_the_sign_of_a_layer_is_its_state(plateaus: list[float | None], rank: int, sign: str) -> None:
    """Sound, low, fallen, not finite, and not judged: readable without colour."""
    (panel,) = panels(draw([judged(layer_over_steps("conv", plateaus, rank=rank))]))
    assert panel.get_title() == f"{sign} conv"


def test_the_headline_holds_both_statements() -> None:
    """As in the other reports."""
    found = judged(layer_over_steps("conv", [0.97, 0.3]))
    (block,) = draw([found]).subfigs
    assert block.get_suptitle() == f"▼ netD: {found.words}"
    assert found.words.startswith("COLLAPSED spectrum · modes ")


def test_names_are_drawn_literally() -> None:
    """`$` opens no formula, an escape sequence is written out."""
    figure = draw([diagnose(series(layer_over_steps("$\\frac{1}{0$\x1b", [0.9])))])
    assert render_figure(figure, "svg")


def test_one_checkpoint_has_its_step_below_it() -> None:
    """And no fractions of steps."""
    axes = with_label(draw([judged(layer_over_steps("conv", [0.9]))]), "plateau σk/σ1")
    assert list(axes.get_xticks()) == [0]


def test_titles_of_long_names_fit_their_panels() -> None:
    """No two are alike, and none is longer than a panel is wide."""
    names = [f"discriminator.blocks.{index}.convs.0.parametrizations.weight.original" for index in range(6)]
    found = judged(
        *(layer_over_steps(name, [0.9, 0.9]) for name in names), layer_over_steps("head", [0.9, 0.9], rank=3)
    )
    titles = [axes.get_title() for axes in panels(draw([found]))]
    assert len(set(titles)) == 7
    assert max(map(len, titles)) <= 29
