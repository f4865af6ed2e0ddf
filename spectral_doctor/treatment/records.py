"""What a treatment is asked to be, and what it did. Plain values and paths, no tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spectral_doctor.diagnosis.records import Diagnosis, ModesStatement, SpectrumState
from spectral_doctor.evaluation import Evaluation, Spread
from spectral_doctor.records import SkippedLayer
from spectral_doctor.state_dicts.compensating import LayerChange
from spectral_doctor.training.records import RestartPlan, TrainingOutcome
from spectral_doctor.veegan.records import VeeganPlan

Envelope = dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class Dose:
    """How a discriminator is treated; the arguments of `SpectralRegularizer`, by the same names.

    `envelope` says where dynamic compensation's γ comes from: "running" starts at the maximum over the
    checkpoints given and goes on rising, as the paper has it; "held" stays at that maximum; "median" stays at
    the median over the healthy checkpoints; "official" starts from the checkpoint that is resumed, as the
    official code does. `apply` is "projection" or "parametrization".
    """

    mode: str
    fraction: float = 0.5
    interval: int = 5
    scale: str | None = None
    envelope: str = "running"
    apply: str = "projection"
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True)
class Regimen:
    """At which rates a treatment trains: those of the run, safe ones, or a number for both networks.

    With `decay` they fall linearly to zero over the second half. `beta1` is Adam's, of restored optimizers too; None
    leaves it as it is.
    """

    rate: str | float = "own"
    decay: bool = False
    beta1: float | None = None


@dataclass(frozen=True)
class Prescription:
    """What a resumed run is treated with: a compensation of its discriminator, VEEGAN, or both; or a restart.

    With `revive` the generator's units that never fire are drawn anew first, which changes no sample.
    """

    dose: Dose | None = None
    veegan: VeeganPlan | None = None
    restart: RestartPlan | None = None
    regimen: Regimen = Regimen()
    revive: bool = False


UNTREATED = Prescription()


@dataclass(frozen=True)
class Rewrite:
    """A wish to have the weights of a run's checkpoint compensated in a copy; without an `output` a dry run.

    `from_step` names the checkpoint, the last where it is None; `discriminator` is the key that holds it where the
    names in the file do not tell; with `reset_optimizer` the moments of its optimizer start from zero.
    """

    paths: tuple[Path, ...]
    output: Path | None
    dose: Dose
    from_step: int | None = None
    discriminator: str | None = None
    reset_optimizer: bool = False


@dataclass(frozen=True)
class Resume:
    """A wish to have a run trained on, under treatment, for so many `steps` into the folder `output`.

    `recipe` and `assignments` (`KEY=VALUE` texts) are taken from the checkpoint where they are not given; with
    `going_on` an interrupted treatment in `output` is continued. With `control` the same checkpoint is also continued
    untreated. `beside_a_restart`: settings that shape a discriminator are those of the fresh one in another arm.
    """

    paths: tuple[Path, ...]
    output: Path
    prescription: Prescription
    steps: int = 1000
    from_step: int | None = None
    recipe: str | None = None
    assignments: tuple[str, ...] = ()
    discriminator: str | None = None
    going_on: bool = False
    device: str = "auto"
    control: bool = True
    beside_a_restart: bool = False


@dataclass(frozen=True)
class Detach:
    """A wish to have the plain G and D(x) of a run with VEEGAN written to `output`, in the layout of `like`."""

    run: Path
    output: Path
    from_step: int | None = None
    like: Path | None = None


def attached_plan(steps: int) -> VeeganPlan:
    """How VEEGAN joins a run that was trained without it: a warm-up of 500, a ramp over a tenth of `steps`."""
    return VeeganPlan(warm_up=500, ramp=max(steps // 10, 1))


@dataclass(frozen=True)
class DiscriminatorChange:
    """What a one-shot treatment did to one discriminator of a file; `envelope_source` in words, for dynamic."""

    discriminator: str
    changes: tuple[LayerChange, ...]
    untouched: tuple[SkippedLayer, ...]
    envelope_source: str


@dataclass(frozen=True)
class TreatmentResult:
    """A file that was treated: where it was read, where its treated copy lies (None on a dry run), and how."""

    path: Path
    output: Path | None
    discriminators: tuple[DiscriminatorChange, ...]


@dataclass(frozen=True)
class ResumePlan:
    """From where a treated run goes on, and what a user should know before it does.

    `recipe` is the name that the checkpoint was trained by, `step` its step, `diagnosis` that of the series
    given, `envelope` γ by layer, `warnings` what is missing and what follows from it. A generator alone has no
    diagnosis. `still` says that the discriminator stands still around the start, `revived` counts the generator's units
    that never fired and were drawn anew.
    """

    start: Path
    step: int
    recipe: str
    why: str
    diagnosis: Diagnosis | None
    envelope: Envelope
    envelope_source: str
    warnings: tuple[str, ...]
    still: bool = False
    revived: int = 0


@dataclass(frozen=True, eq=False)
class Standing:
    """A run at one step: the state of its spectrum, the statement on its modes, what its samples measure.

    `plateaus` is σ_k/σ_1 by layer.
    `evaluation` is None where the recipe knows no truth, `spread` where no sample could be drawn.
    """

    name: str
    step: int
    spectrum: SpectrumState
    modes: ModesStatement
    best_plateau: float | None
    plateaus: Mapping[str, float | None]
    evaluation: Evaluation | None
    spread: Spread | None


@dataclass(frozen=True, eq=False)
class TreatmentOutcome:
    """A treated run beside its control and the run that it was resumed from, never at two steps.

    `standings` are those of them that have a checkpoint of `step`, `absent` says of the others why they have none;
    `course` is the measured modes of all at every step that two or more have. `first` is the step that all began at,
    `diagnoses` are those of the whole series.
    """

    training: TrainingOutcome
    first: int
    step: int
    step_unit: str
    standings: tuple[Standing, ...]
    absent: tuple[str, ...]
    course: tuple[tuple[int, Mapping[str, Evaluation]], ...]
    diagnoses: Mapping[str, Diagnosis]
