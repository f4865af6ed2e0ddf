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
    OF_RANDOM,
    QUANTILES,
    Place,
    Reference,
    Sample,
    built,
    class_names,
    healthy_samples,
    places,
    reference_document,
    weighted_quantiles,
)
from spectral_doctor.errors import UsageError
from tests.builders import identity, layer_over_steps, series

ENOUGH = dict.fromkeys("abcd", FEWEST_LAYERS // FEWEST_SOURCES + 1)


def samples(
    counts: dict[str, int], form: str = "plain", rank: int = 64, kind: str = "conv", low: float = 0.2
) -> list[Sample]:
    """As many later layers of each source as said, their plateaus drawn."""
    random = np.random.default_rng(0)
    return [
        Sample(kind, form, rank, Place.LATER, source, float(random.uniform(low, 0.9)))
        for source, count in counts.items()
        for _ in range(count)
    ]


@pytest.mark.parametrize("quantiles", [QUANTILES, (0.025, 0.5, 0.975), (0.25,), (0.0, 1.0)])
def test_every_source_has_one_voice(quantiles: tuple[float, ...]) -> None:
    """NumPy's quantiles of data in which each source's layers are repeated to the same number."""
    part = samples({"a": 1, "b": 2, "c": 4, "d": 12})
    repeats = {"a": 12, "b": 6, "c": 3, "d": 1}
    even = [item.plateau for item in part for _ in range(repeats[item.source])]
    expected = np.quantile(even, quantiles, method="inverted_cdf")
    assert weighted_quantiles(part, quantiles) == pytest.approx(tuple(expected), rel=0)


def test_files_of_one_repository_do_not_outvote_the_others() -> None:
    """400 low layers of one of five sources weigh a fifth; counted as layers they would be the median."""
    part = [*samples(dict.fromkeys("abcd", 1), low=0.8), *(Sample("conv", "plain", 64, Place.LATER, "e", 0.1),) * 400]
    assert weighted_quantiles(part, (0.5,))[0] >= 0.8
    assert np.quantile([item.plateau for item in part], 0.5) == pytest.approx(0.1)


def test_a_class_needs_layers_and_sources() -> None:
    """One source fewer, and random weights answer; another rank, and the coarser class does."""
    reference = built(samples(ENOUGH))
    found = reference.range_of(identity("x", form="plain", rank=64), Place.LATER, 5)
    assert (found.count, found.sources, found.wide) == (sum(ENOUGH.values()), FEWEST_SOURCES, False)
    elsewhere = reference.range_of(identity("x", form="plain", rank=512), Place.LATER, 5)
    assert elsewhere.wide
    assert elsewhere.count == found.count
    assert built(samples({"a": 30, "b": 30, "c": 30})).ranges == ()
    assert built(samples(dict.fromkeys("abcd", 1))).ranges == ()


@pytest.mark.parametrize("rank", [8, 64, 512])
def test_without_a_class_random_weights_tell(rank: int) -> None:
    """A share of their plateau is the low end, and nothing is too high."""
    random = built([]).range_of(identity("x", form="plain", rank=rank), Place.LATER, 5)
    assert (random.count, random.sources, random.high, random.wide) == (0, 0, 1.0, True)
    assert random.low == pytest.approx(OF_RANDOM * expected_ratio(rank, 9 * rank, 5))
    assert 0 < random.low < expected_ratio(rank, 9 * rank, 5)


def test_each_class_is_asked_for_what_is_its_own() -> None:
    """No other form; of kinds its own before all, and of a kind without a class of its own all."""
    reference = built([*samples(ENOUGH, low=0.7), *samples(dict.fromkeys("efgh", 3), kind="linear", low=0.1)])
    conv, linear, attention = (
        reference.range_of(identity("x", form="plain", kind=kind), Place.LATER, 5)
        for kind in ("conv", "linear", "attention")
    )
    assert conv.low >= 0.7 > linear.low
    assert reference.range_of(identity("x", form="plain", kind="transposed conv"), Place.LATER, 5) == conv
    assert attention.count == conv.count + linear.count
    assert reference.range_of(identity("x"), Place.LATER, 5).count == 0
    assert reference.range_of(identity("x", form="weight norm"), Place.LATER, 5) == conv


def test_the_names_of_the_classes() -> None:
    """A first layer's rank stands before its place, a later one's place before all; each time with the kind first."""
    assert class_names("linear", "spectral norm", 31, Place.LATER) == (
        "linear, spectral norm, rank 16–31, after the first",
        "spectral norm, rank 16–31, after the first",
        "linear, spectral norm, after the first",
        "spectral norm, after the first",
        "linear, spectral norm",
        "spectral norm",
    )
    assert class_names("attention", "plain", 300, Place.FIRST) == (
        "no spectral norm, rank 256+, first",
        "no spectral norm, rank 256+, after the first",
        "no spectral norm, first",
        "no spectral norm",
    )


def test_a_later_layer_is_not_held_against_first_ones() -> None:
    """Where both have enough; a first one of a rank of which no first is known is held against the later ones of it."""
    first = [Sample("conv", "plain", 64, Place.FIRST, source, 0.2) for source in "abcd" for _ in range(3)]
    reference = built([*first, *samples(ENOUGH, rank=16, low=0.6)])

    def low(rank: int, place: Place) -> float:
        return reference.range_of(identity("x", form="plain", rank=rank), place, 5).low

    assert low(64, Place.FIRST) == low(8, Place.FIRST) == 0.2
    assert low(64, Place.LATER) == low(8, Place.LATER) == low(16, Place.FIRST) >= 0.6
    assert built(first).range_of(identity("x", form="plain", rank=64), Place.LATER, 5).low == 0.2


def test_the_place_is_by_the_stored_order() -> None:
    """The first, and those after it; one alone is no first."""
    layers = [identity(name) for name in "abcd"]
    assert places(layers) == (Place.FIRST, *(Place.LATER,) * 3)
    assert places(layers[:1]) == (Place.LATER,)
    assert places([]) == ()


def test_a_run_speaks_by_its_last_checkpoint() -> None:
    """One voice a run; no layer of a small rank, no embedding, none that is not finite."""
    run = series(
        layer_over_steps("first", [0.3, 0.8]),
        layer_over_steps("small", [0.3, 0.8], rank=4),
        layer_over_steps("classes", [0.3, 0.8], kind="embedding"),
        layer_over_steps("broken", [0.3, None]),
        layer_over_steps("head", [0.9, 0.5]),
    )
    found = list(healthy_samples(run))
    assert [(item.place, item.rank) for item in found] == [(Place.FIRST, 64), (Place.LATER, 64)]
    assert [item.plateau for item in found] == pytest.approx([0.8, 0.5])
    assert len({item.source for item in found}) == 1


def test_a_reference_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    """To thousandths."""
    reference = built(samples(dict.fromkeys("abcde", 5)))
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(reference_document(reference)))
    again = Reference.read(path)
    assert [name for name, _ in again.ranges] == [name for name, _ in reference.ranges]
    for (_, one), (_, other) in zip(again.ranges, reference.ranges, strict=True):
        assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=5e-4)
        assert (one.count, one.sources) == (other.count, other.sources)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"schema": 2, "ranges": {}}',
        '{"schema": 1, "ranges": {"x": [0.5, 0.2, 3, 1]}}',
        '{"schema": 1, "ranges": {"x": [-0.1, 0.2, 3, 1]}}',
        '{"schema": 1, "ranges": {"x": [0.1, 1.2, 3, 1]}}',
        '{"schema": 1, "ranges": {"x": [NaN, 0.2, 3, 1]}}',
        '{"schema": 1, "ranges": {"x": [0.1, 0.2, 3]}}',
        "\N{BYTE ORDER MARK}",
    ],
)
def test_a_file_that_is_no_reference_is_named(tmp_path: Path, text: str) -> None:
    """Also one whose numbers are not in order, or outside of 0 to 1."""
    path = tmp_path / "mine.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as error:
        Reference.read(path)
    assert str(error.value) == (
        f"--reference {path}: not a reference of this version; `spectral-doctor reference build` writes one."
    )


def test_the_shipped_ranges_are_sound() -> None:
    """Between 0 and 1, in order, from enough layers; under spectral norm healthy layers lie higher."""
    shipped = dict(Reference.shipped().ranges)
    assert {"spectral norm", "no spectral norm", "conv, spectral norm", "linear, no spectral norm"} <= shipped.keys()
    for one in shipped.values():
        assert 0 < one.low < one.high <= 1
        assert one.count >= FEWEST_LAYERS
        assert one.sources >= FEWEST_SOURCES
    assert shipped["spectral norm"].low > shipped["no spectral norm"].low
