"""A generator's steps carried out, in evaluation mode; what its norms remember is held against what they meet."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, pairwise, product
from typing import TYPE_CHECKING

import numpy as np

from spectral_doctor.arrays import Array
from spectral_doctor.errors import WeightError
from spectral_doctor.generators.steps import (
    EPSILONS,
    HIDDEN,
    Activation,
    Choice,
    Convolution,
    Linear,
    Norm,
    Reshape,
    Residual,
    Step,
    Transposed,
    Upsample,
)

if TYPE_CHECKING:
    from torch import Tensor

ACTIVATIONS = ("relu", "leaky relu 0.2", "leaky relu 0.01", "elu", "selu", "gelu", "silu", "tanh")
UPSAMPLINGS = ("nearest", "bilinear")
# Mismatches nearer than this to the best are no worse.
_AS_GOOD, _NOISE = 2.0, 0.001
# So many channels judge a guess: more cost time and say the same.
_JUDGING_CHANNELS = 64
_MOST_WAYS = 64
_FEWEST, _LARGEST_BATCH, _LARGEST_MAP = 8, 2**20, 2**23


@dataclass(frozen=True)
class Manner:
    """What a file does not say and a whole network has in common."""

    activation: str = "relu"
    upsampling: str = "nearest"
    uniform: bool = False


@dataclass
class Pass:
    """One way of carrying out steps: its manner, the tensors that were read, and how well the norms' memory fits.

    `mismatches` has for every norm that was passed the median over its channels of the Kullback-Leibler divergence
    of what it met from what it remembers, both as Gaussians: 0 where the guesses are right. Layers give their first
    `channels` alone where that is a number.
    """

    manner: Manner
    mismatches: list[float] = field(default_factory=list)
    tensors: dict[Array, Tensor] = field(default_factory=dict)
    channels: int | None = None

    def run(self, steps: Iterable[Step], x: Tensor) -> Tensor:
        """Carry out steps among which there is no choice left."""
        for step in steps:
            x = self.apply(step, x)
        return x

    def settle(self, steps: Sequence[Step], x: Tensor) -> tuple[tuple[Step, ...], Tensor]:
        """Carry out steps, at every choice going the way on which the next norm meets what it remembers."""
        settled: list[Step] = []
        epsilons: tuple[float, ...] = EPSILONS
        norms = [place for place, step in enumerate(steps) if isinstance(step, Norm)]
        for start, end in pairwise(sorted({0, *norms, len(steps)})):
            judge = steps[end] if end < len(steps) else None
            judged = isinstance(judge, Norm) and self._is_trained(judge)
            options = [_ways(step, epsilons) for step in steps[start:end]]
            way = tuple(chain(*(ways[0] for ways in options)))
            if isinstance(judge, Norm) and judged and math.prod(map(len, options)) <= _MOST_WAYS:
                way = self._best([tuple(chain(*parts)) for parts in product(*options)], judge, x)
            # What no norm judges is as the network has it elsewhere.
            epsilons = tuple(sorted(epsilons, key=lambda epsilon: epsilon != _epsilon(way, epsilons)))
            settled += way
            for step in way:
                # A map of many places says as much of fewer latents.
                x = self.apply(step, x[: max(_FEWEST, _LARGEST_BATCH // max(x[0].numel(), 1))])
        return tuple(settled), x

    def apply(self, step: Step, x: Tensor) -> Tensor:
        """Carry out one step."""
        from torch.nn import functional

        match step:
            case Linear(weight, bias):
                return functional.linear(x, self._of(weight)[: self.channels], self._first(bias))
            case Reshape(channels, sides):
                return x.reshape(len(x), channels, *sides)
            case Convolution(weight, bias):
                return self._convolved(x, weight, bias)
            case Transposed(weight, bias, stride, padding, output_padding):
                axes = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)
                transposed: Callable[..., Tensor] = axes[weight.ndim - 3]
                return transposed(
                    x, self._of(weight)[:, : self.channels], self._first(bias), stride, padding, output_padding
                )
            case Norm():
                return self._normed(step, x)
            case Activation(name, slope):
                return self._activated(name, slope, x)
            case Upsample():
                return self._upsampled(x)
            case Residual(main, shortcut):
                return self.run(main, x) + self.run(shortcut, x)
            case Choice():
                raise AssertionError("a choice that was not settled")

    def _best(self, ways: Sequence[tuple[Step, ...]], judge: Norm, x: Tensor) -> tuple[Step, ...]:
        """The first way that is as good as the best, as the norm behind it remembers it."""
        if len(ways) == 1:
            return ways[0]
        scores = [self._mismatch(way, judge, x) for way in ways]
        return next(way for way, score in zip(ways, scores, strict=True) if is_as_good(score, min(scores)))

    def _mismatch(self, way: Sequence[Step], judge: Norm, x: Tensor) -> float:
        """How far what a way leads to is from what the norm behind it remembers, over its first channels."""
        *before, last = way
        trial = replace(self, mismatches=[], channels=_JUDGING_CHANNELS)
        met = trial.apply(last, replace(trial, channels=None).run(before, x))
        return _divergence(met, *(self._of(array)[: met.shape[1]] for array in (judge.mean, judge.variance)))

    def _is_trained(self, norm: Norm) -> bool:
        """Whether a norm remembers anything: its means begin at zero."""
        return bool(self._of(norm.mean).any())

    def _of(self, array: Array) -> Tensor:
        import torch

        if array not in self.tensors:
            self.tensors[array] = torch.from_numpy(np.array(array.read(), dtype=np.float32))
        return self.tensors[array]

    def _maybe(self, array: Array | None) -> Tensor | None:
        return None if array is None else self._of(array)

    def _first(self, bias: Array | None) -> Tensor | None:
        return None if bias is None else self._of(bias)[: self.channels]

    def _convolved(self, x: Tensor, weight: Array, bias: Array | None) -> Tensor:
        from torch.nn import functional

        axes = (functional.conv1d, functional.conv2d, functional.conv3d)
        convolve: Callable[..., Tensor] = axes[weight.ndim - 3]
        padding = tuple(size // 2 for size in weight.shape[2:])
        return convolve(x, self._of(weight)[: self.channels], self._first(bias), padding=padding)

    def _normed(self, step: Norm, x: Tensor) -> Tensor:
        from torch.nn import functional

        mean, variance = self._of(step.mean), self._of(step.variance)
        if self._is_trained(step):
            self.mismatches.append(_divergence(x, mean, variance))
        return functional.batch_norm(
            x, mean, variance, self._maybe(step.weight), self._maybe(step.bias), eps=step.epsilon
        )

    def _activated(self, name: str, slope: Array | None, x: Tensor) -> Tensor:
        import torch
        from torch.nn import functional

        name = self.manner.activation if name == HIDDEN else name
        if slope is not None:
            return functional.prelu(x, self._of(slope))
        if name.startswith("leaky relu"):
            return functional.leaky_relu(x, float(name.rpartition(" ")[2]))
        if name == "tanh":
            return torch.tanh(x)
        activate: Callable[[Tensor], Tensor] = getattr(functional, name)
        return activate(x)

    def _upsampled(self, x: Tensor) -> Tensor:
        from torch.nn import functional

        _check_map(x.shape[1], *(2 * side for side in x.shape[2:]))
        if self.manner.upsampling == "nearest" or x.ndim != 4:
            return functional.interpolate(x, scale_factor=2)
        return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _check_map(*sizes: int) -> None:
    """Refuse what a few values of a file could fill the memory with."""
    if math.prod(sizes) > _LARGEST_MAP:
        raise WeightError(f"a map of {' × '.join(map(str, sizes))} values is larger than is made here")


def is_as_good(mismatch: float, best: float) -> bool:
    """Whether a mismatch is within noise of the best one."""
    return mismatch <= max(_AS_GOOD * best, best + _NOISE)


def _ways(step: Step, epsilons: Sequence[float]) -> tuple[tuple[Step, ...], ...]:
    if isinstance(step, Choice):
        return step.ways
    if isinstance(step, Norm):
        return tuple((replace(step, epsilon=epsilon),) for epsilon in epsilons)
    return ((step,),)


def _epsilon(way: Sequence[Step], epsilons: Sequence[float]) -> float:
    return next((step.epsilon for step in way if isinstance(step, Norm)), epsilons[0])


def _divergence(x: Tensor, mean: Tensor, variance: Tensor) -> float:
    """The median over channels of KL(met ‖ remembered) = (s²/v − 1 − ln s²/v + (μ − m)²/v)/2."""
    others = [axis for axis in range(x.ndim) if axis != 1]
    wide = x.double()
    remembered = variance.double().clamp_min(1e-12)
    ratio = (wide.var(dim=others) / remembered).clamp_min(1e-12)
    shift = (wide.mean(dim=others) - mean.double()) ** 2 / remembered
    return float(((ratio - 1 - ratio.log() + shift) / 2).median())
