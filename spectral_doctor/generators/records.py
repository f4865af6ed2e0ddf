"""What crosses the room's door: a generator that was found, one that was rebuilt or why not, and what it showed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spectral_doctor.arrays import Array
from spectral_doctor.evaluation.spread import Spread

if TYPE_CHECKING:
    from torch import Tensor

    Forward = Callable[[Tensor], Tensor]

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class NotRebuilt:
    """Why a generator could not be rebuilt or sampled, and in the same sentence what would help."""

    reason: str


@dataclass(frozen=True, eq=False)
class RecipeName:
    """The recipe that a training state of ours names, and its settings as the file has them."""

    name: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class GeneratorNetwork:
    """A generator as it lies in a file: its name, tensors (dotted name → array), where it is, and its recipe."""

    name: str
    arrays: Mapping[str, Array]
    location: str
    recipe: RecipeName | None = None


@dataclass(frozen=True, eq=False)
class Sampler:
    """A generator ready to run: latents (n, *latent_shape) → samples (n, …), and what was assumed about it.

    `uniform` latents are drawn from [-1, 1] instead of a standard Gaussian; `latents`, where there is one, draws
    them as the recipe does: (count, seed) → latents. `others` are the same generator under other guesses as usual,
    by the name of the activation, where nothing in the file tells which is right.
    """

    forward: Forward
    why: str
    uniform: bool = False
    latents: Callable[[int, int], Tensor] | None = None
    others: Mapping[str, Forward] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Rebuilt:
    """A generator that can be sampled: one latent's shape, how many values its weights have, and how it was read.

    `ready` makes it run; it alone imports PyTorch. It may find that the guesses do not fit, and say so.
    """

    family: str
    latent_shape: tuple[int, ...]
    parameters: int
    why: str
    ready: Callable[[], Sampler | NotRebuilt]

    @property
    def latent_dim(self) -> int:
        """How many numbers a latent has."""
        return math.prod(self.latent_shape)


@dataclass(frozen=True, eq=False)
class SampleEvidence:
    """What samples x (n, …) of a generator show.

    `spread` holds participation, deviation and Vendi score, and where real samples were given the energy distance,
    coverage and whitened participation.
    `duplicates` is the share of samples whose nearest neighbour is closer than 10⁻³ of the root mean square
    distance of two samples, and `constant` says that this distance is below 10⁻³ of their root mean square length.
    `preview` are the first few samples. `participation_between` are the least and the most that the participation is
    under the usual guesses of an activation that the file does not tell; None where it is told, or is the code's own.
    """

    spread: Spread
    samples: int
    duplicates: float
    constant: bool
    latent_dim: int
    why: str
    preview: Floats | None = None
    participation_between: tuple[float, float] | None = None
