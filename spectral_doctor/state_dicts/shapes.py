"""What a network's shapes say of it: whether it looks as a discriminator does, as a generator does, or as neither."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from spectral_doctor.arrays import Array
from spectral_doctor.state_dicts.words import words_of

_COMPANION = re.compile(r"(\w+_)?(u\d*|sv?\d*|sn_u|sn_v|sigma|g|original0|mask|bias)|running_\w+|num_batches\w*")
_RECURRENT = re.compile(r"weight_[ih]h_l\d")
_VECTOR = re.compile(r"(\w+_)?v\d*")
_CHANNELS_LAST = re.compile(r"(depthwise_|pointwise_)?kernel(:\d+)?")
_RAISING = frozenset(
    {"up", "ups", "upsample", "upsampling", "upsampler", "upscale", "upconv", "deconv", "deconvs", "transpose"}
    | {"transposed", "convtranspose", "convt", "tconv", "pixel", "shuffle", "shuffler", "decoder", "decode", "dec"}
)
_JUDGING_OTHERWISE = frozenset(
    {"classifier", "classification", "cls", "regressor", "regression", "encoder", "quantizer", "tokenizer", "detector"}
    | {"segmentation", "lm", "vocoder", "denoiser", "reward"}
)
_OTHER_FILES = _JUDGING_OTHERWISE | {
    "unet",
    "vae",
    "autoencoder",
    "resnet",
    "vgg",
    "sr",
    "superres",
    "resolution",
    "decoder",
}
_PLAYING = frozenset({"actor", "policy", "value", "vf", "qf", "q"})


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
    dense network has at least three layers. What its shapes leave open (a classifier of two classes, a network
    that keeps its width to the end, one that names itself otherwise) is unclear.
    """
    weights = weights_of(tensors)
    convolutions = [weight for weight in weights if weight.is_convolution]
    words = {word for name in tensors for word in words_of(name)}
    outer = {word for name in tensors for word in words_of(name.partition(".")[0])}
    if len(weights) < 2:
        return Look.UNCLEAR
    if _raises_resolution(convolutions, words) or _fans_out(weights, convolutions):
        return Look.GENERATOR
    depthwise = any(item.inputs == 1 < convolutions[0].inputs for item in convolutions)
    unusual = depthwise or any(_RECURRENT.search(name) for name in tensors)
    if (
        unusual
        or weights[-1].outputs != 1
        or not words.isdisjoint(_JUDGING_OTHERWISE)
        or not outer.isdisjoint(_PLAYING)
    ):
        return Look.UNCLEAR
    likely = _narrows(weights, convolutions) if convolutions else len(weights) >= 3 and weights[0].inputs > 1
    return Look.DISCRIMINATOR if likely else Look.UNCLEAR


def _raises_resolution(convolutions: Sequence[Weight], words: set[str]) -> bool:
    """Transposed convolutions, by name or because their axes fit the other way round, or a pixel shuffle."""
    if not words.isdisjoint(_RAISING):
        return True
    pairs = list(pairwise(convolutions))
    forward = sum(after.inputs == before.outputs for before, after in pairs)
    backward = sum(after.outputs == before.inputs for before, after in pairs)
    shuffled = any(before.outputs in (4 * after.inputs, 9 * after.inputs) for before, after in pairs)
    return backward > forward or shuffled


def _fans_out(weights: Sequence[Weight], convolutions: Sequence[Weight]) -> bool:
    """Whether it turns a few numbers into many: by a dense layer before its convolutions, or as a dense network."""
    if convolutions:
        return (
            weights[0] not in convolutions and weights[0].outputs > 8 * weights[0].inputs and weights[-1].is_convolution
        )
    return weights[-1].outputs > weights[0].inputs


def _narrows(weights: Sequence[Weight], convolutions: Sequence[Weight]) -> bool:
    """Whether convolutions lead from an image or a signal, wider and wider, to one output."""
    trunk = [weight for weight in convolutions if weight is not weights[-1]]
    if not trunk:
        return False
    wide = [weight for weight in trunk if weight.extent > 1] or trunk
    widths = [weight.outputs for weight in wide]
    dense = len(weights) - 1 - weights.index(convolutions[-1])
    if dense:
        # Small kernels, or layers that are called fc, and several dense layers: classifiers are built so.
        small = sum(weight.extent <= 3 for weight in wide) * 2 > len(wide)
        classifying = (small + ("fc" in words_of(weights[-1].layer)) + (dense > 1)) >= 2
        return not classifying and widths[-1] >= widths[0] / 2
    # A network that ends in a map must widen, with kernels that overlap as they stride: those that restore or make
    # images and sounds keep or lose width, and their kernels are small.
    if max(weight.extent for weight in trunk) < 4:
        return False
    return max(widths) >= 2 * widths[0] and widths[-1] >= max(widths) / 2 and trunk[0].inputs <= widths[0]


def is_named_otherwise(name: str) -> bool:
    """Whether a file's name says that it holds something that judges or makes, and is no discriminator."""
    return not (_OTHER_FILES | _PLAYING | {"student", "teacher"}).isdisjoint(words_of(name))
