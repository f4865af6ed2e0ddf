"""`fix --mode trial` as a user runs it: tried side by side, the best to the end, and resumed to the bit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from spectral_doctor.cli.boundary import ExitCode
from tests.cli.test_control import SMALL, invoke, load, same, tensors

TRIAL = ["--mode", "trial", "--from", "20", "--steps", "20", "--restart", "warm_up=3", "--arms", "calm,restart"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run of `ring`, checkpoints at 0, 10, 20."""
    folder = tmp_path_factory.mktemp("source") / "run"
    assert invoke("train", "ring", "-o", folder, "--steps", "20", "--no-pictures", *SMALL).exit_code == 0
    return folder


@pytest.fixture(scope="module")
def tried(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trial of three arms, one after the other in this process."""
    folder = tmp_path_factory.mktemp("tried") / "out"
    result = invoke("fix", run, *TRIAL, "--workers", "1", "-o", folder)
    assert result.exit_code == 0, result.output
    assert "Keep: " in result.stdout
    assert "3 arms from step 20, 10 of 20 steps each." in result.stderr
    return folder


def test_the_arms_and_what_is_kept_are_written_down(tried: Path) -> None:
    """Every arm at the step of the choice; the best, the restart and `plain` at the end; a picture."""
    content = json.loads((tried / "trial.json").read_text())
    assert [(item["arm"], item["step"]) for item in content["arms"]] == [
        *(("plain", 30), ("calm", 30), ("restart", 30)),
    ]
    finished = {content["best"]: 40, content["best_by_score"]: 40, "restart": 40, "plain": 40}
    assert {item["arm"]: item["step"] for item in content["finished"]} == finished
    assert content["keep"] in finished
    assert (tried / "trial.png").read_bytes().startswith(b"\x89PNG")


def test_an_arm_is_the_treatment_by_itself(run: Path, tried: Path, tmp_path: Path) -> None:
    """What a trial trains is what `fix` with that mode trains over all the steps, to the bit; another arm is not."""
    single = ["fix", run, "--mode", "restart", "--restart", "warm_up=3", "--from", "20", "--steps", "20"]
    result = invoke(*single, "--no-control", "-o", tmp_path / "one")
    assert result.exit_code == 0, result.output
    assert same(tmp_path / "one" / "step-000030.pt", tried / "restart" / "step-000030.pt")
    decayed = invoke(*single, "--no-control", "--no-decay", "-o", tmp_path / "two")
    assert decayed.exit_code == 0, decayed.output
    assert not same(tmp_path / "two" / "step-000040.pt", tmp_path / "one" / "step-000040.pt")


def test_a_width_that_is_asked_for_is_that_of_the_restart(run: Path, tmp_path: Path) -> None:
    """What goes on from the run's own discriminator keeps it, up to the report; without a restart it does not fit."""
    wide = ["fix", run, *TRIAL, "--workers", "1", "--set", "discriminator_channels=24"]
    result = invoke(*wide, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    first = {
        arm: tensors(load(tmp_path / "out" / arm / "step-000030.pt")["discriminator"])[0].shape
        for arm in ("plain", "calm", "restart")
    }
    assert first == {"plain": (16, 2), "calm": (16, 2), "restart": (24, 2)}
    refused = invoke(*wide, "--arms", "calm", "-o", tmp_path / "no")
    assert refused.exit_code == ExitCode.USAGE
    assert "step-000020.pt: its discriminator is not the recipe's:" in " ".join(refused.output.split())


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_interrupted_trial_goes_on_to_the_same_bits(run: Path, tried: Path, tmp_path: Path, workers: str) -> None:
    """One arm lost its last checkpoint, one had not begun, none was at its end; in processes as well."""
    killed, ends = tmp_path / "killed", [path.relative_to(tried) for path in sorted(tried.glob("*/step-000040.pt"))]
    shutil.copytree(tried, killed)
    for name in ("trial.json", "trial.png", "plain/step-000030.pt", *map(str, ends)):
        (killed / name).unlink()
    shutil.rmtree(killed / "restart")
    result = invoke("fix", run, *TRIAL, "--workers", workers, "-o", killed, "--resume")
    assert result.exit_code == 0, result.output
    assert (killed / "trial.json").read_text() == (tried / "trial.json").read_text()
    for end in (*map(str, ends), "restart/step-000030.pt", "calm/step-000030.pt"):
        assert same(tried / end, killed / end)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--arms", "best"], "--arms best: expected 'plain', or 'calm'"),
        (["--share", "0"], "--share 0: expected above 0 and at most 1."),
        (["--beta1", "0"], "--decay, --beta1, --revive: a trial's arms have their own; leave them out."),
        (["--rate", "fast"], "--rate fast: expected 'own', 'safe', or a number above 0."),
        (["--resume"], "holds no checkpoint to resume from."),
    ],
)
def test_wrong_requests_are_usage_errors(run: Path, tmp_path: Path, arguments: list[str], sentence: str) -> None:
    """Exit 2, one sentence, nothing written."""
    result = invoke("fix", run, "--mode", "trial", *arguments, "-o", tmp_path / "x")
    assert result.exit_code == ExitCode.USAGE
    assert sentence in " ".join(result.output.split())
    assert not (tmp_path / "x").exists()


def test_arms_go_with_a_trial_alone(run: Path, tmp_path: Path) -> None:
    """Options of other modes are refused by name."""
    for option, value, home in (("--arms", "plain", "trial"), ("--restart", "gamma=1", "restart or trial")):
        result = invoke("fix", run, "--mode", "static", option, value, "-o", tmp_path / "x")
        assert result.exit_code == ExitCode.USAGE
        assert f"{option}: goes with --mode {home}." in result.output
