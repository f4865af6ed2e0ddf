"""The layers of a generator in the order in which they are passed, as its names and shapes tell."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import permutations

import numpy as np

from spectral_doctor.arrays import Array, Computed
from spectral_doctor.elements import FLOAT64, Values
from spectral_doctor.generators.records import NotRebuilt
from spectral_doctor.records import Form
from spectral_doctor.state_dicts.forms import StoredWeight, stored_weights

WAY_OUT = "name its code with --generator FILE.py:FACTORY"
_MOST_PARTS = 6
_NUMBER = re.compile(r"^(?P<stem>.*?)(?P<number>\d+)$")


class Sort(Enum):
    """What a layer is, as far as its own tensors tell."""

    LINEAR = "linear"
    KERNEL = "convolution"
    NORM = "batch norm"
    SLOPE = "PReLU"


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer: its name, its sort, and its tensors by plain names (`weight` as the forward pass has it)."""

    name: str
    sort: Sort
    tensors: Mapping[str, Array]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of its weight, or of its statistics."""
        return self.tensors["running_mean" if self.sort is Sort.NORM else "weight"].shape

    @property
    def bias(self) -> Array | None:
        """Its bias."""
        return self.tensors.get("bias")

    @property
    def place(self) -> tuple[str, int] | None:
        """The list it stands in and its number there."""
        match = _NUMBER.match(self.name)
        return (match["stem"], int(match["number"])) if match else None


def layers_of(network: Mapping[str, Array]) -> tuple[Layer, ...] | NotRebuilt:
    """The layers of a generator (dotted name → array) in stored order, or which of its tensors is no known layer."""
    stored, skipped = stored_weights(network)
    unknown = [item for item in skipped if item.reason.is_missed]
    if unknown:
        return NotRebuilt(f"'{unknown[0].name}' is {unknown[0].sentence}; {WAY_OUT}")
    weights = {item.layer: item for item in stored}
    if len(weights) < len(stored):
        return NotRebuilt(f"a layer of it has several weights; {WAY_OUT}")
    layers: list[Layer] = []
    for name, leaves in _modules(network).items():
        layer = _layer(name, leaves, weights.get(name))
        if isinstance(layer, NotRebuilt):
            return layer
        layers += [layer] if layer else []
    return tuple(layers)


def hidden_between(first: Layer, second: Layer) -> int | None:
    """How many modules without tensors stand between two numbered ones of one list; None where no number says."""
    one, other = first.place, second.place
    if one is None or other is None or one[0] != other[0] or not _is_list(one[0]):
        return None
    return other[1] - one[1] - 1


def orders_of(layers: Sequence[Layer]) -> Iterator[tuple[Layer, ...]]:
    """The orders in which the layers may be passed, the stored one first.

    Some formats sort by name (`body.10` before `body.3`, `body` before `start`): then numbers are put in order within
    each part, and the parts in any order.
    """
    yield tuple(layers)
    names = [layer.name for layer in layers]
    if names != sorted(names):
        return
    parts: dict[str, list[Layer]] = defaultdict(list)
    for layer in layers:
        parts[re.split(r"[.\d]", layer.name, maxsplit=1)[0]].append(layer)
    ordered = [sorted(part, key=lambda layer: _natural(layer.name)) for part in parts.values()]
    if len(ordered) <= _MOST_PARTS:
        for order in permutations(ordered):
            yield tuple(layer for part in order for layer in part)


def _modules(network: Mapping[str, Array]) -> dict[str, dict[str, Array]]:
    modules: dict[str, dict[str, Array]] = defaultdict(dict)
    for key, array in network.items():
        name, _, leaf = key.partition(".parametrizations.") if ".parametrizations." in key else key.rpartition(".")
        modules[name.removesuffix(".module")][leaf] = array
    return modules


def _layer(name: str, leaves: Mapping[str, Array], stored: StoredWeight | None) -> Layer | NotRebuilt | None:
    bias = {"bias": leaves["bias"]} if "bias" in leaves else {}
    if stored is not None:
        weight = _passed_weight(stored)
        if isinstance(weight, NotRebuilt):
            return weight
        sort = Sort.LINEAR if weight.ndim == 2 else Sort.KERNEL
        return Layer(name, sort, {"weight": weight, **bias})
    if "running_mean" in leaves and "running_var" in leaves:
        kept = ("weight", "bias", "running_mean", "running_var")
        return Layer(name, Sort.NORM, {leaf: leaves[leaf] for leaf in kept if leaf in leaves})
    floats = [leaf for leaf, array in leaves.items() if array.element.is_float]
    if floats == ["weight"] and leaves["weight"].ndim == 1:
        return Layer(name, Sort.SLOPE, {"weight": leaves["weight"]})
    if set(floats) == {"weight", "bias"}:
        return NotRebuilt(
            f"'{name}' is a normalisation without stored statistics: layer, group or instance norm, the file does not "
            f"say which; {WAY_OUT}"
        )
    return NotRebuilt(f"'{name or floats[0]}' is no layer that is known here; {WAY_OUT}") if floats else None


def _passed_weight(item: StoredWeight) -> Array | NotRebuilt:
    """The weight as the forward pass has it in evaluation mode: W/uᵀWv under spectral norm."""
    if item.form is not Form.SPECTRAL_NORM:
        return item.weight
    left, right = _vectors(item)
    if left is None or right is None:
        return NotRebuilt(f"'{item.layer}' is under spectral norm and its vectors are not all stored; {WAY_OUT}")
    weight = item.weight

    def compute() -> Values:
        values = weight.read().astype(np.float64)
        u, v = (vector.read().astype(np.float64).reshape(-1) for vector in (left, right))
        # Of a square weight either axis may be the outputs': along the right one the vectors give the larger value.
        ways = (np.moveaxis(values, axis, 0) for axis in (0, 1) if values.shape[axis] == u.size)
        return values / max(float(u @ way.reshape(u.size, -1) @ v) for way in ways)

    if left.size * right.size != weight.size or left.size not in weight.shape[:2]:
        return NotRebuilt(f"'{item.layer}' is under spectral norm of another shape than is known here; {WAY_OUT}")
    return Computed(compute, FLOAT64, weight.shape)


def _vectors(item: StoredWeight) -> tuple[Array | None, Array | None]:
    names = (("weight_u", "weight_v"), ("weight:0._u", "weight:0._v"))
    for u, v in names:
        if u in item.siblings:
            return item.siblings[u], item.siblings.get(v)
    return item.left_singular_vector, None


def _is_list(stem: str) -> bool:
    """Whether numbers behind a stem count modules (`body.`, or nothing), and not attributes (`conv`)."""
    return stem == "" or stem.endswith(".")


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(text), "") if text.isdigit() else (-1, text) for text in re.split(r"(\d+)", name)]
