"""Which layers are judged, how deep their spectra lie in their reference ranges, and what that says about modes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import astuple, dataclass

from spectral_doctor.diagnosis.findings import still_since, two_step_index
from spectral_doctor.diagnosis.random_matrix import expected_ratio
from spectral_doctor.diagnosis.records import Thresholds
from spectral_doctor.diagnosis.reference import Range, Reference, places
from spectral_doctor.records import Form, Kind, LayerIdentity, Spectrum
from spectral_doctor.trajectory.records import LayerTrajectory, SpectralTrajectory

_NORMALISED = (Form.SPECTRAL_NORM.value, Form.SPECTRAL_REGULARIZATION.value)
# Keeps the logarithm of a full plateau finite: a layer at 1.00 falls short by 0.05.
_MARGIN = 1.05
# No term may outvote all others: evidence counts up to here.
_MOST = 2.0


@dataclass(frozen=True)
class Evidence:
    """The evidence at one checkpoint that modes are lost, from it and those before it, each number bounded by ±2.

    `shortfall`: ln((1.05 − σ_k/σ_1) / (1.05 − m)), m what a random matrix of that shape shows, averaged over the
    better half of the judged layers. `first`: σ_k/σ_1 of the first layer. `fall`: how much deeper the better half lies
    in its reference ranges than at its best so far. `outgrowth`: ln of the largest growth of a judged layer's σ_1 since
    the first checkpoint over the median layer's, as far as it exceeds 1; without spectral norm only. `normalised`: 1
    with spectral norm, else 0.
    """

    shortfall: float
    first: float
    fall: float
    outgrowth: float
    normalised: float

    @property
    def values(self) -> tuple[float, ...]:
        """The numbers in the order of the fields."""
        return astuple(self)


@dataclass(frozen=True)
class Panel:
    """The layers that are judged: those with spectral norm where any has it, else all that can be judged.

    `ranges` has the reference range of each.
    """

    layers: tuple[LayerTrajectory, ...]
    ranges: tuple[Range, ...]
    normalised: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the judged layers."""
        return tuple(layer.name for layer in self.layers)


def panel_of(trajectory: SpectralTrajectory, thresholds: Thresholds, reference: Reference | None = None) -> Panel:
    """Choose the layers that are judged."""
    ranges = ranges_of(trajectory, thresholds, reference or Reference.shipped())
    judged = [layer for layer in trajectory.layers if not not_judged(layer, thresholds)]
    normalised = [layer for layer in judged if layer.identity.form in _NORMALISED]
    chosen = tuple(normalised or judged)
    return Panel(chosen, tuple(ranges[layer.name] for layer in chosen), bool(normalised))


def ranges_of(trajectory: SpectralTrajectory, thresholds: Thresholds, reference: Reference) -> dict[str, Range]:
    """The reference range of σ_k/σ_1 of every layer of a rank of at least 2, by its name."""
    identities = [layer.identity for layer in trajectory.layers]
    return {
        identity.name: reference.range_of(identity, place, plateau_index(identity, thresholds))
        for identity, place in zip(identities, places(identities), strict=True)
        if identity.rank > 1
    }


def plateau_index(identity: LayerIdentity, thresholds: Thresholds) -> int:
    """k of a layer, never above its rank."""
    return min(thresholds.plateau_index(identity.rank), identity.rank)


def not_judged(layer: LayerTrajectory, thresholds: Thresholds) -> str:
    """Say why a layer is shown and not judged; the empty string where it is judged.

    A layer that never moves in the series is not being trained, so its plateau is that of its initial values:
    taken as evidence it would keep any discriminator sound. A clipped weight is near rank 1 and fine.
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


def depth_at(panel: Panel, index: int, thresholds: Thresholds) -> float | None:
    """How deep the spectrum lies: the mean of ln((1.05 − σ_k/σ_1) / (1.05 − q)) over the better half of the layers.

    q is the low end of the range of healthy layers of a layer's class: one in ten lies below. Where the better half
    lies, taken together, below what nine of ten healthy layers reach, the depth is above 0. The better half are those
    of the least depth, at least one. None where no judged layer is finite.
    """
    depths = sorted(
        layer_depth(item, reference, thresholds)
        for layer, reference in zip(panel.layers, panel.ranges, strict=True)
        if (item := layer.spectra[index]) is not None and item.sigma_max > 0.0
    )
    return statistics.fmean(depths[: max(1, len(depths) // 2)]) if depths else None


def layer_depth(spectrum: Spectrum, reference: Range, thresholds: Thresholds) -> float:
    """ln((1.05 − σ_k/σ_1) / (1.05 − q)) of one layer, q the low end of its reference."""
    return math.log((_MARGIN - spectrum.ratio(_index(spectrum, thresholds))) / (_MARGIN - reference.low))


def evidence_at(
    trajectory: SpectralTrajectory, panel: Panel, index: int, least: float, thresholds: Thresholds
) -> Evidence | None:
    """The evidence at a checkpoint; `least` is the least depth up to it. None where no judged layer is finite."""
    depth = depth_at(panel, index, thresholds)
    if depth is None:
        return None
    short = sorted(
        _shortfall(item, layer.identity, thresholds)
        for layer in panel.layers
        if (item := layer.spectra[index]) is not None and item.sigma_max > 0.0
    )
    layers = [layer for layer in trajectory.layers if layer.identity.kind != Kind.EMBEDDING.value]
    return Evidence(
        shortfall=_bounded(statistics.fmean(short[: max(1, len(short) // 2)])),
        first=_first(layers, index, thresholds),
        fall=_bounded(max(0.0, depth - least)),
        outgrowth=0.0 if panel.normalised else _bounded(_outgrowth(panel.layers, index)),
        normalised=float(panel.normalised),
    )


def _bounded(value: float) -> float:
    return min(max(value, -_MOST), _MOST)


def _shortfall(spectrum: Spectrum, identity: LayerIdentity, thresholds: Thresholds) -> float:
    k = _index(spectrum, thresholds)
    return math.log((_MARGIN - spectrum.ratio(k)) / (_MARGIN - expected_ratio(*identity.matrix_shape, k)))


def _index(spectrum: Spectrum, thresholds: Thresholds) -> int:
    k = min(thresholds.plateau_index(spectrum.size), spectrum.size)
    return min(k, two_step_index(spectrum) or k)


def _first(layers: Sequence[LayerTrajectory], index: int, thresholds: Thresholds) -> float:
    present = (item for layer in layers if (item := layer.spectra[index]) is not None and item.size > 1)
    return next((item.ratio(_index(item, thresholds)) for item in present), 1.0)


def _outgrowth(layers: Sequence[LayerTrajectory], index: int) -> float:
    growth = [
        math.log(now.sigma_max / start.sigma_max)
        for layer in layers
        if (now := layer.spectra[index]) and (start := layer.spectra[0]) and min(now.sigma_max, start.sigma_max) > 0.0
    ]
    return max(0.0, max(growth) - statistics.median(growth) - 1.0) if growth else 0.0
