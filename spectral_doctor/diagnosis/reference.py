"""Where the plateaus of healthy layers lie: reference ranges, as data, by kind of layer."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from spectral_doctor.diagnosis.random_matrix import expected_ratio
from spectral_doctor.errors import UsageError, printable
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
QUANTILES = (0.05, 0.25, 0.95)
# σ_5/σ_1 is the plateau from rank 8 on.
PLATEAU = 5
_RANKS = (8, 16, 32, 64, 128, 256)
_NORMALISED = (Form.SPECTRAL_NORM.value, Form.SPECTRAL_REGULARIZATION.value)


class Place(Enum):
    """Where in its network a layer stands, in the order in which the layers are stored."""

    FIRST = "first"
    INNER = "inner"
    LAST = "last"


@dataclass(frozen=True)
class Range:
    """Where σ_k/σ_1 of healthy layers lies: `low` and `high` hold nine of ten, `quarter` is their lower quartile, at
    most 0.8.

    `count` layers of `sources` (repositories, recipes, papers' settings) were seen; `wide` says that they are of a
    coarser class than the layer's own. With 0 layers it is what random weights of that shape show.
    """

    low: float
    quarter: float
    high: float
    count: int
    sources: int
    wide: bool


@dataclass(frozen=True)
class Sample:
    """One healthy layer: its class, its source, its plateau."""

    form: str
    rank: int
    place: Place
    source: str
    plateau: float


@dataclass(frozen=True)
class Reference:
    """Ranges by class; a class is `form`, `form rank` or `form rank place`, as `class_names` says."""

    ranges: tuple[tuple[str, Range], ...] = ()

    @classmethod
    def shipped(cls) -> Reference:
        """The ranges in the package."""
        return _shipped()

    @classmethod
    def read(cls, path: Path) -> Reference:
        """The ranges in a file that `reference build` wrote; raises `UsageError` where it is none."""
        try:
            return _parsed(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                f"--reference {printable(path)}: not a reference of this version; `spectral-doctor reference build` "
                "writes one."
            ) from error

    def range_of(self, identity: LayerIdentity, place: Place, k: int) -> Range:
        """The range of a layer's σ_k/σ_1: of the finest class that has enough layers, else of random weights."""
        known = dict(self.ranges)
        names = class_names(identity.form, identity.rank, place)
        found = next(((depth, known[name]) for depth, name in enumerate(names) if name in known), None)
        if found is not None:
            depth, one = found
            return Range(one.low, one.quarter, one.high, one.count, one.sources, wide=depth > 1)
        random = expected_ratio(*identity.matrix_shape, k)
        return Range(0.5 * random, 0.75 * random, 1.0, 0, 0, wide=True)


def class_names(form: str, rank: int, place: Place) -> tuple[str, ...]:
    """The classes that a layer belongs to, the finest first."""
    group = "spectral norm" if form in _NORMALISED else "no spectral norm"
    low = max((one for one in _RANKS if one <= rank), default=0)
    high = next((one - 1 for one in _RANKS if one > rank), None)
    ranks = f"rank {low}–{high}" if high is not None else f"rank {low}+"
    return f"{group}, {ranks}, {place.value}", f"{group}, {ranks}", group


def places(identities: Sequence[LayerIdentity]) -> tuple[Place, ...]:
    """First, inner or last, in stored order; the only layer is the first."""
    last = len(identities) - 1
    return tuple(
        Place.FIRST if index == 0 else Place.LAST if index == last else Place.INNER for index in range(len(identities))
    )


def built(
    samples: Iterable[Sample], fewest_layers: int = FEWEST_LAYERS, fewest_sources: int = FEWEST_SOURCES
) -> Reference:
    """The ranges of all classes with enough layers; every source weighs the same in a class, however many it has."""
    members: dict[str, list[Sample]] = {}
    for item in samples:
        for name in class_names(item.form, item.rank, item.place):
            members.setdefault(name, []).append(item)
    ranges = {}
    for name, part in members.items():
        sources = {item.source for item in part}
        if len(part) >= fewest_layers and len(sources) >= fewest_sources:
            low, quarter, high = weighted_quantiles(part)
            ranges[name] = Range(low, min(quarter, ENOUGH), high, len(part), len(sources), wide=False)
    return Reference(tuple(sorted(ranges.items())))


def healthy_samples(trajectory: SpectralTrajectory) -> Iterator[Sample]:
    """The layers of rank 8 or more at the last checkpoint of a healthy run, which is one source."""
    source = "/".join((str(trajectory.series), str(trajectory.checkpoints[-1])))
    identities = [layer.identity for layer in trajectory.layers]
    for layer, place in zip(trajectory.layers, places(identities), strict=True):
        spectrum, rank = layer.spectra[-1], layer.identity.rank
        if spectrum is not None and rank >= _RANKS[0] and layer.identity.kind != Kind.EMBEDDING.value:
            yield Sample(layer.identity.form, rank, place, source, spectrum.ratio(PLATEAU))


def weighted_quantiles(part: Sequence[Sample]) -> tuple[float, ...]:
    """The quantiles 0.05, 0.25 and 0.95 of plateaus where each source has weight 1, shared among its layers.

    The least value below or at which lies at least that share of the weight.
    """
    counts: dict[str, int] = {}
    for item in part:
        counts[item.source] = counts.get(item.source, 0) + 1
    ordered = sorted(part, key=lambda item: item.plateau)
    total, reached, found = len(counts), 0.0, []
    wanted = list(QUANTILES)
    for item in ordered:
        reached += 1 / counts[item.source]
        while wanted and reached >= wanted[0] * total - 1e-9:
            found.append(item.plateau)
            wanted.pop(0)
    return tuple(found)


def reference_document(reference: Reference) -> dict[str, Any]:
    """The ranges as plain JSON values, rounded to thousandths."""
    return {
        "schema": VERSION,
        "quantiles": list(QUANTILES),
        "ranges": {
            name: [*(round(value, 3) for value in (one.low, one.quarter, one.high)), one.count, one.sources]
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
    for name, (low, quarter, high, count, sources) in content["ranges"].items():
        numbers = (float(low), float(quarter), float(high))
        if not all(math.isfinite(value) and 0.0 <= value <= 1.0 for value in numbers) or sorted(numbers) != list(
            numbers
        ):
            raise ValueError
        ranges.append((str(name), Range(*numbers, int(count), int(sources), wide=False)))
    return Reference(tuple(ranges))
