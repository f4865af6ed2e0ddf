"""What a diagnosis says: verdicts, findings, and the thresholds they rest on. Plain floats, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from spectral_doctor.trajectory.records import SpectralTrajectory


class Verdict(Enum):
    """What the spectra say about a discriminator; a fact about weights, not about samples."""

    HEALTHY = "HEALTHY"
    DECLINING = "DECLINING"
    COLLAPSED = "COLLAPSED"
    NOT_ENOUGH_EVIDENCE = "NOT ENOUGH EVIDENCE"


class FindingKind(Enum):
    """What can be wrong beside the spectrum."""

    NON_FINITE = "NON-FINITE"
    EXPLODING = "EXPLODING"
    UNCHANGED = "UNCHANGED"
    ZERO = "ZERO"


@dataclass(frozen=True)
class Thresholds:
    """The published thresholds, not yet calibrated on runs of our own: every verdict from them is provisional.

    The plateau statistic of a layer is σ_k/σ_1 with k = max(2, min(5, ⌈5r/32⌉)): the fifth value from the
    smallest published rank (32) on, and in proportion below.
    """

    collapsed_below: float = 0.80
    declining_below: float = 0.95
    fall: float = 0.05
    smallest_rank: int = 8
    published_rank: int = 32
    explosion: float = 3.0
    provisional: bool = True

    def plateau_index(self, rank: int) -> int:
        """k, counted from 1, of the singular value that stands for the plateau in a matrix of that rank."""
        return max(2, min(5, -(-5 * rank // self.published_rank)))

    def sentences(self) -> tuple[str, ...]:
        """The thresholds in words, each with its source."""
        return (
            f"collapsed: the best layer's σk/σ1 is below {self.collapsed_below:.2f} "
            "(k = 5 from rank 32 on; Liu et al. 2019, curves digitised)",
            f"declining: the best σ2/σ1 is below {self.declining_below:.2f} (rank ≥ {self.published_rank}), or the "
            f"best layer's σk/σ1 has fallen by more than {self.fall:.2f} for two checkpoints or in most layers "
            "(same source)",
            f"judged are layers of rank ≥ {self.smallest_rank}; under spectral norm only the normalised ones; "
            ""
            "without it a low plateau counts only where it has fallen in this series",
            f"exploding: σ1 has grown {self.explosion:g}-fold since the checkpoint before, to its largest so far",
        )


@dataclass(frozen=True)
class StepState:
    """The discriminator at one checkpoint: its verdict so far and the layer that keeps the best plateau."""

    step: int
    checkpoint: str
    verdict: Verdict
    best_plateau: float | None
    best_layer: str
    deficit: float | None


@dataclass(frozen=True)
class LayerFinding:
    """One layer at the last checkpoint, with its plateau statistic σ_k/σ_1 over all of them.

    `verdict` is None where the layer is shown and not judged; `reason` then says why.
    """

    layer: str
    verdict: Verdict | None
    reason: str
    plateau_index: int
    plateau: tuple[float | None, ...]
    deficit: float | None


@dataclass(frozen=True)
class Finding:
    """Something wrong beside the spectrum: where, since when, and in words."""

    kind: FindingKind
    layers: tuple[str, ...]
    since: int
    current: bool
    sentence: str


@dataclass(frozen=True)
class Diagnosis:
    """The verdict on one discriminator's series and the evidence for it.

    `onset` is the first step of the unbroken stretch of DECLINING or COLLAPSED states that ends the series;
    `last_healthy` the last healthy step before it, `resume_from` that checkpoint's path.
    """

    trajectory: SpectralTrajectory
    thresholds: Thresholds
    verdict: Verdict
    summary: str
    onset: int | None
    last_healthy: int | None
    resume_from: str | None
    states: tuple[StepState, ...]
    layers: tuple[LayerFinding, ...]
    findings: tuple[Finding, ...]
