"""What a machine that fails leaves behind: torn files in a series, two writers of one file, a clock that goes back."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from spectral_doctor.checkpoints.writing import write_atomically
from spectral_doctor.cli import app
from spectral_doctor.cli.boundary import ExitCode, speaking_plainly
from spectral_doctor.following.follower import Follower
from spectral_doctor.training.folder import clear_torn, saved_states
from tests.builders import save, small_discriminator


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_torn_file_is_named_and_the_verdict_is_that_of_the_rest(tmp_path: Path, step: int, share: float) -> None:
    """Wherever in the series it lies and however much of it is left, also of the latest."""
    for number in (1, 2, 3):
        save(tmp_path, f"netD_{number}.pt", {"netD": small_discriminator(number)})
    path = tmp_path / f"netD_{step}.pt"
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    result = CliRunner().invoke(app, ["inspect", "--no-cache", str(tmp_path)])
    assert result.exit_code == 0
    assert f"netD_{step}.pt" in result.output
    assert "2 checkpoints" in result.output
    rest = [number for number in (1, 2, 3) if number != step]
    assert f"step {rest[0]}–{rest[1]}" in result.output


def test_a_half_written_state_of_ours_is_no_state(tmp_path: Path) -> None:
    """A temporary file is not found as one, and is cleared before the next run."""
    save(tmp_path, "step-000002.pt", {"a": 1})
    (tmp_path / ".step-000004.pt.abc.tmp").write_bytes(b"half")
    (tmp_path / ".step-000004.abc.tmp").mkdir()
    assert [path.name for path in saved_states(tmp_path)] == ["step-000002.pt"]
    clear_torn(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000002.pt"]


WRITE_OFTEN = """
import sys
from pathlib import Path
from spectral_doctor.checkpoints.writing import write_atomically
for _ in range(50):
    write_atomically(Path(sys.argv[1]), sys.argv[2].encode() * 100_000)
"""


def test_two_processes_that_write_one_file_leave_one_of_both_whole(tmp_path: Path) -> None:
    """A reader never sees a mixture, and nothing is left beside it."""
    path = tmp_path / "a.json"
    write_atomically(path, b"a" * 100_000)
    root = Path(__file__).parents[2]
    writers = [subprocess.Popen([sys.executable, "-c", WRITE_OFTEN, path, letter], cwd=root) for letter in "ab"]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        seen.add(path.read_bytes())
        time.sleep(0.001)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert seen | {path.read_bytes()} <= {b"a" * 100_000, b"b" * 100_000}
    assert list(tmp_path.iterdir()) == [path]


def test_a_clock_that_goes_back_leaves_no_file_waiting(tmp_path: Path) -> None:
    """As when the time is set: a file seen before settles as long after as any other."""
    now = [1e9]
    path = save(tmp_path, "netD_1.pt", {"netD": small_discriminator()})
    os.utime(path, (1e9, 1e9))
    follower = Follower(tmp_path, clock=lambda: now[0])
    assert follower.look().waiting == 1
    now[0] -= 3600.0
    assert follower.look().waiting == 1
    now[0] += 1.0
    assert follower.look().examined == (path,)


def test_a_folder_that_vanishes_while_it_is_watched_is_survived(tmp_path: Path) -> None:
    """What was seen stays, marked as deleted."""
    folder = tmp_path / "run"
    path = save(folder, "netD_1.pt", {"netD": small_discriminator()})
    os.utime(path, (1e9, 1e9))
    follower = Follower(folder)
    assert follower.look().examined == (path,)
    path.unlink()
    folder.rmdir()
    inspection = follower.inspection()
    assert "deleted" in str(inspection.diagnoses[0].trajectory.checkpoints[0])


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "error: out/a: No space left on device. Make room and run again; what was written before is"),
        (errno.EROFS, "error: out/a: Read-only file system. Name a place that can be written to; what was written"),
        (errno.EPIPE, ""),
        (errno.ENOTDIR, "internal error: NotADirectoryError: "),
    ],
)
def test_a_machine_that_fails_is_no_fault_of_ours(number: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence names the place and the way out; the negative: an error of another kind is said to be ours."""
    error = OSError(number, os.strerror(number), "out/a")
    with pytest.raises((typer.Exit, BrokenPipeError)) as caught, speaking_plainly():
        raise error
    assert capsys.readouterr().err.startswith(said)
    assert not isinstance(caught.value, typer.Exit) or caught.value.exit_code == ExitCode.UNREADABLE


def test_what_a_killed_run_did_not_take_away_is_taken_when_it_goes_on(tmp_path: Path) -> None:
    """Killed between the last state and the removal of the one before, with --keep 1; the last state stays as it is."""
    command = ["train", "ring", "-o", str(tmp_path), "--steps", "2", "--no-pictures", "--keep", "1"]
    command += ["--set", "save_every=1", "--set", "samples=64"]
    assert CliRunner().invoke(app, command).exit_code == 0
    (last,) = saved_states(tmp_path)
    content = last.read_bytes()
    (tmp_path / "step-000001.pt").write_bytes(content)
    assert CliRunner().invoke(app, [*command, "--resume"]).exit_code == 0
    assert {path.name: path.read_bytes() for path in saved_states(tmp_path)} == {"step-000002.pt": content}


def test_a_run_of_folders_that_was_killed_after_its_first_state_goes_on(tmp_path: Path) -> None:
    """The state of step 0 is there and is not written again; the end is that of a run that was never killed."""
    command = ["train", "ring", "--steps", "2", "--no-pictures", "--folders", "--set", "save_every=2", "-o"]
    command += [str(tmp_path / "whole"), "--set", "samples=64"]
    assert CliRunner().invoke(app, command).exit_code == 0
    (tmp_path / "killed").mkdir()
    (tmp_path / "whole" / "step-000000").replace(tmp_path / "killed" / "step-000000")
    command[command.index("-o") + 1] = str(tmp_path / "killed")
    result = CliRunner().invoke(app, [*command, "--resume"])
    assert result.exit_code == 0, result.output
    for name in ("generator.safetensors", "discriminator.safetensors"):
        ends = [(tmp_path / run / "step-000002" / name).read_bytes() for run in ("whole", "killed")]
        assert ends[0] == ends[1]
