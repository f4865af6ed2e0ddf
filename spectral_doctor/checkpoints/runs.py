"""Which files form a run, and what their steps are: read from the set of paths, and not from one name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from spectral_doctor.checkpoints.axes import CLOCK_TOLERANCE, NO_STEP_UNIT, Axis, Named, axes_of, counts_runs, grouped
from spectral_doctor.checkpoints.names import Number, PathReading, Standing, read_path
from spectral_doctor.errors import UsageError, printable
from spectral_doctor.records import Location, StepClue, location_of

BY_TIME = "modification time"
_BY_INDEX = re.compile(r"^(pytorch_)?model_\d$")


@dataclass(frozen=True)
class Written:
    """One state of one file: where it lies, when it was written, and what its own keys say of its step."""

    location: Location
    modified: float
    clues: tuple[StepClue, ...] = ()


@dataclass(frozen=True)
class Run:
    """One run: the files given that have a step, those that are its end, and those that have no place in it.

    `steps` holds (index of the file, step) in the order of steps; `ends` the files without a number that were written
    last, in their order; `apart` (index, reason) those without a number that are no end. `unit` and `source` say
    what the steps count and where they were read.
    """

    name: str
    unit: str
    source: str
    steps: tuple[tuple[int, int], ...]
    ends: tuple[int, ...] = ()
    apart: tuple[tuple[int, str], ...] = ()


def step_pattern(text: str) -> re.Pattern[str]:
    """The pattern of `--step`: its first group is the step, wherever in a path it matches. Raises `UsageError`."""
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise UsageError(f"--step '{printable(text)}': no regular expression: {error}.") from error
    if not pattern.groups:
        raise UsageError(f"--step '{printable(text)}': it has no group; put the step in brackets, as in 'D_(\\d+)'.")
    return pattern


def find_runs(files: Sequence[Written], pattern: re.Pattern[str] | None = None) -> tuple[Run, ...]:
    """Sort states of files of one network into runs, and give each its steps.

    Every path is reduced to a template, numbers to slots. Paths of one template without its numbers are candidates for
    one run, and of their slots the one counts that varies and tells them apart; what does not vary (dates, scales)
    falls out; folds, seeds and runs split. A key inside the files counts where the names do not. With `pattern` its
    first group is the step.
    """
    named = [Named(index, _reading(file, pattern), file.modified) for index, file in enumerate(files)]
    runs: list[Run] = []
    for name, members in grouped(named, lambda member: member.reading.run).items():
        for part in _without_run_numbers(members):
            runs += [replace(run, name=str(name)) for run in _runs_of(files, part)]
    return tuple(runs)


def _reading(file: Written, pattern: re.Pattern[str] | None) -> PathReading:
    reading = read_path(file.location)
    if pattern is None:
        indexed = _BY_INDEX.match(file.location.name.partition(".")[0]) is not None
        kept = tuple(item for item in reading.numbers if not (indexed and item.depth == 0))
        return replace(reading, numbers=kept)
    text = str(file.location)
    told = pattern.search(text)
    digits = re.search(r"(\d{1,18})(k?)", told[1] or "", re.IGNORECASE) if told else None
    if told is None or digits is None:
        return replace(reading, numbers=())
    value = int(digits[1]) * (1000 if digits[2] else 1)
    known = next((item for item in reading.numbers if item.value == value), None)
    if known is None:
        # The rules take it for a part of the name; without it the names of a run are alike.
        reading = read_path(location_of(text[: told.start(1)] + text[told.end(1) :]))
    own = Number(value, digits[0], known.unit if known else "", Standing.TOLD, 0)
    return replace(reading, numbers=(own,), shape="--step")


def _without_run_numbers(members: Sequence[Named]) -> list[list[Named]]:
    """Split where numbers in folders' names count runs, and take those numbers out."""
    depths = {number.depth for member in members for number in member.reading.numbers if number.depth}
    runs = {depth for depth in depths if counts_runs(members, depth)}
    if not runs:
        return [list(members)]

    def without(member: Named) -> Named:
        kept = tuple(number for number in member.reading.numbers if number.depth not in runs)
        return replace(member, reading=replace(member.reading, numbers=kept))

    def own(member: Named) -> tuple[str, ...]:
        return tuple(number.text for number in member.reading.numbers if number.depth in runs)

    return [[without(member) for member in part] for part in grouped(members, own).values()]


def _runs_of(files: Sequence[Written], members: Sequence[Named]) -> list[Run]:
    """The runs among files of one template: one, or as many as the names cannot be brought onto one axis."""
    numbered = [member for member in members if member.reading.numbers]
    rest = [member.index for member in members if not member.reading.numbers]
    axes = [axis for part in grouped(numbered, _kind_of_shape).values() for axis in axes_of(part)]
    axes = _joined(axes)
    by_index = {member.index: member for member in members}
    said = {index for axis in axes for index in axis.steps}
    unsaid = [member.index for member in numbered if member.index not in said]
    told = [axis for axis in axes if axis.steps]
    if len(told) > 1:
        runs = [_run(files, by_index, axis, []) for axis in told]
        return runs + ([_run(files, by_index, _NOTHING, [*rest, *unsaid])] if rest or unsaid else [])
    if told:
        return [_run(files, by_index, told[0], [*rest, *unsaid])]
    # Numbers that may be no steps, as in D1 and D2, are part of the names.
    alike = grouped([*rest, *unsaid], lambda index: tuple(item.text for item in by_index[index].reading.numbers))
    return [_run(files, by_index, _NOTHING, part) for part in alike.values()]


