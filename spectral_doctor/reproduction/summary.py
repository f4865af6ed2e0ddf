"""What the runs of an arm come to together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from spectral_doctor.reproduction.records import Arm, Run, Table

# A run has lost its modes when at its end it has fewer solid ones than this share of its best checkpoint's.
LOST_BELOW = 0.5


@dataclass(frozen=True)
class Figure:
    """A mean over seeds with the lowest and the highest."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure:
        """The figure of some values; raises `ValueError` for none."""
        return cls(mean(values), min(values), max(values))


@dataclass(frozen=True)
class Summary:
    """An arm's runs at their last checkpoint and at their best, as the papers count and by solid modes.

    `lost` is how many ended with less than half of their best checkpoint's solid modes, `fell` how many had an onset
    of spectral collapse by `inspect`'s rule, `both` how many both.
    """

    arm: Arm
    runs: int
    of: int
    modes: Figure
    solid: Figure
    quality: Figure
    kl: Figure
    best_solid: Figure
    best_quality: Figure
    plateau: Figure | None
    lost: int
    fell: int
    both: int
    seconds: float


def summary_of(arm: Arm, runs: Sequence[Run]) -> Summary:
    """The summary of one arm's runs, of which there is one at least."""
    plateaus = [run.last.plateau for run in runs if run.last.plateau is not None]
    lost = [run.last.solid < LOST_BELOW * run.best.solid for run in runs]
    fell = [run.onset is not None for run in runs]
    return Summary(
        arm,
        len(runs),
        runs[0].of,
        Figure.of([run.last.modes for run in runs]),
        Figure.of([run.last.solid for run in runs]),
        Figure.of([run.last.quality for run in runs]),
        Figure.of([run.last.kl for run in runs]),
        Figure.of([run.best.solid for run in runs]),
        Figure.of([run.best.quality for run in runs]),
        Figure.of(plateaus) if plateaus else None,
        sum(lost),
        sum(fell),
        sum(one and other for one, other in zip(lost, fell, strict=True)),
        mean(run.seconds for run in runs),
    )


def summaries_of(table: Table, runs: Sequence[Run]) -> tuple[Summary, ...]:
    """The summaries of a table's arms in its order, those without a run left out."""
    by_arm = {arm.name: [run for run in runs if run.arm == arm.name] for arm in table.arms}
    return tuple(summary_of(arm, by_arm[arm.name]) for arm in table.arms if by_arm[arm.name])
