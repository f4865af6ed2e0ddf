"""The verb `train` as a user runs it: what it prints, refuses, and survives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from typer.testing import CliRunner

from spectral_doctor.cli import app
from spectral_doctor.cli.boundary import ExitCode

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
    assert finish(start(whole)) == (0, "")
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
