"""Compensation of the weights that a state dict holds, in place, in whatever form they are stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spectral_doctor.arrays import Array
from spectral_doctor.compensation import Compensated, Compensation, compensate_by
from spectral_doctor.elements import Values
from spectral_doctor.errors import WeightError
from spectral_doctor.records import Kind, SkippedLayer, SkipReason, Spectrum
from spectral_doctor.spectrum import check_size, work_of
from spectral_doctor.state_dicts.matrices import LayerWeight, StoredLayer, collect_stored
from spectral_doctor.state_dicts.refolding import is_leading, store_matrices
from spectral_doctor.threads import side_by_side

Choose = Callable[[LayerWeight, Spectrum], Compensation]

_TREATED = (Kind.CONVOLUTION, Kind.TRANSPOSED, Kind.LINEAR)


@dataclass(frozen=True)
class LayerChange:
    """What a compensation did to one layer: its spectra before and after, and how many values it raised."""

    layer: str
    before: Spectrum
    after: Spectrum
    raised: int


def project(
    tensors: Mapping[str, Array], choose: Choose, *, exclude: Sequence[str] = (), dry_run: bool = False
) -> tuple[tuple[LayerChange, ...], tuple[SkippedLayer, ...]]:
    """Compensate a discriminator's stored weights (dotted name → array) in place.

    Linear and convolutional layers of rank 2 and more are treated, each by the compensation that `choose` returns
    for it and its present spectrum; the others come back as skipped, with the reason. With `dry_run` nothing is
    written.
    """
    stored, skipped = collect_stored(tensors, exclude=exclude)
    changes: list[LayerChange] = []
    left = list(skipped)

    def one(layer: StoredLayer) -> list[LayerChange] | SkippedLayer:
        untreated = _untreated(layer.layers[0])
        if untreated:
            return SkippedLayer(layer.stored.layer, SkipReason.UNTREATED, untreated)
        try:
            return _projected(layer, choose, dry_run)
        except WeightError as error:
            return SkippedLayer(layer.stored.layer, SkipReason.NO_SPECTRUM, str(error))

    # Every layer stores into arrays of its own, so that they may be treated side by side.
    for result in side_by_side(one, stored, lambda layer: sum(map(work_of, layer.layers))):
        if isinstance(result, SkippedLayer):
            left.append(result)
        else:
            changes += result
    return tuple(changes), tuple(left)


def treated_layers(stored: Sequence[StoredLayer]) -> tuple[StoredLayer, ...]:
    """Those of some stored layers that a compensation treats."""
    return tuple(layer for layer in stored if not _untreated(layer.layers[0]))


def _projected(layer: StoredLayer, choose: Choose, dry_run: bool) -> list[LayerChange]:
    results = [_compensated(item, choose) for item in layer.layers]
    if not dry_run and any(result.before.values != result.after.values for result in results):
        store_matrices([result.matrix for result in results], layer, _leading(results))
    return [
        LayerChange(item.name, result.before, result.after, result.raised)
        for item, result in zip(layer.layers, results, strict=True)
    ]


def _leading(results: Sequence[Compensated[Values]]) -> Values | None:
    """The left singular vectors of a layer's largest value; None for groups, whose whole has others."""
    if len(results) > 1:
        return None
    (result,) = results
    return result.left[:, is_leading(np.asarray(result.after.values))]


def _compensated(weight: LayerWeight, choose: Choose) -> Compensated[Values]:
    check_size(weight.matrix_shape)
    return compensate_by(weight.read(), lambda spectrum: choose(weight, spectrum))


def _untreated(weight: LayerWeight) -> str:
    """Say why a layer is not treated; the empty string where it is."""
    if weight.kind not in _TREATED:
        return f"{weight.kind.value}: not treated"
    return "rank 1: nothing to raise" if min(weight.matrix_shape) < 2 else ""
