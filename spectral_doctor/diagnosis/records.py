"""What a diagnosis says: two statements, findings, events, and the thresholds they rest on. Plain floats, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from spectral_doctor.diagnosis.reference import Range
from spectral_doctor.diagnosis.rows import summary_line, summary_row
from spectral_doctor.diagnosis.witness import Witness
from spectral_doctor.errors import printable
from spectral_doctor.records import CheckpointRef
from spectral_doctor.tables import html_table
from spectral_doctor.trajectory.records import LayerTrajectory, SpectralTrajectory

if TYPE_CHECKING:
    from spectral_doctor.trajectory.curves import MetricCurve


class SpectrumState(Enum):
    """The state of a discriminator's spectrum: a fact about its weights, by definition, and not about samples."""

    SOUND = "SOUND"
    DECLINING = "DECLINING"
    COLLAPSED = "COLLAPSED"
    RECOVERING = "RECOVERING"
    UNTRAINED = "UNTRAINED"
    STILL = "STILL"
    EXPLODED = "EXPLODED"
    NON_FINITE = "NON-FINITE"
    ZERO = "ZERO"
    CLIPPED = "CLIPPED"
    COMPENSATED = "COMPENSATED"
    NOT_JUDGED = "NOT JUDGED"


class LayerState(Enum):
    """The state of one judged layer: inside its reference range, below it, or below it and far under its own best."""

    SOUND = "in range"
    LOW = "low"
    FALLEN = "fallen"
    NON_FINITE = "not finite"


class ModesStatement(Enum):
    """What is inferred about the samples: whether modes are lost."""

    KEPT = "KEPT"
    IN_DOUBT = "IN DOUBT"
    LOST = "LOST"
    NOT_KNOWN = "NOT KNOWN"


class Tier(Enum):
    """What a statement about modes rests on, each with all before it."""

    DISCRIMINATOR = "D's spectra"
    GENERATOR = "D's and G's spectra"
    SAMPLES = "D's spectra and samples of G"
    DATA = "D's spectra, samples of G and real data"
    ALONE = "samples of G alone"
    MEASURED = "modes that the run measured"


class FindingKind(Enum):
    """What is found beside the spectrum's state; COMPENSATED and CLIPPED explain a spectrum and are no fault."""

    NON_FINITE = "NON-FINITE"
    EXPLODING = "EXPLODING"
    UNCHANGED = "UNCHANGED"
    ZERO = "ZERO"
    COMPENSATED = "COMPENSATED"
    CLIPPED = "CLIPPED"


class EventKind(Enum):
    """What happened in a series, and when."""

    FELL = "fell"
    RECOVERED = "recovered"
    FROZEN = "frozen"
    GREW = "grew"


