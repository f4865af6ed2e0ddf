"""Which tensors of a discriminator are weights, and in which parametrisation they are stored."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from spectral_doctor.compensation import DynamicCompensation, compensate
from spectral_doctor.errors import WeightError
from spectral_doctor.records import Form, SkippedLayer

_PARAMETRIZATION = re.compile(r"^(?:(.*)\.)?parametrizations\.(\w+)\.(original\d?|\d+\.\w+)$")
_PLAIN = re.compile(r"^(weight|W|[qkv]_proj_weight)$")
RECURRENT = re.compile(r"^weight_(ih|hh|hr)_(l\d+(?:_reverse)?)$")
_BUFFERS = re.compile(r"^(running_(mean|var)|n_averaged|avg_(mean|var)|u\d*|v\d*|sv\d*|sn_(u|v|sigma))$")
_VECTOR = re.compile(r"^(sn_u|sn_v|u\d*|v\d*)$")
_UNWRAPPED = re.compile(r"(^|\.)module$")


@dataclass(frozen=True, eq=False)
class StoredWeight:
    """A weight as it was found: the tensor that has the spectrum, and what its siblings tell of it.

    `parameter` is the plain name of the parameter ("weight", "in_proj_weight", "weight_hh_l0"); `hidden_size`
    is that of a recurrent layer, 0 for all others. `siblings` are all tensors of the module by their leaf
    names, `leaf` this one's.
    """

    layer: str
    key: str
    weight: Tensor
    form: Form
    bias: Tensor | None = None
    left_singular_vector: Tensor | None = None
    parameter: str = "weight"
    hidden_size: int = 0
    leaf: str = ""
    siblings: Mapping[str, Tensor] = field(default_factory=dict)


def stored_weights(tensors: Mapping[str, Tensor]) -> tuple[list[StoredWeight], list[SkippedLayer]]:
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


def _by_module(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    modules: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in tensors.items():
        parametrized = _PARAMETRIZATION.match(name)
        if parametrized:
            module, parameter, leaf = parametrized.groups()
            modules[module or ""][f"{parameter}:{leaf}"] = tensor
        else:
            module, _, leaf = name.rpartition(".")
            modules[module][leaf] = tensor
    return dict(modules)


def _weights_of_module(module: str, leaves: Mapping[str, Tensor]) -> tuple[list[StoredWeight], list[SkippedLayer]]:
    layer = _UNWRAPPED.sub("", module)
    bias = leaves.get("bias", leaves.get("b"))
    found: list[StoredWeight] = []
    skipped: list[SkippedLayer] = []
    for leaf, tensor in leaves.items():
        key = _key(module, leaf)
        if tensor.ndim < 2 or _is_companion(leaf, leaves):
            continue
        if not (tensor.is_floating_point() or tensor.is_complex() or tensor.is_quantized):
            skipped.append(SkippedLayer(key, f"{str(tensor.dtype).removeprefix('torch.')} values are not a weight"))
            continue
        if bias is not None and bias is not tensor and bias.shape == tensor.shape:
            skipped.append(SkippedLayer(key, "a normalisation's scale: its bias has the same shape"))
            continue
        reason = _overlap(tensor)
        known = None if reason else _known_form(leaf, leaves)
        if known is None or isinstance(known, str):
            skipped.append(SkippedLayer(key, known or reason))
            continue
        form, weight, vector = known
        parameter = re.split(r"[:]|_orig$|_bar$|_v$", leaf)[0]
        hidden_size = _hidden_size(parameter, leaves)
        name = layer or parameter
        found.append(StoredWeight(name, key, weight, form, bias, vector, parameter, hidden_size, leaf, leaves))
    return found, skipped


def _known_form(leaf: str, leaves: Mapping[str, Tensor]) -> tuple[Form, Tensor, Tensor | None] | str:
    """Say how a tensor of two or more axes is a weight, or why it is not one."""
    try:
        return _parametrized(leaf, leaves) if ":" in leaf else _by_siblings(leaf, leaves)
    except WeightError as error:
        return str(error)


def _by_siblings(leaf: str, leaves: Mapping[str, Tensor]) -> tuple[Form, Tensor, Tensor | None] | str:
    tensor = leaves[leaf]
    for suffix in ("_orig", "_bar"):
        if leaf.endswith(suffix):
            base = leaf.removesuffix(suffix)
            mask = leaves.get(f"{base}_mask")
            if mask is not None and mask.shape == tensor.shape and not (mask.is_meta or tensor.is_meta):
                return Form.PLAIN, tensor * mask, None
            return Form.SPECTRAL_NORM, tensor, leaves.get(f"{base}_u", leaves.get("u"))
    if leaf.endswith("_v") and f"{leaf[:-2]}_g" in leaves:
        return Form.WEIGHT_NORM, _weight_normalised(leaves[f"{leaf[:-2]}_g"], tensor), None
    if _PLAIN.match(leaf):
        for name in (f"{leaf}_u", "sn_u", "u0", "u"):
            vector = leaves.get(name)
            if vector is not None and vector.numel() in tensor.shape[:2]:
                return Form.SPECTRAL_NORM, tensor, vector
        return Form.PLAIN, tensor, None
    if leaf == "in_proj_weight" or RECURRENT.match(leaf):
        return Form.PLAIN, tensor, None
    if _BUFFERS.match(leaf):
        return "a buffer, not a weight"
    return f"a parameter of shape {tuple(tensor.shape)} that is not the weight of a known layer"


def _parametrized(leaf: str, leaves: Mapping[str, Tensor]) -> tuple[Form, Tensor, Tensor | None] | str:
    parameter, _, part = leaf.partition(":")
    tensor = leaves[leaf]
    if part == "original1" and f"{parameter}:original0" in leaves:
        return Form.WEIGHT_NORM, _weight_normalised(leaves[f"{parameter}:original0"], tensor), None
    if part == "original" and f"{parameter}:0.envelope" in leaves:
        return Form.SPECTRAL_REGULARIZATION, _regularised(tensor, parameter, leaves), None
    if part == "original":
        vector = leaves.get(f"{parameter}:0._u")
        others = [name for name in leaves if name.startswith(f"{parameter}:") and name != leaf]
        if vector is not None and all(name.rsplit(".", 1)[-1] in ("_u", "_v") for name in others):
            return Form.SPECTRAL_NORM, tensor, vector
        if f"{parameter}:0.base" in leaves:
            return "an orthogonal parametrisation: its weight cannot be rebuilt from the file"
    return "a parametrisation that is not known here: its weight cannot be rebuilt from the file"


def _regularised(weight: Tensor, parameter: str, leaves: Mapping[str, Tensor]) -> Tensor:
    """W_SR as the forward pass has it: no σ_j/σ_1 below the stored envelope, σ_1 = 1."""
    axis = int(leaves.get(f"{parameter}:0.output_axis", torch.zeros(())))
    moved = weight.movedim(axis, 0)
    envelope = tuple(leaves[f"{parameter}:0.envelope"].double().flatten().tolist())
    treated = compensate(moved.flatten(1), DynamicCompensation(envelope, scale=1.0)).matrix
    return treated.reshape(moved.shape).movedim(0, axis)


def _is_companion(leaf: str, leaves: Mapping[str, Tensor]) -> bool:
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
        if leaf.endswith(suffix):
            base = leaf.removesuffix(suffix)
            return any(name in leaves for name in (f"{base}_orig", f"{base}_bar", base))
    return False


def _is_row(tensor: Tensor) -> bool:
    return tensor.numel() == max(tensor.shape, default=0)


def _weight_normalised(magnitude: Tensor, direction: Tensor) -> Tensor:
    """g·v/‖v‖, the norm over every axis along which g has one value (Salimans & Kingma 2016, eq. 2).

    Raises `WeightError` where g does not fit v, or one of them is no plain dense tensor.
    """
    if any(tensor.is_meta or tensor.layout != torch.strided for tensor in (magnitude, direction)):
        raise WeightError("a weight norm whose tensors are not dense, or have no values")
    direction, magnitude = direction.to(torch.float64), magnitude.to(torch.float64)
    if magnitude.numel() == 1:
        norm: Tensor = torch.linalg.vector_norm(direction)
        return direction * torch.where(norm > 0, magnitude.reshape(()) / norm, 0.0)
    fits = magnitude.ndim == direction.ndim and all(
        size in (1, full) for size, full in zip(magnitude.shape, direction.shape, strict=True)
    )
    if not fits:
        shapes = f"{tuple(magnitude.shape)} does not fit {tuple(direction.shape)}"
        raise WeightError(f"a weight norm whose magnitude of shape {shapes}")
    axes = [axis for axis, size in enumerate(magnitude.shape) if size == 1]
    norm = torch.linalg.vector_norm(direction, dim=axes, keepdim=True) if axes else direction.abs()
    return direction * torch.where(norm > 0, magnitude / norm, 0.0)


def _hidden_size(parameter: str, leaves: Mapping[str, Tensor]) -> int:
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


def _overlap(tensor: Tensor) -> str:
    """Refuse a view that claims more values than its storage holds: a few bytes could fill the memory."""
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        return ""
    needed, held = tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes()
    if needed <= held:
        return ""
    return f"a view that claims {needed} bytes where the file holds {held}"


def _key(module: str, leaf: str) -> str:
    if ":" in leaf:
        parameter, _, part = leaf.partition(":")
        leaf = f"parametrizations.{parameter}.{part}"
    return f"{module}.{leaf}" if module else leaf
