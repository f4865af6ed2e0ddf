"""The steps of a forward pass as records: what a generator does to a latent, before it is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from spectral_doctor.arrays import Array

HIDDEN = "hidden"
# PyTorch's epsilon, and 0.8, which widely copied code passes in place of a momentum.
EPSILONS = (1e-5, 0.8)


@dataclass(frozen=True, eq=False)
class Linear:
    """y = Wx + b."""

    weight: Array
    bias: Array | None


@dataclass(frozen=True)
class Reshape:
    """A flat vector (n, channels·∏sides) as a map (n, channels, *sides)."""

    channels: int
    sides: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Convolution:
    """A convolution of stride 1 that keeps the sides."""

    weight: Array
    bias: Array | None


@dataclass(frozen=True, eq=False)
class Transposed:
    """A transposed convolution; its geometry is not stored."""

    weight: Array
    bias: Array | None
    stride: int
    padding: int
    output_padding: int


@dataclass(frozen=True, eq=False)
class Norm:
    """Batch norm with stored statistics: (x − m)/√(v + ε)·w + b."""

    mean: Array
    variance: Array
    weight: Array | None
    bias: Array | None
    epsilon: float = EPSILONS[0]


@dataclass(frozen=True, eq=False)
class Activation:
    """An activation by name; `HIDDEN` stands for the one that the whole network has between its layers."""

    name: str
    slope: Array | None = None


@dataclass(frozen=True)
class Upsample:
    """Twice the sides, in the network's way of upsampling."""


@dataclass(frozen=True, eq=False)
class Residual:
    """The sum of two ways through."""

    main: tuple[Step, ...]
    shortcut: tuple[Step, ...]


@dataclass(frozen=True, eq=False)
class Choice:
    """Ways to go on of which the file does not say which it was; the first is the usual one."""

    ways: tuple[tuple[Step, ...], ...]


Step: TypeAlias = Linear | Reshape | Convolution | Transposed | Norm | Activation | Upsample | Residual | Choice


def norms_of(steps: Sequence[Step]) -> Iterator[Norm]:
    """Every norm that is passed, in order."""
    for step in steps:
        if isinstance(step, Norm):
            yield step
        elif isinstance(step, Residual):
            yield from norms_of(step.main)
            yield from norms_of(step.shortcut)


def up_to_norm(steps: Sequence[Step], count: int) -> tuple[Step, ...]:
    """The steps up to the norm of that number, or to the end of the block it is in."""
    passed = 0
    for position, step in enumerate(steps):
        passed += len(list(norms_of([step])))
        if passed >= count:
            return tuple(steps[: position + 1])
    return tuple(steps)
