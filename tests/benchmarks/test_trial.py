"""The page on treatments says what the committed rows say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spectral_doctor.treatment.arms import PLAIN
from tests.benchmarks.trial import summary, table

RESULTS = Path(__file__).parent / "results" / "trial.json"
PAGE = Path(__file__).parents[2] / "docs" / "treatments.md"


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """Every patient-seed."""
    content: dict[str, Any] = json.loads(RESULTS.read_text())
    assert content["summary"] == summary(content["rows"])
    found: list[dict[str, Any]] = content["rows"]
    return found


def test_the_page_has_the_table_of_the_committed_rows(rows: list[dict[str, Any]]) -> None:
    """To the letter; fewer rows give another table."""
    page = PAGE.read_text()
    assert "\n".join(table(rows)) in page
    assert "\n".join(table(rows[:-1])) not in page


def test_the_page_has_the_counts_of_the_committed_rows(rows: list[dict[str, Any]]) -> None:
    """Recovered, by plain continuation, below it, and the choices of the score."""
    found = summary(rows)
    page = " ".join(PAGE.read_text().split())
    assert f"{found['recovered']} of {found['patient_seeds']} patient-seeds recover, none by plain continuation" in page
    assert found["plain_recovered"] == found["below_plain"] == 0
    assert f"half-way in {found['score_within_a_tenth']} of {found['patient_seeds']}." in page


def test_a_run_that_ends_below_plain_is_counted() -> None:
    """By more than a twentieth; and what stays under nine tenths of healthy is not recovered."""
    arms = {"static": {"solid": 3}, PLAIN: {"solid": 8}}
    row = {"kept": "static", "ends": arms, "healthy": 8, "arms": arms, "best_by_score": PLAIN}
    assert summary([row]) == {
        "patient_seeds": 1,
        "recovered": 0,
        "plain_recovered": 1,
        "below_plain": 1,
        "score_within_a_tenth": 1,
    }
