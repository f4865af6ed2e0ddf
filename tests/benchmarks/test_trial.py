"""The page on treatments says what the committed rows say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spectral_doctor.treatment.arms import PLAIN
from tests.benchmarks.trial import RECOVERED, summary, table

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[2] / "docs" / "treatments.md"
GROUPS = ("trial", "trial-images", "trial-ailing")
# Patients of those once more, told what a trial does not know by itself; not counted over all.
TOLD = "trial-wider"


def rows_of(name: str) -> list[dict[str, Any]]:
    """Every patient-seed of a group, five seeds of each patient."""
    content: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    assert content["summary"] == summary(content["rows"])
    found: list[dict[str, Any]] = content["rows"]
    for patient in {row["patient"] for row in found}:
        assert sorted(row["seed"] for row in found if row["patient"] == patient) == list(range(5))
    return found


@pytest.mark.parametrize("name", [*GROUPS, TOLD])
def test_the_page_has_the_table_of_the_committed_rows(name: str) -> None:
    """To the letter; fewer rows give another table."""
    page, rows = PAGE.read_text(), rows_of(name)
    assert "\n".join(table(rows)) in page
    assert "\n".join(table(rows[:-1])) not in page


@pytest.mark.parametrize("name", [*GROUPS, TOLD])
def test_the_page_has_the_counts_of_the_committed_rows(name: str) -> None:
    """Recovered, by plain continuation, below it, and the choices of the score."""
    found = summary(rows_of(name))
    assert (
        f"{found['recovered']} of {found['patient_seeds']} patient-seeds recover, {found['plain_recovered']} by plain "
        f"continuation, {found['below_plain']} end below it; the score without truth chooses within a tenth of the "
        f"best arm in {found['score_within_a_tenth']}."
    ) in " ".join(PAGE.read_text().split())


def test_the_page_and_readme_have_the_counts_over_all() -> None:
    """Of all patient-seeds, and of those that had learnt; none ends below plain continuation."""
    found = {name: summary(rows_of(name)) for name in GROUPS}
    recovered, count = (sum(one[key] for one in found.values()) for key in ("recovered", "patient_seeds"))
    fell, of = (sum(found[name][key] for name in GROUPS[:2]) for key in ("recovered", "patient_seeds"))
    page, readme = (" ".join(path.read_text().split()) for path in (PAGE, PAGE.parents[1] / "README.md"))
    assert f"{recovered} of {count} recover; of the runs that had learnt and then fell, {fell} of {of}." in page
    assert f"{fell} of {of} runs that had fallen" in readme
    assert sum(one["below_plain"] for one in found.values()) == 0


def test_the_page_has_which_arms_were_kept() -> None:
    """What the choice by solid modes alone would have missed, and what the restart's own place at the end decides."""
    rows = [row for name in GROUPS for row in rows_of(name)]
    kept = [row for row in rows if row["kept"] == "restart"]
    missed = sum(row["best"] != "restart" for row in kept)
    decided = []
    for row in kept:
        others = [end["solid"] for arm, end in row["ends"].items() if arm != "restart"]
        ours, bar = row["ends"]["restart"]["solid"], RECOVERED * row["healthy"]
        if "restart" not in (row["best"], row["best_by_score"]) and ours >= bar > max(others):
            decided.append((row["patient"], row["seed"]))
    page = " ".join(PAGE.read_text().split())
    veegan = sum(row["kept"] == "veegan" for row in rows)
    assert f"It is kept in {len(kept)} of {len(rows)} patient-seeds, VEEGAN in {veegan}." in page
    assert f"would have chosen against it in {missed} of those {len(kept)};" in page
    assert decided == [("ring-118", 2), ("grid-119", 2)]
    assert "it decides two recoveries: `ring-118` and `grid-119`, seed 2 of each." in page


def test_the_page_has_what_half_of_the_steps_recover() -> None:
    """Of the rings, from rows of their own."""
    rows = rows_of("trial-rings-3000")
    assert {row["steps"] for row in rows} == {3000}
    recovered = summary(rows)["recovered"]
    assert f"(`trial.py rings --steps 3000`) {recovered} of {len(rows)} recovered" in PAGE.read_text()


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
