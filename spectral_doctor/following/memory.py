"""What a follower has seen, as JSON beside the history, so that a later one goes on from there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from spectral_doctor.errors import MALFORMED, UnreadableCheckpoint
from spectral_doctor.following.records import Observation, Signature
from spectral_doctor.records import CheckpointRef, LayerSpectrum, SeriesId, StepClue
from spectral_doctor.trajectory.history import HISTORY_VERSION, series_from_json, series_to_json, unit_from_json
from spectral_doctor.trajectory.records import Examination, SpectralTrajectory
from spectral_doctor.trajectory.series import layer_trajectories

OBSERVATIONS = "observations"


def observations_to_json(observations: Sequence[Observation]) -> Iterator[dict[str, Any]]:
    """Every observation as plain JSON values: its spectra as a series of one checkpoint, and where they came from."""
    return (
        {
            "path": str(item.path),
            "signature": [list(part) for part in item.signature],
            "modified": item.examination.modified,
            "step_clues": [[clue.source, clue.unit, clue.value] for clue in item.examination.step_clues],
            "series": series_to_json(_as_series(item.examination)),
        }
        for item in observations
    )


def read_observations(path: Path) -> tuple[Observation, ...]:
    """The observations in a history that `watch` wrote; raises `UnreadableCheckpoint` where there are none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != HISTORY_VERSION:
            raise ValueError(f"its schema is '{document['schema']}', this version reads '{HISTORY_VERSION}'")
        return tuple(_observation(entry) for entry in document[OBSERVATIONS])
    except OSError as error:
        raise UnreadableCheckpoint(path, error.strerror or str(error)) from error
    except KeyError as error:
        remedy = "Name a new file for --history."
        raise UnreadableCheckpoint(path, f"no history that watch wrote, without the entry {error}", remedy) from error
    except MALFORMED as error:
        raise UnreadableCheckpoint(path, f"no history that watch wrote: {error}") from error


def _as_series(examination: Examination) -> SpectralTrajectory:
    return SpectralTrajectory(
        series=SeriesId(examination.discriminator),
        certainty=examination.certainty,
        why=examination.why,
        steps=(0,),
        step_unit="",
        step_source="",
        checkpoints=(examination.ref,),
        layers=layer_trajectories([examination.layers]),
        skipped=examination.skipped,
    )


def _observation(entry: Mapping[str, Any]) -> Observation:
    path = Path(entry["path"])
    series = series_from_json(entry["series"], f"the observation of {path}")
    modified = float(entry["modified"])
    if not isfinite(modified):
        raise ValueError(f"the observation of {path} was written at no time: {modified}")
    clues = tuple(
        StepClue(str(source), unit_from_json(unit, str(path)), int(value))
        for source, unit, value in entry["step_clues"]
    )
    signature: Signature = tuple(
        (str(name), int(size), int(changed), int(node)) for name, size, changed, node in entry["signature"]
    )
    examination = Examination(
        discriminator=series.series.name,
        certainty=series.certainty,
        why=series.why,
        ref=CheckpointRef(path),
        modified=modified,
        step_clues=clues,
        layers=tuple(
            LayerSpectrum(layer.identity, layer.spectra[0], layer.non_finite[0], layer.clipped)
            for layer in series.layers
        ),
        skipped=series.skipped,
    )
    return Observation(path, signature, examination)
