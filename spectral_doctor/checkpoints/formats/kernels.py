"""Kernels as TensorFlow, Keras and flax keep them, brought into PyTorch's order of axes and PyTorch's names.

Their kernels have the outputs last: (*window, in, out) of a convolution, (in, out) of a dense layer, (*window, out,
in) of a Keras transposed convolution, (*window, in, multiplier) of a depthwise one. PyTorch has (out, in, *window),
and (in, out, *window) of a transposed convolution. Values are read when they are wanted.

Spectral normalisation. Keras 3 (`SpectralNormalization`, vector `vector_u`) and TensorFlow Addons (`sn_u`) assign the
normalised kernel to the layer in every training step, so what is stored is the normalised kernel after one more step of
the optimizer: it comes as `weight` beside `weight_u`. flax (`SpectralNorm`) and the hand-written layers of TensorFlow 1
keep the raw kernel and divide on the way: it comes as `weight_orig` beside `weight_u`. σj/σ1 is the same in both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spectral_doctor.arrays import Array, Computed
from spectral_doctor.elements import Values

Leaf = Array | int | float | bool | str
Layers = dict[tuple[str, ...], dict[str, Leaf]]

_KERNELS = ("kernel", "weights", "weight", "w", "matrix")
_TABLES = ("embeddings", "embedding", "embedding_table")
_BIASES = ("bias", "biases", "b")
_IN_PLACE = ("sn_u", "vector_u")
_RAW = ("u", "u0", "u_var", "weight_u", "kernel_u")
_VECTORS = frozenset({"gamma", "beta", "scale", "mean", "var", "moving_mean", "moving_variance", *_BIASES})
_ATTENTION_INPUTS = frozenset({"query", "key", "value"})
_TRANSPOSED = re.compile(r"transposed?|deconv(olution)?|upconv|convt", re.IGNORECASE)
_EMBEDDING = re.compile(r"embed", re.IGNORECASE)
LEAVES = frozenset({*_KERNELS, *_TABLES, *_IN_PLACE, *_RAW, *_VECTORS, "depthwise_kernel", "pointwise_kernel"}) | {
    "recurrent_kernel"
}
# Mappings that hold networks, or the state of a training, and are no module of one.
_COLLECTION = re.compile(r"(.*_)?(params|parameters|variables|state|stats|ema)", re.IGNORECASE)
_TRAINING = re.compile(r"\w*optim\w*|opts?", re.IGNORECASE)
_ENDING = re.compile(r":\d+$")


@dataclass(frozen=True, eq=False)
class Entry:
    """A leaf under the names that its library gives it: those of the modules, then its own."""

    path: tuple[str, ...]
    value: Leaf


class Reordered(Array):
    """Another array with its axes in another order, and in another shape where `shape` says so."""

    def __init__(self, stored: Array, axes: Sequence[int], shape: Sequence[int] | None = None) -> None:
        turned = tuple(stored.shape[axis] for axis in axes)
        self.element, self.shape = stored.element, turned if shape is None else tuple(shape)
        self.memory = None if stored.memory is None else (stored.memory, tuple(axes), self.shape)
        self._stored, self._axes = stored, tuple(axes)

    @property
    def span(self) -> int:
        """As many as the stored one reaches over."""
        return self._stored.span

    def read(self) -> Values:
        """The values in the new order."""
        return np.transpose(self._stored.read(), self._axes).reshape(self.shape)


def plain_value(array: Array) -> Leaf:
    """A number where an array holds one without axes; the array otherwise."""
    if array.shape or array.element.is_complex:
        return array
    value: int | float | bool = array.read().item()
    return value


def in_torch_order(entries: Iterable[Entry], *, swaps_transposed: bool = False) -> Mapping[str, object]:
    """The tree that networks are looked for in: layers under dotted names, collections such as `params` nested.

    `swaps_transposed` says that transposed convolutions are stored as others are, (*window, in, out), as flax does.
    """
    layers: Layers = {}
    for entry in entries:
        *modules, leaf = entry.path
        layers.setdefault(tuple(modules), {})[_ENDING.sub("", leaf)] = entry.value
    _bring_vectors_home(layers)
    attention = frozenset(path[:-1] for path in layers if path and _words(path[-1]) & _ATTENTION_INPUTS)
    tree: dict[str, object] = {}
    for path, leaves in layers.items():
        nested = _nesting(path)
        if any(map(is_training, path[:nested])):
            named: Mapping[tuple[str, ...], Leaf] = {(name,): value for name, value in leaves.items()}
        else:
            named = _layer(path, leaves, path[:-1] in attention, swaps_transposed)
        for names, value in named.items():
            _put(tree, path[:nested], ".".join((*path[nested:], *names)), value)
    return tree


def _nesting(path: tuple[str, ...]) -> int:
    """How many of the names are collections, which stay mappings: up to the last that is called one."""
    return max((depth + 1 for depth, name in enumerate(path) if _is_collection(name)), default=0)


def _is_collection(name: str) -> bool:
    return bool(_COLLECTION.fullmatch(name)) or is_training(name)


def is_training(name: str) -> bool:
    """Whether a word of a name says optimizer."""
    return any(_TRAINING.fullmatch(word) for word in re.split(r"[_\W]+", name))


def _put(tree: dict[str, object], containers: Sequence[str], key: str, value: Leaf) -> None:
    for name in containers:
        inner = tree.setdefault(name, {})
        if not isinstance(inner, dict):
            tree[name] = inner = {"": inner}
        tree = inner
    while key in tree:
        key += "'"
    tree[key] = value


def _bring_vectors_home(layers: Layers) -> None:
    """Put a wrapper's vector `u` beside the one kernel that the wrapper wraps, and drop the wrapper's copy of it."""
    for path in list(layers):
        names = [name for name in (*_IN_PLACE, *_RAW) if name in layers[path]]
        if not names:
            continue
        vector = layers[path][names[0]]
        inner = [
            other
            for other in layers
            if len(other) > len(path)
            and other[: len(path)] == path
            and any(_takes(layers[other].get(name), vector) for name in _KERNELS + _TABLES)
        ]
        if len(inner) != 1:
            continue
        layers[inner[0]][names[0]] = layers[path].pop(names[0])
        for name in _KERNELS + _TABLES:
            layers[path].pop(name, None)


def _takes(kernel: Leaf | None, vector: Leaf) -> bool:
    """Whether a vector has as many values as a kernel has outputs."""
    return (
        isinstance(kernel, Array) and isinstance(vector, Array) and kernel.ndim > 1 and vector.size == kernel.shape[-1]
    )


def _layer(
    path: tuple[str, ...], leaves: Mapping[str, Leaf], attends: bool, swaps: bool
) -> dict[tuple[str, ...], Leaf]:
    """The leaves of one layer under PyTorch's names; `attends` says that it is a part of attention."""
    layer = path[-1] if path else ""
    named: dict[tuple[str, ...], Leaf] = {}
    for leaf, value in leaves.items():
        if not isinstance(value, Array):
            named[leaf,] = value
            continue
        name = leaf.lstrip("_")
        named[_names(layer, name, value, leaves)] = _turned(layer, name, value, attends, swaps)
    return named


