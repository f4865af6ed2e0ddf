"""From single examinations to series: which belong together, in which order, and what is odd about them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import PurePosixPath

from spectral_doctor.checkpoints.axes import CLOCK_TOLERANCE, NO_STEP_UNIT, grouped
from spectral_doctor.checkpoints.names import run_name
from spectral_doctor.checkpoints.runs import BY_TIME, Run, Written, find_runs
from spectral_doctor.errors import listed, printable
from spectral_doctor.records import Certainty, LayerSpectrum, SeriesId, SkippedLayer
from spectral_doctor.trajectory.records import Examination, LayerTrajectory, SpectralTrajectory

_MOST_NAMED = 3


def build_trajectories(
    examinations: Iterable[Examination], step: re.Pattern[str] | None = None
) -> tuple[SpectralTrajectory, ...]:
    """Sort examinations into series and put each into step order.

    One series is one discriminator of one run (`runs.find_runs`) with one and the same layers. Where layers appear,
    vanish or change their shape, the files hold more than one run: the series is split and says so, for spectra of
    different networks are never mixed. `step` says where in a path the step stands, as its first group.
    """
    made: list[_Made] = []

    def name(item: Examination) -> str:
        # A name that is the file's holds the step where only `--step` tells it.
        return item.discriminator if step is None else item.discriminator.removeprefix(run_name(item.ref.location))

    for members in grouped(examinations, name).values():
        files = [Written(item.ref.location, item.modified, item.step_clues) for item in members]
        for run in find_runs(files, step):
            made += _series_of(run, members)
    return _distinctly_named(made)


def layer_trajectories(checkpoints: Sequence[Sequence[LayerSpectrum]]) -> tuple[LayerTrajectory, ...]:
    """Turn the layers of every checkpoint into the course of every layer, in the order of the first checkpoint.

    Every checkpoint has the same layers, in whatever order.
    """
    columns: dict[str, list[LayerSpectrum]] = {layer.identity.name: [] for layer in checkpoints[0]}
    for layers in checkpoints:
        for layer in layers:
            columns[layer.identity.name].append(layer)
    return tuple(
        LayerTrajectory(
            column[0].identity,
            tuple(layer.spectrum for layer in column),
            tuple(layer.non_finite for layer in column),
            tuple(layer.at_bound for layer in column),
        )
        for column in columns.values()
    )


@dataclass(frozen=True)
class _Made:
    """A series, and the template of its paths, by which it is told from others of its name."""

    trajectory: SpectralTrajectory
    template: str


@dataclass(frozen=True)
class _Ordered:
    """The checkpoints of a series in step order, and what is to be said about the order."""

    items: tuple[Examination, ...]
    steps: tuple[int, ...]
    unit: str
    source: str
    notes: tuple[str, ...]


def _series_of(run: Run, members: Sequence[Examination]) -> list[_Made]:
    """One series for every network that the files of a run hold."""
    indices = [*(index for index, _ in run.steps), *run.ends, *(index for index, _ in run.apart)]
    networks = grouped(indices, lambda index: _network(members[index])).values()
    made = []
    for part in networks:
        notes = (_split_note([members[group[0]] for group in networks], members[part[0]]),) if len(networks) > 1 else ()
        ordered = _in_order(_restricted(run, set(part)), members)
        made.append(_Made(_trajectory(ordered, notes), run.name))
    return made


def _network(item: Examination) -> frozenset[tuple[str, str, tuple[int, ...]]]:
    return frozenset((layer.identity.name, layer.identity.form, layer.identity.stored_shape) for layer in item.layers)


def _restricted(run: Run, kept: set[int]) -> Run:
    """A run's part of one network; files that stand alone there are in it, whatever they are in the whole."""
    steps = tuple(pair for pair in run.steps if pair[0] in kept)
    ends = tuple(index for index in run.ends if index in kept)
    apart = tuple(pair for pair in run.apart if pair[0] in kept)
    if steps:
        return replace(run, steps=steps, ends=ends, apart=apart)
    alone = [*(index for index, _ in apart), *ends]
    numbered = tuple((index, step) for step, index in enumerate(alone, start=1))
    return replace(run, unit=NO_STEP_UNIT, source=BY_TIME if len(alone) > 1 else "", steps=numbered, ends=(), apart=())


def _split_note(networks: Sequence[Examination], own: Examination) -> str:
    mine = {layer.identity.name: layer.identity for layer in own.layers}
    other = next(candidate for candidate in networks if candidate is not own)
    theirs = {layer.identity.name: layer.identity for layer in other.layers}
    changed = sorted(mine.keys() ^ theirs.keys()) or sorted(name for name in mine if mine[name] != theirs[name])
    return (
        f"the files hold {len(networks)} different networks under one name, reported one by one; "
        f"they differ in {listed(changed, 3)}"
    )


