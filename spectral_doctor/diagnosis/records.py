"""What a diagnosis says: verdicts, findings, and the thresholds they rest on. Plain floats, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from spectral_doctor.records import CheckpointRef
from spectral_doctor.trajectory.records import LayerTrajectory, SpectralTrajectory


class Verdict(Enum):
    """What the spectra say about a discriminator; a fact about weights, not about samples."""

    HEALTHY = "HEALTHY"
    DECLINING = "DECLINING"
    COLLAPSED = "COLLAPSED"
    NOT_ENOUGH_EVIDENCE = "NOT ENOUGH EVIDENCE"


class FindingKind(Enum):
    """What is found beside the spectrum's verdict; COMPENSATED and CLIPPED explain a spectrum and are no fault."""

    NON_FINITE = "NON-FINITE"
    EXPLODING = "EXPLODING"
    UNCHANGED = "UNCHANGED"
    ZERO = "ZERO"
    COMPENSATED = "COMPENSATED"
    CLIPPED = "CLIPPED"


@dataclass(frozen=True)
class Thresholds:
    """Where a probability becomes a verdict, and which layers are judged.

    `collapsed_at`, `declining_at` and `doubtful_at` are probabilities of mode collapse; what they cost in false
    alarms is measured by `python tests/benchmarks/diagnostic_accuracy.py` and stands in README. The plateau
    statistic of a layer is σ_k/σ_1 with k = max(2, min(5, ⌈5r/8⌉)): the fifth value from rank 8 on.
    """

    collapsed_at: float = 0.8
    declining_at: float = 0.5
    doubtful_at: float = 0.25
    second_below: float = 0.95
    published_rank: int = 32
    smallest_rank: int = 8
    rank_for_one: int = 16
    clipped_share: float = 0.05
    explosion: float = 3.0

    @classmethod
    def sensitive(cls) -> Thresholds:
        """Early warning: a collapse from even odds on, with the false alarms that README says."""
        return cls(collapsed_at=cls.declining_at, declining_at=0.35)

    def plateau_index(self, rank: int) -> int:
        """k, counted from 1, of the singular value that stands for the plateau in a matrix of that rank."""
        return max(2, min(5, -(-5 * rank // self.smallest_rank)))

    def sentences(self) -> tuple[str, ...]:
        """The thresholds in words."""
        return (
            f"collapsed: probability {self.collapsed_at:g} or more, and {self.declining_at:g} at the one before",
            f"declining: probability {self.declining_at:g} or more in a series; with spectral norm also "
            f"{self.doubtful_at:g} and the best σ2/σ1 below {self.second_below:g} (rank ≥ {self.published_rank}; Liu "
            "et al. 2019)",
            f"one checkpoint needs a judged layer of rank ≥ {self.rank_for_one} to be called collapsed",
            f"without spectral norm, one checkpoint of {self.doubtful_at:g} or more, or a series in which nothing "
            "changed for the worse, is not enough evidence",
            f"judged are layers of rank ≥ {self.smallest_rank} that move and are not clipped; under spectral norm only "
            "the normalised ones",
            f"exploding: σ1 has grown {self.explosion:g}-fold since the checkpoint before, to its largest so far",
        )


@dataclass(frozen=True)
class StepState:
    """The discriminator at one checkpoint: its verdict so far and the layer that keeps the best plateau.

    `probability` is that of a collapse; None where no layer can be judged.
    """

    step: int
    checkpoint: CheckpointRef
    verdict: Verdict
    probability: float | None
    best_plateau: float | None
    best_layer: str
    deficit: float | None


@dataclass(frozen=True)
class Argument:
    """One piece of evidence at the last checkpoint: what was seen, and how much it weighs.

    `weight` is what it adds to the log-odds against a typical run: above 0 it is for a collapse.
    """

    name: str
    value: float
    weight: float
    sentence: str


@dataclass(frozen=True)
class LayerFinding:
    """One layer at the last checkpoint: its trajectory, and its plateau statistic σ_k/σ_1 over all checkpoints.

    `verdict` is None where the layer is shown and not judged; `reason` then says why.
    """

    trajectory: LayerTrajectory
    verdict: Verdict | None
    reason: str
    plateau_index: int
    plateau: tuple[float | None, ...]
    deficit: float | None

    @property
    def layer(self) -> str:
        """The layer's name."""
        return self.trajectory.name


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

    `probability` is that of a collapse at the last checkpoint, `arguments` what it rests on. `onset` is the first
    step of the unbroken stretch of DECLINING or COLLAPSED states that ends the series, `onset_after` the step
    before it, for it began between the two. `resume_from` is the last healthy checkpoint before the onset that is
    still there as it was examined, `last_healthy` its step.
    """

    trajectory: SpectralTrajectory
    thresholds: Thresholds
    verdict: Verdict
    probability: float | None
    arguments: tuple[Argument, ...]
    summary: str
    onset: int | None
    onset_after: int | None
    last_healthy: int | None
    resume_from: CheckpointRef | None
    states: tuple[StepState, ...]
    layers: tuple[LayerFinding, ...]
    findings: tuple[Finding, ...]

    @property
    def healthy_is_gone(self) -> bool:
        """Whether a later healthy checkpoint than `resume_from` was seen, and its file is no longer as it was."""
        return any(
            state.verdict is Verdict.HEALTHY
            and not state.checkpoint.is_present
            and (self.onset is None or state.step < self.onset)
            and (self.last_healthy is None or state.step > self.last_healthy)
            for state in self.states
        )
