"""The plain values that every room speaks: spectra, layers, what was skipped, and which checkpoint is meant."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path

PLATEAU_LEVEL = 0.9
_URL = re.compile(r"^[a-z][a-z0-9+.-]+(::|://)", re.IGNORECASE)


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
    """How the discriminator was recognised: a name says it, or its shape does."""

    CONFIRMED = "confirmed"
    INFERRED = "inferred"


class SkipReason(Enum):
    """Why a tensor of a discriminator was not examined; the value is the sentence where no detail is given."""

    EXCLUDED = "excluded by --exclude"
    SHARED = "the same weight as another layer, counted once"
    NOT_A_NUMBER = "its values are not a weight"
    SCALE = "a normalisation's scale: its bias has the same shape"
    BUFFER = "a buffer, not a weight"
    FROZEN = "a frozen part, which is not trained"
    UNKNOWN_LAYER = "a parameter that is not the weight of a known layer"
    UNKNOWN_PARAMETRIZATION = "a parametrisation that is not known here: its weight cannot be rebuilt from the file"
    NO_SPECTRUM = "it has no spectrum"
    UNTREATED = "it is not treated"

    @property
    def is_missed(self) -> bool:
        """Whether a weight was lost to the examination, and not left out on purpose or no weight at all."""
        return self in (SkipReason.UNKNOWN_LAYER, SkipReason.UNKNOWN_PARAMETRIZATION, SkipReason.NO_SPECTRUM)


@dataclass(frozen=True)
class SkippedLayer:
    """A tensor of the discriminator that was not examined, and why; `detail` says it in this case's own words."""

    name: str
    reason: SkipReason
    detail: str = ""

    @property
    def sentence(self) -> str:
        """The reason in words."""
        return self.detail or self.reason.value


@dataclass(frozen=True)
class LeftOut:
    """A file, or a part of one, that was not examined, and why.

    `format_name` is that of a file that is not read for its format ("HDF5 file"), so that such files can be
    counted.
    """

    name: str
    reason: str
    format_name: str = ""


@dataclass(frozen=True)
class Failure:
    """A file that could not be used: its name, and the reason, which may be that of many files."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}" if self.name else self.reason


@dataclass(frozen=True)
class RemotePath:
    """A file, or a folder that is one checkpoint, by its URL."""

    url: str
    is_folder: bool = False

    @property
    def name(self) -> str:
        """The last part of the URL."""
        return self.url.rstrip("/").rsplit("/", 1)[-1]

    @property
    def parent(self) -> RemotePath:
        """The folder it lies in."""
        protocol, separator, place = self.url.rstrip("/").partition("://")
        above, slash, _ = place.rpartition("/")
        return RemotePath(f"{protocol}{separator}{above or slash}", is_folder=True)

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(f"{self.url.rstrip('/')}/{name}")

    def __str__(self) -> str:
        return self.url


Location = Path | RemotePath


def is_remote(text: str) -> bool:
    """Say whether a text names a place by its protocol, as `s3://bucket/run` does."""
    return bool(_URL.match(text))


def location_of(text: str) -> Location:
    """The place that a text names: a URL, else a path of this disk."""
    return RemotePath(text) if is_remote(text) else Path(text)


class FileState(Enum):
    """What has become of the file since it was examined."""

    PRESENT = "present"
    OVERWRITTEN = "overwritten since"
    DELETED = "deleted since"


@dataclass(frozen=True)
class CheckpointRef:
    """One state of one checkpoint: where it lies, and whether it is still there as it was examined."""

    location: Location
    state: FileState = FileState.PRESENT

    @property
    def name(self) -> str:
        """The file's, or the folder's, own name."""
        return self.location.name

    @property
    def is_present(self) -> bool:
        """Whether one can go on from it: the file is still as it was examined."""
        return self.state is FileState.PRESENT

    def __str__(self) -> str:
        return str(self.location) if self.is_present else f"{self.location} ({self.state.value})"


@dataclass(frozen=True)
class SeriesId:
    """Which discriminator of which run: its name in the files, and what tells runs of one name apart."""

    name: str
    run: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.run})" if self.run else self.name


@dataclass(frozen=True)
class StepClue:
    """A number inside a checkpoint that may be its training step: the key, the unit it says, and the value."""

    source: str
    unit: str
    value: int


@dataclass(frozen=True)
class LayerIdentity:
    """What must stay the same for two checkpoints to belong to one series."""

    name: str
    kind: str
    form: str
    stored_shape: tuple[int, ...]
    matrix_shape: tuple[int, int]

    @property
    def rank(self) -> int:
        """r = min(n_out, n_in), the number of singular values."""
        return min(self.matrix_shape)


@dataclass(frozen=True)
class Spectrum:
    """The singular values of one weight matrix, descending: σ_1 ≥ … ≥ σ_r, r = min(n_out, n_in).

    A zero matrix has σ_1 = 0; its relative spectrum and all its statistics are then 0. What is kept beside the values
    are single numbers: a series of many checkpoints, as `watch` holds it, is no larger than its singular values.
    """

    values: tuple[float, ...]

    def __repr__(self) -> str:
        return (
            f"<Spectrum of {self.size}: σ1 {self.sigma_max:.4g}, σ2/σ1 {self.ratio(2):.3f}, last {self.values[-1]:.4g}>"
        )

    @property
    def size(self) -> int:
        """r, the number of singular values (the rank that the shape allows)."""
        return len(self.values)

    @property
    def sigma_max(self) -> float:
        """σ_1, the spectral norm."""
        return self.values[0]

    @property
    def relative(self) -> tuple[float, ...]:
        """The relative spectrum σ_j/σ_1, the same for a raw and a spectrally normalised weight."""
        largest = self.sigma_max
        if largest == 0.0:
            return (0.0,) * self.size
        return tuple([value / largest for value in self.values])

    def ratio(self, j: int) -> float:
        """σ_j/σ_1 with j counted from 1; where the matrix has fewer than j values, that of its last."""
        return self.values[min(j, self.size) - 1] / self.sigma_max if self.sigma_max else 0.0

    @cached_property
    def plateau_width(self) -> float:
        """The share of singular values above 0.9·σ_1 (papers.md A6: healthy ≥ 0.067, collapsed ≤ 1/r)."""
        return sum(value > PLATEAU_LEVEL for value in self.relative) / self.size

    @cached_property
    def stable_rank(self) -> float:
        """‖W‖_F²/σ_1² = Σ_j (σ_j/σ_1)², between 1 and r (Sanyal, Torr & Dokania, ICLR 2020)."""
        return math.fsum(value * value for value in self.relative)

    @cached_property
    def effective_rank(self) -> float:
        """exp H(p), p_j = σ_j/Σσ, H the entropy in nats; between 1 and r (Roy & Vetterli 2007)."""
        relative = self.relative
        total = math.fsum(relative)
        if total == 0.0:
            return 0.0
        shares = (value / total for value in relative if value > 0.0)
        return math.exp(-math.fsum(share * math.log(share) for share in shares))


@dataclass(frozen=True)
class LayerSpectrum:
    """One layer at one checkpoint; `spectrum` is None where `non_finite` values made one impossible.

    `at_bound` is the share of weights that are as large as the largest, which tells a clipped layer.
    """

    identity: LayerIdentity
    spectrum: Spectrum | None
    non_finite: int = 0
    at_bound: float = 0.0
