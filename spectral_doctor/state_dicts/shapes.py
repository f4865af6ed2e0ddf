"""What a network's shapes say of it: whether it looks as a discriminator does, as a generator does, or as neither."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from spectral_doctor.arrays import Array
from spectral_doctor.state_dicts.words import words_of

_COMPANION = re.compile(r"(\w+_)?(u\d*|sv?\d*|sn_u|sn_v|sigma|g|original0|mask|bias)|running_\w+|num_batches\w*")
_VECTOR = re.compile(r"(\w+_)?v\d*")
_CHANNELS_LAST = re.compile(r"(depthwise_|pointwise_)?kernel(:\d+)?")
_RAISING = frozenset(
    {"up", "ups", "upsample", "upsampling", "upsampler", "upscale", "upconv", "deconv", "deconvs", "transpose"}
    | {"transposed", "convtranspose", "convt", "tconv", "pixel", "shuffle", "shuffler", "tail", "decoder", "decode", "dec"}
)
_JUDGING_OTHERWISE = frozenset(
    {"classifier", "classification", "logits", "fc", "regressor", "actor", "policy", "value", "encoder", "enc", "mu"}
    | {"quantizer", "tokenizer", "embeddings", "detector", "segmentation", "rnn", "lstm", "gru"}
)


class Look(Enum):
    """What a network looks like, going by its shapes."""

    DISCRIMINATOR = "discriminator"
    GENERATOR = "generator"
    UNCLEAR = "unclear"


@dataclass(frozen=True)
class Weight:
    """A weight by its module's name and its shape, outputs first whatever the file's order of axes."""

    layer: str
    shape: tuple[int, ...]

    @property
    def outputs(self) -> int:
        """How many outputs it has, if it is no transposed convolution."""
        return self.shape[0]

    @property
    def inputs(self) -> int:
        """How many inputs (of its group) it has."""
        return self.shape[1]

    @property
    def is_convolution(self) -> bool:
        """Whether it has axes in space or time."""
        return len(self.shape) > 2

    @property
    def extent(self) -> int:
        """The largest of its kernel's sizes, 1 for a dense layer."""
        return max(self.shape[2:], default=1)


def weights_of(tensors: Mapping[str, Array]) -> tuple[Weight, ...]:
    """The weights among a network's tensors, in their order: matrices and kernels, without what stands beside them.

    A weight norm's direction is one, its length and a spectral norm's vectors are not.
    """
    found = []
    for name, tensor in tensors.items():
        if tensor.ndim < 2:
            continue
        module, _, leaf = name.replace("parametrizations.weight.", "weight_").rpartition(".")
        if _is_companion(name, leaf, tensors) or "embed" in name.lower():
            continue
        shape = tensor.shape
        if _CHANNELS_LAST.fullmatch(leaf):
            shape = (shape[-1], shape[-2], *shape[:-2])
        found.append(Weight(module, shape))
    return tuple(found)


def _is_companion(name: str, leaf: str, tensors: Mapping[str, Array]) -> bool:
    if _VECTOR.fullmatch(leaf):
        # Beside a length the direction is the weight; beside anything else, v is a singular vector.
        return f"{name[:-1]}g" not in tensors
    return bool(_COMPANION.fullmatch(leaf)) or bool(re.search(r"weight_0\.", leaf)) or leaf.startswith("_")


def has_weight(tensors: Mapping[str, Array]) -> bool:
    """Whether there is anything with a spectrum among a network's tensors."""
    return bool(weights_of(tensors))


def look_of(tensors: Mapping[str, Array]) -> Look:
    """Say whether a network looks like a discriminator: it narrows many values to one, and nothing contradicts.

    Its last weight has one output; its convolutions widen on their way there and none raises the resolution; a
    dense network has at least three layers. What its shapes leave open (a classifier of two classes, a network that keeps its
    width to the end, one that names itself otherwise) is unclear.
    """
    weights = weights_of(tensors)
    convolutions = [weight for weight in weights if weight.is_convolution]
    words = {word for name in tensors for word in words_of(name)}
    if len(weights) < 2:
        return Look.UNCLEAR
    if _raises_resolution(convolutions, words) or _fans_out(weights, convolutions):
        return Look.GENERATOR
    if weights[-1].outputs != 1 or not words.isdisjoint(_JUDGING_OTHERWISE):
        return Look.UNCLEAR
    likely = _narrows(weights, convolutions) if convolutions else len(weights) >= 3 and weights[0].inputs > 1
    return Look.DISCRIMINATOR if likely else Look.UNCLEAR


def _raises_resolution(convolutions: Sequence[Weight], words: set[str]) -> bool:
    """Transposed convolutions, by name or because their axes fit the other way round, or a pixel shuffle."""
    if not words.isdisjoint(_RAISING):
        return True
    pairs = list(zip(convolutions, convolutions[1:], strict=False))
    forward = sum(after.inputs == before.outputs for before, after in pairs)
    backward = sum(after.outputs == before.inputs for before, after in pairs)
    shuffled = any(before.outputs in (4 * after.inputs, 9 * after.inputs) for before, after in pairs)
    return backward > forward or shuffled


def _fans_out(weights: Sequence[Weight], convolutions: Sequence[Weight]) -> bool:
    """Whether it turns a few numbers into many: by a dense layer before its convolutions, or as a dense network."""
    if convolutions:
        return weights[0] not in convolutions and weights[0].outputs > 8 * weights[0].inputs and not _is_last_dense(weights)
    return weights[-1].outputs > weights[0].inputs


def _is_last_dense(weights: Sequence[Weight]) -> bool:
    return not weights[-1].is_convolution


def _narrows(weights: Sequence[Weight], convolutions: Sequence[Weight]) -> bool:
    """Whether convolutions lead from an image or a signal, wider and wider, to one output."""
    trunk = [weight for weight in convolutions if weight is not weights[-1]]
    if not trunk:
        return False
    widths = [weight.outputs for weight in trunk]
    dense = [weight for weight in weights if not weight.is_convolution]
    if not weights[-1].is_convolution:
        # Small kernels and several dense layers at the end are what classifiers are built of.
        hidden = len(dense) > 1 and max(weight.extent for weight in trunk) <= 3
        return not hidden and widths[-1] >= widths[0] / 2
    # A network that ends in a map must widen: those that restore or make images and sounds keep or lose width.
    before = [weight.outputs for weight in trunk if weight.extent > 1] or widths
    return max(before) >= 2 * before[0] and before[-1] >= max(before) / 2 and trunk[0].inputs <= before[0]
