"""Which tensors of a discriminator are weights, and in which parametrisation they are stored."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from spectral_doctor.arrays import Array, Computed
from spectral_doctor.compensation import DynamicCompensation, compensate
from spectral_doctor.elements import Values
from spectral_doctor.errors import WeightError
from spectral_doctor.records import Form, SkippedLayer, SkipReason
from spectral_doctor.state_dicts.weight_norm import WeightNormalised

_PARAMETRIZATION = re.compile(r"^(?:(.*)\.)?parametrizations\.(\w+)\.(original\d?|\d+\.\w+)$")
_PLAIN = re.compile(r"^(weight|W|[qkv]_proj_weight)$")
RECURRENT = re.compile(r"^weight_(ih|hh|hr)_(l\d+(?:_reverse)?)$")
_BUFFERS = re.compile(r"^(running_(mean|var)|n_averaged|avg_(mean|var)|u\d*|v\d*|sv\d*|sn_(u|v|sigma))$")
_VECTOR = re.compile(r"^(sn_u|sn_v|u\d*|v\d*)$")
_UNWRAPPED = re.compile(r"(^|\.)module$")


Known = tuple[Form, Array, Array | None]


@dataclass(frozen=True, eq=False)
class StoredWeight:
    """A weight as it was found: the array that has the spectrum, read when it is wanted, and what its siblings tell.

    `parameter` is the plain name of the parameter ("weight", "in_proj_weight", "weight_hh_l0"); `hidden_size`
    is that of a recurrent layer, 0 for all others. `siblings` are all tensors of the module by their leaf
    names, `leaf` this one's.
    """

    layer: str
    key: str
    weight: Array
    form: Form
    bias: Array | None = None
    left_singular_vector: Array | None = None
    parameter: str = "weight"
    hidden_size: int = 0
    leaf: str = ""
    siblings: Mapping[str, Array] = field(default_factory=dict)


def stored_weights(tensors: Mapping[str, Array]) -> tuple[list[StoredWeight], list[SkippedLayer]]:
    """Find the weights among a discriminator's tensors (dotted name → tensor), module by module.

    A tensor's meaning is decided by the set of its siblings and never by its suffix alone: `weight_v` is a
    singular vector beside `weight_orig` and the whole direction beside `weight_g`.
    """
    stored: list[StoredWeight] = []
    skipped: list[SkippedLayer] = []
    for module, leaves in _by_module(tensors).items():
        found, refused = _weights_of_module(module, leaves)
        stored += found
        skipped += refused
    return stored, skipped


def _by_module(tensors: Mapping[str, Array]) -> dict[str, dict[str, Array]]:
    modules: dict[str, dict[str, Array]] = defaultdict(dict)
    for name, tensor in tensors.items():
        parametrized = _PARAMETRIZATION.match(name)
        if parametrized:
            module, parameter, leaf = parametrized.groups()
            modules[module or ""][f"{parameter}:{leaf}"] = tensor
        else:
            module, _, leaf = name.rpartition(".")
            modules[module][leaf] = tensor
    return dict(modules)


def _weights_of_module(module: str, leaves: Mapping[str, Array]) -> tuple[list[StoredWeight], list[SkippedLayer]]:
    layer = _UNWRAPPED.sub("", module)
    bias = leaves.get("bias", leaves.get("b"))
    found: list[StoredWeight] = []
    skipped: list[SkippedLayer] = []
    for leaf, tensor in leaves.items():
        key = _key(module, leaf)
        if tensor.ndim < 2 or _is_companion(leaf, leaves):
            continue
        known = _no_weight(tensor, bias) or _known_form(leaf, leaves)
        if isinstance(known, Refusal):
            skipped.append(SkippedLayer(key, *known))
            continue
        form, weight, vector = known
        parameter = re.split(r"[:]|_orig$|_bar$|_v$", leaf)[0]
        hidden_size = _hidden_size(parameter, leaves)
        name = layer or parameter
        found.append(StoredWeight(name, key, weight, form, bias, vector, parameter, hidden_size, leaf, leaves))
    return found, skipped


class Refusal(NamedTuple):
    """Why a tensor of two or more axes is no weight that can be examined."""

    reason: SkipReason
    detail: str = ""


def _no_weight(tensor: Array, bias: Array | None) -> Refusal | None:
    """Refuse what its type, its bias or its memory says is no weight."""
    if not (tensor.element.is_float or tensor.element.is_complex):
        return Refusal(SkipReason.NOT_A_NUMBER, f"{tensor.element.name} values are not a weight")
    if bias is not None and bias is not tensor and bias.shape == tensor.shape:
        return Refusal(SkipReason.SCALE)
    if tensor.overlaps:
        # A few bytes could fill the memory.
        held = tensor.span * tensor.element.itemsize
        claim = f"a view that claims {tensor.nbytes} bytes where the file holds {held}"
        return Refusal(SkipReason.NO_SPECTRUM, claim)
    return None


def _known_form(leaf: str, leaves: Mapping[str, Array]) -> Known | Refusal:
    """Say how a tensor of two or more axes is a weight, or why it is not one."""
    try:
        return _parametrized(leaf, leaves) if ":" in leaf else _by_siblings(leaf, leaves)
    except WeightError as error:
        return Refusal(SkipReason.NO_SPECTRUM, str(error))


def _by_siblings(leaf: str, leaves: Mapping[str, Array]) -> Known | Refusal:
    tensor = leaves[leaf]
    for suffix in ("_orig", "_bar"):
        if leaf.endswith(suffix):
            base = leaf.removesuffix(suffix)
            mask = leaves.get(f"{base}_mask")
            if mask is not None and mask.shape == tensor.shape:
                return Form.PLAIN, _masked(tensor, mask), None
            return Form.SPECTRAL_NORM, tensor, leaves.get(f"{base}_u", leaves.get("u"))
    if leaf.endswith("_v") and f"{leaf[:-2]}_g" in leaves:
        return Form.WEIGHT_NORM, WeightNormalised(leaves[f"{leaf[:-2]}_g"], tensor), None
    if _PLAIN.match(leaf):
        for name in (f"{leaf}_u", "sn_u", "u0", "u"):
            vector = leaves.get(name)
            if vector is not None and vector.size in tensor.shape[:2]:
                return Form.SPECTRAL_NORM, tensor, vector
        return Form.PLAIN, tensor, None
    if leaf == "in_proj_weight" or RECURRENT.match(leaf):
        return Form.PLAIN, tensor, None
    if _BUFFERS.match(leaf):
        return Refusal(SkipReason.BUFFER)
    shape = f"a parameter of shape {tensor.shape} that is not the weight of a known layer"
    return Refusal(SkipReason.UNKNOWN_LAYER, shape)


def _parametrized(leaf: str, leaves: Mapping[str, Array]) -> Known | Refusal:
    parameter, _, part = leaf.partition(":")
    tensor = leaves[leaf]
    if part == "original1" and f"{parameter}:original0" in leaves:
        return Form.WEIGHT_NORM, WeightNormalised(leaves[f"{parameter}:original0"], tensor), None
    if part == "original" and f"{parameter}:0.envelope" in leaves:
        return Form.SPECTRAL_REGULARIZATION, _regularised(tensor, parameter, leaves), None
    if part == "original":
        vector = leaves.get(f"{parameter}:0._u")
        others = [name for name in leaves if name.startswith(f"{parameter}:") and name != leaf]
        if vector is not None and all(name.rsplit(".", 1)[-1] in ("_u", "_v") for name in others):
            return Form.SPECTRAL_NORM, tensor, vector
        if f"{parameter}:0.base" in leaves:
            detail = "an orthogonal parametrisation: its weight cannot be rebuilt from the file"
            return Refusal(SkipReason.UNKNOWN_PARAMETRIZATION, detail)
    return Refusal(SkipReason.UNKNOWN_PARAMETRIZATION)


def _masked(weight: Array, mask: Array) -> Array:
    """What is left of a weight after pruning."""
    return Computed(lambda: weight.read() * mask.read().astype(weight.read().dtype), weight.element, weight.shape)


def _regularised(weight: Array, parameter: str, leaves: Mapping[str, Array]) -> Array:
    """W_SR as the forward pass has it: no σ_j/σ_1 below the stored envelope, σ_1 = 1."""

    def compute() -> Values:
        axis = leaves.get(f"{parameter}:0.output_axis")
        position = 0 if axis is None else int(axis.read().reshape(-1)[0])
        moved = np.moveaxis(weight.read(), position, 0)
        envelope = tuple(leaves[f"{parameter}:0.envelope"].read().astype(np.float64).reshape(-1).tolist())
        treated = compensate(moved.reshape(moved.shape[0], -1), DynamicCompensation(envelope, scale=1.0)).matrix
        # The forward pass rounds W_SR to the type of the weight.
        rounded = weight.element.values(weight.element.elements(treated))
        return np.moveaxis(rounded.reshape(moved.shape), 0, position)

    return Computed(compute, weight.element, weight.shape)


def _is_companion(leaf: str, leaves: Mapping[str, Array]) -> bool:
    """Say whether a leaf only serves another: a norm's magnitude, a singular vector, a parametrisation's buffer."""
    if ":" in leaf:
        parameter, _, part = leaf.partition(":")
        if part == "original0":
            return f"{parameter}:original1" in leaves
        return not part.startswith("original")
    if leaf.endswith("_g"):
        return f"{leaf[:-2]}_v" in leaves
    if leaf in ("bias", "b"):
        return True
    if _VECTOR.match(leaf) and _is_row(leaves[leaf]):
        return any(_PLAIN.match(name) or name == "w_bar" for name in leaves)
    for suffix in ("_u", "_v", "_mask"):
        if leaf.endswith(suffix) and (suffix == "_mask" or _is_row(leaves[leaf])):
            base = leaf.removesuffix(suffix)
            return any(name in leaves for name in (f"{base}_orig", f"{base}_bar", base))
    return False


def _is_row(tensor: Array) -> bool:
    return tensor.size == max(tensor.shape, default=0)


def _hidden_size(parameter: str, leaves: Mapping[str, Array]) -> int:
    recurrent = RECURRENT.match(parameter)
    if not recurrent:
        return 0
    projection = leaves.get(f"weight_hr_{recurrent.group(2)}")
    if projection is not None and projection.ndim == 2:
        return int(projection.shape[1])
    for suffix in ("", "_orig", "_v", "_bar", ":original", ":original1"):
        hidden = leaves.get(f"weight_hh_{recurrent.group(2)}{suffix}")
        if hidden is not None and hidden.ndim == 2:
            return int(hidden.shape[1])
    return 0


def _key(module: str, leaf: str) -> str:
    if ":" in leaf:
        parameter, _, part = leaf.partition(":")
        leaf = f"parametrizations.{parameter}.{part}"
    return f"{module}.{leaf}" if module else leaf
