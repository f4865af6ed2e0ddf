"""From evidence to a probability that modes are lost: one logistic formula for every tier of evidence.

The numbers in `formulas` are printed by `python tests/benchmarks/fit_modes.py tests/data/corpus-2.json.gz`, and a test
fits them again. A checkpoint's modes are lost where the outcome of its samples is MODES LOST or CONSTANT, kept where it
is HEALTHY; others were left out of the fit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from spectral_doctor.diagnosis.evidence import Evidence
from spectral_doctor.diagnosis.records import Argument, ModesEstimate, ModesStatement, SpectrumState, Thresholds, Tier
from spectral_doctor.diagnosis.witness import Witness

# What these states leave of a discriminator says nothing about modes.
MUTE = frozenset(
    {
        SpectrumState.UNTRAINED,
        SpectrumState.STILL,
        SpectrumState.EXPLODED,
        SpectrumState.NON_FINITE,
        SpectrumState.ZERO,
        SpectrumState.CLIPPED,
        SpectrumState.COMPENSATED,
        SpectrumState.NOT_JUDGED,
    }
)
_UNDECIDED = "spectra alone do not decide it"
_SPECTRA_ONLY = (Tier.DISCRIMINATOR, Tier.GENERATOR)
NAMES = tuple(field.name for field in fields(Evidence))
_GENERATOR = ("ratio", "ratio_fall")
_SAMPLES = ("participation", "deviation", "loss")
_DATA = ("energy", "coverage", "broad_coverage", "relative_vendi", "served", "evenness")
OF_TIER: Mapping[Tier, tuple[str, ...]] = {
    Tier.DISCRIMINATOR: NAMES,
    Tier.GENERATOR: (*NAMES, *_GENERATOR),
    Tier.SAMPLES: (*NAMES, *_GENERATOR, *_SAMPLES),
    Tier.DATA: (*NAMES, *_GENERATOR, *_SAMPLES, *_DATA),
    Tier.ALONE: ("participation", "deviation"),
}


@dataclass(frozen=True)
class Term:
    """One term of the formula: its weight, the mean of its evidence over the runs that were fitted, and its range."""

    name: str
    weight: float
    typical: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class Formula:
    """log p/(1 − p) = baseline + Σ weight·(value − typical), p the probability that modes are lost.

    `ranks` are the smallest and the largest rank of a widest judged layer among the runs that were fitted.
    """

    baseline: float
    ranks: tuple[int, int]
    terms: tuple[Term, ...]

    def probability(self, values: Mapping[str, float]) -> float:
        """p, between 0 and 1."""
        odds = self.baseline + math.fsum(item.weight * (values[item.name] - item.typical) for item in self.terms)
        return 1.0 / (1.0 + math.exp(-odds))

    def knows(self, rank: int) -> bool:
        """Whether a widest judged layer of that rank was among the runs that were fitted."""
        return self.ranks[0] <= rank <= self.ranks[1]

    def outside(self, values: Mapping[str, float], rank: int) -> str:
        """What of the evidence lies outside what was fitted, in words; the empty string where nothing does."""
        low, high = self.ranks
        if not self.knows(rank):
            return f"the widest judged layer has rank {rank}, and runs of rank {low} to {high} were fitted"
        for item in self.terms:
            if not item.lowest <= values[item.name] <= item.highest:
                found = f"{values[item.name]:.2f}"
                return f"{_TITLES[item.name]} is {found}, and {item.lowest:.2f} to {item.highest:.2f} was fitted"
        return ""


_TITLES = {
    "shortfall": "the shortfall of the better half",
    "first": "the first layer's plateau",
    "fall": "the fall of the better half",
    "outgrowth": "the growth of one layer beside the others",
    "normalised": "spectral norm",
    "ratio": "the generator's mean σ2/σ1",
    "ratio_fall": "the fall of the generator's mean σ2/σ1 from its best",
    "participation": "the samples' participation",
    "deviation": "the samples' deviation",
    "loss": "the loss of different samples since their best (ln Vendi score)",
    "energy": "the energy distance to real data (ln)",
    "coverage": "the share of real samples with a close generated one",
    "broad_coverage": "the share of real samples with a generated one in their wider neighbourhood",
    "served": "the share of real samples' neighbourhoods that hold a fifth of what is due to them",
    "evenness": "how evenly the neighbourhoods of real samples are served",
    "relative_vendi": "the variety beside real data's (ln of the Vendi scores' ratio)",
}


def tier_of(witness: Witness | None) -> Tier:
    """The highest tier that the testimony reaches."""
    if witness is None:
        return Tier.DISCRIMINATOR
    if witness.participation is not None:
        return Tier.DATA if witness.energy is not None else Tier.SAMPLES
    return Tier.GENERATOR if witness.ratio is not None else Tier.DISCRIMINATOR


def values_of(evidence: Evidence, witness: Witness | None, tier: Tier) -> dict[str, float]:
    """The numbers that a tier's formula takes, by name."""
    own = dict(zip(NAMES, evidence.values, strict=True))
    asked = {} if witness is None else {name: getattr(witness, name) for name in OF_TIER[tier] if name not in own}
    return own | asked


