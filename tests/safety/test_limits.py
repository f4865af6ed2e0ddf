"""Limits: what each refuses, in a sentence with the way out; and that no file of the tests meets the defaults."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from spectral_doctor.checkpoints.limits import NAMES, VARIABLE, Deadline, Limits
from spectral_doctor.errors import UnsafeCheckpoint, UsageError
from spectral_doctor.inspection import inspect_paths
from tests.builders import save, small_discriminator


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two checkpoints, the second of which is larger: more bytes, tensors, and a longer name."""
    save(tmp_path, "netD_1.pt", {"netD": small_discriminator()})
    more = {f"more{number}.{'x' * 40}.bias": torch.zeros(1000) for number in range(20)}
    save(tmp_path, "netD_2.pt", {"netD": {**small_discriminator(), **more}})
    return tmp_path


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ("bytes=20000", "bytes, and the limit 'bytes' is 20000"),
        ("tensors=10", "it has 26 tensors, and the limit 'tensors' is 10"),
        ("name=20", "characters, 'netD.more0.xxxxxxxxxxxxxxxxxxxxxxxxxxxxx…', and the limit 'name' is 20"),
    ],
)
def test_what_is_over_a_limit_is_refused_and_the_rest_examined(
    run: Path, monkeypatch: pytest.MonkeyPatch, limit: str, sentence: str
) -> None:
    """The larger file is named, with the way out; the verdict is the other's."""
    monkeypatch.setenv(VARIABLE, limit)
    inspection = inspect_paths(run)
    (failure,) = inspection.failures
    assert failure.name == str(run / "netD_2.pt")
    assert sentence in failure.reason
    assert f"set {VARIABLE}={limit.partition('=')[0]}=NUMBER" in failure.reason
    assert inspection.diagnoses[0].trajectory.steps == (1,)


def test_without_limits_of_its_own_both_are_examined(run: Path) -> None:
    """The negative: nothing of the above is refused by the defaults."""
    assert inspect_paths(run).failures == ()


def test_a_matrix_over_the_limit_is_left_out_alone(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other layers of its network are examined."""
    monkeypatch.setenv(VARIABLE, "matrix=1000")
    trajectory = inspect_paths(run / "netD_1.pt").diagnoses[0].trajectory
    assert [layer.name for layer in trajectory.layers] == ["conv1", "head"]
    assert "more values than the limit 'matrix' of 1000" in trajectory.skipped[0].sentence


def test_a_file_that_takes_too_long_is_refused(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is asked for before every matrix."""
    monkeypatch.setenv(VARIABLE, "seconds=1e-9")
    with pytest.raises(UnsafeCheckpoint, match="examining it takes longer, and the limit 'seconds' is 1e-09"):
        inspect_paths(run / "netD_1.pt")


def test_a_deadline_counts_on_a_clock_that_never_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock may be set to whatever."""
    monkeypatch.setattr("time.time", lambda: 1e12)
    Limits(seconds=1000.0).deadline("D.pt").check()
    with pytest.raises(UnsafeCheckpoint):
        Deadline("D.pt", 1.0, 0.0).check()


@pytest.mark.parametrize(
    "text", ["bytes", "bytes=", "bytes=x", "bytes=0", "bytes=-1", "bytes=nan", "size=1", "bytes=inf"]
)
def test_a_limit_that_is_none_is_said(run: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """With the names that there are."""
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(UsageError, match="expected NAME=NUMBER with one of 'bytes', 'tensors', 'name', 'matrix'"):
        Limits.of({VARIABLE: text})


def test_the_limits_are_read_together() -> None:
    """Several with commas; what is not named keeps its default."""
    limits = Limits.of({VARIABLE: " bytes=2e9, seconds=60 ,"})
    assert limits == Limits(bytes=2e9, seconds=60.0)
    assert NAMES == ("bytes", "tensors", "name", "matrix", "seconds")


def test_shards_count_with_their_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small index of large files is a large checkpoint."""
    save_file(small_discriminator(), tmp_path / "netD-1.safetensors")
    index = tmp_path / "netD.safetensors.index.json"
    names = ", ".join(f'"{name}": "netD-1.safetensors"' for name in small_discriminator())
    index.write_text(f'{{"weight_map": {{{names}}}}}')
    assert inspect_paths(index).diagnoses
    monkeypatch.setenv(VARIABLE, "bytes=5000")
    with pytest.raises(UnsafeCheckpoint, match="limit 'bytes'"):
        inspect_paths(index)
