"""Putting changed matrices back where a weight was stored, in the form it was stored in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spectral_doctor.arrays import Array
from spectral_doctor.elements import Values
from spectral_doctor.errors import WeightError
from spectral_doctor.records import Form
from spectral_doctor.spectrum import singular_system
from spectral_doctor.state_dicts.forms import StoredWeight
from spectral_doctor.state_dicts.matrices import StoredLayer
from spectral_doctor.state_dicts.weight_norm import lengths

_LEFT = ("_u", "sn_u", "u0", "u")
_RIGHT = ("_v", "sn_v", "v0", "v")
_VALUE = ("sv0", "sn_sigma")


def refolded(matrices: Sequence[Values], layer: StoredLayer) -> Values:
    """Join the matrices of a layer to an array of its weight's shape: the inverse of cutting it into them.

    Raises `WeightError` where their number or shapes are not those of the layer.
    """
    if [tuple(item.shape) for item in matrices] != [item.matrix_shape for item in layer.layers]:
        raise WeightError(f"matrices that are not those of '{layer.stored.layer}'")
    blocks = []
    for matrix, item in zip(matrices, layer.layers, strict=True):
        rest = [size for axis, size in enumerate(item.block_shape) if axis != item.output_axis]
        blocks.append(np.moveaxis(matrix.reshape(item.block_shape[item.output_axis], *rest), 0, item.output_axis))
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=0)


def is_leading(sigma: Values) -> Values:
    """Which singular values count as the largest: a weight's rounding parts those that a compensation made equal."""
    largest: Values = sigma >= sigma[0] * (1 - 1e-6)
    return largest


def store_matrices(matrices: Sequence[Values], layer: StoredLayer, leading: Values | None = None) -> None:
    """Write a layer's changed matrices over the arrays it is stored in, in place.

    Under spectral norm the raw weight is replaced, its power iteration's vectors (and value) are set to the
    new weight's own, and so is a normalised copy where the file holds one. Under weight norm v gets the new
    direction with its old length, g the new length. Everything else keeps its bits. `leading` are the left singular
    vectors (n_out, k) of the new weight's largest value, where they are known already.

    Raises `WeightError` for a weight that cannot be written: sparse, quantised, pruned, or a view that overlaps
    itself.
    """
    stored = layer.stored
    weight = refolded(matrices, layer)
    target = stored.siblings[stored.leaf]
    if stored.form is Form.SPECTRAL_REGULARIZATION:
        raise WeightError("spectrally regularised in its forward pass already")
    if f"{stored.leaf.removesuffix('_orig')}_mask" in stored.siblings and stored.leaf.endswith("_orig"):
        raise WeightError("a pruned weight: compensation would fill what was cut away")
    if stored.form is Form.WEIGHT_NORM:
        _store_weight_norm(weight, stored, target)
        return
    target.write(weight)
    if stored.form is Form.SPECTRAL_NORM:
        _refresh_spectral_norm(layer, target, leading)


def _store_weight_norm(weight: Values, stored: StoredWeight, direction: Array) -> None:
    name = stored.leaf.replace(":original1", ":original0") if ":" in stored.leaf else f"{stored.leaf[:-2]}_g"
    magnitude = stored.siblings[name]
    new, old = (lengths(item.astype(np.float64), magnitude.shape) for item in (weight, direction.read()))
    sign = np.where(magnitude.read() < 0, -1.0, 1.0)
    ratio = np.divide(old, new, out=np.zeros_like(new), where=new > 0)
    direction.write(weight * (sign.reshape(ratio.shape) * ratio))
    magnitude.write(new.reshape(magnitude.shape) * sign)


def _refresh_spectral_norm(layer: StoredLayer, weight: Array, leading: Values | None) -> None:
    stored = layer.stored
    values, axis = weight.read(), layer.layers[0].output_axis
    matrix = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
    if leading is None:
        system, all_sigma, _ = singular_system(matrix)
        leading = system[:, is_leading(all_sigma)]
    base = stored.leaf.removesuffix("_orig").removesuffix("_bar")
    left = _nearest(leading, _sibling(stored, base, _LEFT))
    image = matrix.conj().T @ left
    sigma = float(np.linalg.norm(image))
    right = image / sigma if sigma > 0 else np.eye(1, len(image))[0]
    for names, vector in ((_LEFT, left), (_RIGHT, right)):
        kept = _sibling(stored, base, names)
        if kept is not None and kept.size == len(vector):
            kept.write(vector.reshape(kept.shape))
    value = _sibling(stored, base, _VALUE)
    if value is not None:
        value.write(np.full(value.shape, sigma))
    copy = stored.siblings.get(base)
    if copy is not None and copy is not weight and copy.shape == weight.shape:
        copy.write(values / sigma)


def _nearest(leading: Values, old: Array | None) -> Values:
    """Equal first values leave the pair of vectors free within their space: the one nearest to the old is taken."""
    first: Values = leading[:, 0]
    if old is None or old.size != len(leading):
        return first
    vector = leading @ (leading.T @ old.read().astype(np.float64).reshape(-1))
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0 else first


def _sibling(stored: StoredWeight, base: str, names: Sequence[str]) -> Array | None:
    parametrized = base.split(":")[0]
    for name in names:
        for key in (f"{base}{name}", f"{parametrized}:0.{name}", name):
            if key in stored.siblings:
                return stored.siblings[key]
    return None