def _trajectory(ordered: _Ordered, notes: Sequence[str]) -> SpectralTrajectory:
    last = ordered.items[-1]
    # A name in one file is enough: it is the same network in all of them.
    confirmed = [item for item in ordered.items if item.certainty is Certainty.CONFIRMED]
    told = confirmed[-1] if confirmed else last
    return SpectralTrajectory(
        series=SeriesId(last.discriminator),
        certainty=told.certainty,
        why=told.why,
        steps=ordered.steps,
        step_unit=ordered.unit,
        step_source=ordered.source,
        checkpoints=tuple(item.ref for item in ordered.items),
        layers=layer_trajectories([item.layers for item in ordered.items]),
        skipped=_all_skipped(ordered.items),
        notes=(*notes, *ordered.notes),
    )


def _in_order(run: Run, members: Sequence[Examination]) -> _Ordered:
    """The numbered checkpoints, the last written of each step, and behind them what is the end of the run."""
    placed: dict[int, Examination] = {}
    notes: list[str] = []
    for index, step in run.steps:
        item = members[index]
        if step in placed:
            same = "with the same spectra" if placed[step].layers == item.layers else "with different spectra"
            notes.append(
                f"{run.unit} {step} appears twice {same}: {_name(placed[step])} is left out, {_name(item)} is kept"
            )
        placed[step] = item
    notes += _clock_notes(list(placed.values()), run)
    for index in run.ends:
        notes.append(_put_at_the_end(placed, members[index], run.unit))
    notes += _apart_notes([(members[index], reason) for index, reason in run.apart])
    if run.source == BY_TIME:
        notes.append(
            "no step in file names, keys or folder names: ordered by modification time, which copying can change"
        )
    return _Ordered(tuple(placed.values()), tuple(placed), run.unit, run.source, tuple(notes))


def _put_at_the_end(placed: dict[int, Examination], item: Examination, unit: str) -> str:
    """Add a file without a number behind the last that has one, unless it holds the same; and say so."""
    last = max(placed)
    if placed[last].layers == item.layers:
        return f"{_name(item)} holds the same weights as {_name(placed[last])} ({unit} {last})"
    placed[last + 1] = item
    return (
        f"{_name(item)} has no number and is the end of its run: it stands behind {unit} {last}, as {unit} {last + 1}"
    )


def _apart_notes(items: Sequence[tuple[Examination, str]]) -> list[str]:
    notes = [f"{_name(item)} {reason}: it is left out of the series" for item, reason in items]
    distinct = list(dict.fromkeys(notes))
    rest = len(distinct) - _MOST_NAMED
    return distinct[:_MOST_NAMED] + (
        [f"{rest} more files without a step are left out of the series"] if rest > 0 else []
    )


def _clock_notes(ordered: Sequence[Examination], run: Run) -> list[str]:
    backwards = [
        (before, after) for before, after in pairwise(ordered) if after.modified < before.modified - CLOCK_TOLERANCE
    ]
    if not backwards:
        return []
    before, after = backwards[0]
    return [
        f"modification times contradict the steps ({len(backwards)} of {len(ordered) - 1} pairs): "
        f"{_name(after)} was written before {_name(before)}; the order is that of the steps ({run.source})"
    ]


def _all_skipped(ordered: Sequence[Examination]) -> tuple[SkippedLayer, ...]:
    return tuple(dict.fromkeys(skipped for item in ordered for skipped in item.skipped))


def _name(item: Examination) -> str:
    return printable(item.ref.name)


def _distinctly_named(made: Sequence[_Made]) -> tuple[SpectralTrajectory, ...]:
    """Tell series of one name apart by the part of their paths in which they differ."""
    runs: dict[int, str] = {}
    for namesakes in grouped(range(len(made)), lambda index: made[index].trajectory.series.name).values():
        if len(namesakes) > 1:
            runs |= dict(zip(namesakes, _told_apart([made[index] for index in namesakes]), strict=True))
    return tuple(
        replace(item.trajectory, series=replace(item.trajectory.series, run=runs[index]))
        if index in runs
        else item.trajectory
        for index, item in enumerate(made)
    )


def _told_apart(namesakes: Sequence[_Made]) -> list[str]:
    """What differs in the paths: their templates, where those do, else the last checkpoints."""
    folders = [PurePosixPath(item.template).parent.parts for item in namesakes]
    templates = [PurePosixPath(item.template).parts for item in namesakes]
    files = [PurePosixPath(str(item.trajectory.checkpoints[-1].location)).parts for item in namesakes]
    for paths in (folders, templates, files):
        labels = _differences(paths)
        if len(set(labels)) == len(labels):
            return labels
    return [f"{label}, {number}" for number, label in enumerate(_differences(files), start=1)]


def _differences(paths: Sequence[tuple[str, ...]]) -> list[str]:
    """Of every path the parts that are not the same everywhere; "." where nothing is left."""
    shortest = min(map(len, paths))
    front = next((at for at in range(shortest) if len({path[at] for path in paths}) > 1), shortest)
    behind = shortest - front
    back = next((at for at in range(behind) if len({path[-1 - at] for path in paths}) > 1), behind)
    middles = [path[front : len(path) - back] for path in paths]
    if len(set(map(len, middles))) == 1:
        differing = [at for at in range(len(middles[0])) if len({middle[at] for middle in middles}) > 1]
        middles = [tuple(middle[at] for at in differing) for middle in middles]
    return ["/".join(middle) or "." for middle in middles]
