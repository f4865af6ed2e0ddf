"""What a checkpoint's samples come to, and a whole run: the one rule that corpus, benchmarks and README use.

Two shares are read from an `Evaluation`: *modes*, the solid modes over what a perfect sampler would have, and
*quality*, the share of samples of high quality over that of real data. Each stands at one of three levels:

    modes     MANY from 0.7     FEW up to 0.5
    quality   GOOD from 0.4     POOR up to 0.1

A share between the two keeps the level of the checkpoint before (hysteresis); without one before, it is BETWEEN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from spectral_doctor.evaluation.modes import Evaluation

MANY, FEW = 0.7, 0.5
GOOD, POOR = 0.4, 0.1
# Standard deviation beside real data's, and distance from real data's centre, as natural logarithms.
CONSTANT_BELOW = -6.9
DIVERGED_ABOVE = 1.1


class Outcome(Enum):
    """What the samples of a checkpoint come to."""

    HEALTHY = "healthy"
    MODES_LOST = "modes lost"
    IMPRECISE = "imprecise"
    NEVER_LEARNT = "never learnt"
    CONSTANT = "constant"
    DIVERGED = "diverged"
    UNCLEAR = "unclear"


class Course(Enum):
    """What a run came to: its last checkpoint in the light of those before."""

    KEPT = "kept"
    RECOVERED = "recovered"
    FELL = "fell"
    NEVER_BETTER = "never better"


class _Level(Enum):
    HIGH = "high"
    BETWEEN = "between"
    LOW = "low"


@dataclass(frozen=True)
class _Standing:
    """Where a run stands after a checkpoint: the levels of both shares, and whether it has ever been good."""

    modes: _Level = _Level.BETWEEN
    quality: _Level = _Level.BETWEEN
    learnt: bool = False


def outcomes(evaluations: Sequence[Evaluation]) -> tuple[Outcome, ...]:
    """The outcome of every checkpoint of a run, in step order, each by itself and those before it.

    CONSTANT: the samples' standard deviation is under a thousandth of real data's. DIVERGED: samples that are not
    finite or lie three times as far out as real data, or poor quality where it was good before. NEVER LEARNT:
    poor quality that never was good. With good quality HEALTHY is many modes and MODES LOST few. IMPRECISE is what
    lies between in quality; UNCLEAR what lies between in modes. Raises `ValueError` where an evaluation has
    no solid modes or no quality.
    """
    standing, found = _Standing(), []
    for evaluation in evaluations:
        standing = _moved(standing, evaluation)
        found.append(_outcome(standing, evaluation))
    return tuple(found)


def course(found: Sequence[Outcome]) -> Course:
    """What a run came to, from the outcomes of its checkpoints in step order; the last one decides.

    KEPT: healthy at the last, and from the first healthy checkpoint on. RECOVERED: healthy, then not, and healthy
    at the last. FELL: healthy before, not at the last. NEVER BETTER: no checkpoint is healthy. Raises `ValueError`
    where there is no checkpoint.
    """
    if not found:
        raise ValueError("expected the outcome of at least one checkpoint.")
    if Outcome.HEALTHY not in found:
        return Course.NEVER_BETTER
    if found[-1] is not Outcome.HEALTHY:
        return Course.FELL
    since = found[list(found).index(Outcome.HEALTHY) :]
    return Course.KEPT if all(one is Outcome.HEALTHY for one in since) else Course.RECOVERED


def shares(evaluation: Evaluation) -> tuple[float, float]:
    """Modes and quality of an evaluation, each over what real data would score and at most 1."""
    solid, ceiling, quality = evaluation.solid_modes, evaluation.solid_ceiling, evaluation.high_quality_fraction
    if solid is None or not ceiling or quality is None:
        raise ValueError("expected an evaluation with solid modes and quality.")
    return min(solid / ceiling, 1.0), min(quality / (evaluation.real_high_quality or 1.0), 1.0)


def _moved(before: _Standing, evaluation: Evaluation) -> _Standing:
    modes, quality = shares(evaluation)
    levels = _level(modes, FEW, MANY, before.modes), _level(quality, POOR, GOOD, before.quality)
    return _Standing(*levels, before.learnt or levels[1] is _Level.HIGH)


def _level(share: float, low: float, high: float, before: _Level) -> _Level:
    if share >= high:
        return _Level.HIGH
    return _Level.LOW if share <= low else before


def _outcome(standing: _Standing, evaluation: Evaluation) -> Outcome:
    spread = evaluation.spread
    if not evaluation.finite or (spread is not None and (spread.size or 0.0) > DIVERGED_ABOVE):
        return Outcome.DIVERGED
    if spread is not None and spread.relative_deviation is not None and spread.relative_deviation < CONSTANT_BELOW:
        return Outcome.CONSTANT
    if standing.quality is _Level.LOW:
        return Outcome.DIVERGED if standing.learnt else Outcome.NEVER_LEARNT
    if standing.quality is _Level.BETWEEN:
        return Outcome.IMPRECISE
    return {_Level.HIGH: Outcome.HEALTHY, _Level.LOW: Outcome.MODES_LOST, _Level.BETWEEN: Outcome.UNCLEAR}[
        standing.modes
    ]
