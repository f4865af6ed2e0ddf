"""What is said of an arm's runs, against numbers counted by hand, and the table that is printed from it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spectral_doctor.report.reproduction import render_page, render_table
from spectral_doctor.report.reproduction_figures import draw_table
from spectral_doctor.reproduction.records import Arm, Point, Run, Table
from spectral_doctor.reproduction.summary import Figure, summaries_of, summary_of

ARM = Arm("VEEGAN", published="8 modes, 52.9 %")
TABLE = Table("ring", "A ring", "ring", {"steps": 2}, (Arm("plain"), ARM))


def run(solids: tuple[int, ...], qualities: tuple[float, ...], *, onset: int | None = None, seed: int = 0) -> Run:
    """A run of checkpoints with so many solid modes and so much quality."""
    points = tuple(Point(step, 8, s, q, 0.5, 0.9) for step, (s, q) in enumerate(zip(solids, qualities, strict=True)))
    return Run("ring", "VEEGAN", seed, 0, 8, points, onset, "SOUND", "", 2.0, {})


def test_best_is_by_solid_modes_first_and_last_is_last() -> None:
    """Seven solid modes of low quality are better than six of high."""
    one = run((0, 7, 6), (0.1, 0.3, 0.8))
    assert (one.best.step, one.last.step) == (1, 2)
    assert run((0, 6, 6), (0.1, 0.3, 0.8)).best.step == 2


def test_a_summary_is_counted_by_hand() -> None:
    """Means, lowest and highest; of four runs two lose half of their modes, two fall, one both."""
    runs = [
        run((8, 3), (0.9, 0.3), onset=1),
        run((8, 3), (0.9, 0.3), seed=1),
        run((8, 4), (0.9, 0.5), onset=1, seed=2),
        run((0, 8), (0.0, 0.9), seed=3),
    ]
    found = summary_of(ARM, runs)
    assert found.solid == Figure(4.5, 3, 8)
    assert found.quality.mean == pytest.approx(0.5)
    assert (found.quality.low, found.quality.high) == (0.3, 0.9)
    assert found.best_solid == Figure(8, 8, 8)
    assert (found.lost, found.fell, found.both) == (2, 2, 1)
    assert summaries_of(TABLE, []) == ()


def test_the_table_says_what_the_summary_holds() -> None:
    """To the letter; an arm without runs has no row, and a column without figures is not there."""
    runs = [run((8, 8), (0.9, 0.801)), run((8, 7), (0.9, 0.862), seed=1)]
    assert render_table(TABLE, summaries_of(TABLE, runs)) == (
        "| arm | runs | solid modes, best | last | modes captured | quality | KL | σ5/σ1 | lost modes | spectrum fell "
        "| published |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n"
        "| VEEGAN | 2 | 8 of 8 | 7.5 (7–8) | 8 | 83.2 % (80–86) | 0.50 | 0.90 | 0 | 0 | 8 modes, 52.9 % |\n"
    )
    unpublished = replace(TABLE, arms=(Arm("VEEGAN"),))
    assert "published" not in render_table(unpublished, summaries_of(unpublished, runs))


def test_the_page_names_the_command_and_the_picture_every_arm() -> None:
    """Title, settings, seconds; and the legend has the arms that ran."""
    runs = [run((8, 8), (0.9, 0.8))]
    page = render_page(TABLE, summaries_of(TABLE, runs))
    assert page.startswith(
        "# A ring\n\n`spectral-doctor reproduce ring`: recipe `ring` with steps=2; a run took up to 2 "
    )
    legend = draw_table(TABLE, runs).legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["VEEGAN"]
