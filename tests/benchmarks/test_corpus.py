"""The packed corpus is what its command says it is."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.corpus import drawn_settings, outcome_of, summary

PACKED = Path(__file__).parents[1] / "data" / "corpus.json.gz"


@pytest.fixture(scope="module")
def runs() -> list[dict[str, Any]]:
    """All runs of the packed corpus."""
    content: dict[str, Any] = json.loads(gzip.decompress(PACKED.read_bytes()))
    runs: list[dict[str, Any]] = content["runs"]
    return runs


def test_the_corpus_is_large_and_balanced(runs: list[dict[str, Any]]) -> None:
    """At least 120 runs of three recipes, with and without spectral norm, and three tenths of each outcome."""
    assert len(runs) >= 120
    assert len({run["recipe"] for run in runs}) >= 3
    for spectral_norm in (True, False):
        assert sum(run["settings"]["spectral_norm"] is spectral_norm for run in runs) >= 30
    outcomes = summary(runs)["all"]
    assert min(outcomes["collapsed"], outcomes["healthy"]) >= 0.3 * len(runs)


def test_every_run_is_the_one_its_seed_draws(runs: list[dict[str, Any]]) -> None:
    """The settings in the file are those that the command draws for its index."""
    for index, run in enumerate(runs):
        recipe, changes = drawn_settings(0, index)
        assert run["recipe"] == recipe
        assert {key: str(run["settings"][key]) for key in changes} == changes


def test_every_spectrum_is_one(runs: list[dict[str, Any]]) -> None:
    """From a thousand thousandths down, at every checkpoint of every layer."""
    for run in runs:
        for checkpoint in run["checkpoints"]:
            for layer in checkpoint["layers"].values():
                values = layer["relative_spectrum"]
                assert values[0] == 1000
                assert all(one >= two >= 0 for one, two in pairwise(values))


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
