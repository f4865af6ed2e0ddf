"""Putting changed matrices back where a weight was stored, in the form it was stored in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from spectral_doctor.errors import WeightError
from spectral_doctor.records import Form, Kind
from spectral_doctor.spectrum import singular_system
from spectral_doctor.state_dicts.forms import StoredWeight
from spectral_doctor.state_dicts.matrices import StoredLayer

_LEFT = ("_u", "sn_u", "u0", "u")
_RIGHT = ("_v", "sn_v", "v0", "v")
_VALUE = ("sv0", "sn_sigma")


def refolded(matrices: Sequence[Tensor], layer: StoredLayer) -> Tensor:
    """Join the matrices of a layer to a tensor of its weight's shape: the inverse of cutting it into them.

    Raises `WeightError` where their number or shapes are not those of the layer.
    """
    weight, kind = layer.stored.weight, layer.layers[0].kind
    if [tuple(item.shape) for item in matrices] != [tuple(item.matrix.shape) for item in layer.layers]:
        raise WeightError(f"matrices that are not those of '{layer.stored.layer}'")
    if kind in (Kind.ATTENTION, Kind.RECURRENT):
        return torch.cat(list(matrices), dim=0)
    axis = 1 if kind is Kind.TRANSPOSED else 0
    blocks = weight.chunk(layer.groups, dim=0) if layer.groups > 1 else (weight,)
    pairs = zip(matrices, blocks, strict=True)
    return torch.cat([matrix.reshape(block.movedim(axis, 0).shape).movedim(0, axis) for matrix, block in pairs])


@torch.no_grad()
def store_matrices(matrices: Sequence[Tensor], layer: StoredLayer) -> None:
    """Write a layer's changed matrices over the tensors it is stored in, in place.

    Under spectral norm the raw weight is replaced, its power iteration's vectors (and value) are set to the
    new weight's own, and so is a normalised copy where the file holds one. Under weight norm v gets the new
    direction with its old length, g the new length. Everything else keeps its bits.

    Raises `WeightError` for a weight that cannot be written: sparse, quantised, pruned, or a view that overlaps
    itself.
    """
    stored = layer.stored
    weight = refolded(matrices, layer)
    target = stored.siblings[stored.leaf]
    if target.layout != torch.strided or target.is_quantized or target.is_meta:
        raise WeightError(f"a {target.layout} tensor cannot be rewritten")
    if stored.form is Form.SPECTRAL_REGULARIZATION:
        raise WeightError("spectrally regularised in its forward pass already")
    if f"{stored.leaf.removesuffix('_orig')}_mask" in stored.siblings and stored.leaf.endswith("_orig"):
        raise WeightError("a pruned weight: compensation would fill what was cut away")
    if any(size > 1 and stride == 0 for size, stride in zip(target.shape, target.stride(), strict=True)):
        raise WeightError("a view that repeats its values cannot be rewritten")
    if stored.form is Form.WEIGHT_NORM:
        _store_weight_norm(weight, stored, target)
        return
    target.copy_(weight)
    if stored.form is Form.SPECTRAL_NORM:
        _refresh_spectral_norm(layer, target)


def _store_weight_norm(weight: Tensor, stored: StoredWeight, direction: Tensor) -> None:
    name = stored.leaf.replace(":original1", ":original0") if ":" in stored.leaf else f"{stored.leaf[:-2]}_g"
    magnitude = stored.siblings[name]
    axes = [axis for axis, size in enumerate(magnitude.shape) if size == 1] if magnitude.numel() > 1 else None
    wide = weight.double()
    new, old = (
        torch.linalg.vector_norm(item, dim=axes, keepdim=axes is not None) for item in (wide, direction.double())
    )
    direction.copy_(wide * torch.where(new > 0, old / new, 0.0))
    magnitude.copy_(new.reshape(magnitude.shape) * torch.where(magnitude < 0, -1.0, 1.0))


def _refresh_spectral_norm(layer: StoredLayer, weight: Tensor) -> None:
    stored = layer.stored
    axis = 1 if layer.layers[0].kind is Kind.TRANSPOSED else 0
    matrix = weight.movedim(axis, 0).flatten(1)
    left, sigma, right = singular_system(matrix)
    base = stored.leaf.removesuffix("_orig").removesuffix("_bar")
    # Equal first values leave the pair free within their space: the one nearest to the old is taken.
    top = sigma >= sigma[0] * (1 - 1e-6)
    kept = _sibling(stored, base, _LEFT)
    known = kept is not None and kept.numel() == len(left)
    old = kept.detach().cpu().double().flatten().numpy() if known and kept is not None else left[:, 0]
    mixture = left[:, top].T @ old
    length = float(np.linalg.norm(mixture))
    mixture = mixture / length if length > 0 else np.eye(int(top.sum()))[0]
    for names, vector in ((_LEFT, left[:, top] @ mixture), (_RIGHT, right[:, top] @ mixture)):
        kept = _sibling(stored, base, names)
        if kept is not None and kept.numel() == len(vector):
            kept.copy_(torch.from_numpy(np.ascontiguousarray(vector)).view(kept.shape))
    value = _sibling(stored, base, _VALUE)
    if value is not None:
        value.fill_(float(sigma[0]))
    copy = stored.siblings.get(base)
    if copy is not None and copy is not weight and copy.shape == weight.shape:
        copy.copy_(weight / float(sigma[0]))


def _sibling(stored: StoredWeight, base: str, names: Sequence[str]) -> Tensor | None:
    parametrized = base.split(":")[0]
    for name in names:
        for key in (f"{base}{name}", f"{parametrized}:0.{name}", name):
            if key in stored.siblings:
                return stored.siblings[key]
    return None