_NOTHING = Axis({}, "", "", varies=False)


def _kind_of_shape(member: Named) -> tuple[object, ...]:
    return (member.reading.shape, len(member.reading.numbers))


def _joined(axes: Sequence[Axis]) -> list[Axis]:
    """Put axes together that count the same, as `netD_epoch_3` and `best_netD_epoch_4` do."""
    joined: dict[tuple[str, str], Axis] = {}
    apart: list[Axis] = []
    for axis in axes:
        known = joined.get((axis.unit, axis.source))
        if not axis.steps or axis.unit in ("", NO_STEP_UNIT):
            apart.append(axis)
        elif known is None:
            joined[axis.unit, axis.source] = axis
        elif set(known.steps.values()).isdisjoint(axis.steps.values()):
            joined[axis.unit, axis.source] = replace(known, steps={**known.steps, **axis.steps}, varies=True)
        else:
            apart.append(axis)
    return [*joined.values(), *apart]


def _run(files: Sequence[Written], named: Mapping[int, Named], axis: Axis, rest: Sequence[int]) -> Run:
    """One run of an axis and the files without a number, with what keys inside the files add."""
    members = [*axis.steps, *rest]
    place = _best_place(files, members)
    from_keys = _key_values(files, members, place)
    alone = len(members) == 1 or len({files[index].location for index in members}) == len(axis.steps) == 1
    if axis.varies or (axis.steps and len(set(from_keys.values())) < 2 and not (alone and axis.is_doubtful and place)):
        return _with_ends(files, named, _told_by_keys(files, axis, rest), rest)
    if place is not None and (len(set(from_keys.values())) > 1 or len(members) == 1 or axis.steps):
        return _with_ends(files, named, Axis(from_keys, place[1], place[0], varies=True), members)
    ordered = sorted(members, key=lambda index: files[index].modified)
    if len(ordered) == 1:
        return Run("", NO_STEP_UNIT, "", ((ordered[0], 1),))
    return Run("", NO_STEP_UNIT, BY_TIME, tuple((index, step) for step, index in enumerate(ordered, start=1)))


def _told_by_keys(files: Sequence[Written], axis: Axis, rest: Sequence[int]) -> Axis:
    """The axis of the names, with the unit of a key that says the same, and the steps it gives to other files."""
    places = dict.fromkeys((clue.source, clue.unit) for index in axis.steps for clue in files[index].clues)
    for place in places:
        if _key_values(files, list(axis.steps), place) == dict(axis.steps):
            more = _key_values(files, rest, place)
            return replace(axis, steps={**axis.steps, **more}, unit=axis.unit or place[1])
    return axis


def _with_ends(files: Sequence[Written], named: Mapping[int, Named], axis: Axis, rest: Sequence[int]) -> Run:
    """Put what has no number at the end of its run where it was written last, else apart."""
    steps = sorted(axis.steps.items(), key=lambda pair: (pair[1], files[pair[0]].modified))
    last = max((files[index].modified for index, step in steps if step == steps[-1][1]), default=0.0)
    rising = _rising_place(files, [index for index, _ in steps])
    ends, apart = [], []
    for index in sorted(set(rest) - set(axis.steps), key=lambda index: files[index].modified):
        word = named[index].reading.word
        own, highest = (_key_values(files, [item], rising).get(item) for item in (index, steps[-1][0]))
        margin = CLOCK_TOLERANCE if word else 0.0
        is_last = own > highest if own is not None and highest is not None else files[index].modified >= last - margin
        if word == "best":
            apart.append((index, "is a best or a copy, and neither its name nor a key says of which step"))
        elif is_last:
            ends.append(index)
        else:
            apart.append((index, f"has no step ({axis.source}) and was written before the last that has one"))
    return Run("", axis.unit or "step", axis.source, tuple(steps), tuple(ends), tuple(apart))


def _best_place(files: Sequence[Written], members: Sequence[int]) -> tuple[str, str] | None:
    """The key that most files have, that tells most of them apart, and that is trusted most."""
    counts = Counter(dict.fromkeys((clue.source, clue.unit) for index in members for clue in files[index].clues))
    trust = list(counts)
    if not trust:
        return None
    return max(trust, key=lambda place: (len(set(_key_values(files, members, place).values())), -trust.index(place)))


def _rising_place(files: Sequence[Written], ordered: Sequence[int]) -> tuple[str, str] | None:
    """A key that all files of a run have and that rises with their steps."""
    for place in dict.fromkeys((clue.source, clue.unit) for index in ordered[:1] for clue in files[index].clues):
        values = list(_key_values(files, ordered, place).values())
        if len(values) == len(ordered) and all(before < after for before, after in pairwise(values)):
            return place
    return None


def _key_values(files: Sequence[Written], members: Sequence[int], place: tuple[str, str] | None) -> dict[int, int]:
    """{index: value} of a key in the files that have it."""
    found: dict[int, int] = {}
    for index in members:
        for clue in files[index].clues:
            if (clue.source, clue.unit) == place:
                found.setdefault(index, clue.value)
    return found
