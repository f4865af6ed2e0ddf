"""The statement about modes: its numbers are those that the named command fits, and its limits hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from spectral_doctor.diagnosis.evidence import Evidence
from spectral_doctor.diagnosis.formulas import FORMULAS
from spectral_doctor.diagnosis.model import MUTE, NAMES, OF_TIER, Formula, estimate, tier_of
from spectral_doctor.diagnosis.records import ModesStatement, SpectrumState, Thresholds, Tier
from spectral_doctor.diagnosis.witness import Witness, in_series, witness_of
from spectral_doctor.evaluation.spread import Spread
from tests.benchmarks.fit_modes import SIGNS, fit
from tests.benchmarks.modes import Row, read_modes_runs, rows_of

CORPUS = Path(__file__).parents[1] / "data" / "corpus-2.json.gz"
THRESHOLDS = Thresholds()


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """Every checkpoint of the corpus that counts."""
    return [row for run in read_modes_runs(CORPUS) for row in rows_of(run)]


def typical(tier: Tier) -> dict[str, float]:
    """The evidence of a typical run."""
    values = dict.fromkeys(OF_TIER[tier], 0.0)
    return values | {item.name: item.typical for item in FORMULAS[tier].terms}


def said(tier: Tier, values: Mapping[str, float], state: SpectrumState = SpectrumState.SOUND, rank: int = 64) -> str:
    """The statement for evidence of a tier."""
    evidence = Evidence(*(values[name] for name in NAMES))
    rest = {name: value for name, value in values.items() if name not in NAMES}
    witness = None if tier is Tier.DISCRIMINATOR else Witness(**rest)  # type: ignore[arg-type]
    found = estimate(FORMULAS, evidence, witness, state, rank, THRESHOLDS)
    assert found.tier is tier
    return found.statement.value


@pytest.mark.parametrize("tier", list(OF_TIER))
def test_the_shipped_numbers_are_the_fitted_ones(rows: list[Row], tier: Tier) -> None:
    """The command in the module's docstring prints these, up to the last digit's rounding."""
    fitted, shipped = fit(rows, tier), FORMULAS[tier]
    assert [item.name for item in fitted.terms] == [item.name for item in shipped.terms]
    assert fitted.ranks == shipped.ranks
    assert fitted.baseline == pytest.approx(shipped.baseline, abs=0.0015)
    for ours, theirs in zip(shipped.terms, fitted.terms, strict=True):
        assert ours.weight == pytest.approx(theirs.weight, abs=0.0015)
        assert (ours.lowest, ours.highest) == pytest.approx((theirs.lowest, theirs.highest), abs=0.0015)


def test_the_fit_is_that_of_scikit_learn(rows: list[Row]) -> None:
    """An independent optimiser of the same objective gives the same probabilities."""
    tier = Tier.SAMPLES
    fitted = fit(rows, tier)
    known = [row for row in rows if row.lost is not None and row.complete(tier)]
    counts = {run: sum(row.run == run for row in known) for run in {row.run for row in known}}
    weight = np.array([1 / counts[row.run] for row in known])
    values = np.array([[row.values[tier][item.name] for item in fitted.terms] for row in known])
    centre = np.average(values, axis=0, weights=weight)
    scale = np.sqrt(np.average((values - centre) ** 2, axis=0, weights=weight))
    model = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000)
    model.fit((values - centre) / scale, [bool(row.lost) for row in known], sample_weight=weight)
    theirs = model.predict_proba((values - centre) / scale)[:, 1]
    ours = [fitted.probability(row.values[tier]) for row in known]
    assert float(np.abs(theirs - np.array(ours)).max()) < 0.005


@pytest.mark.parametrize("tier", list(OF_TIER))
def test_every_term_points_the_way_of_its_mechanism(tier: Tier) -> None:
    """More of it raises the probability or lowers it, as its mechanism says; swapped labels leave none of them."""
    formula, values = FORMULAS[tier], typical(tier)
    for item in formula.terms:
        more = values | {item.name: values[item.name] + 0.1}
        change = formula.probability(more) - formula.probability(values)
        assert change * SIGNS.get(item.name, change) > 0


def test_swapped_labels_leave_only_terms_without_a_mechanism(rows: list[Row]) -> None:
    """A lost plateau cannot be made a sign of health."""
    upside_down = [replace(row, lost=None if row.lost is None else not row.lost) for row in rows]
    for item in fit(upside_down, Tier.DATA).terms:
        assert item.name not in SIGNS or item.weight * SIGNS[item.name] > 0
    assert {item.name for item in fit(upside_down, Tier.DATA).terms} != {
        item.name for item in FORMULAS[Tier.DATA].terms
    }


def test_a_probability_is_the_logistic_of_the_sum() -> None:
    """log p/(1−p) = baseline + Σ weight·(value − typical)."""
    formula, values = FORMULAS[Tier.DATA], typical(Tier.DATA)
    assert formula.probability(values) == pytest.approx(1 / (1 + math.exp(-formula.baseline)))
    first = formula.terms[0]
    more = values | {first.name: values[first.name] + 0.5}
    assert formula.probability(more) == pytest.approx(1 / (1 + math.exp(-formula.baseline - 0.5 * first.weight)))


def test_spectra_alone_decide_nothing() -> None:
    """Whatever they are, of D or of G, the statement is NOT KNOWN; with samples it can be KEPT or LOST."""
    for tier in (Tier.DISCRIMINATOR, Tier.GENERATOR):
        for item in FORMULAS[tier].terms:
            for value in (item.lowest + 0.01, item.highest - 0.01):
                assert said(tier, typical(tier) | {item.name: value}) == "NOT KNOWN"
    best = {
        item.name: item.highest - 0.01 if item.weight < 0 else item.lowest + 0.01 for item in FORMULAS[Tier.DATA].terms
    }
    assert said(Tier.DATA, typical(Tier.DATA) | best) == "KEPT"
    worst = {
        item.name: item.lowest + 0.01 if item.weight < 0 else item.highest - 0.01 for item in FORMULAS[Tier.DATA].terms
    }
    assert said(Tier.DATA, typical(Tier.DATA) | worst) == "LOST"


def test_outside_what_was_fitted_nothing_is_known() -> None:
    """A rank or a number beyond the runs that were fitted, with the reason in words."""
    formula, values = FORMULAS[Tier.SAMPLES], typical(Tier.SAMPLES)
    assert formula.outside(values, 64) == ""
    assert formula.outside(values, 4096) == (
        f"the widest judged layer has rank 4096, and runs of rank {formula.ranks[0]} to {formula.ranks[1]} were fitted"
    )
    item = formula.terms[-1]
    assert formula.outside(values | {item.name: item.highest + 1}, 64).endswith(
        f"{item.highest + 1:.2f}, and {item.lowest:.2f} to {item.highest:.2f} was fitted"
    )
    spectra = typical(Tier.GENERATOR)
    assert said(Tier.GENERATOR, spectra, rank=4096) == "NOT KNOWN"


@pytest.mark.parametrize("state", list(SpectrumState))
def test_a_mute_spectrum_gives_no_probability(state: SpectrumState) -> None:
    """Still, compensated, clipped, untrained …: none; sound, declining, collapsed, recovering: a number."""
    found = estimate(FORMULAS, Evidence(0.5, 0.8, 0.0, 0.0, 1.0), None, state, 64, THRESHOLDS)
    assert (found.probability is None) is (state in MUTE)


def test_a_constant_generator_has_lost_its_modes() -> None:
    """Whatever the discriminator looks like, also where it says nothing."""
    found = estimate(FORMULAS, None, Witness(constant=True), SpectrumState.STILL, 0, THRESHOLDS)
    assert found.statement is ModesStatement.LOST


def test_the_tier_is_what_was_asked() -> None:
    """D alone; + the spectra of G; + samples; + real data."""
    spread = Spread(0.9, -0.1, 5.0)
    assert tier_of(None) is Tier.DISCRIMINATOR
    assert tier_of(witness_of(None, None)) is Tier.DISCRIMINATOR
    assert tier_of(witness_of(0.7, None)) is Tier.GENERATOR
    assert tier_of(witness_of(0.7, spread)) is Tier.SAMPLES
    assert tier_of(witness_of(0.7, replace(spread, energy=0.1, coverage=0.9))) is Tier.DATA


def test_a_testimony_stands_beside_the_best_before_it() -> None:
    """The fall of the ratio, and the loss of different samples; the first has neither."""
    found = in_series(
        {0: Witness(0.5, diversity=1.0), 10: Witness(0.8, diversity=2.0), 20: Witness(0.6, diversity=0.5)}
    )
    assert [found[step].ratio_fall for step in (0, 10, 20)] == pytest.approx([0.0, 0.0, 0.2])
    assert [found[step].loss for step in (0, 10, 20)] == pytest.approx([0.0, 0.0, 1.5])


def test_a_formula_without_terms_is_its_baseline() -> None:
    """The degenerate case of the sum."""
    assert Formula(0.0, (8, 64), ()).probability({}) == 0.5


def test_samples_speak_alone_beside_a_discriminator_of_another_size() -> None:
    """A rank beyond the laboratory's, or a still discriminator: the samples alone, and the tier says so."""
    witness = Witness(0.7, participation=0.9, deviation=-0.4)
    for state, rank in ((SpectrumState.SOUND, 4096), (SpectrumState.STILL, 64)):
        found = estimate(FORMULAS, Evidence(0.5, 0.8, 0.0, 0.0, 1.0), witness, state, rank, THRESHOLDS)
        assert found.tier is Tier.ALONE
        assert found.probability == FORMULAS[Tier.ALONE].probability({"participation": 0.9, "deviation": -0.4})
