"""Each claim on runs made up so that it holds, and on the nearest ones where it does not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from spectral_doctor.report.reproduction import render_findings
from spectral_doctor.reproduction.claims import CLAIMS, Finding, Verdict, findings_of
from spectral_doctor.reproduction.records import Point, Run
from spectral_doctor.reproduction.tables import TABLES


def run(
    arm: str, solids: Sequence[int] = (8, 8), *, quality: float = 0.9, onset: int | None = None, seed: int = 0
) -> Run:
    """A run with so many solid modes, and as many captured ones, at its checkpoints."""
    points = tuple(Point(step, solid, solid, quality, 0.0, 0.9) for step, solid in enumerate(solids))
    return Run("any", arm, seed, 0, 10, points, onset, "SOUND", "", 1.0, {})


def found(beginning: str, table: str, runs: Sequence[Run]) -> Finding:
    """The finding on the claim that begins so."""
    (finding,) = (item for item in findings_of({table: runs}) if item.claim.startswith(beginning))
    return finding


CASES = {
    "Ring: VEEGAN captures more": (
        "ring",
        [run("VEEGAN", (0, 8)), run("VEEGAN", (0, 7), seed=1), run("plain", (0, 7))],
        [run("VEEGAN", (0, 7)), run("plain", (0, 7))],
        "7.5 modes (7.5 solid) at 90.0 % in 2 runs against 7.0 modes (7.0 solid) at 90.0 % in 1 run",
    ),
    "Ring: 8 modes": (
        "ring",
        [run("VEEGAN", (0, 8), quality=0.53)],
        [run("VEEGAN", (0, 8), quality=0.52)],
        "8.0 modes (8.0 solid) at 53.0 % in 1 run",
    ),
    "Modes are lost exactly": (
        "sr-gan",
        [run("16-8 SN", (8, 3), onset=1), run("16-8 SN", (8, 8), seed=1)],
        [run("16-8 SN", (8, 3), onset=1), run("16-8 SN", (8, 3), seed=1)],
        "of 2 runs both in 1, only modes in 0, only the spectrum in 0",
    ),
    "A narrow discriminator": (
        "sr-gan",
        [run("16-8 SN", onset=1), run("16-32 SN")],
        [run("16-8 SN", onset=1), run("16-32 SN", onset=1)],
        "spectra fell in 1 of 1 at 8 channels, 0 of 1 at 32 channels",
    ),
    "A large batch": (
        "sr-gan",
        [run("16-8 SN"), run("64-8 SN", onset=1)],
        [run("16-8 SN", onset=1), run("64-8 SN")],
        "spectra fell in 0 of 1 at 16 a batch, 1 of 1 at 64 a batch",
    ),
    "Under compensation nothing": (
        "sr-gan",
        [run("16-8 static"), run("16-8 dynamic"), run("16-8 SN", (8, 1), onset=1)],
        [run("16-8 static"), run("16-8 dynamic", (8, 3))],
        "of 2 compensated runs 0 lost modes, 0 their spectrum",
    ),
    "Compensation is better": (
        "sr-gan",
        [run("16-8 static", quality=0.9), run("16-8 SN", quality=0.8), run("16-8 SN", quality=0.99, seed=1)],
        [run("16-8 static", quality=0.7), run("16-8 SN", quality=0.8)],
        "quality at the best checkpoint higher in 1 of 1 pairs, lower in 0",
    ),
    "The same, on VEEGAN's ring": (
        "ring",
        [run("static", quality=0.9), run("SN", quality=0.8), run("VEEGAN + dynamic", quality=0.1)],
        [run("static", quality=0.8), run("dynamic", quality=0.7), run("SN", quality=0.8)],
        "quality at the best checkpoint higher in 1 of 1 pairs, lower in 0",
    ),
    "The same, on VEEGAN's grid": (
        "grid",
        [run("static", quality=0.9), run("dynamic", quality=0.9), run("SN", quality=0.8)],
        [run("static", quality=0.9), run("dynamic", quality=0.7), run("SN", quality=0.8)],
        "quality at the best checkpoint higher in 2 of 2 pairs, lower in 0",
    ),
    "Resumed under compensation": (
        "sr-gan",
        [run("16-8 SN, then static", (8, 5)), run("16-8 SN", (8, 3), onset=1)],
        [run("16-8 SN, then static", (8, 2)), run("16-8 SN", (8, 3), onset=1)],
        "of 1 resumed runs 1 end with more solid modes than the untreated run, 0 with fewer",
    ),
}


@pytest.mark.parametrize("beginning", CASES)
def test_a_verdict_is_the_runs(beginning: str) -> None:
    """Agree with the figure in words where the claim holds, disagree where it nearly does."""
    table, holds, fails, words = CASES[beginning]
    assert (found(beginning, table, holds).ours, found(beginning, table, holds).verdict) == (words, Verdict.AGREE)
    assert found(beginning, table, fails).verdict is Verdict.DISAGREE


def test_a_claim_without_runs_is_not_tested() -> None:
    """No table, no arm, no onset: could not test; and no verdict is ever given without runs."""
    assert {item.verdict for item in findings_of({})} == {Verdict.NOT_TESTED}
    assert found("Ring: VEEGAN", "ring", [run("VEEGAN")]).verdict is Verdict.NOT_TESTED
    untouched = [run("16-8 SN, then static"), run("16-8 SN")]
    assert found("Resumed", "sr-gan", untouched).verdict is Verdict.NOT_TESTED
    assert found("CIFAR-10", "ring", [run("VEEGAN")]).ours == "CIFAR-10 is not at hand"


def test_every_claim_names_a_table_or_why_not() -> None:
    """A claim without either could never be tested."""
    assert all((claim.table in TABLES) != bool(claim.why) for claim in CLAIMS)


def test_the_page_has_a_row_a_claim() -> None:
    """To the letter."""
    page = render_findings([Finding("VEEGAN", "more", "8 modes", Verdict.AGREE)])
    assert page == "| paper | claim | here |  |\n| --- | --- | --- | --- |\n| VEEGAN | more | 8 modes | agree |\n"