def _names(layer: str, name: str, value: Array, leaves: Mapping[str, Leaf]) -> tuple[str, ...]:
    """What PyTorch would call a leaf."""
    plain = {other.lstrip("_") for other in leaves}
    recurrent = "recurrent_kernel" in plain
    if name in ("depthwise_kernel", "pointwise_kernel"):
        part = name.removesuffix("_kernel")
        return (part, "weight") if "pointwise_kernel" in plain else ("weight",)
    if name == "recurrent_kernel":
        return ("weight_hh_l0",)
    if name in _TABLES:
        return ("weight",) if _EMBEDDING.search(layer) else ("embedding", "weight")
    if name in _BIASES:
        return ("bias",)
    if name in _KERNELS and value.ndim > 1:
        return ("weight_ih_l0",) if recurrent else ("weight_orig",) if _is_raw(value, leaves) else ("weight",)
    if name in (*_IN_PLACE, *_RAW) and any(_takes(leaves.get(other), value) for other in _KERNELS + _TABLES):
        return ("weight_u",)
    return (name,)


def _is_raw(kernel: Array, leaves: Mapping[str, Leaf]) -> bool:
    return any(_takes(kernel, leaves[name]) for name in _RAW if name in leaves)


def _turned(layer: str, name: str, value: Array, attends: bool, swaps: bool) -> Array:
    """A leaf in PyTorch's order of axes."""
    axes, shape = tuple(range(value.ndim)), value.shape
    if name in _VECTORS or name in (*_IN_PLACE, *_RAW):
        flat = value.ndim > 1 and (value.size == max(shape) or attends)
        return Reordered(value, axes, (value.size,)) if flat else value
    if name == "depthwise_kernel" or (name in _KERNELS and "depthwise" in layer.lower() and value.ndim > 2):
        turned = (*axes[-2:], *axes[:-2])
        return Reordered(value, turned, (shape[-2] * shape[-1], 1, *shape[:-2]))
    if not (name in _KERNELS or name in ("pointwise_kernel", "recurrent_kernel")) or value.ndim < 2:
        return value
    if value.ndim == 3 and attends:
        # (in, heads, size) of queries, keys and values; (heads, size, out) of what comes out.
        if _words(layer) & _ATTENTION_INPUTS:
            return Reordered(value, (1, 2, 0), (shape[1] * shape[2], shape[0]))
        return Reordered(value, (2, 0, 1), (shape[2], shape[0] * shape[1]))
    if swaps and value.ndim > 2 and _TRANSPOSED.search(layer):
        return Reordered(value, (*axes[-2:], *axes[:-2]))
    return Reordered(value, (axes[-1], axes[-2], *axes[:-2]))


def _words(name: str) -> frozenset[str]:
    return frozenset(re.split(r"[_\W\d]+", name.lower()))


def joined(parts: Sequence[Array], shape: tuple[int, ...]) -> Array:
    """One array out of consecutive stretches of its values in row-major order."""

    def read() -> Values:
        return np.concatenate([part.read().reshape(-1) for part in parts]).reshape(shape)

    return Computed(read, parts[0].element, shape, "chunked")


def natural(name: str) -> list[tuple[int, str]]:
    """What sorts `conv_2` before `conv_10`."""
    return [(int(part) if part.isdecimal() and part.isascii() else -1, part) for part in re.split(r"(\d+)", name)]