def estimate(
    formulas: Mapping[Tier, Formula],
    evidence: Evidence | None,
    witness: Witness | None,
    state: SpectrumState,
    rank: int,
    thresholds: Thresholds,
) -> ModesEstimate:
    """The statement about modes at one checkpoint; `rank` is that of the widest judged layer."""
    tier = tier_of(witness)
    if witness is not None and witness.constant:
        return ModesEstimate(ModesStatement.LOST, 1.0, tier, (), "all samples of the generator are the same")
    silent = evidence is None or state in MUTE or not formulas[tier].knows(rank)
    if silent and witness is not None and witness.participation is not None:
        return estimate_alone(formulas, witness, thresholds)
    if evidence is None or state in MUTE:
        return ModesEstimate(
            ModesStatement.NOT_KNOWN, None, tier, (), f"a spectrum that is {state.value} tells nothing"
        )
    formula, values = formulas[tier], values_of(evidence, witness, tier)
    reason = formula.outside(values, rank)
    if reason:
        return ModesEstimate(ModesStatement.NOT_KNOWN, None, tier, (), reason)
    chance = formula.probability(values)
    statement = _statement(chance, tier, thresholds)
    why = _UNDECIDED if statement is ModesStatement.NOT_KNOWN else ""
    return ModesEstimate(statement, chance, tier, _arguments(formula, values), why)


def estimate_alone(formulas: Mapping[Tier, Formula], witness: Witness, thresholds: Thresholds) -> ModesEstimate:
    """The statement about a generator without a discriminator: by the spread of its samples."""
    tier = Tier.ALONE
    if witness.constant:
        return ModesEstimate(ModesStatement.LOST, 1.0, tier, (), "all samples of the generator are the same")
    values = {name: getattr(witness, name) for name in OF_TIER[tier]}
    if any(value is None for value in values.values()):
        return ModesEstimate(ModesStatement.NOT_KNOWN, None, tier, (), witness.why or "it could not be sampled")
    formula = formulas[tier]
    reason = formula.outside(values, formula.ranks[0])
    if reason:
        return ModesEstimate(ModesStatement.NOT_KNOWN, None, tier, (), reason)
    chance = formula.probability(values)
    return ModesEstimate(_statement(chance, tier, thresholds), chance, tier, _arguments(formula, values), "")


def _statement(chance: float, tier: Tier, thresholds: Thresholds) -> ModesStatement:
    """LOST and KEPT at the ends, IN DOUBT between; spectra alone, of D or of G, corroborate and decide nothing."""
    if tier in _SPECTRA_ONLY:
        return ModesStatement.NOT_KNOWN
    if chance >= thresholds.lost_at:
        return ModesStatement.LOST
    return ModesStatement.KEPT if chance < thresholds.kept_below else ModesStatement.IN_DOUBT


def _arguments(formula: Formula, values: Mapping[str, float]) -> tuple[Argument, ...]:
    """What each term adds to the log-odds against a typical run, the strongest first, in words."""
    found = [
        Argument(
            item.name, values[item.name], item.weight * (values[item.name] - item.typical), _sentence(item.name, values)
        )
        for item in formula.terms
    ]
    return tuple(sorted(found, key=lambda item: -abs(item.weight)))


def _sentence(name: str, values: Mapping[str, float]) -> str:
    value = values[name]
    if name == "shortfall":
        return f"the better half of the layers falls {math.exp(value):.1f} times as far short as random weights"
    if name == "normalised":
        return "it has spectral norm" if value else "it has no spectral norm"
    if name == "fall":
        return f"the better half of the layers falls {math.exp(value):.1f} times as far short as at its best"
    if name == "outgrowth":
        return f"one layer's σ1 has outgrown the others' {math.exp(value):.1f} times beyond the usual"
    return f"{_TITLES[name]} is {value:.2f}"
