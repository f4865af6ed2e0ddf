"""Compensation before the onset: the page and README say what the committed runs say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.onset import TABLE, figures, read_runs, sign_test, table

PAGE = Path(__file__).parents[2] / "docs" / "fix.md"


@pytest.mark.parametrize(
    ("more", "fewer", "expected"), [(0, 0, 1.0), (5, 0, 2 / 32), (4, 1, 12 / 32), (1, 4, 12 / 32), (3, 3, 1.0)]
)
def test_the_sign_test_by_counting(more: int, fewer: int, expected: float) -> None:
    """Of 2ⁿ equally likely splits, those at least so uneven; never above one."""
    assert sign_test(more, fewer) == pytest.approx(expected)


def test_the_page_has_the_table_of_the_committed_runs() -> None:
    """To the letter, of five seeds or more in each cell; without one pair it is another table."""
    runs = read_runs(TABLE)
    page = PAGE.read_text()
    assert min(sum(run.arm == arm for run in runs) for arm in {run.arm for run in runs}) >= 5
    assert "\n".join(table(figures(runs))) in page
    dropped = next(index for index, run in enumerate(runs) if run.arm.endswith(" static"))
    assert "\n".join(table(figures([*runs[:dropped], *runs[dropped + 1 :]]))) not in page
