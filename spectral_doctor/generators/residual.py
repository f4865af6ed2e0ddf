"""A generator of residual blocks (SNGAN, Miyato et al. 2018, table 4a), by the names that its parts have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from spectral_doctor.arrays import Array
from spectral_doctor.generators.layers import WAY_OUT, Layer, Sort, layers_of
from spectral_doctor.generators.records import NotRebuilt
from spectral_doctor.generators.steps import (
    HIDDEN,
    Activation,
    Convolution,
    Linear,
    Norm,
    Reshape,
    Residual,
    Step,
    Upsample,
)

_PARTS = {
    "norm1": r"b1|bn1|norm1",
    "conv1": r"c1|conv1",
    "norm2": r"b2|bn2|norm2",
    "conv2": r"c2|conv2",
    "shortcut": r"c_sc|conv_sc|conv_shortcut|shortcut|bypass|skip|conv0",
}
_PART = re.compile("|".join(f"(?P<{name}>{words})" for name, words in _PARTS.items()))
_HIDDEN = Activation(HIDDEN)


def residual(network: Mapping[str, Array]) -> tuple[tuple[int, ...], tuple[Step, ...]] | NotRebuilt:
    """One latent's shape and the steps of a generator of pre-activation blocks.

    Linear → map → blocks (norm, activation, upsampling, 3×3, norm, activation, 3×3, beside them upsampling and 1×1) →
    norm, activation, 3×3, tanh. A block without a shortcut of its own does not upsample.
    """
    layers = layers_of(network)
    if isinstance(layers, NotRebuilt):
        return layers
    blocks, plain = _sorted_out(layers)
    starts = [layer for layer in plain if layer.sort is Sort.LINEAR]
    norms = [layer for layer in plain if layer.sort is Sort.NORM]
    ends = [layer for layer in plain if layer.sort is Sort.KERNEL]
    if len(plain) != 3 or not (len(starts) == len(norms) == len(ends) == 1):
        return NotRebuilt(f"it has residual blocks and beside them other layers than are known here; {WAY_OUT}")
    channels = next(iter(blocks.values()))["conv1"].shape[1]
    side = round((starts[0].shape[0] / channels) ** 0.5)
    if channels * side**2 != starts[0].shape[0]:
        return NotRebuilt(f"'{starts[0].name}' gives no square map of {channels} channels; {WAY_OUT}")
    steps: list[Step] = [Linear(starts[0].tensors["weight"], starts[0].bias), Reshape(channels, (side, side))]
    for name, parts in blocks.items():
        if parts.keys() | {"shortcut"} != _PARTS.keys() or parts["conv1"].shape[1] != channels:
            return NotRebuilt(f"'{name}' is no residual block that is known here; {WAY_OUT}")
        steps += _block(parts)
        channels = parts["conv2"].shape[0]
    steps += [_norm(norms[0]), _HIDDEN, Convolution(ends[0].tensors["weight"], ends[0].bias), Activation("tanh")]
    return (starts[0].shape[1],), tuple(steps)


def has_blocks(network: Mapping[str, Array]) -> bool:
    """Whether its names are those of residual blocks."""
    found: dict[str, set[str]] = {}
    for key in network:
        outer, _, part = key.split(".parametrizations.")[0].rpartition(".")[0].rpartition(".")
        match = _PART.fullmatch(part)
        if match and match.lastgroup:
            found.setdefault(outer, set()).add(match.lastgroup)
    return any({"conv1", "conv2"} <= parts for outer, parts in found.items() if outer)


def _sorted_out(layers: tuple[Layer, ...]) -> tuple[dict[str, dict[str, Layer]], list[Layer]]:
    blocks: dict[str, dict[str, Layer]] = {}
    plain: list[Layer] = []
    for layer in layers:
        outer, _, part = layer.name.rpartition(".")
        match = _PART.fullmatch(part)
        if outer and match and match.lastgroup:
            blocks.setdefault(outer, {})[match.lastgroup] = layer
        else:
            plain.append(layer)
    ordered = sorted(blocks, key=lambda name: [int(text) for text in re.findall(r"\d+", name)])
    return {name: blocks[name] for name in ordered}, plain


def _block(parts: Mapping[str, Layer]) -> Iterator[Step]:
    upsample: tuple[Step, ...] = (Upsample(),) if "shortcut" in parts else ()
    main = (
        *(_norm(parts["norm1"]), _HIDDEN, *upsample, _convolution(parts["conv1"])),
        *(_norm(parts["norm2"]), _HIDDEN, _convolution(parts["conv2"])),
    )
    yield Residual(main, (*upsample, _convolution(parts["shortcut"])) if upsample else ())


def _convolution(layer: Layer) -> Convolution:
    return Convolution(layer.tensors["weight"], layer.bias)


def _norm(layer: Layer) -> Norm:
    tensors = layer.tensors
    return Norm(tensors["running_mean"], tensors["running_var"], tensors.get("weight"), tensors.get("bias"))
