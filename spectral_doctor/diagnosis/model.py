"""From evidence to a probability: one logistic formula with five terms.

The numbers below are printed by `python tests/benchmarks/fit_diagnosis.py tests/data/corpus.json.gz`, and a test
fits them again. Labels are modes measured on samples, so this is the probability that modes are lost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from spectral_doctor.diagnosis.evidence import Evidence
from spectral_doctor.diagnosis.records import Argument


@dataclass(frozen=True)
class Term:
    """One term of the formula: its weight, and the mean of its evidence over the runs that were fitted."""

    name: str
    weight: float
    typical: float


@dataclass(frozen=True)
class Formula:
    """log p/(1 − p) = baseline + Σ weight·(value − typical), p the probability that modes are lost."""

    baseline: float
    terms: tuple[Term, ...]

    def log_odds(self, evidence: Evidence) -> float:
        """The logarithm of p/(1 − p)."""
        pairs = zip(self.terms, evidence.values, strict=True)
        return self.baseline + math.fsum(term.weight * (value - term.typical) for term, value in pairs)

    def probability(self, evidence: Evidence) -> float:
        """p, between 0 and 1."""
        return 1.0 / (1.0 + math.exp(-self.log_odds(evidence)))


FORMULA = Formula(
    -0.082,
    (
        Term("shortfall", 1.174, 0.482),
        Term("first", -4.443, 0.844),
        Term("still", 2.131, 0.095),
        Term("outgrowth", 2.944, 0.056),
        Term("normalised", 0.857, 0.636),
    ),
)


def arguments(evidence: Evidence, checkpoints: int) -> tuple[Argument, ...]:
    """What each term adds to the log-odds against a typical run, the strongest first, in words.

    With one checkpoint nothing is known about motion or growth, and these terms are left out.
    """
    sentences = _sentences(evidence)
    found = [
        Argument(term.name, value, term.weight * (value - term.typical), sentence)
        for term, value, sentence in zip(FORMULA.terms, evidence.values, sentences, strict=True)
        if checkpoints > 1 or term.name not in ("still", "outgrowth")
    ]
    return tuple(sorted(found, key=lambda item: -abs(item.weight)))


def _sentences(evidence: Evidence) -> tuple[str, ...]:
    times = math.exp(evidence.shortfall)
    return (
        f"the better half of the layers falls {times:.1f} times as far short of a full plateau as random weights"
        if times >= 1
        else f"the better half of the layers is {times:.1f} times as far from a full plateau as random weights",
        f"the first layer's σ2/σ1 is {evidence.first:.2f}",
        f"{evidence.still:.0%} of the layers have stopped moving" if evidence.still else "all layers are moving",
        "σ1 is normalised"
        if evidence.normalised
        else f"σ1 of one layer has grown {math.exp(1 + evidence.outgrowth):.1f} times as much as in the median layer"
        if evidence.outgrowth
        else "no layer's σ1 has outgrown the others'",
        "spectral norm, under which low plateaus weigh more"
        if evidence.normalised
        else "no spectral norm, where low plateaus are common",
    )
