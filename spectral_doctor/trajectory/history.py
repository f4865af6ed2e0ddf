"""The history file: spectra as JSON, which `inspect` reads back in place of weights."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from spectral_doctor.checkpoints.formats.closed import HISTORY_SCHEMA
from spectral_doctor.errors import MALFORMED, UnreadableCheckpoint
from spectral_doctor.records import (
    Certainty,
    CheckpointRef,
    FileState,
    LayerIdentity,
    SeriesId,
    SkippedLayer,
    SkipReason,
    Spectrum,
    location_of,
)
from spectral_doctor.trajectory.records import LayerTrajectory, SpectralTrajectory

HISTORY_VERSION = f"{HISTORY_SCHEMA}/1"
_UNIT = re.compile(r"([^\W_]+( [^\W_]+)?)?")
# How the reasons of the first edition begin or end, which had no kind beside them.
_OLD_REASONS = (
    (SkipReason.EXCLUDED, re.compile(r"excluded by ")),
    (SkipReason.SHARED, re.compile(r"the same weight as ")),
    (SkipReason.SCALE, re.compile(r"a normalisation's scale")),
    (SkipReason.BUFFER, re.compile(r"a buffer, not a weight")),
    (SkipReason.NOT_A_NUMBER, re.compile(r".*values are not a weight$")),
    (SkipReason.UNKNOWN_LAYER, re.compile(r".*not the weight of a known layer$")),
)


def series_to_json(trajectory: SpectralTrajectory) -> dict[str, Any]:
    """Return one series as plain JSON values, its singular values complete and exact."""
    return {
        "discriminator": trajectory.discriminator,
        "name": trajectory.series.name,
        "run": trajectory.series.run,
        "certainty": trajectory.certainty.value,
        "why": trajectory.why,
        "step_unit": trajectory.step_unit,
        "step_source": trajectory.step_source,
        "steps": list(trajectory.steps),
        "checkpoints": [str(ref) for ref in trajectory.checkpoints],
        "states": [ref.state.value for ref in trajectory.checkpoints],
        "layers": [
            {
                "name": layer.name,
                "kind": layer.identity.kind,
                "form": layer.identity.form,
                "stored_shape": list(layer.identity.stored_shape),
                "matrix_shape": list(layer.identity.matrix_shape),
                "singular_values": [None if spectrum is None else list(spectrum.values) for spectrum in layer.spectra],
                "non_finite": list(layer.non_finite),
                "at_bound": list(layer.at_bound),
            }
            for layer in trajectory.layers
        ],
        "skipped": [skipped_to_json(item) for item in trajectory.skipped],
        "notes": list(trajectory.notes),
    }


def read_history(path: Path) -> tuple[SpectralTrajectory, ...]:
    """Read the series of a history file, as `inspect --format json` writes it.

    Raises `UnreadableCheckpoint`, which names the entry that is missing or wrong.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.get("schema") != HISTORY_VERSION:
            raise ValueError(f"its schema is '{document.get('schema')}', this version reads '{HISTORY_VERSION}'")
        return tuple(series_from_json(entry, f"series {index}") for index, entry in enumerate(document["series"]))
    except KeyError as error:
        raise UnreadableCheckpoint(path, f"a history without the entry {error}") from error
    except MALFORMED as error:
        raise UnreadableCheckpoint(path, f"not a valid history: {error}") from error


def series_from_json(entry: Mapping[str, Any], where: str) -> SpectralTrajectory:
    """Read what `series_to_json` wrote; raises `KeyError`, `ValueError` or `TypeError` where an entry is wrong."""
    steps = tuple(int(step) for step in entry["steps"])
    if not steps or list(steps) != sorted(set(steps)):
        raise ValueError(f"{where}: steps must be there and increase, got {entry['steps']}")
    checkpoints = _checkpoints(entry)
    if len(checkpoints) != len(steps):
        raise ValueError(f"{where}: {len(checkpoints)} checkpoints for {len(steps)} steps")
    layers = tuple(
        layer_from_json(layer, len(steps), f"{where}, layer {index}") for index, layer in enumerate(entry["layers"])
    )
    certainty, why = _certainty(entry)
    return SpectralTrajectory(
        series=SeriesId(str(entry.get("name", entry["discriminator"])), str(entry.get("run", ""))),
        certainty=certainty,
        why=why,
        steps=steps,
        step_unit=unit_from_json(entry.get("step_unit", "step"), where),
        step_source=str(entry.get("step_source", "history")),
        checkpoints=checkpoints,
        layers=layers,
        skipped=tuple(skipped_from_json(item) for item in entry.get("skipped", ())),
        notes=tuple(str(note) for note in entry.get("notes", ())),
    )


