"""Where the plateaus of healthy layers lie: reference ranges, as data, by kind of layer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from spectral_doctor.diagnosis.random_matrix import expected_ratio
from spectral_doctor.errors import MALFORMED, UsageError, printable
from spectral_doctor.records import Form, Kind, LayerIdentity
from spectral_doctor.trajectory.records import SpectralTrajectory

VERSION = 1
# A class speaks for itself from so many layers of so many sources on.
FEWEST_LAYERS, FEWEST_SOURCES = 10, 4
# A plateau this high is no collapse, however high the others are: between what Liu et al. show as collapsed (up to
# 0.68) and as healthy (from 0.92 on).
ENOUGH = 0.8
# In a reference of a user's own a single run can speak.
FEWEST_OWN = 4
QUANTILES = (0.1, 0.9)
# σ_5/σ_1 is the plateau from rank 8 on.
PLATEAU = 5
# Nine of ten healthy layers show at least this share of what random weights of their shape do, every source with one
# voice: printed by tests/benchmarks/reference.py.
OF_RANDOM = 0.44
# Sums of a thousand shares are off by less.
_ROUNDING = 1e-9
_RANKS = (8, 16, 32, 64, 128, 256)
_NORMALISED = (Form.SPECTRAL_NORM.value, Form.SPECTRAL_REGULARIZATION.value)
_KINDS = {Kind.LINEAR.value: "linear", Kind.CONVOLUTION.value: "conv", Kind.TRANSPOSED.value: "conv"}


class Place(Enum):
    """Where in its network a layer stands, in the order in which the layers are stored.

    Last layers of a rank that is judged are too few to stand alone.
    """

    FIRST = "first"
    LATER = "after the first"


@dataclass(frozen=True)
class Range:
    """Where σ_k/σ_1 of healthy layers lies: eight of ten between `low` and `high`, one below and one above; `low` is at
    most 0.8.

    `count` layers of `sources` (repositories, recipes, papers' settings) were seen; `wide` says that they are of all
    ranks. With 0 layers it is what random weights of that shape tell.
    """

    low: float
    high: float
    count: int
    sources: int
    wide: bool


@dataclass(frozen=True)
class Sample:
    """One healthy layer: its class, its source, its plateau."""

    kind: str
    form: str
    rank: int
    place: Place
    source: str
    plateau: float


@dataclass(frozen=True)
class Reference:
    """Ranges by class; a class is a form, with or without a kind, a rank and a place, as `class_names` says."""

    ranges: tuple[tuple[str, Range], ...] = ()

    @cached_property
    def _by_name(self) -> dict[str, Range]:
        return dict(self.ranges)

    @classmethod
    def shipped(cls) -> Reference:
        """The ranges in the package."""
        return _shipped()

    @classmethod
    def read(cls, path: Path) -> Reference:
        """The ranges in a file that `reference build` wrote; raises `UsageError` where it is none."""
        try:
            return _parsed(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, *MALFORMED) as error:
            raise UsageError(
                f"--reference {printable(path)}: not a reference of this version; `spectral-doctor reference build` "
                "writes one."
            ) from error

    def range_of(self, identity: LayerIdentity, place: Place, k: int) -> Range:
        """The range of a layer's σ_k/σ_1: of the finest class that has enough layers, else from random weights."""
        for name in class_names(identity.kind, identity.form, identity.rank, place):
            if (found := self._by_name.get(name)) is not None:
                return replace(found, wide="rank" not in name)
        return Range(OF_RANDOM * expected_ratio(*identity.matrix_shape, k), 1.0, 0, 0, wide=True)


def class_names(kind: str, form: str, rank: int, place: Place) -> tuple[str, ...]:
    """The classes that a layer may be held against, the finest first; the first is its own.

    A first layer sees images and lies lower: no later layer is held against first ones while there are enough others,
    and a first layer of a rank for which too few first ones are known is held against later ones of that rank. Every
    class stands once with the layer's kind and once without; one neither linear nor convolutional has no kind.
    """
    group = "spectral norm" if form in _NORMALISED else "no spectral norm"
    low = max((one for one in _RANKS if one <= rank), default=0)
    high = next((one - 1 for one in _RANKS if one > rank), None)
    ranks = f"rank {low}–{high}" if high is not None else f"rank {low}+"
    own = f"{_KINDS[kind]}, " if kind in _KINDS else ""
    of_rank = (f"{group}, {ranks}, {place.value}", f"{group}, {ranks}, {Place.LATER.value}")
    coarser = (*of_rank, f"{group}, {place.value}", group)
    return tuple(dict.fromkeys(name for each in coarser for name in (f"{own}{each}", each)))


def places(identities: Sequence[LayerIdentity]) -> tuple[Place, ...]:
    """The place of each layer, in stored order; one alone was picked out of its network, and counts as a later one."""
    return tuple(Place.LATER if index or len(identities) == 1 else Place.FIRST for index in range(len(identities)))


def built(
    samples: Iterable[Sample],
    fewest_layers: int = FEWEST_LAYERS,
    fewest_sources: int = FEWEST_SOURCES,
    quantiles: Sequence[float] = QUANTILES,
) -> Reference:
    """The ranges of all classes with enough layers; every source weighs the same in a class, however many it has."""
    members: dict[str, list[Sample]] = {}
    for item in samples:
        for name in class_names(item.kind, item.form, item.rank, item.place):
            if item.place is Place.LATER or Place.LATER.value not in name:
                members.setdefault(name, []).append(item)
    ranges = {}
    for name, part in members.items():
        sources = {item.source for item in part}
        if len(part) >= fewest_layers and len(sources) >= fewest_sources:
            low, high = weighted_quantiles(part, quantiles)
            ranges[name] = Range(min(low, ENOUGH), high, len(part), len(sources), wide=False)
    return Reference(tuple(sorted(ranges.items())))


def healthy_samples(trajectory: SpectralTrajectory) -> Iterator[Sample]:
    """The layers of rank 8 or more at the last checkpoint of a healthy run, which is one source."""
    source = "/".join((str(trajectory.series), str(trajectory.checkpoints[-1])))
    identities = [layer.identity for layer in trajectory.layers]
    for layer, place in zip(trajectory.layers, places(identities), strict=True):
        spectrum, rank = layer.spectra[-1], layer.identity.rank
        if spectrum is not None and rank >= _RANKS[0] and layer.identity.kind != Kind.EMBEDDING.value:
            yield Sample(layer.identity.kind, layer.identity.form, rank, place, source, spectrum.ratio(PLATEAU))


def weighted_quantiles(part: Sequence[Sample], quantiles: Sequence[float] = QUANTILES) -> tuple[float, ...]:
    """Quantiles, ascending, of plateaus where each source has weight 1, shared among its layers.

    The least value up to which at least that share of the weight lies.
    """
    counts = Counter(item.source for item in part)
    reached, found, wanted = 0.0, [], list(quantiles)
    for item in sorted(part, key=lambda item: item.plateau):
        reached += 1 / counts[item.source]
        while wanted and reached >= wanted[0] * len(counts) - _ROUNDING:
            found.append(item.plateau)
            wanted.pop(0)
    return tuple(found)


def reference_document(reference: Reference) -> dict[str, Any]:
    """The ranges as plain JSON values, rounded to thousandths."""
    return {
        "schema": VERSION,
        "quantiles": list(QUANTILES),
        "ranges": {
            name: [*(round(value, 3) for value in (one.low, one.high)), one.count, one.sources]
            for name, one in reference.ranges
        },
    }


@lru_cache(maxsize=1)
def _shipped() -> Reference:
    text = (files("spectral_doctor") / "diagnosis" / "reference.json").read_text(encoding="utf-8")
    return _parsed(json.loads(text))


def _parsed(content: Any) -> Reference:
    if content["schema"] != VERSION:
        raise ValueError
    ranges = []
    for name, (low, high, count, sources) in content["ranges"].items():
        if not 0.0 <= float(low) <= float(high) <= 1.0:
            raise ValueError
        ranges.append((str(name), Range(float(low), float(high), int(count), int(sources), wide=False)))
    return Reference(tuple(ranges))
