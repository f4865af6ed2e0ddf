"""Reference ranges: quantiles with one voice a source, the finest class that has enough, and files that are none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from spectral_doctor.diagnosis.random_matrix import expected_ratio
from spectral_doctor.diagnosis.reference import (
    FEWEST_LAYERS,
    FEWEST_SOURCES,
    QUANTILES,
    Place,
    Reference,
    Sample,
    built,
    places,
    reference_document,
    weighted_quantiles,
)
from spectral_doctor.errors import UsageError
from tests.builders import identity


def samples(counts: dict[str, int], form: str = "plain", rank: int = 64, place: Place = Place.INNER) -> list[Sample]:
    """As many layers of each source as said, their plateaus drawn."""
    random = np.random.default_rng(0)
    return [
        Sample(form, rank, place, source, float(random.uniform(0.2, 0.9)))
        for source, count in counts.items()
        for _ in range(count)
    ]


def test_every_source_has_one_voice() -> None:
    """NumPy's quantiles of data in which each source's layers are repeated to the same number."""
    part = samples({"a": 1, "b": 2, "c": 4})
    even = [item.plateau for item in part for _ in range(4 // sum(other.source == item.source for other in part))]
    expected = np.quantile(even, QUANTILES, method="inverted_cdf")
    assert weighted_quantiles(part) == pytest.approx(tuple(expected))
    alone = weighted_quantiles([*part, *samples({"c": 400})])
    assert alone[0] <= expected[0] or alone != pytest.approx(tuple(expected))


def test_a_class_needs_layers_and_sources() -> None:
    """One layer, or one source, fewer, and the coarser class answers; without any, random weights."""
    enough = dict.fromkeys("abcd", FEWEST_LAYERS // FEWEST_SOURCES + 1)
    reference = built(samples(enough))
    found = reference.range_of(identity("x", form="plain", rank=64), Place.INNER, 5)
    assert (found.count, found.sources, found.wide) == (sum(enough.values()), 4, False)
    elsewhere = reference.range_of(identity("x", form="plain", rank=512), Place.INNER, 5)
    assert elsewhere.wide
    assert elsewhere.count == found.count
    few = built(samples({"a": 30, "b": 30, "c": 30}))
    assert few.ranges == ()
    random = few.range_of(identity("x", form="plain", rank=64), Place.INNER, 5)
    assert (random.count, random.high) == (0, 1.0)
    assert random.low == pytest.approx(0.5 * expected_ratio(64, 576, 5))


def test_spectral_norm_is_a_class_of_its_own() -> None:
    """What is healthy without it is not asked for a normalised layer."""
    reference = built(samples(dict.fromkeys("abcde", 5)))
    assert reference.range_of(identity("x", rank=64), Place.INNER, 5).count == 0


def test_the_place_is_by_the_stored_order() -> None:
    """First, inner, last; the only one is the first."""
    layers = [identity(name) for name in "abcd"]
    assert places(layers) == (Place.FIRST, Place.INNER, Place.INNER, Place.LAST)
    assert places(layers[:1]) == (Place.FIRST,)


def test_a_reference_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    """To thousandths."""
    reference = built(samples(dict.fromkeys("abcde", 5)))
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(reference_document(reference)))
    again = Reference.read(path)
    assert [name for name, _ in again.ranges] == [name for name, _ in reference.ranges]
    for (_, one), (_, other) in zip(again.ranges, reference.ranges, strict=True):
        assert (one.low, one.quarter, one.high) == pytest.approx((other.low, other.quarter, other.high), abs=5e-4)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": 2, "ranges": {}}', '{"schema": 1, "ranges": {"x": [0.5, 0.2, 1, 3, 1]}}']
)
def test_a_file_that_is_no_reference_is_named(tmp_path: Path, text: str) -> None:
    """Also one whose numbers are not in order."""
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        Reference.read(path)
    assert str(error.value) == (
        f"--reference {path}: not a reference of this version; `spectral-doctor reference build` writes one."
    )


def test_the_shipped_ranges_are_sound() -> None:
    """Between 0 and 1, in order, from enough layers; spectral norm reaches higher."""
    shipped = dict(Reference.shipped().ranges)
    assert {"spectral norm", "no spectral norm"} <= shipped.keys()
    for one in shipped.values():
        assert 0 <= one.low <= one.quarter <= one.high <= 1
        assert one.count >= FEWEST_LAYERS
        assert one.sources >= FEWEST_SOURCES
    assert shipped["spectral norm"].quarter > shipped["no spectral norm"].quarter
