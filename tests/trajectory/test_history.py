"""The history file: exact both ways, and precise about what is wrong with one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spectral_doctor.errors import UnreadableCheckpoint
from spectral_doctor.records import (
    Certainty,
    CheckpointRef,
    FileState,
    RemotePath,
    SeriesId,
    SkippedLayer,
    SkipReason,
)
from spectral_doctor.trajectory.history import HISTORY_VERSION, read_history, series_to_json
from spectral_doctor.trajectory.records import SpectralTrajectory
from tests.builders import layer_over_steps, series


def write(path: Path, *trajectories: SpectralTrajectory, **changes: object) -> Path:
    """Write a history file of the given series."""
    document = {"schema": HISTORY_VERSION, "series": [series_to_json(item) for item in trajectories], **changes}
    path.write_text(json.dumps(document))
    return path


def test_a_history_comes_back_as_it_was(tmp_path: Path) -> None:
    """Every float to the last bit, and what was not finite."""
    trajectory = series(layer_over_steps("a", [0.9, 1 / 3, None]), layer_over_steps("b", [0.1, 0.2, 0.3], rank=7))
    assert read_history(write(tmp_path / "h.json", trajectory)) == (trajectory,)


def broken(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The JSON of a good series with one thing changed."""
    entry = series_to_json(series(layer_over_steps("a", [0.9, 0.8], rank=4)))
    change(entry)
    return entry


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda entry: entry.pop("steps"), "cannot be read: a history without the entry 'steps'."),
        (lambda entry: entry.update(steps=[2, 1]), "steps must be there and increase, got [2, 1]"),
        (lambda entry: entry.update(checkpoints=[], states=[]), "0 checkpoints for 2 steps"),
        (lambda entry: entry.update(checkpoints=[]), "2 states for 0 checkpoints"),
        (lambda entry: entry["layers"][0].update(singular_values=[[1.0] * 4]), "layer 0: 1 spectra for 2 steps"),
        (
            lambda entry: entry["layers"][0].update(singular_values=[[1.0], [1.0]]),
            "layer 0: 1 singular values for a matrix of rank 4",
        ),
        (
            lambda entry: entry["layers"][0].update(singular_values=[[1.0, 0.5, 0.6, 0.1]] * 2),
            "layer 0: singular values must descend",
        ),
        (
            lambda entry: entry["layers"][0].update(singular_values=[[1.0, 0.5, 0.1, -0.1]] * 2),
            "layer 0: singular values must be finite and not negative",
        ),
        (
            lambda entry: entry["layers"][0].update(at_bound=[0.5]),
            "layer 0: 1 shares at the bound for 2 steps",
        ),
    ],
)
def test_a_wrong_history_says_what_is_wrong(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], sentence: str
) -> None:
    """The series, the layer and the rule that was broken."""
    path = tmp_path / "h.json"
    path.write_text(json.dumps({"schema": HISTORY_VERSION, "series": [broken(change)]}))
    with pytest.raises(UnreadableCheckpoint) as caught:
        read_history(path)
    assert sentence in str(caught.value)


def test_a_history_of_another_version_is_refused(tmp_path: Path) -> None:
    """The schema is versioned, and the version is checked."""
    path = write(tmp_path / "h.json", schema="spectral-doctor/history/9")
    with pytest.raises(UnreadableCheckpoint, match="its schema is 'spectral-doctor/history/9'"):
        read_history(path)


def test_the_share_at_the_bound_is_kept_and_may_be_missing(tmp_path: Path) -> None:
    """Histories written before it was measured are read as not clipped."""
    layer = replace(layer_over_steps("a", [0.9, 0.8]), at_bound=(0.0, 0.3))
    entry = series_to_json(series(layer))
    assert entry["layers"][0]["at_bound"] == [0.0, 0.3]
    path = tmp_path / "h.json"
    for shares, clipped in (([0.0, 0.3], 0.3), (None, 0.0)):
        if shares is None:
            del entry["layers"][0]["at_bound"]
        path.write_text(json.dumps({"schema": HISTORY_VERSION, "series": [entry]}))
        assert read_history(path)[0].layers[0].clipped == clipped


def test_identity_comes_back_as_data(tmp_path: Path) -> None:
    """Name and run apart, what has become of every file, how sure the network is, and why layers were skipped."""
    refs = (
        CheckpointRef(Path("run (1)/latest.pth"), FileState.OVERWRITTEN),
        CheckpointRef(Path("run (1)/netD (deleted since)"), FileState.DELETED),
        CheckpointRef(RemotePath("s3://bucket/netD (1).pt")),
    )
    skipped = (
        SkippedLayer("a", SkipReason.SHARED, "the same weight as b, counted once"),
        SkippedLayer("c", SkipReason.EXCLUDED),
    )
    trajectory = replace(
        series(layer_over_steps("a", [0.9, 0.8, 0.7])),
        series=SeriesId("netD (1)", "car (2)"),
        certainty=Certainty.INFERRED,
        checkpoints=refs,
        skipped=skipped,
    )
    assert read_history(write(tmp_path / "h.json", trajectory)) == (trajectory,)


def test_histories_of_the_first_edition_are_read(tmp_path: Path) -> None:
    """Paths that say what has become of them, certainty inside `why`, reasons as sentences alone."""
    entry = series_to_json(series(layer_over_steps("a", [0.9, 0.8])))
    for new in ("name", "run", "certainty", "states"):
        del entry[new]
    entry |= {
        "discriminator": "netD (car1)",
        "why": "inferred: its last layer has one output",
        "checkpoints": ["car1/latest.pth (overwritten since)", "car1/latest.pth"],
        "skipped": [
            {"name": "b", "reason": "excluded by --exclude"},
            {"name": "c", "reason": "int64 values are not a weight"},
            {"name": "d", "reason": "a 3×3 matrix is larger than is decomposed here"},
        ],
    }
    path = tmp_path / "h.json"
    path.write_text(json.dumps({"schema": HISTORY_VERSION, "series": [entry]}))
    (found,) = read_history(path)
    assert (found.discriminator, found.certainty, found.why) == (
        "netD (car1)",
        Certainty.INFERRED,
        "its last layer has one output",
    )
    assert [ref.state for ref in found.checkpoints] == [FileState.OVERWRITTEN, FileState.PRESENT]
    assert {ref.location for ref in found.checkpoints} == {Path("car1/latest.pth")}
    assert [item.reason.is_missed for item in found.skipped] == [False, False, True]
    assert [item.sentence for item in found.skipped] == [item["reason"] for item in entry["skipped"]]


def test_the_first_edition_reads_what_is_written_now() -> None:
    """Every entry it asks for is there, and of its kind: one text a checkpoint, one a reason."""
    trajectory = replace(
        series(layer_over_steps("a", [0.9, 0.8])), skipped=(SkippedLayer("b", SkipReason.SHARED, "the same as a"),)
    )
    entry = json.loads(json.dumps(series_to_json(trajectory)))
    assert all(isinstance(text, str) for text in entry["checkpoints"])
    assert [(item["name"], item["reason"]) for item in entry["skipped"]] == [("b", "the same as a")]
    assert entry["discriminator"] == str(trajectory.series)
