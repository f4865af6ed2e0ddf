"""The verb `train` as a user runs it: what it prints, refuses, and survives."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from spectral_doctor.cli import app
from spectral_doctor.cli.boundary import ExitCode
from spectral_doctor.cli.live import LiveView
from spectral_doctor.gan.builtin import RECIPES
from spectral_doctor.gan.settings import Settings
from spectral_doctor.training.folder import RunFolder
from spectral_doctor.training.loop import train
from spectral_doctor.training.state import TrainingState
from tests.builders import tensorboard_tags

SMALL = ["--set", "batch_size=16", "--set", "generator_channels=8", "--set", "discriminator_channels=8"]
SMALL += ["--set", "samples=50", "--set", "save_every=50"]


def test_recipes_are_listed_with_their_settings() -> None:
    """Every recipe by name, and every setting that `--set` takes."""
    output = CliRunner().invoke(app, ["recipes"]).stdout
    for name in ("ring", "grid", "stacked-glyphs", "learning_rate_discriminator=", "spectral_norm="):
        assert name in output


def test_a_run_prints_its_measured_modes_and_can_be_inspected(tmp_path: Path) -> None:
    """One line a checkpoint; `inspect` reads the folder."""
    result = CliRunner().invoke(app, ["train", "ring", "-o", str(tmp_path / "run"), "--steps", "100", *SMALL])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["step 0", "step 50", "step 100"]
    assert "of 8 modes, KL to uniform" in lines[-1]
    assert ", solid modes " in lines[-1]
    assert CliRunner().invoke(app, ["inspect", str(tmp_path / "run")]).exit_code == 0


def test_wrong_requests_are_usage_errors(tmp_path: Path) -> None:
    """An unknown recipe, a run that is there already, nothing to resume, a setting without a value."""
    folder = str(tmp_path / "run")
    assert CliRunner().invoke(app, ["train", "rings", "-o", folder]).exit_code == ExitCode.USAGE
    assert CliRunner().invoke(app, ["train", "ring", "-o", folder, "--resume"]).exit_code == ExitCode.USAGE
    assert CliRunner().invoke(app, ["train", "ring", "-o", folder, "--set", "steps"]).exit_code == ExitCode.USAGE
    assert CliRunner().invoke(app, ["train", "ring", "-o", folder, "--steps", "1", *SMALL]).exit_code == 0
    again = CliRunner().invoke(app, ["train", "ring", "-o", folder, "--steps", "1", *SMALL])
    assert again.exit_code == ExitCode.USAGE
    assert "holds a run already: add --resume to go on" in again.output


def start(folder: Path, *extra: str, steps: int = 400) -> subprocess.Popen[str]:
    """Start a run of small steps in a process of its own."""
    command = [sys.executable, "-m", "spectral_doctor", "train", "ring", "-o", str(folder), "--steps", str(steps)]
    return subprocess.Popen([*command, *SMALL, *extra], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a run to end and return its exit code and what it said on stderr."""
    _, stderr = process.communicate(timeout=120)
    return process.returncode, stderr


def wait_for(folder: Path, step: int) -> None:
    """Wait until a checkpoint is there, two minutes at most."""
    deadline = time.monotonic() + 120
    while not (folder / f"step-{step:06d}.pt").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_killed_run_resumes_to_the_same_bits(tmp_path: Path) -> None:
    """`kill -9` in the middle, `--resume`, and the last checkpoint is that of a run never stopped."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert finish(start(whole)) == (0, f"Next: spectral-doctor inspect {whole}\n")
    process = start(killed)
    wait_for(killed, 100)
    process.send_signal(signal.SIGKILL)
    assert finish(process)[0] == -signal.SIGKILL
    assert finish(start(killed, "--resume"))[0] == 0
    one, two = (torch.load(folder / "step-000400.pt", weights_only=True) for folder in (whole, killed))
    for part in ("generator", "discriminator"):
        assert all(torch.equal(one[part][key], two[part][key]) for key in one[part])
    assert not list(killed.glob(".*"))


def test_a_terminated_run_saves_and_exits_with_143(tmp_path: Path) -> None:
    """SIGTERM, as a scheduler sends it: the step is finished and saved."""
    process = start(tmp_path / "run", steps=1_000_000)
    wait_for(tmp_path / "run", 50)
    os.kill(process.pid, signal.SIGTERM)
    code, stderr = finish(process)
    assert code == 143
    assert "stopped by a signal after step" in stderr


def test_torchrun_trains_one_run_with_two_processes(tmp_path: Path) -> None:
    """Rank 0 alone writes and reports; the run is one series with the trajectory of one process."""
    run = tmp_path / "run"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "spectral_doctor", "train", "ring", "-o", str(run), "--steps", "50", *SMALL]
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=180, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert result.returncode == 0, result.stderr
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == ["step 0", "step 50"]
    assert finish(start(tmp_path / "alone", steps=50))[0] == 0
    together = torch.load(run / "step-000050.pt", weights_only=True)["discriminator"]
    alone = torch.load(tmp_path / "alone" / "step-000050.pt", weights_only=True)["discriminator"]
    for key, value in together.items():
        torch.testing.assert_close(value, alone[key], rtol=1e-3, atol=1e-4)


def test_trackers_and_pictures_get_every_checkpoint(tmp_path: Path) -> None:
    """A function of the user's is called with step and numbers; samples lie beside the checkpoints."""
    (tmp_path / "mine.py").write_text(
        "def track(step, values):\n    print('tracked', step, sorted(values)[:2])\n", encoding="utf-8"
    )
    arguments = ["train", "ring", "-o", str(tmp_path / "run"), "--steps", "50", *SMALL]
    result = CliRunner().invoke(app, [*arguments, "--tracker", f"{tmp_path / 'mine.py'}:track"])
    assert result.exit_code == 0, result.output
    assert "tracked 50 ['high_quality_fraction', 'kl']" in result.stdout
    pictures = sorted(path.name for path in (tmp_path / "run" / "samples").iterdir())
    assert pictures == ["step-000000.png", "step-000050.png"]
    refused = CliRunner().invoke(app, [*arguments, "--resume", "--tracker", f"{tmp_path / 'mine.py'}:nobody"])
    assert refused.exit_code == ExitCode.USAGE


