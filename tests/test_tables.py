"""An inspection in a notebook: a frame for pandas, a table in HTML, and reprs that fit a line."""

from __future__ import annotations

import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from spectral_doctor.errors import MissingExtra
from spectral_doctor.inspection import Inspection
from spectral_doctor.records import Failure, LeftOut
from spectral_doctor.tables import html_table
from tests.builders import layer_over_steps, series
from tests.diagnosis.judging import judged


def inspected() -> Inspection:
    """Two layers over three checkpoints, one value of which is not finite, and a rank too small to judge."""
    diagnosis = judged(
        layer_over_steps("body.c1", [0.97, None, 0.4]), layer_over_steps("head", [0.9, 0.8, 0.7], rank=3)
    )
    return Inspection((diagnosis,), (LeftOut("log.txt", "text file"),), (Failure("a.pt", "torn."),))


def test_a_frame_has_a_row_for_every_layer_and_checkpoint() -> None:
    """The numbers are those of the records, at the place of their step and layer."""
    pandas = pytest.importorskip("pandas")
    inspection = inspected()
    frame = inspection.to_dataframe()
    assert isinstance(frame, pandas.DataFrame)
    (diagnosis,) = inspection.diagnoses
    assert len(frame) == len(diagnosis.layers) * len(diagnosis.states) == 6
    table = frame.set_index(["layer", "step"])
    for finding in diagnosis.layers:
        for index, step in enumerate(diagnosis.trajectory.steps):
            row = table.loc[(finding.layer, step)]
            spectrum, plateau = finding.trajectory.spectra[index], finding.plateau[index]
            assert (plateau is None) == pandas.isna(row["plateau"])
            if spectrum is not None and plateau is not None:
                assert (row["sigma_1"], row["plateau"]) == (spectrum.sigma_max, plateau)
                assert row["stable_rank"] == spectrum.stable_rank
            assert row["checkpoint"] == str(diagnosis.trajectory.checkpoints[index])
    assert set(table.loc["head"]["layer_is"]) == {"rank 3"}


def test_without_pandas_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra by its name."""
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtra, match=r"^Inspection\.to_dataframe\(\) needs pandas: pip install '.*\[pandas\]'$"):
        inspected().to_dataframe()


class Cells(HTMLParser):
    """The texts of a table's cells, and every tag that was opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_notebook_shows_a_table() -> None:
    """One row a discriminator with both statements; what was left out is counted."""
    cells = Cells(inspected()._repr_html_())
    assert cells.tags.count("tr") == 2
    assert {"netD", "NOT KNOWN"} <= set(cells.texts)
    assert "1 left out, 1 could not be used" in cells.texts
    assert Cells(inspected().diagnoses[0]._repr_html_()).tags.count("tr") == 2
    assert Inspection((), (), ())._repr_html_() == "<p>0 left out, 0 could not be used</p>"


def test_names_make_no_markup_in_a_notebook() -> None:
    """What a file calls itself is text."""
    cells = Cells(html_table([{"<b>": "<script>\x1b", "x": None, "y": 0.123456}]))
    assert set(cells.tags) == {"table", "thead", "tr", "th", "tbody", "td"}
    assert cells.texts == ["<b>", "x", "y", "<script>\\x1b", "–", "0.123"]


def test_reprs_fit_a_line_and_say_what_it_is() -> None:
    """However long the series; and no name drives the terminal."""
    long = series(*(layer_over_steps(f"c{index}\x1b", [0.9] * 200) for index in range(50)))
    diagnosis = judged(*long.layers)
    inspection = Inspection((diagnosis,), (), ())
    spectrum = diagnosis.layers[0].trajectory.spectra[0]
    for item in (inspection, diagnosis, diagnosis.trajectory, diagnosis.layers[0], long.layers[0], spectrum):
        text = repr(item)
        assert len(text) < 160, text
        assert text.startswith(f"<{type(item).__name__}")
        assert "\x1b" not in text
    assert repr(replace(inspection, diagnoses=())) == "<Inspection: nothing; 0 left out, 0 could not be used>"
    assert "SOUND spectrum" in repr(diagnosis)
