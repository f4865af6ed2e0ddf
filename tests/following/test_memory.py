"""What has been seen, written and read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spectral_doctor.errors import UnreadableCheckpoint
from spectral_doctor.following.follower import Follower
from spectral_doctor.following.memory import observations_to_json, read_observations
from spectral_doctor.report.document import inspection_document, json_pieces
from spectral_doctor.trajectory.history import HISTORY_VERSION
from tests.following.test_follower import Clock, moved, put


def seen(folder: Path) -> Follower:
    """A follower that has seen two states of one file, one of them with NaN, and another file."""
    clock = Clock()
    follower = Follower(folder, clock=clock)
    for step in (1, 2):
        tensors = moved(step)
        if step == 2:
            tensors["conv1.weight"][0, 0, 0, 0] = float("nan")
        put(folder, "latest.pth", {"step": step, "netD": tensors}, clock, age=100.0 - step)
        put(folder, "netD_7.pth", moved(7), clock)
        follower.look()
    return follower


def written(path: Path, observations: Any) -> Path:
    """A history with those observations."""
    path.write_text(json.dumps({"schema": HISTORY_VERSION, "series": [], "observations": observations}))
    return path


def test_everything_comes_back(tmp_path: Path) -> None:
    """Every observation is equal to what was written: signatures, clues, spectra to the last bit, NaN as none."""
    folder = tmp_path / "run"
    folder.mkdir()
    follower = seen(folder)
    assert len(follower.observations) == 3
    path = written(tmp_path / "history.json", list(observations_to_json(follower.observations)))
    assert list(read_observations(path)) == follower.observations


def test_a_clipped_layer_stays_clipped(tmp_path: Path) -> None:
    """The share of weights at the bound comes back, so that a second look says what the first said."""
    folder, clock = tmp_path / "run", Clock()
    folder.mkdir()
    tensors = {name: tensor.clamp(-0.01, 0.01) for name, tensor in moved(1).items()}
    put(folder, "netD_1.pth", tensors, clock)
    follower = Follower(folder, clock=clock)
    follower.look()
    shares = [layer.at_bound for item in follower.observations for layer in item.examination.layers]
    assert min(shares) > 0.5
    path = written(tmp_path / "history.json", list(observations_to_json(follower.observations)))
    later = Follower(folder, clock=clock, observations=read_observations(path))
    assert [layer.at_bound for item in later.observations for layer in item.examination.layers] == shares
    assert later.inspection().diagnoses == follower.inspection().diagnoses


def test_memories_of_the_first_edition_are_read(tmp_path: Path) -> None:
    """Paths as texts, certainty inside `why`, the run's folder and name beside them."""
    folder = tmp_path / "run"
    folder.mkdir()
    follower = seen(folder)
    entries = list(observations_to_json(follower.observations))
    for entry in entries:
        entry |= {"run_folder": str(folder), "run_name": "latest"}
        series = entry["series"]
        series["why"] = f"{series.pop('certainty')}: {series['why']}"
        for new in ("name", "run", "states"):
            del series[new]
        for item in series["skipped"]:
            del item["kind"]
    path = written(tmp_path / "history.json", entries)
    assert list(read_observations(path)) == follower.observations


def test_a_later_follower_goes_on_and_reads_nothing_again(tmp_path: Path) -> None:
    """The same diagnoses, without a file opened; a new state is added to them."""
    folder = tmp_path / "run"
    folder.mkdir()
    first = seen(folder)
    path = written(tmp_path / "history.json", list(observations_to_json(first.observations)))
    clock = Clock()
    later = Follower(folder, clock=clock, observations=read_observations(path))
    assert later.look().examined == ()
    assert later.inspection().diagnoses == first.inspection().diagnoses
    new = put(folder, "latest.pth", {"step": 3, "netD": moved(3)}, clock, age=50.0)
    assert later.look().examined == (new,)
    assert 3 in {step for item in later.inspection().diagnoses for step in item.trajectory.steps}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"path": None}, "no history that watch wrote: "),
        ({"signature": [[1]]}, "no history that watch wrote: not enough values to unpack"),
        ({"step_clues": 3}, "no history that watch wrote: 'int' object is not iterable"),
        ({"series": {}}, "no history that watch wrote, without the entry 'steps'. Name a new file for --history."),
    ],
)
def test_a_damaged_entry_is_an_error(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    """Never half taken over."""
    folder = tmp_path / "run"
    folder.mkdir()
    first, *rest = observations_to_json(seen(folder).observations)
    path = written(tmp_path / "history.json", [first | change, *rest])
    with pytest.raises(UnreadableCheckpoint) as error:
        read_observations(path)
    assert str(error.value).startswith(f"{path}: cannot be read: {sentence}")


def test_another_schema_is_not_read(tmp_path: Path) -> None:
    """Named, with the one that is."""
    path = tmp_path / "history.json"
    path.write_text('{"schema": "spectral-doctor/history/99", "observations": []}')
    with pytest.raises(UnreadableCheckpoint, match="its schema is 'spectral-doctor/history/99', this version reads"):
        read_observations(path)
    with pytest.raises(UnreadableCheckpoint, match="cannot be read: No such file or directory"):
        read_observations(tmp_path / "no.json")


def test_a_series_is_kept_in_little_more_than_its_values(tmp_path: Path) -> None:
    """What a diagnosis measures stays as single numbers beside the singular values, not as copies of them.

    A watcher follows a run for days. The negative: one kept copy of every spectrum would be found here.
    """
    follower = seen(tmp_path)
    spectra = [layer.spectrum for item in follower.observations for layer in item.examination.layers if layer.spectrum]
    assert spectra
    follower.inspection()
    inspection_document(follower.inspection())
    held = [value for spectrum in spectra for name, value in vars(spectrum).items() if name != "values"]
    assert held
    assert not [value for value in held if not isinstance(value, float)]


def test_a_history_is_written_piece_by_piece(tmp_path: Path) -> None:
    """The pieces together are what `json` writes; none is longer than the values of one layer at one checkpoint."""
    follower = seen(tmp_path)
    inspection = follower.inspection()
    document = {**inspection_document(inspection), "observations": list(observations_to_json(follower.observations))}
    pieces = list(json_pieces({**document, "observations": iter(document["observations"])}))
    assert "".join(pieces) == json.dumps(document, allow_nan=False)
    values = [values for item in document["series"] for layer in item["layers"] for values in layer["singular_values"]]
    longest = max(len(json.dumps(item)) for item in values)
    assert longest <= max(map(len, pieces)) <= max(longest, 1000)
