"""From the stored weights of one discriminator to its weight matrices."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import pairwise

import torch
from torch import Tensor

from spectral_doctor.errors import WeightError
from spectral_doctor.records import Kind, SkippedLayer
from spectral_doctor.spectrum import dense, weight_matrices
from spectral_doctor.state_dicts.forms import RECURRENT, StoredWeight, stored_weights
from spectral_doctor.state_dicts.matrices import LayerWeight

_TRANSPOSED_NAME = re.compile(r"(de|up|trans(posed?)?_?)conv|conv_?(t|trans(posed?)?)(?![a-z])", re.IGNORECASE)
_EMBEDDING_NAME = re.compile(r"embed|(^|[._])emb([._\d]|$)", re.IGNORECASE)
_ATTENTION_PARTS = ("query", "key", "value")
_WHOLE_NAMES = frozenset({"weight", "W", "w"})


def collect_layers(
    tensors: Mapping[str, Tensor], *, exclude: Sequence[str] = ()
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
    tensors: Mapping[str, Tensor], *, exclude: Sequence[str] = ()
) -> tuple[tuple[StoredLayer, ...], tuple[SkippedLayer, ...]]:
    """Find the stored weights as `collect_layers` does, each with its matrices, so that they can be put back."""
    stored, skipped = stored_weights(tensors)
    kept: list[StoredWeight] = []
    for item in stored:
        if any(fnmatchcase(item.layer, glob) or fnmatchcase(item.key, glob) for glob in exclude):
            skipped.append(SkippedLayer(item.layer, "excluded by --exclude"))
        else:
            kept.append(item)
    unique, shared = _without_shared(kept)
    layers: list[StoredLayer] = []
    for item, groups in _with_groups(unique):
        try:
            layers.append(StoredLayer(item, groups, tuple(_matrices(item, groups))))
        except WeightError as error:
            skipped.append(SkippedLayer(item.layer, str(error)))
    return tuple(layers), tuple(skipped + shared)


def _without_shared(stored: Sequence[StoredWeight]) -> tuple[list[StoredWeight], list[SkippedLayer]]:
    seen: dict[tuple[object, ...], str] = {}
    unique: list[StoredWeight] = []
    shared: list[SkippedLayer] = []
    for item in stored:
        tensor = item.weight
        if tensor.layout != torch.strided or tensor.is_meta or tensor.numel() == 0:
            unique.append(item)
            continue
        identity = (tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())
        if identity in seen:
            shared.append(SkippedLayer(item.layer, f"the same weight as {seen[identity]}, counted once"))
        else:
            seen[identity] = item.layer
            unique.append(item)
    return unique, shared


def _with_groups(stored: Sequence[StoredWeight]) -> list[tuple[StoredWeight, int]]:
    """Infer grouped convolutions: a file does not store groups, but a chain of numbered layers shows them.

    In `convs.0`, `convs.1`, … the layer takes what the one before it gives, so a convolution whose second
    axis is a proper divisor of that many channels has as many groups. Siblings that all have one shape are
    parallel branches, not a chain.
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
        shapes = [tuple(stored[position].weight.shape) for _, position in members]
        if len(set(shapes)) == 1:
            continue
        for (_, before), (_, position) in pairwise(members):
            given, weight = stored[before].weight.shape[0], stored[position].weight
            taken = weight.shape[1]
            if 0 < taken < given and given % taken == 0 and weight.shape[0] % (given // taken) == 0:
                groups[position] = given // taken
    return list(zip(stored, groups, strict=True))


def _matrices(item: StoredWeight, groups: int) -> list[LayerWeight]:
    kind = _kind(item)
    axis = 1 if kind is Kind.TRANSPOSED else 0
    names = _part_names(item, groups)
    pieces = _split_rows(item, len(names)) if kind in (Kind.ATTENTION, Kind.RECURRENT) else None
    if pieces is None:
        pieces = weight_matrices(item.weight, output_axis=axis, groups=groups)
    whole = LayerWeight(item.layer, "", item.key, kind, item.form, tuple(item.weight.shape), pieces[0])
    return [replace(whole, part=part, matrix=piece) for part, piece in zip(names, pieces, strict=True)]


def _split_rows(item: StoredWeight, parts: int) -> tuple[Tensor, ...]:
    if item.weight.ndim != 2 or item.weight.shape[0] % parts:
        raise WeightError(f"shape {tuple(item.weight.shape)} does not divide into {parts} parts")
    return dense(item.weight).chunk(parts, dim=0)


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
        if witness is not None and witness.numel() in (first, second):
            return bool(witness.numel() == second)
    return bool(_TRANSPOSED_NAME.search(item.layer.rsplit(".", 1)[-1]))
