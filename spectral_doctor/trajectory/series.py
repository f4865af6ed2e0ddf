"""From single examinations to series: which belong together, in which order, and what is odd about them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from spectral_doctor.errors import listed, printable
from spectral_doctor.records import LayerSpectrum, SkippedLayer, StepClue
from spectral_doctor.trajectory.records import Examination, LayerTrajectory, SpectralTrajectory

CLOCK_TOLERANCE = 60.0
NO_STEP_UNIT = "checkpoint"


def build_trajectories(examinations: Iterable[Examination]) -> tuple[SpectralTrajectory, ...]:
    """Sort examinations into series and put each into step order.

    One series is one discriminator of one run folder with one and the same layers. Where layers appear,
    vanish or change their shape, the files hold more than one run: the series is split and says so, for
    spectra of different networks are never mixed.
    """
    trajectories: list[SpectralTrajectory] = []
    for members in _grouped(examinations, lambda item: (item.run_folder, item.discriminator)).values():
        runs = list(_grouped(members, _signature).values())
        for run in runs:
            notes = [_split_note(run, runs)] if len(runs) > 1 else []
            for series in _by_file_name(run):
                trajectories.append(_trajectory(series, notes))
    return _distinctly_named(trajectories)


def _grouped(items: Iterable[Examination], key: Callable[[Examination], Hashable]) -> dict[Hashable, list[Examination]]:
    groups: dict[Hashable, list[Examination]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return dict(groups)


def _signature(item: Examination) -> Hashable:
    return tuple(
        sorted((layer.identity.name, layer.identity.form, layer.identity.stored_shape) for layer in item.layers)
    )


def _split_note(run: Sequence[Examination], runs: Sequence[Sequence[Examination]]) -> str:
    mine = {layer.identity.name: layer.identity for layer in run[0].layers}
    other = next(candidate for candidate in runs if candidate is not run)
    theirs = {layer.identity.name: layer.identity for layer in other[0].layers}
    changed = sorted(mine.keys() ^ theirs.keys()) or sorted(name for name in mine if mine[name] != theirs[name])
    return (
        f"the files hold {len(runs)} different networks under one name, reported one by one; "
        f"they differ in {listed(changed, 3)}"
    )


def _by_file_name(run: Sequence[Examination]) -> list[list[Examination]]:
    """Take two runs of one network in one folder apart, where their steps clash and their names tell them."""
    clue = _common_clue(run)
    steps = [_value(item, clue) for item in run] if clue else []
    by_name = list(_grouped(run, lambda item: item.run_name).values())
    clashing = len(set(steps)) < len(steps)
    if not clashing or len(by_name) == 1 or any(len(members) < 2 for members in by_name):
        return [list(run)]
    return by_name


def _trajectory(series: Sequence[Examination], notes: Sequence[str]) -> SpectralTrajectory:
    ordered, steps, unit, source, order_notes = _in_step_order(series)
    layers = []
    for layer in ordered[0].layers:
        column = [_layer_of(item, layer.identity.name) for item in ordered]
        layers.append(
            LayerTrajectory(
                layer.identity,
                tuple(entry.spectrum for entry in column),
                tuple(entry.non_finite for entry in column),
                tuple(entry.at_bound for entry in column),
            )
        )
    return SpectralTrajectory(
        discriminator=ordered[-1].discriminator,
        why=ordered[-1].why,
        steps=tuple(steps),
        step_unit=unit,
        step_source=source,
        checkpoints=tuple(item.path for item in ordered),
        layers=tuple(layers),
        skipped=_all_skipped(ordered),
        notes=(*notes, *order_notes),
    )


def _layer_of(item: Examination, name: str) -> LayerSpectrum:
    return next(layer for layer in item.layers if layer.identity.name == name)


def _in_step_order(
    series: Sequence[Examination],
) -> tuple[list[Examination], list[int], str, str, list[str]]:
    clue = _common_clue(series)
    if clue is None:
        return _without_steps(series)
    known = [item for item in series if _value(item, clue) is not None]
    notes = [
        f"{printable(Path(item.path).name)} has no step ({clue.source}) and is left out of the series"
        for item in series
        if _value(item, clue) is None
    ]
    known.sort(key=lambda item: (_step(item, clue), item.modified))
    latest: dict[int, Examination] = {}
    for item in known:
        step = _step(item, clue)
        if step in latest:
            same = "with the same spectra" if latest[step].layers == item.layers else "with different spectra"
            notes.append(
                f"{clue.unit} {step} appears twice {same}: {printable(Path(latest[step].path).name)} is left out, "
                f"{printable(Path(item.path).name)} is kept"
            )
        latest[step] = item
    ordered = list(latest.values())
    notes += _clock_notes(ordered, clue)
    return ordered, list(latest), clue.unit, clue.source, notes


def _without_steps(
    series: Sequence[Examination],
) -> tuple[list[Examination], list[int], str, str, list[str]]:
    ordered = sorted(series, key=lambda item: item.modified)
    if len(ordered) == 1:
        return ordered, [1], NO_STEP_UNIT, "", []
    note = "no step in file names, keys or folder names: ordered by modification time, which copying can change"
    return ordered, list(range(1, len(ordered) + 1)), NO_STEP_UNIT, "modification time", [note]


def _common_clue(series: Sequence[Examination]) -> StepClue | None:
    """Choose the source of steps that most files have, that tells most of them apart, and is most trusted."""
    places = [[(clue.source, clue.unit) for clue in item.step_clues] for item in series]
    counts = Counter(place for item in places for place in dict.fromkeys(item))
    if not counts:
        return None
    trust = list(dict.fromkeys(place for item in places for place in item))

    def rank(place: tuple[str, str]) -> tuple[int, int]:
        probe = StepClue(*place, 0)
        return len({_value(item, probe) for item in series} - {None}), -trust.index(place)

    best = max(counts, key=rank)
    if len(series) > 1 and rank(best)[0] < 2 and best[0].endswith("folder name"):
        # A number that all files share because they lie in one folder says nothing about their order.
        return None
    return StepClue(*best, 0)


def _value(item: Examination, clue: StepClue | None) -> int | None:
    if clue is None:
        return None
    return next((own.value for own in item.step_clues if (own.source, own.unit) == (clue.source, clue.unit)), None)


def _step(item: Examination, clue: StepClue) -> int:
    value = _value(item, clue)
    assert value is not None
    return value


def _clock_notes(ordered: Sequence[Examination], clue: StepClue) -> list[str]:
    backwards = [
        (before, after) for before, after in pairwise(ordered) if after.modified < before.modified - CLOCK_TOLERANCE
    ]
    if not backwards:
        return []
    before, after = backwards[0]
    return [
        f"modification times contradict the steps ({len(backwards)} of {len(ordered) - 1} pairs): "
        f"{printable(Path(after.path).name)} was written before {printable(Path(before.path).name)}; "
        f"the order is that of the steps ({clue.source})"
    ]


def _all_skipped(ordered: Sequence[Examination]) -> tuple[SkippedLayer, ...]:
    return tuple(dict.fromkeys(skipped for item in ordered for skipped in item.skipped))


def _distinctly_named(trajectories: Sequence[SpectralTrajectory]) -> tuple[SpectralTrajectory, ...]:
    """Tell series of one name apart by the part of their paths in which they differ."""
    counts = Counter(item.discriminator for item in trajectories)
    named: list[SpectralTrajectory] = []
    for item in trajectories:
        namesakes = [other for other in trajectories if other.discriminator == item.discriminator]
        if counts[item.discriminator] > 1:
            item = replace(item, discriminator=f"{item.discriminator} ({_differing(item, namesakes)})")
        named.append(item)
    return tuple(named)


def _differing(item: SpectralTrajectory, namesakes: Sequence[SpectralTrajectory]) -> str:
    last = [Path(other.checkpoints[-1]) for other in namesakes]
    by_folder = len({path.parent for path in last}) == len(last)
    paths = [path.parent.parts if by_folder else path.parts for path in last]
    mine = paths[namesakes.index(item)]
    different = [part for part, *column in zip(mine, *paths, strict=False) if len(set(column)) > 1]
    return "/".join(different) or Path(item.checkpoints[-1]).name