@dataclass(frozen=True)
class Thresholds:
    """Where a number becomes a word, and which layers are judged.

    `lost_at` and `kept_below` are probabilities that modes are lost; what they cost in false alarms is measured by
    `python tests/benchmarks/modes_accuracy.py` and stands in docs/accuracy.md. `declining_from` is a depth (see
    `depth`): 0 is the low end of the reference. The plateau statistic of a layer is σ_k/σ_1 with
    k = max(2, min(5, ⌈5r/8⌉)): the fifth value from rank 8 on.
    """

    lost_at: float = 0.8
    kept_below: float = 0.2
    declining_from: float = -0.5
    decline: float = 0.4
    second_below: float = 0.95
    published_rank: int = 32
    smallest_rank: int = 8
    clipped_share: float = 0.05
    explosion: float = 3.0
    largest_sigma: float = 1e4

    @classmethod
    def sensitive(cls) -> Thresholds:
        """Early warning: modes lost from even odds on, a decline from a shallower depth on."""
        return cls(lost_at=0.5, declining_from=-0.7)

    def plateau_index(self, rank: int) -> int:
        """k, counted from 1, of the singular value that stands for the plateau in a matrix of that rank."""
        return max(2, min(5, -(-5 * rank // self.smallest_rank)))

    def sentences(self) -> tuple[str, ...]:
        """The thresholds in words."""
        return (
            "COLLAPSED: the better half of the judged layers lies, taken together, below the reference range "
            "(depth above 0), in which eight of ten healthy layers lie, one below and one above",
            f"DECLINING, in a series: it has come near (depth {self.declining_from:g} or more, "
            f"{self.decline:g} deeper than before), or under spectral norm the best σ2/σ1 is below "
            f"{self.second_below:g} (rank ≥ {self.published_rank}; Liu et al. 2019)",
            f"modes LOST: probability {self.lost_at:g} or more; KEPT: below {self.kept_below:g}; between IN DOUBT. "
            "By spectra alone NOT KNOWN: samples have to be asked",
            f"judged are layers of rank ≥ {self.smallest_rank} that move and are not clipped; under spectral norm only "
            "the normalised ones",
            f"EXPLODED: σ1 above {self.largest_sigma:g}; exploding: σ1 has grown {self.explosion:g}-fold since the "
            "checkpoint before, to the largest of any layer so far",
        )


@dataclass(frozen=True)
class StepState:
    """The discriminator at one checkpoint: both statements so far, and the layer that keeps the best plateau.

    `depth` is below 0 while the better half of the layers lies above the low end of its reference;
    `probability` is that modes are lost; None where nothing can be judged.
    """

    step: int
    checkpoint: CheckpointRef
    spectrum: SpectrumState
    modes: ModesStatement
    depth: float | None
    probability: float | None
    best_plateau: float | None
    best_layer: str
    deficit: float | None


@dataclass(frozen=True)
class Argument:
    """One piece of evidence at the last checkpoint: what was seen, and how much it weighs.

    `weight` is what it adds to the log-odds against a typical run: above 0 it is for lost modes.
    """

    name: str
    value: float
    weight: float
    sentence: str


@dataclass(frozen=True)
class ModesEstimate:
    """Whether modes are lost: a word, its probability, what it rests on, what counted, and why it is not known."""

    statement: ModesStatement
    probability: float | None
    tier: Tier
    arguments: tuple[Argument, ...]
    why: str


@dataclass(frozen=True)
class LayerFinding:
    """One layer at the last checkpoint: its trajectory, its plateau statistic σ_k/σ_1 over all checkpoints, its range.

    `state` is None where the layer is shown and not judged; `reason` then says why.
    """

    trajectory: LayerTrajectory
    state: LayerState | None
    reason: str
    plateau_index: int
    plateau: tuple[float | None, ...]
    deficit: float | None
    reference: Range | None

    @property
    def layer(self) -> str:
        """The layer's name."""
        return self.trajectory.name

    def __repr__(self) -> str:
        word = self.reason if self.state is None else self.state.value
        now = "not finite" if self.plateau[-1] is None else f"{self.plateau[-1]:.2f}"
        return f"<LayerFinding {printable(self.layer)}: {word}, σ{self.plateau_index}/σ1 {now}>"


@dataclass(frozen=True)
class Finding:
    """Something wrong beside the spectrum: where, since when, and in words."""

    kind: FindingKind
    layers: tuple[str, ...]
    since: int
    current: bool
    sentence: str


@dataclass(frozen=True)
class Event:
    """Something that happened between two checkpoints of a series, in words."""

    kind: EventKind
    first: int
    last: int
    layers: tuple[str, ...]
    sentence: str


@dataclass(frozen=True)
class Advice:
    """The checkpoint to go back to, with its step and why; none, and why not."""

    checkpoint: CheckpointRef | None
    step: int | None
    why: str


@dataclass(frozen=True)
class Diagnosis:
    """The two statements on one discriminator's series, and the evidence for them.

    `spectrum` is the state at the last checkpoint. `onset` is the first step of the unbroken stretch of DECLINING or
    COLLAPSED states that ends the series, `onset_after` the step before it, for it began between the two.
    `last_healthy` is the last step before the onset with a sound spectrum whose file is still as it was examined.
    `curves` is what the run measured of its own samples, `witness` what its generator testified at the last checkpoint.
    """

    trajectory: SpectralTrajectory
    thresholds: Thresholds
    spectrum: SpectrumState
    modes: ModesEstimate
    summary: str
    onset: int | None
    onset_after: int | None
    last_healthy: int | None
    advice: Advice
    states: tuple[StepState, ...]
    layers: tuple[LayerFinding, ...]
    findings: tuple[Finding, ...]
    events: tuple[Event, ...]
    curves: tuple[MetricCurve, ...] = ()
    witness: Witness | None = None

    def __repr__(self) -> str:
        return f"<Diagnosis {summary_line(self)}>"

    def _repr_html_(self) -> str:
        return html_table([summary_row(self)])

    @property
    def words(self) -> str:
        """Both statements in one line: `COLLAPSED spectrum · modes LOST (0.93)`."""
        return self.words_since("")

    def words_since(self, since: str) -> str:
        """The same with a word on since when the spectrum is so: `COLLAPSED spectrum since step 300 · modes LOST`."""
        told = self.modes.statement is not ModesStatement.NOT_KNOWN and self.modes.probability is not None
        chance = f" ({self.modes.probability:.2f})" if told else ""
        return f"{self.spectrum.value} spectrum{since} · modes {self.modes.statement.value}{chance}"

    @property
    def probability(self) -> float | None:
        """The probability that modes are lost at the last checkpoint."""
        return self.modes.probability

    @property
    def resume_from(self) -> CheckpointRef | None:
        """The checkpoint to go back to."""
        return self.advice.checkpoint

    @property
    def healthy_is_gone(self) -> bool:
        """Whether a later sound checkpoint than `last_healthy` was seen, and its file is no longer as it was."""
        return any(
            state.spectrum is SpectrumState.SOUND
            and not state.checkpoint.is_present
            and (self.onset is None or state.step < self.onset)
            and (self.last_healthy is None or state.step > self.last_healthy)
            for state in self.states
        )
