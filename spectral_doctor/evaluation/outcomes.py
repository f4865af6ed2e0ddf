"""What a checkpoint's samples come to, and a whole run: the one rule that corpus, benchmarks and documentation use.

Three shares are read from an `Evaluation`: *modes*, the solid modes over what an even sampler would have; *quality*,
the share of samples of high quality over that of real data; *coverage*, the share of modes that hold a fifth of their
fair share of samples of any quality. Each stands at a level, and is slow to leave it (hysteresis): it rises to a level
at one share and falls from it at a lower one.

    modes, coverage   MANY  from 0.7, until below 0.5;    else FEW
    quality           GOOD  from 0.4, until below 0.25;   FAIR from 0.2, until below 0.1;   else POOR

A run's first checkpoint has no level to keep: with a share from 0.5 to 0.7 it is UNCLEAR, and of two levels of quality
it has the lower. Within a run each share is first the median of three checkpoints, the one that is judged and its
neighbours (at an end of the run the two next to it): a generator that hops from mode to mode passes between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import median

from spectral_doctor.evaluation.modes import Evaluation

# From which share a level is reached, and below which it is left.
MANY = (0.7, 0.5)
GOOD = (0.4, 0.25)
FAIR = (0.2, 0.1)
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


class _Quality(Enum):
    GOOD = "good"
    FAIR = "fair"
    POOR = "poor"


@dataclass(frozen=True)
class _Standing:
    """Where a run stands after a checkpoint: many modes solid and covered (None: cannot be told), quality, and
    whether it has learnt."""

    many: bool | None = None
    covering: bool | None = None
    quality: _Quality = _Quality.POOR
    learnt: bool = False


def outcomes(evaluations: Sequence[Evaluation], steps: Sequence[int] = ()) -> tuple[Outcome, ...]:
    """The outcome of every checkpoint of a run, in step order, each by itself and those before it.

    NEVER LEARNT: step 0, whatever its samples look like (an untrained generator may sit in one mode), and poor
    quality in a run that has not learnt before; it has learnt once quality was good with more than few modes.
    CONSTANT: the samples' standard deviation is under a thousandth of real data's. DIVERGED: samples that are not
    finite or lie three times as far out as real data, or poor quality in a run that had learnt. With good quality
    HEALTHY is many modes, MODES LOST few, and UNCLEAR what cannot be told. Fair quality is IMPRECISE, unless few
    modes are covered at all: then MODES LOST. Raises `ValueError` where an evaluation has no solid modes or no quality.
    """
    untrained = list(steps[:1]) == [0]
    judged = evaluations[1:] if untrained else evaluations
    standing, found = _Standing(), [Outcome.NEVER_LEARNT] if untrained else []
    rows = [_three_shares(item) for item in judged]
    columns = [smoothed([row[axis] for row in rows]) for axis in range(3)]
    for modes, quality, covered, evaluation in zip(*columns, judged, strict=True):
        standing = _moved(standing, modes, quality, covered)
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
    if solid is None or ceiling is None or quality is None:
        raise ValueError("expected an evaluation with solid modes and quality.")
    modes = min(solid / ceiling, 1.0) if solid and ceiling else 0.0
    return modes, min(quality / (evaluation.real_high_quality or 1.0), 1.0)


def smoothed(values: Sequence[float]) -> list[float]:
    """A run's values, each the median of three checkpoints: itself and its neighbours; of fewer, themselves."""
    if len(values) < 3:
        return list(values)
    starts = [min(max(position - 1, 0), len(values) - 3) for position in range(len(values))]
    return [median(values[start : start + 3]) for start in starts]


def _three_shares(evaluation: Evaluation) -> tuple[float, float, float]:
    return *shares(evaluation), (evaluation.covered_modes or 0) / evaluation.modes


def _moved(before: _Standing, modes: float, share: float, covered: float) -> _Standing:
    many, covering = _kept(modes, before.many), _kept(covered, before.covering)
    good = share >= GOOD[before.quality is _Quality.GOOD]
    fair = share >= FAIR[before.quality is not _Quality.POOR]
    quality = _Quality.GOOD if good else _Quality.FAIR if fair else _Quality.POOR
    return _Standing(many, covering, quality, before.learnt or (good and many is not False))


def _kept(share: float, before: bool | None) -> bool | None:
    return before if MANY[1] <= share < MANY[0] else share >= MANY[0]


def _outcome(standing: _Standing, evaluation: Evaluation) -> Outcome:
    spread = evaluation.spread
    if not evaluation.finite or (spread is not None and (spread.size or 0.0) > DIVERGED_ABOVE):
        return Outcome.DIVERGED
    if spread is not None and spread.relative_deviation is not None and spread.relative_deviation < CONSTANT_BELOW:
        return Outcome.CONSTANT
    if standing.quality is _Quality.POOR:
        return Outcome.DIVERGED if standing.learnt else Outcome.NEVER_LEARNT
    if standing.quality is _Quality.FAIR:
        return Outcome.MODES_LOST if standing.many is standing.covering is False else Outcome.IMPRECISE
    return {True: Outcome.HEALTHY, False: Outcome.MODES_LOST, None: Outcome.UNCLEAR}[standing.many]
