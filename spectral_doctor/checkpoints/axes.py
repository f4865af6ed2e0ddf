"""Which number of a set of names counts time: of files named alike, the slot that varies and tells them apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from spectral_doctor.checkpoints.names import Number, PathReading, Standing

CLOCK_TOLERANCE = 60.0
NO_STEP_UNIT = "checkpoint"
_SAMPLE_RATES = frozenset({8000, 16000, 22000, 24000, 32000, 40000, 44000, 48000})
_IMAGE_SIZES = frozenset({16, 28, 32, 48, 64, 96, 128, 224, 256, 512, 1024})
_TRUST = [Standing.TOLD, Standing.SAID, Standing.BARE, Standing.FOLDER, Standing.LOOSE, Standing.GLUED, Standing.TIME]
_FINENESS = {"step": 0, "kimg": 1, "": 2, "epoch": 3}
_FEWEST_GLUED, _FEWEST_LOOSE = 10, 100

T = TypeVar("T")


@dataclass(frozen=True)
class Named:
    """One state of one file: its place among those given, what its path says, and when it was written."""

    index: int
    reading: PathReading
    modified: float


@dataclass(frozen=True)
class Axis:
    """What the names say of a group's steps: {index of the file: step}; `varies` where they tell files apart.

    `is_doubtful` marks a single number that may be anything, such as an image size: a key inside the file says more.
    """

    steps: Mapping[int, int]
    unit: str
    source: str
    varies: bool
    is_doubtful: bool = False


def grouped(items: Iterable[T], key: Callable[[T], Hashable]) -> dict[Hashable, list[T]]:
    """Items by key, in the order in which the keys first appear."""
    groups: dict[Hashable, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return dict(groups)


def axes_of(members: Sequence[Named]) -> tuple[Axis, ...]:
    """The axis of files of one shape; several where another number splits them into runs (two scales, two seeds)."""
    columns = [[member.reading.numbers[slot] for member in members] for slot in range(len(_numbers(members[0])))]
    varying = [slot for slot, column in enumerate(columns) if len({item.value for item in column}) > 1]
    if not varying:
        return (_constant(members),)
    chosen = _chosen(members, columns, [slot for slot in varying if _may_count(columns[slot])])
    others = [slot for slot in varying if slot not in chosen]
    told_apart = len({_values(member, chosen) for member in members}) == len({_numbers(member) for member in members})
    if not others or (chosen and told_apart):
        return (_axis(members, chosen),)
    runs = grouped(members, lambda member: _values(member, others)).values()
    return tuple(axis for run in runs for axis in axes_of(run))


def counts_runs(members: Sequence[Named], depth: int) -> bool:
    """Say whether the number in a folder's name, so many folders above the file, tells runs apart and not steps.

    It does where the folder's own files count themselves; where it is a date; and, in a folder with a word of its own,
    where there are few of them or all are small (`car_1`, `car_2`).
    """
    column = [(member, number) for member in members for number in _numbers(member) if number.depth == depth]
    values = {number.value for _, number in column}
    if any(number.standing is Standing.SAID for _, number in column) or not column:
        return False
    if not _may_count([number for _, number in column]):
        return True
    loose = any(number.standing is Standing.LOOSE for _, number in column)
    if loose and (len(values) < 3 or max(values) < _FEWEST_LOOSE):
        return True
    inner = grouped(column, lambda pair: (pair[0].reading.shape, pair[1].value)).values()
    return any(
        len({tuple(item for item in _numbers(member) if item.depth < depth) for member, _ in files}) > 1
        for files in inner
    )


def _numbers(member: Named) -> tuple[Number, ...]:
    return member.reading.numbers


def _values(member: Named, slots: Sequence[int]) -> tuple[int, ...]:
    return tuple(_numbers(member)[slot].value for slot in slots)


def _may_count(column: Sequence[Number]) -> bool:
    """Say whether numbers in one slot can be steps: no sample rates, no dates above a file, no `D1`, `D2`."""
    values, first = {item.value for item in column}, column[0]
    if first.standing in (Standing.TOLD, Standing.SAID):
        return True
    if all(item.text.lower().endswith("k") for item in column) and values <= _SAMPLE_RATES:
        return False
    if first.depth and first.standing is not Standing.TIME and all(map(_is_date, values)):
        return False
    return first.standing is not Standing.GLUED or (len(values) >= 3 and max(values) >= _FEWEST_GLUED)


def _is_date(value: int) -> bool:
    """A year, or a year and a month, as folders are called."""
    year, month = (value, 1) if value < 10_000 else divmod(value, 100)
    return 2010 <= year <= 2039 and 1 <= month <= 12


def _chosen(members: Sequence[Named], columns: Sequence[Sequence[Number]], eligible: Sequence[int]) -> tuple[int, ...]:
    """The slot that counts; two where one counts inside the other (epoch and iteration); none."""
    if len(eligible) < 2:
        return tuple(eligible)

    def rank(slot: int) -> tuple[int, int, int]:
        first = columns[slot][0]
        return _TRUST.index(first.standing), _FINENESS.get(first.unit, 2), -slot

    ranked = sorted(eligible, key=rank)
    files = {_numbers(member) for member in members}
    coarse_first = sorted(eligible, key=lambda slot: (-_FINENESS.get(columns[slot][0].unit, 2), slot))
    for slot in ranked:
        coarser = [other for other in coarse_first if other != slot and columns[other][0].standing is Standing.SAID]
        if len({numbers[slot].value for numbers in files}) == len(files) and _rises(members, (*coarser, slot)):
            return (slot,)
    said = [slot for slot in coarse_first if columns[slot][0].standing is Standing.SAID]
    if len({columns[slot][0].unit for slot in said}) > 1:
        return tuple(said)
    inside = [slot for slot in eligible if columns[slot][0].standing is Standing.BARE and not columns[slot][0].depth]
    if said and inside and _agrees_with_clocks(members, (said[0], inside[-1])):
        return (said[0], inside[-1])
    return (ranked[0],)


def _rises(members: Sequence[Named], slots: Sequence[int]) -> bool:
    """Say whether the last slot rises when the files are put in the order of all of them."""
    ordered = sorted(_values(member, slots) for member in members)
    return all(before[-1] <= after[-1] for before, after in pairwise(ordered))


def _agrees_with_clocks(members: Sequence[Named], slots: Sequence[int]) -> bool:
    ordered = sorted(members, key=lambda member: _values(member, slots))
    return all(before.modified <= after.modified + CLOCK_TOLERANCE for before, after in pairwise(ordered))


def _axis(members: Sequence[Named], chosen: Sequence[int]) -> Axis:
    if not chosen:
        return Axis({}, "", "", varies=False)
    numbers = [_numbers(members[0])[slot] for slot in chosen]
    values = {member.index: _values(member, chosen) for member in members}
    if len(chosen) == 1 and numbers[0].standing is not Standing.TIME:
        steps = {index: value[0] for index, value in values.items()}
        return Axis(steps, numbers[0].unit or _unit_before(members[0], chosen[0]), numbers[0].source, varies=True)
    order = {value: place for place, value in enumerate(sorted(set(values.values())), start=1)}
    place = "folder name" if numbers[-1].depth else "file name"
    what = " and ".join(number.unit or "number" for number in numbers) if len(chosen) > 1 else "the time"
    steps = {index: order[value] for index, value in values.items()}
    return Axis(steps, NO_STEP_UNIT, f"{what} in the {place}", varies=True)


def _unit_before(member: Named, slot: int) -> str:
    """The unit of a constant that stands before the number that varies: in `epoch_4_100` the 100 are epochs."""
    number, before = _numbers(member)[slot], _numbers(member)[slot - 1] if slot else None
    return before.unit if before is not None and before.depth == number.depth == 0 else ""


def _constant(members: Sequence[Named]) -> Axis:
    """What the name of a single file says, or names that say the same: the number that is most likely its step."""
    numbers = [number for number in _numbers(members[0]) if _may_stand_alone(number, len(_numbers(members[0])))]
    if not numbers:
        return Axis({}, "", "", varies=False)
    best = min(numbers, key=lambda item: (_TRUST.index(item.standing), _FINENESS.get(item.unit, 2), item.depth))
    if best.standing is Standing.BARE:
        best = [number for number in numbers if number.standing is Standing.BARE][-1]
    doubtful = best.standing is not Standing.SAID and (best.depth > 0 or best.value in _IMAGE_SIZES)
    return Axis(
        dict.fromkeys((member.index for member in members), best.value), best.unit, best.source, False, doubtful
    )


def _may_stand_alone(number: Number, count: int) -> bool:
    """Say whether a number that nothing else confirms may be called a step; not the 1 of accelerate's `model_1`."""
    if number.standing in (Standing.LOOSE, Standing.GLUED, Standing.TIME) or number.depth > 2:
        return False
    return _may_count([number])
