"""The records that leave the rooms where weight files are opened."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from torch import Tensor

from spectral_doctor.checkpoints.places import RemotePath


class Form(Enum):
    """How a layer's weight is parametrised in the file; decides which tensor has the spectrum."""

    PLAIN = "plain"
    SPECTRAL_NORM = "spectral norm"
    WEIGHT_NORM = "weight norm"
    SPECTRAL_REGULARIZATION = "spectral regularisation"


class Kind(Enum):
    """What a layer does with its weight, as far as names and shapes tell."""

    LINEAR = "linear"
    CONVOLUTION = "conv"
    TRANSPOSED = "transposed conv"
    EMBEDDING = "embedding"
    ATTENTION = "attention"
    RECURRENT = "recurrent"


class Certainty(Enum):
    """How the discriminator was recognised."""

    CONFIRMED = "confirmed"
    INFERRED = "inferred"


@dataclass(frozen=True, eq=False)
class LayerWeight:
    """One weight matrix of a discriminator, (n_out, n_in), and where it came from.

    `layer` is the module's path; `part` names the piece where a stored tensor holds several matrices
    ("group 2/4", "query", "gate 1/3"), else it is empty. Under spectral norm the matrix is the raw stored
    weight, whose relative spectrum equals the normalised one's; under weight norm it is g·v/‖v‖.
    """

    layer: str
    part: str
    key: str
    kind: Kind
    form: Form
    stored_shape: tuple[int, ...]
    matrix: Tensor

    @property
    def name(self) -> str:
        """The layer's path, with its part in brackets."""
        return f"{self.layer}[{self.part}]" if self.part else self.layer


@dataclass(frozen=True)
class SkippedLayer:
    """A tensor of the discriminator that was not examined, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class LeftOut:
    """A file, or a part of one, that was not examined, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class StepClue:
    """A number that may be the training step: where it stood, in which unit, and its value."""

    source: str
    unit: str
    value: int


@dataclass(frozen=True, eq=False)
class Discriminator:
    """One discriminator of a checkpoint: its weights, and the reason it was taken for one."""

    name: str
    certainty: Certainty
    why: str
    layers: tuple[LayerWeight, ...]
    skipped: tuple[SkippedLayer, ...]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What was found in one checkpoint file.

    `run_folder`, `run_name` and `modified` (seconds since the epoch) tell which files belong to one series and
    in which order they were written.
    """

    path: Path | RemotePath
    format_name: str
    run_folder: str
    run_name: str
    modified: float
    step_clues: tuple[StepClue, ...]
    discriminators: tuple[Discriminator, ...]
    left_out: tuple[LeftOut, ...]
