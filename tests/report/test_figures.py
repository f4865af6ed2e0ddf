"""Pictures: every layer is in them, names are literal, and the same figure gives the same bytes."""

from __future__ import annotations

import numpy as np
import pytest

from spectral_doctor.diagnosis.rules import diagnose
from spectral_doctor.report.figures import PLOT_FORMATS, draw, render_figure
from tests.builders import layer_over_steps, series
from tests.diagnosis.judging import judged

MAGIC = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.mark.parametrize("plot_format", PLOT_FORMATS)
def test_every_format_is_written(plot_format: str) -> None:
    """The bytes open as what the ending says."""
    diagnosis = diagnose(series(layer_over_steps("conv", [0.97, None, 0.4])))
    assert render_figure(draw([diagnosis]), plot_format).startswith(MAGIC[plot_format])


def test_there_is_one_panel_a_layer_and_a_trajectory_a_series() -> None:
    """Titles are the layers' names, each with the sign of its state; the line of the best layer holds its numbers."""
    first = judged(*(layer_over_steps(f"conv{index}", [0.97, 0.4]) for index in range(7)))
    second = judged(layer_over_steps("other", [0.9]))
    figure = draw([first, second])
    titles = [axes.get_title() for block in figure.subfigs for axes in block.axes if axes.get_title()]
    assert titles == [*(f"▼ conv{index}" for index in range(7)), "● other"]
    plateaus = figure.subfigs[0].axes[0]
    best = next(line for line in plateaus.get_lines() if line.get_label() == "best layer")
    assert np.asarray(best.get_ydata()) == pytest.approx([0.97, 0.4])


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
    figure = draw([judged(layer_over_steps("conv", plateaus, rank=rank))])
    (title,) = [axes.get_title() for block in figure.subfigs for axes in block.axes if axes.get_title()]
    assert title == f"{sign} conv"


def test_the_headline_holds_both_statements() -> None:
    """As in the other reports."""
    found = judged(layer_over_steps("conv", [0.97, 0.3]))
    (block,) = draw([found]).subfigs
    assert block.get_suptitle() == f"netD: {found.words}"
    assert found.words.startswith("COLLAPSED spectrum · modes ")


def test_names_are_drawn_literally() -> None:
    """`$` opens no formula, an escape sequence is written out."""
    figure = draw([diagnose(series(layer_over_steps("$\\frac{1}{0$\x1b", [0.9])))])
    assert render_figure(figure, "svg")
