"""The labels of the first corpus are its rule."""

from __future__ import annotations

import pytest

from tests.benchmarks.corpus import outcome_of


@pytest.mark.parametrize(
    ("modes", "captured", "outcome"),
    [
        *[(1000, 199, "collapsed"), (1000, 200, "unclear"), (1000, 400, "unclear"), (1000, 401, "healthy")],
        *[(8, 4, "collapsed"), (8, 5, "unclear"), (8, 7, "healthy"), (25, 12, "collapsed"), (25, 20, "healthy")],
    ],
)
def test_the_outcome_is_the_rule(modes: int, captured: int, outcome: str) -> None:
    """At its edges."""
    assert outcome_of({"modes": modes, "checkpoints": [{"modes_captured": captured}]}) == outcome
