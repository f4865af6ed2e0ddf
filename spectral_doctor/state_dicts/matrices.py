"""From the stored weights of one discriminator to its weight matrices."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise

import numpy as np

from spectral_doctor.arrays import Array
from spectral_doctor.elements import Values
from spectral_doctor.errors import WeightError
from spectral_doctor.records import Form, Kind, LayerIdentity, SkippedLayer, SkipReason
from spectral_doctor.spectrum import check_divides
from spectral_doctor.state_dicts.forms import RECURRENT, StoredWeight, stored_weights

# In a Sequential a convolution, its norm and its activation: the next convolution is three on.
NEAREST_NUMBERS = 3
_TRANSPOSED_NAME = re.compile(r"(de|up|trans(posed?)?_?)conv|conv_?(t|trans(posed?)?)(?![a-z])", re.IGNORECASE)
_EMBEDDING_NAME = re.compile(r"embed|(^|[._])emb([._\d]|$)", re.IGNORECASE)
_ATTENTION_PARTS = ("query", "key", "value")
_WHOLE_NAMES = frozenset({"weight", "W", "w"})


@dataclass(frozen=True, eq=False)
class LayerWeight:
    """One weight matrix W (n_out, n_in) of a discriminator, which is read when it is wanted and not kept.

    It is `rows` of the stored weight's first axis (all of them, or those of a group, a gate, a part of attention),
    with the output axis in front and the others flattened. `part` names it among those of its layer.
    """

    layer: str
    part: str
    key: str
    kind: Kind
    form: Form
    weight: Array
    rows: tuple[int, int]

    @property
    def name(self) -> str:
        """The layer's name, with the part in brackets where there are several."""
        return f"{self.layer}[{self.part}]" if self.part else self.layer

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape of the whole stored weight."""
        return self.weight.shape

    @property
    def block_shape(self) -> tuple[int, ...]:
        """The shape of its rows of the stored weight."""
        return (self.rows[1] - self.rows[0], *self.weight.shape[1:])

    @property
    def output_axis(self) -> int:
        """The axis of the stored weight that becomes the rows of the matrix."""
        return 1 if self.kind is Kind.TRANSPOSED else 0

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """(n_out, n_in), known without reading."""
        outputs = self.block_shape[self.output_axis]
        return outputs, math.prod(self.block_shape) // outputs

    @property
    def coarse(self) -> bool:
        """Whether its type has so few values that many meet at the largest by themselves."""
        return self.weight.coarse

    @property
    def identity(self) -> LayerIdentity:
        """What tells whether two checkpoints hold the same layer."""
        return LayerIdentity(self.name, self.kind.value, self.form.value, self.stored_shape, self.matrix_shape)

    def read(self) -> Values:
        """The matrix (n_out, n_in), in a native NumPy type. Raises `WeightError` where there are no values."""
        block = self.weight.rows(*self.rows)
        return np.moveaxis(block, self.output_axis, 0).reshape(self.matrix_shape)


def collect_layers(
    tensors: Mapping[str, Array], *, exclude: Sequence[str] = ()
) -> tuple[tuple[LayerWeight, ...], tuple[SkippedLayer, ...]]:
    """Find the weight matrices among a discriminator's tensors (dotted name → tensor).

    Plain, spectrally normalised (old, new, `weight_bar`, `w_bar`, `sn_u`, `u0`, Chainer's `u`) and weight
    normalised (old, new) weights are recognised by the set of their siblings. `exclude` holds globs over
    layer names. Every tensor of two axes or more that is not examined comes back as a `SkippedLayer`.
    """
    stored, skipped = collect_stored(tensors, exclude=exclude)
    return tuple(layer for item in stored for layer in item.layers), skipped


@dataclass(frozen=True, eq=False)
class StoredLayer:
    """A stored weight, how many groups it was found to have, and the matrices it was cut into."""

    stored: StoredWeight
    groups: int
    layers: tuple[LayerWeight, ...]


def collect_stored(
    tensors: Mapping[str, Array], *, exclude: Sequence[str] = ()
) -> tuple[tuple[StoredLayer, ...], tuple[SkippedLayer, ...]]:
    """Find the stored weights as `collect_layers` does, each with its matrices, so that they can be put back."""
    stored, skipped = stored_weights(tensors)
    kept: list[StoredWeight] = []
    for item in stored:
        if any(fnmatchcase(item.layer, glob) or fnmatchcase(item.key, glob) for glob in exclude):
            skipped.append(SkippedLayer(item.layer, SkipReason.EXCLUDED))
        else:
            kept.append(item)
    unique, shared = _without_shared(kept)
    layers: list[StoredLayer] = []
    for item, groups in _with_groups(unique):
        try:
            layers.append(StoredLayer(item, groups, tuple(_matrices(item, groups))))
        except WeightError as error:
            skipped.append(SkippedLayer(item.layer, SkipReason.NO_SPECTRUM, str(error)))
    return tuple(layers), tuple(skipped + shared)


def _without_shared(stored: Sequence[StoredWeight]) -> tuple[list[StoredWeight], list[SkippedLayer]]:
    seen: dict[object, str] = {}
    unique: list[StoredWeight] = []
    shared: list[SkippedLayer] = []
    for item in stored:
        memory = item.weight.memory
        if memory is not None and memory in seen:
            detail = f"the same weight as {seen[memory]}, counted once"
            shared.append(SkippedLayer(item.layer, SkipReason.SHARED, detail))
            continue
        if memory is not None:
            seen[memory] = item.layer
        unique.append(item)
    return unique, shared


def _with_groups(stored: Sequence[StoredWeight]) -> list[tuple[StoredWeight, int]]:
    """Infer grouped convolutions: a file does not store groups, but a chain of numbered layers shows them.

    In `convs.0`, `convs.1`, … the layer takes what the one before it gives, so a convolution whose second
    axis is a proper divisor of that many channels has as many groups. Siblings that all have one shape are
    parallel branches, not a chain; and numbers that leap, as resolutions do (`b64.skip`, `b128.skip`), count none.
    """
    chains: dict[tuple[str, str, int], list[tuple[int, int]]] = defaultdict(list)
    for position, item in enumerate(stored):
        number = re.search(r"(\d+)(\D*)$", item.layer)
        if number and item.weight.ndim >= 3:
            stem = (item.layer[: number.start()], number.group(2), item.weight.ndim)
            chains[stem].append((int(number.group(1)), position))
    groups = [1] * len(stored)
    for members in chains.values():
        members.sort()
        shapes = [stored[position].weight.shape for _, position in members]
        if len(set(shapes)) == 1:
            continue
        for (earlier, before), (later, position) in pairwise(members):
            if later - earlier > NEAREST_NUMBERS:
                continue
            given, weight = stored[before].weight.shape[0], stored[position].weight
            taken = weight.shape[1]
            if 0 < taken < given and given % taken == 0 and weight.shape[0] % (given // taken) == 0:
                groups[position] = given // taken
    return list(zip(stored, groups, strict=True))


def _matrices(item: StoredWeight, groups: int) -> list[LayerWeight]:
    kind = _kind(item)
    names = _part_names(item, groups)
    shape, parts = item.weight.shape, len(names)
    if kind in (Kind.ATTENTION, Kind.RECURRENT) and (len(shape) != 2 or shape[0] % parts):
        raise WeightError(f"shape {shape} does not divide into {parts} parts")
    check_divides(shape, parts)
    step = shape[0] // parts
    return [
        LayerWeight(item.layer, part, item.key, kind, item.form, item.weight, (index * step, (index + 1) * step))
        for index, part in enumerate(names)
    ]


def _part_names(item: StoredWeight, groups: int) -> tuple[str, ...]:
    if item.parameter == "in_proj_weight":
        return _ATTENTION_PARTS
    if RECURRENT.match(item.parameter):
        gates = _gates(item)
        suffix = item.parameter.removeprefix("weight_")
        return tuple(f"{suffix} gate {gate + 1}/{gates}" if gates > 1 else suffix for gate in range(gates))
    if groups > 1:
        return tuple(f"group {group + 1}/{groups}" for group in range(groups))
    return ("",) if item.parameter in _WHOLE_NAMES else (item.parameter.removesuffix("_weight"),)


def _gates(item: StoredWeight) -> int:
    rows = int(item.weight.shape[0])
    recurrent = RECURRENT.match(item.parameter)
    if recurrent is None or recurrent.group(1) == "hr" or not item.hidden_size or rows % item.hidden_size:
        return 1
    return max(rows // item.hidden_size, 1)


def _kind(item: StoredWeight) -> Kind:
    weight = item.weight
    if item.parameter == "in_proj_weight":
        return Kind.ATTENTION
    if RECURRENT.match(item.parameter):
        return Kind.RECURRENT
    if weight.ndim == 2:
        return Kind.EMBEDDING if _EMBEDDING_NAME.search(item.layer) and item.bias is None else Kind.LINEAR
    return Kind.TRANSPOSED if _is_transposed(item) else Kind.CONVOLUTION


def _is_transposed(item: StoredWeight) -> bool:
    first, second = item.weight.shape[:2]
    if first == second:
        return bool(_TRANSPOSED_NAME.search(item.layer.rsplit(".", 1)[-1]))
    for witness in (item.left_singular_vector, item.bias):
        if witness is not None and witness.size in (first, second):
            return bool(witness.size == second)
    return bool(_TRANSPOSED_NAME.search(item.layer.rsplit(".", 1)[-1]))
