"""The formula: its numbers are those that the named command fits, and its signs are those of the mechanism."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from spectral_doctor.diagnosis.evidence import Evidence
from spectral_doctor.diagnosis.model import FORMULA, arguments
from tests.benchmarks.fit_diagnosis import NAMES, SIGNS, WrongSign, evidence_of, fit
from tests.benchmarks.labelled import LabelledRun, read_runs

CORPUS = Path(__file__).parents[1] / "data" / "corpus.json.gz"
TYPICAL = Evidence(*(term.typical for term in FORMULA.terms))


@pytest.fixture(scope="module")
def runs() -> list[LabelledRun]:
    """The corpus that the formula is fitted on."""
    return read_runs(CORPUS)


def test_the_terms_are_the_evidence_in_order() -> None:
    """One weight for each field."""
    assert tuple(term.name for term in FORMULA.terms) == NAMES == tuple(field.name for field in fields(Evidence))


def test_a_typical_run_has_the_baseline_and_a_term_adds_its_weight() -> None:
    """log p/(1−p) = baseline + Σ weight·(value − typical)."""
    assert FORMULA.log_odds(TYPICAL) == FORMULA.baseline
    more = replace(TYPICAL, shortfall=TYPICAL.shortfall + 2)
    assert FORMULA.log_odds(more) == pytest.approx(FORMULA.baseline + 2 * FORMULA.terms[0].weight)
    assert FORMULA.probability(more) == pytest.approx(1 / (1 + math.exp(-FORMULA.log_odds(more))))


@pytest.mark.parametrize("name", NAMES)
def test_every_term_points_the_way_of_its_mechanism(name: str) -> None:
    """More of it raises the probability, or lowers it for the first layer's second value."""
    more = replace(TYPICAL, **{name: getattr(TYPICAL, name) + 0.1})
    assert (FORMULA.probability(more) - FORMULA.probability(TYPICAL)) * SIGNS[name] > 0


def test_the_shipped_numbers_are_the_fitted_ones(runs: list[LabelledRun]) -> None:
    """The command in the module's docstring prints these, up to the last digit's rounding."""
    fitted = fit(runs)
    assert fitted.baseline == pytest.approx(FORMULA.baseline, abs=0.0015)
    for ours, theirs in zip(FORMULA.terms, fitted.terms, strict=True):
        assert ours.name == theirs.name
        assert ours.weight == pytest.approx(theirs.weight, abs=0.0015)
        assert ours.typical == pytest.approx(theirs.typical, abs=0.0015)


def test_the_fit_is_that_of_scikit_learn(runs: list[LabelledRun]) -> None:
    """An independent optimiser of the same objective gives the same probabilities."""
    rows, labels, weights = [], [], []
    for run in runs:
        evidence = evidence_of(run)
        for index, item in evidence.items():
            rows.append(item.values)
            labels.append(run.outcomes[index] == "collapsed")
            weights.append(1 / len(evidence))
    weight = np.array(weights) * len(weights) / sum(weights)
    values = np.array(rows)
    centre = np.average(values, axis=0, weights=weight)
    scale = np.sqrt(np.average((values - centre) ** 2, axis=0, weights=weight))
    model = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000)
    model.fit((values - centre) / scale, labels, sample_weight=weight)
    theirs = model.predict_proba((values - centre) / scale)[:, 1]
    fitted = fit(runs)
    ours = [fitted.probability(Evidence(*row)) for row in rows]
    assert float(np.abs(theirs - np.array(ours)).max()) < 0.003


def test_a_sign_against_the_mechanism_is_refused(runs: list[LabelledRun]) -> None:
    """Runs with swapped labels would make a lost plateau a sign of health."""
    swap = {"collapsed": "healthy", "healthy": "collapsed", "unclear": "unclear"}
    upside_down = [replace(run, outcomes=tuple(swap[outcome] for outcome in run.outcomes)) for run in runs]
    with pytest.raises(WrongSign, match=r"^shortfall: -1\.\d+, expected the sign of \+1$"):
        fit(upside_down)


def test_arguments_are_the_terms_the_strongest_first() -> None:
    """Their weights add up to the log-odds above the baseline; one checkpoint knows no motion or growth."""
    evidence = Evidence(shortfall=1.5, first=0.5, still=0.25, outgrowth=0.4, normalised=0.0)
    found = arguments(evidence, checkpoints=3)
    assert sum(item.weight for item in found) == pytest.approx(FORMULA.log_odds(evidence) - FORMULA.baseline)
    assert [abs(item.weight) for item in found] == sorted((abs(item.weight) for item in found), reverse=True)
    sentences = {item.name: item.sentence for item in found}
    assert sentences == {
        "shortfall": "the better half of the layers falls 4.5 times as far short of a full plateau as random weights",
        "first": "the first layer's σ2/σ1 is 0.50",
        "still": "25% of the layers have stopped moving",
        "outgrowth": "σ1 of one layer has grown 4.1 times as much as in the median layer",
        "normalised": "no spectral norm, where low plateaus are common",
    }
    assert {item.name for item in arguments(evidence, checkpoints=1)} == {"shortfall", "first", "normalised"}
    quiet = {item.name: item.sentence for item in arguments(replace(evidence, still=0.0, outgrowth=0.0), 3)}
    assert quiet["still"] == "all layers are moving"
    assert quiet["outgrowth"] == "no layer's σ1 has outgrown the others'"
