"""A folder that is being written into: nothing half, nothing twice, nothing forgotten."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from spectral_doctor.checkpoints.opening import Candidate
from spectral_doctor.checkpoints.runs import step_pattern
from spectral_doctor.checkpoints.writing import write_atomically
from spectral_doctor.following import follower as following
from spectral_doctor.following.follower import Follower, signature
from spectral_doctor.records import CheckpointRef
from spectral_doctor.state_dicts.loading import load_checkpoint
from tests.builders import save, small_discriminator


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


def moved(seed: int) -> dict[str, Tensor]:
    """The small discriminator with other weights."""
    random = torch.Generator().manual_seed(seed)
    return {
        name: tensor + 0.01 * torch.randn(tensor.shape, generator=random)
        for name, tensor in small_discriminator().items()
    }


def put(folder: Path, name: str, tensors: Mapping[str, object], clock: Clock, age: float = 100.0) -> Path:
    """A checkpoint that was last changed so many seconds ago."""
    path = save(folder, name, tensors)
    os.utime(path, (clock.now - age, clock.now - age))
    return path


def _shown(ref: CheckpointRef) -> str:
    return ref.name if ref.is_present else f"{ref.name} ({ref.state.value})"


def steps(follower: Follower) -> list[tuple[tuple[int, ...], tuple[str, ...]]]:
    """Of every series the steps and the names of the checkpoints."""
    return [
        (item.trajectory.steps, tuple(_shown(ref) for ref in item.trajectory.checkpoints))
        for item in follower.inspection().diagnoses
    ]


@pytest.fixture
def clock() -> Clock:
    """The clock of a test."""
    return Clock()


def test_a_file_is_examined_once(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has been examined is not opened again; what is new is."""
    opened: list[str] = []

    def counting(found: Candidate, **options: object) -> object:
        opened.append(found.ref.name)
        return load_checkpoint(found, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(following, "load_checkpoint", counting)
    follower = Follower(tmp_path, clock=clock)
    assert follower.look().inspection.diagnoses == ()
    put(tmp_path, "netD_1.pth", moved(1), clock)
    assert [path.name for path in follower.look().examined] == ["netD_1.pth"]
    put(tmp_path, "netD_2.pth", moved(2), clock)
    assert [path.name for path in follower.look().examined] == ["netD_2.pth"]
    assert follower.look().examined == ()
    assert opened == ["netD_1.pth", "netD_2.pth"]
    assert steps(follower) == [((1, 2), ("netD_1.pth", "netD_2.pth"))]


def test_a_file_that_is_being_written_is_left_alone(tmp_path: Path, clock: Clock) -> None:
    """A half file is neither examined nor called unreadable; when it is whole and still, it is examined."""
    whole = save(tmp_path / "elsewhere", "netD_1.pth", moved(1)).read_bytes()
    folder = tmp_path / "run"
    folder.mkdir()
    path = folder / "netD_1.pth"
    follower = Follower(folder, settle=1.0, clock=clock)
    for part in (1000, len(whole) // 2, len(whole)):
        path.write_bytes(whole[:part])
        os.utime(path, (clock.now, clock.now))
        look = follower.look()
        assert (look.examined, look.waiting, look.inspection.failures) == ((), 1, ())
        clock.now += 0.5
    clock.now += 0.6
    look = follower.look()
    assert (look.examined, look.waiting, look.inspection.failures) == ((path,), 0, ())


def test_a_file_whose_clock_is_ahead_settles_too(tmp_path: Path, clock: Clock) -> None:
    """A disk with another clock: what counts then is that nothing changes from look to look."""
    path = put(tmp_path, "netD_1.pth", moved(1), clock, age=-3600.0)
    follower = Follower(tmp_path, settle=1.0, clock=clock)
    assert follower.look().waiting == 1
    clock.now += 1.0
    assert follower.look().examined == (path,)


def test_our_own_temporary_files_are_never_opened(tmp_path: Path, clock: Clock) -> None:
    """`.name.….tmp` becomes a checkpoint by being renamed."""
    put(tmp_path, ".netD_1.pth.abc.tmp", moved(1), clock)
    (tmp_path / ".step-000001.x.tmp").mkdir()
    put(tmp_path / ".step-000001.x.tmp", "netD.pth", moved(2), clock)
    follower = Follower(tmp_path, clock=clock)
    look = follower.look()
    assert (look.examined, look.waiting, look.inspection.diagnoses) == ((), 0, ())


def test_a_file_that_is_overwritten_leaves_its_spectra(tmp_path: Path, clock: Clock) -> None:
    """`latest.pth`, again and again: a series of all its states, of which only the last can be resumed from."""
    follower = Follower(tmp_path, clock=clock)
    for step in (10, 20, 30):
        put(tmp_path, "latest.pth", {"step": step, "netD": moved(step)}, clock, age=100.0 - step)
        assert len(follower.look().examined) == 1
    assert steps(follower) == [
        (
            (10, 20, 30),
            ("latest.pth (overwritten since)", "latest.pth (overwritten since)", "latest.pth"),
        )
    ]
    (tmp_path / "latest.pth").unlink()
    assert steps(follower)[0][1][-1] == "latest.pth (deleted since)"


def test_a_file_without_a_step_is_ordered_by_its_time(tmp_path: Path, clock: Clock) -> None:
    """Nothing in it tells the step: the states are counted."""
    follower = Follower(tmp_path, clock=clock)
    for seed in (1, 2):
        put(tmp_path, "latest_net_D.pth", moved(seed), clock, age=100.0 - seed)
        follower.look()
    (series,) = follower.inspection().diagnoses
    assert (series.trajectory.steps, series.trajectory.step_unit) == ((1, 2), "checkpoint")


def test_the_same_weights_written_again_are_no_new_state(tmp_path: Path, clock: Clock) -> None:
    """Otherwise a copy would look like a discriminator that does not train."""
    folder = tmp_path / "run"
    folder.mkdir()
    follower = Follower(folder, clock=clock)
    for age in (100.0, 50.0):
        put(folder, "latest_net_D.pth", moved(1), clock, age=age)
        follower.look()
    (series,) = follower.inspection().diagnoses
    assert series.trajectory.steps == (1,)
    assert series.trajectory.checkpoints == (CheckpointRef(folder / "latest_net_D.pth"),)
    assert series.findings == ()


def test_a_change_during_the_copy_waits_for_the_next_look(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never half of the old file and half of the new one; and a file that vanishes is no error."""
    path = put(tmp_path, "netD_1.pth", moved(1), clock)
    follower = Follower(tmp_path, clock=clock)
    real = shutil.copy2

    def overwritten(source: Path, target: Path) -> None:
        real(source, target)
        put(tmp_path, "netD_1.pth", moved(2), clock, age=50.0)

    monkeypatch.setattr(shutil, "copy2", overwritten)
    look = follower.look()
    assert (look.examined, look.waiting) == ((), 1)

    def vanished(source: Path, target: Path) -> None:
        source.unlink()
        raise FileNotFoundError

    monkeypatch.setattr(shutil, "copy2", vanished)
    assert follower.look().examined == ()
    monkeypatch.setattr(shutil, "copy2", real)
    put(tmp_path, "netD_1.pth", moved(3), clock)
    assert follower.look().examined == (path,)


def test_a_copy_that_cannot_be_made_is_said(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is no reason to wait for ever without a word."""
    path = put(tmp_path, "netD_1.pth", moved(1), clock)

    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copy2", full)
    look = Follower(tmp_path, clock=clock).look()
    assert look.waiting == 0
    assert tuple(map(str, look.inspection.failures)) == (
        f"{path}: cannot be read: copying it says: No space left on device.",
    )


def test_a_file_cut_off_under_the_reader_does_not_end_the_process(tmp_path: Path, clock: Clock) -> None:
    """A memory-mapped file that shrinks kills its reader; here a copy is read, and the copy is gone afterwards."""
    import tempfile

    path = put(tmp_path, "netD_1.pth", moved(1), clock)
    before = set(Path(tempfile.gettempdir()).glob("spectral-doctor-*"))
    follower = Follower(tmp_path, clock=clock)
    follower.look()
    path.write_bytes(b"")
    assert len(follower.inspection().diagnoses) == 1
    assert set(Path(tempfile.gettempdir()).glob("spectral-doctor-*")) <= before


def test_a_torn_file_is_named_and_looked_at_again_when_it_changes(tmp_path: Path, clock: Clock) -> None:
    """Torn and still: a failure, told under its own path; whole again: none any more."""
    path = put(tmp_path, "netD_1.pth", moved(1), clock)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    os.utime(path, (clock.now - 60, clock.now - 60))
    put(tmp_path, "netD_2.pth", moved(2), clock)
    follower = Follower(tmp_path, clock=clock)
    (failure,) = follower.look().inspection.failures
    assert str(failure) == (
        f"{path}: cannot be read: a zip file without its end, as when copying or saving was interrupted."
    )
    assert follower.look().waiting == 0
    path.write_bytes(whole)
    os.utime(path, (clock.now - 50, clock.now - 50))
    assert follower.look().inspection.failures == ()
    assert steps(follower)[0][0] == (1, 2)


def test_a_refused_file_is_named_by_its_own_path(tmp_path: Path, clock: Clock) -> None:
    """Not by that of the copy; and nothing in it is run."""
    from tests import hostile

    path = hostile.only_code_zip(tmp_path / "netD.pt", tmp_path / "canary")
    os.utime(path, (clock.now - 50, clock.now - 50))
    (failure,) = Follower(tmp_path, clock=clock).look().inspection.failures
    assert str(failure).startswith(f"{path}: refused: it contains")
    assert not (tmp_path / "canary").exists()


def test_a_link_stands_for_its_file(tmp_path: Path, clock: Clock) -> None:
    """`latest.pth` moves from step to step, and no state is examined twice."""
    follower = Follower(tmp_path, clock=clock)
    for step in (1, 2):
        target = put(tmp_path, f"netD_{step}.pth", moved(step), clock)
        (tmp_path / "latest.pth").unlink(missing_ok=True)
        (tmp_path / "latest.pth").symlink_to(target)
        assert follower.look().examined == (target,)
    assert steps(follower) == [((1, 2), ("netD_1.pth", "netD_2.pth"))]


def test_the_step_may_be_in_the_folder(tmp_path: Path, clock: Clock) -> None:
    """The copy lies in a folder of the same name."""
    follower = Follower(tmp_path, clock=clock)
    for step in (1, 2):
        put(tmp_path / f"step-{step}", "netD.pth", moved(step), clock)
    follower.look()
    assert steps(follower) == [((1, 2), ("netD.pth", "netD.pth"))]


def test_a_look_can_be_ended_early(tmp_path: Path, clock: Clock) -> None:
    """A signal is not kept waiting by many files."""
    for step in (1, 2, 3):
        put(tmp_path, f"netD_{step}.pth", moved(step), clock)
    asked: list[bool] = []

    def stopped() -> bool:
        asked.append(True)
        return len(asked) > 1

    assert len(Follower(tmp_path, clock=clock).look(stopped).examined) == 1


def test_a_signature_changes_with_every_part(tmp_path: Path) -> None:
    """A folder's is that of all its files, an index's that of its shards too; what is gone has none."""
    folder = tmp_path / "d"
    folder.mkdir()
    shard, index = folder / "odd.safetensors", folder / "model.safetensors.index.json"
    shard.write_bytes(b"1")
    (folder / "other.safetensors").write_bytes(b"1")
    index.write_text(json.dumps({"weight_map": {"D.weight": shard.name}}))
    before = signature(folder), signature(index)
    write_atomically(shard, b"22")
    after = signature(folder), signature(index)
    assert before[0] != after[0]
    assert before[1] != after[1]
    write_atomically(folder / "other.safetensors", b"22")
    assert signature(index) == after[1]
    assert signature(tmp_path / "no") == ()


def test_shards_are_copied_with_their_index(tmp_path: Path, clock: Clock) -> None:
    """An index and its shards are one checkpoint, examined once, and again when a shard changes."""
    tensors = moved(1)
    names = {key: f"part-{place % 2}.bin" for place, key in enumerate(tensors)}
    for shard in set(names.values()):
        put(tmp_path, shard, {f"netD.{key}": tensors[key] for key in tensors if names[key] == shard}, clock)
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": {f"netD.{key}": name for key, name in names.items()}}))
    os.utime(index, (clock.now - 60, clock.now - 60))
    follower = Follower(tmp_path, clock=clock)
    assert follower.look().examined == (index,)
    assert follower.look().examined == ()
    (series,) = follower.inspection().diagnoses
    assert len(series.trajectory.layers) == 3
    put(tmp_path, "part-0.bin", {f"netD.{k}": 2 * tensors[k] for k in tensors if names[k] == "part-0.bin"}, clock, 9.0)
    assert follower.look().examined == (index,)


def test_an_overwritten_state_is_never_advice(tmp_path: Path, clock: Clock) -> None:
    """A run that overwrites `latest.pth` cannot go back to what was in it: only what is present is advised."""
    follower = Follower(tmp_path, clock=clock)
    for step in (10, 20, 30):
        put(tmp_path, "latest.pth", {"step": step, "netD": moved(step)}, clock, age=100.0 - step)
        follower.look()
    (series,) = follower.inspection().diagnoses
    assert [ref.is_present for ref in series.trajectory.checkpoints] == [False, False, True]
    assert series.resume_from == CheckpointRef(tmp_path / "latest.pth")
    put(tmp_path, "latest.pth", {"step": 40, "netD": moved(40)}, clock, age=1.0)
    (series,) = follower.inspection().diagnoses
    assert [ref.is_present for ref in series.trajectory.checkpoints] == [False, False, False]
    assert series.resume_from is None


def test_the_step_may_be_told_by_a_pattern(tmp_path: Path, clock: Clock) -> None:
    """`watch --step` as `inspect --step`."""
    for number in (3, 1, 2):
        put(tmp_path, f"x{number}_netD_7.pth", moved(number), clock)
    follower = Follower(tmp_path, step=step_pattern(r"x(\d+)_"), clock=clock)
    follower.look()
    assert [found[0] for found in steps(follower)] == [(1, 2, 3)]