def test_samples_that_were_not_drawn_before_a_stop_are_drawn_on_resuming(tmp_path: Path) -> None:
    """To the bit, of the last checkpoint, for a run that is at its end too; not with `--no-pictures`."""
    arguments = ["train", "ring", "-o", str(tmp_path / "run"), "--steps", "1", *SMALL]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    picture = tmp_path / "run" / "samples" / "step-000001.png"
    drawn = picture.read_bytes()
    picture.unlink()
    assert CliRunner().invoke(app, [*arguments, "--resume", "--no-pictures"]).exit_code == 0
    assert not picture.exists()
    assert CliRunner().invoke(app, [*arguments, "--resume"]).exit_code == 0
    assert picture.read_bytes() == drawn


def test_tensorboard_has_the_numbers_and_the_samples(tmp_path: Path) -> None:
    """Scalars of every checkpoint, and the samples as pictures."""
    pytest.importorskip("tensorboard")
    arguments = ["train", "ring", "-o", str(tmp_path / "run"), "--steps", "1", "--tensorboard", *SMALL]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    scalars, images = tensorboard_tags(tmp_path / "run" / "tensorboard")
    assert {"modes_captured", "loss/discriminator"} <= scalars
    assert images == {"samples"}


def test_tensorboard_without_the_package_names_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra that brings it; nothing is trained."""
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    arguments = ["train", "ring", "-o", str(tmp_path / "run"), "--steps", "1", "--tensorboard", *SMALL]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == ExitCode.USAGE
    assert "the tracker tensorboard needs tensorboard: pip install 'spectral-doctor[tensorboard]'\n" in result.output


def test_a_full_disk_ends_a_run_with_a_sentence_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was saved before stays whole and there is no torn file; --resume goes on."""
    original = os.fsync
    calls = []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) > 4:
            raise OSError(28, "No space left on device")
        original(handle)

    monkeypatch.setattr(os, "fsync", full)
    arguments = ["train", "ring", "-o", str(tmp_path / "run"), "--steps", "150", "--no-pictures", *SMALL]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == ExitCode.UNREADABLE
    assert "a checkpoint cannot be written: No space left on device" in result.output
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["step-000000.pt", "step-000050.pt"]
    monkeypatch.undo()
    assert CliRunner().invoke(app, [*arguments, "--resume"]).exit_code == 0


def test_in_a_terminal_there_is_a_live_view(tmp_path: Path) -> None:
    """Every layer with σ1, plateau and trend, and a bar of steps."""
    console = Console(force_terminal=True, width=100, file=io.StringIO())
    state = TrainingState.fresh(RECIPES["ring"].build(Settings(steps=2, save_every=1, samples=50)), seed=0)
    with LiveView(2, console) as view:
        train(state, RunFolder(tmp_path), view.saved, view.step)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    for expected in ("body.2", "σk/σ1", "2/2", "step 2: ", "D(real)", "loss D"):
        assert expected in text


def test_folders_are_a_series_too(tmp_path: Path) -> None:
    """--folders writes safetensors, --keep drops the oldest, and `inspect` reads what is left."""
    arguments = ["train", "ring", "-o", str(tmp_path / "run"), "--steps", "150", "--no-pictures", "--folders"]
    assert CliRunner().invoke(app, [*arguments, "--keep", "2", *SMALL]).exit_code == 0
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert names == ["step-000100", "step-000150"]
    inspected = CliRunner().invoke(app, ["inspect", str(tmp_path / "run")])
    assert inspected.exit_code == 0
    assert "2 checkpoints, step 100–150" in inspected.stdout
