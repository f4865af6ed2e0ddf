"""Units of a generator that never fire, drawn anew without a change of its samples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from spectral_doctor.gan.networks import evaluating

# What lies between a unit and the layer that reads it, and mixes no channels.
_BETWEEN = (nn.Upsample, nn.Dropout, nn.Dropout2d, nn.Identity, nn.AvgPool2d, nn.MaxPool2d)
_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True, eq=False)
class _Layer:
    """A rectified layer: what feeds it, with its normalisation where it has one, what reads it, and who never fires."""

    feeds: nn.Module
    norm: nn.Module | None
    reads: nn.Module
    dead: Tensor


@torch.no_grad()
def revive(generator: nn.Module, latents: Tensor, optimizer: Optimizer, random: torch.Generator) -> int:
    """Draw the units anew that no latent (n, …) makes fire; returns how many.

    A unit of a ReLU after a linear layer or a convolution that is 0 for every latent adds nothing to the samples and
    gets no gradient. What feeds it is drawn as PyTorch draws a fresh layer, what reads it becomes 0: every sample stays
    what it was, and both can learn again (Sokar et al., ICML 2023, on dormant neurons). Adam's moments of those
    weights start from zero. Layers whose order in the network cannot be told stay as they are.
    """
    found = list(_rectified(generator, latents))
    for layer in found:
        _draw_anew(layer, random)
        for parameter, rows in _touched(layer):
            for value in optimizer.state.get(parameter, {}).values():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    value[rows] = 0
    return sum(int(layer.dead.sum()) for layer in found)


def _rectified(generator: nn.Module, latents: Tensor) -> Iterator[_Layer]:
    calls: list[tuple[nn.Module, Tensor, Tensor]] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if len(inputs) == 1 and isinstance(output, Tensor):
            calls.append((module, inputs[0], output.clone() if isinstance(module, nn.ReLU) else output))

    leaves = [module for module in generator.modules() if not any(module.children())]
    handles = [module.register_forward_hook(note) for module in leaves]
    try:
        with evaluating(generator):
            generator(latents)
    finally:
        for handle in handles:
            handle.remove()
    yield from _layers(calls)


def _layers(calls: Sequence[tuple[nn.Module, Tensor, Tensor]]) -> Iterator[_Layer]:
    for index, (module, _, output) in enumerate(calls):
        if not isinstance(module, nn.ReLU) or output.ndim < 2 or index == 0:
            continue
        dead = (output <= 0).transpose(0, 1).flatten(1).all(dim=1)
        before = [item[0] for item in calls[:index]]
        norm = before[-1] if isinstance(before[-1], nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d) else None
        feeds = before[-2] if norm is not None and len(before) > 1 else before[-1]
        reads = next((item[0] for item in calls[index + 1 :] if not isinstance(item[0], _BETWEEN)), None)
        if bool(dead.any()) and _fits(feeds, reads, len(dead)):
            assert reads is not None
            yield _Layer(feeds, norm, reads, dead)


def _fits(feeds: nn.Module, reads: nn.Module | None, units: int) -> bool:
    """Whether one plain layer gives these units and another takes them: no groups, no parametrisation, no reshaping."""
    if not isinstance(feeds, _WEIGHTED) or not isinstance(reads, _WEIGHTED):
        return False
    plain = all(
        getattr(module, "groups", 1) == 1 and not hasattr(module, "parametrizations") for module in (feeds, reads)
    )
    return plain and feeds.weight.shape[0] == units and reads.weight.shape[1] == units


def _draw_anew(layer: _Layer, random: torch.Generator) -> None:
    weight, dead = layer.feeds.weight, layer.dead
    assert isinstance(weight, Tensor)
    bound = 1 / math.sqrt(weight[0].numel())
    for parameter in (weight, layer.feeds.bias):
        if isinstance(parameter, Tensor):
            drawn = torch.rand(parameter[dead].shape, generator=random).to(parameter)
            parameter[dead] = (2 * drawn - 1) * bound
    if layer.norm is not None:
        _neutral(layer.norm, dead)
    reads = layer.reads.weight
    assert isinstance(reads, Tensor)
    reads[:, dead] = 0


def _neutral(norm: nn.Module, dead: Tensor) -> None:
    for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
        tensor = getattr(norm, name, None)
        if isinstance(tensor, Tensor):
            tensor[dead] = value


def _touched(layer: _Layer) -> Iterator[tuple[Tensor, Tensor | tuple[slice, Tensor]]]:
    for module in (layer.feeds, layer.norm):
        for name in ("weight", "bias"):
            parameter = getattr(module, name, None)
            if isinstance(parameter, Tensor):
                yield parameter, layer.dead
    weight = layer.reads.weight
    assert isinstance(weight, Tensor)
    yield weight, (slice(None), layer.dead)
