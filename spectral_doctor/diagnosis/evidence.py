"""What counts for or against a collapse: five numbers, taken from all layers and their history."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import astuple, dataclass

from spectral_doctor.diagnosis.findings import still_since, two_step_index
from spectral_doctor.diagnosis.random_matrix import expected_ratio
from spectral_doctor.diagnosis.records import Thresholds
from spectral_doctor.records import Form, Kind, LayerIdentity, Spectrum
from spectral_doctor.trajectory.records import LayerTrajectory, SpectralTrajectory

_NORMALISED = (Form.SPECTRAL_NORM.value, Form.SPECTRAL_REGULARIZATION.value)
# Keeps the logarithm of a full plateau finite: a layer at 1.00 falls short by 0.05.
_MARGIN = 1.05
STILL = 1e-4


@dataclass(frozen=True)
class Evidence:
    """The evidence at one checkpoint, from it and those before it.

    `shortfall`: ln((1.05 − σ_k/σ_1) / (1.05 − m)), m what a random matrix of that shape shows, averaged over the
    better half of the judged layers. `first`: σ_2/σ_1 of the first layer. `still`: the share of layers none of
    whose singular values has moved by a ten-thousandth of σ_1 since the checkpoint before. `outgrowth`: without
    spectral norm, ln of the largest growth of a layer's σ_1 since the first checkpoint over the median layer's, as
    far as it exceeds 1, for layers never grow alike.
    `normalised`: 1 with spectral norm, else 0.
    """

    shortfall: float
    first: float
    still: float
    outgrowth: float
    normalised: float

    @property
    def values(self) -> tuple[float, ...]:
        """The five numbers in the order of the fields."""
        return astuple(self)


@dataclass(frozen=True)
class Panel:
    """The layers that are judged: those with spectral norm where any has it, else all that can be judged."""

    layers: tuple[LayerTrajectory, ...]
    normalised: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the judged layers."""
        return tuple(layer.name for layer in self.layers)


def panel_of(trajectory: SpectralTrajectory, thresholds: Thresholds) -> Panel:
    """Choose the layers that are judged."""
    judged = [layer for layer in trajectory.layers if not not_judged(layer, thresholds)]
    normalised = [layer for layer in judged if layer.identity.form in _NORMALISED]
    return Panel(tuple(normalised or judged), bool(normalised))


def not_judged(layer: LayerTrajectory, thresholds: Thresholds) -> str:
    """Say why a layer is shown and not judged; the empty string where it is judged.

    A layer that never moves in the series is not being trained, so its plateau is that of its initial values:
    taken as evidence it would keep any discriminator healthy. A clipped weight is near rank 1 and fine.
    """
    if layer.identity.kind == Kind.EMBEDDING.value:
        return "an embedding"
    if layer.identity.rank < thresholds.smallest_rank:
        return f"rank {layer.identity.rank}"
    if layer.clipped >= thresholds.clipped_share:
        return "clipped"
    if len(layer.spectra) > 1 and still_since(layer) == 0:
        return "unchanged"
    return ""


def plateau(layer: LayerTrajectory, thresholds: Thresholds) -> tuple[float | None, ...]:
    """σ_k/σ_1 at every checkpoint; where a compensation left a two-step spectrum, k lies on its upper step."""
    return tuple(None if item is None else item.ratio(_index(item, thresholds)) for item in layer.spectra)


def shortfall(spectrum: Spectrum, identity: LayerIdentity, thresholds: Thresholds) -> float:
    """ln((1.05 − σ_k/σ_1) / (1.05 − m)): 0 as a random matrix of that shape, above 0 when worse than one."""
    k = _index(spectrum, thresholds)
    return math.log((_MARGIN - spectrum.ratio(k)) / (_MARGIN - expected_ratio(*identity.matrix_shape, k)))


def evidence_at(trajectory: SpectralTrajectory, panel: Panel, index: int, thresholds: Thresholds) -> Evidence | None:
    """The evidence at a checkpoint; None where no judged layer is finite."""
    short = sorted(
        shortfall(item, layer.identity, thresholds) for layer in panel.layers if (item := layer.spectra[index])
    )
    if not short:
        return None
    layers = [layer for layer in trajectory.layers if layer.identity.kind != Kind.EMBEDDING.value]
    return Evidence(
        shortfall=statistics.fmean(short[: max(1, len(short) // 2)]),
        first=_first(layers, index),
        still=_still(layers, index),
        outgrowth=0.0 if panel.normalised else _outgrowth(layers, index),
        normalised=float(panel.normalised),
    )


def _index(spectrum: Spectrum, thresholds: Thresholds) -> int:
    k = min(thresholds.plateau_index(spectrum.size), spectrum.size)
    return min(k, two_step_index(spectrum) or k)


def _first(layers: Sequence[LayerTrajectory], index: int) -> float:
    present = (item for layer in layers if (item := layer.spectra[index]) is not None and item.size > 1)
    return next((item.ratio(2) for item in present), 1.0)


def _still(layers: Sequence[LayerTrajectory], index: int) -> float:
    if index == 0:
        return 0.0
    moves = [
        max(abs(new - old) for new, old in zip(now.values, before.values, strict=True)) <= STILL * before.sigma_max
        for layer in layers
        if (now := layer.spectra[index]) and (before := layer.spectra[index - 1])
    ]
    return sum(moves) / len(moves) if moves else 0.0


def _outgrowth(layers: Sequence[LayerTrajectory], index: int) -> float:
    growth = [
        math.log(now.sigma_max / start.sigma_max)
        for layer in layers
        if (now := layer.spectra[index]) and (start := layer.spectra[0]) and min(now.sigma_max, start.sigma_max) > 0.0
    ]
    return max(0.0, max(growth) - statistics.median(growth) - 1.0) if growth else 0.0
