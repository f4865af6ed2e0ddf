"""The committed tables: trained as the tables stand now, and the page's figures are theirs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spectral_doctor.report.reproduction import render_findings, render_page, render_table
from spectral_doctor.reproduction.claims import findings_of
from spectral_doctor.reproduction.files import saved_runs
from spectral_doctor.reproduction.summary import summaries_of
from spectral_doctor.reproduction.tables import TABLES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reproduction.md").read_text(encoding="utf-8")
RESULTS = ROOT / "tests" / "benchmarks" / "results" / "reproduce"
COMMITTED = sorted(path.stem for path in RESULTS.glob("*.json"))


def test_there_are_results() -> None:
    """The tests below would pass on an empty folder."""
    assert "ring" in COMMITTED
    assert set(COMMITTED) <= set(TABLES)


@pytest.mark.parametrize("name", COMMITTED)
def test_no_committed_run_is_stale(name: str) -> None:
    """Every run on file is one that the table would train today, and has as many steps as it says."""
    contents = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))["runs"]
    runs = saved_runs(TABLES[name], RESULTS)
    assert len(runs) == len(contents)
    for run in runs.values():
        assert run.fault or run.last.step == TABLES[name].settings["steps"]


@pytest.mark.parametrize("name", COMMITTED)
def test_the_page_has_the_committed_table(name: str) -> None:
    """To the letter, with its picture; and so has the table's own file."""
    summaries = summaries_of(TABLES[name], list(saved_runs(TABLES[name], RESULTS).values()))
    assert (RESULTS / f"{name}.md").read_text(encoding="utf-8") == render_page(TABLES[name], summaries)
    assert render_table(TABLES[name], summaries) in PAGE
    assert f"(pictures/{name}.png)" in PAGE
    assert (RESULTS / f"{name}.png").is_file()


def test_the_page_has_the_findings_of_all_tables() -> None:
    """The verdicts are computed from all committed runs; from fewer they would be others."""
    tables = {name: list(saved_runs(TABLES[name], RESULTS).values()) for name in COMMITTED}
    found = render_findings(findings_of(tables))
    assert found in PAGE
    assert (RESULTS / "what-we-found.md").read_text(encoding="utf-8") == found
    assert render_findings(findings_of({})) not in PAGE