def unit_from_json(text: object, where: str) -> str:
    """What steps count, which stands in many sentences: a word or two, or nothing. Raises `ValueError`."""
    if not isinstance(text, str) or not _UNIT.fullmatch(text):
        raise ValueError(f"{where}: steps in '{text}', which is no unit")
    return text


def _checkpoints(entry: Mapping[str, Any]) -> tuple[CheckpointRef, ...]:
    """The files and what has become of them, which histories of the first edition say in the path alone."""
    texts = [str(text) for text in entry["checkpoints"]]
    states = (
        [FileState(state) for state in entry["states"]] if "states" in entry else [_state_in(text) for text in texts]
    )
    if len(states) != len(texts):
        raise ValueError(f"{len(states)} states for {len(texts)} checkpoints")
    return tuple(
        CheckpointRef(location_of(text.removesuffix(f" ({state.value})")), state)
        for text, state in zip(texts, states, strict=True)
    )


def _state_in(text: str) -> FileState:
    return next((state for state in FileState if text.endswith(f" ({state.value})")), FileState.PRESENT)


def _certainty(entry: Mapping[str, Any]) -> tuple[Certainty, str]:
    """How the network was recognised; the first edition put both into one text, "confirmed: key 'netD'"."""
    why = str(entry.get("why", ""))
    if "certainty" in entry:
        return Certainty(entry["certainty"]), why
    word, colon, rest = why.partition(": ")
    known = next((item for item in Certainty if colon and item.value == word), None)
    return (known, rest) if known else (Certainty.CONFIRMED, why)


def skipped_to_json(item: SkippedLayer) -> dict[str, str]:
    """A tensor that was not examined as plain JSON values: its reason in words, and its kind."""
    return {"name": item.name, "reason": item.sentence, "kind": item.reason.name}


def skipped_from_json(entry: Mapping[str, Any]) -> SkippedLayer:
    """Read what `skipped_to_json` wrote; the first edition had no kind."""
    name, sentence = str(entry["name"]), str(entry["reason"])
    if "kind" in entry:
        reason = SkipReason[str(entry["kind"])]
    else:
        reason = next((kind for kind, pattern in _OLD_REASONS if pattern.match(sentence)), SkipReason.NO_SPECTRUM)
    return SkippedLayer(name, reason, "" if sentence == reason.value else sentence)


def layer_from_json(entry: Mapping[str, Any], length: int, where: str) -> LayerTrajectory:
    """Read one layer over `length` checkpoints; raises what `series_from_json` raises."""
    rows, columns = (int(size) for size in entry["matrix_shape"])
    if rows < 1 or columns < 1:
        raise ValueError(f"{where}: a matrix of {rows}×{columns} values")
    spectra = tuple(_spectrum(values, min(rows, columns), where) for values in entry["singular_values"])
    non_finite = tuple(int(count) for count in entry.get("non_finite", [0] * length))
    if len(spectra) != length or len(non_finite) != length:
        raise ValueError(f"{where}: {len(spectra)} spectra for {length} steps")
    at_bound = tuple(float(share) for share in entry.get("at_bound", ()))
    if len(at_bound) not in (0, length):
        raise ValueError(f"{where}: {len(at_bound)} shares at the bound for {length} steps")
    if not all(0.0 <= share <= 1.0 for share in at_bound):
        raise ValueError(f"{where}: shares at the bound must lie between 0 and 1")
    stored_shape = tuple(int(size) for size in entry.get("stored_shape", (rows, columns)))
    identity = LayerIdentity(str(entry["name"]), str(entry["kind"]), str(entry["form"]), stored_shape, (rows, columns))
    return LayerTrajectory(identity, spectra, non_finite, at_bound)


def _spectrum(values: Sequence[float] | None, rank: int, where: str) -> Spectrum | None:
    if values is None:
        return None
    numbers = tuple(float(value) for value in values)
    if len(numbers) != rank:
        raise ValueError(f"{where}: {len(numbers)} singular values for a matrix of rank {rank}")
    if not all(isfinite(number) and number >= 0.0 for number in numbers):
        raise ValueError(f"{where}: singular values must be finite and not negative")
    if list(numbers) != sorted(numbers, reverse=True):
        raise ValueError(f"{where}: singular values must descend")
    return Spectrum(numbers)
