"""The verb `fix` as a user runs it: one file rewritten, a run resumed, and every way it says no."""

from __future__ import annotations

import copy
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from typer.testing import CliRunner, Result

from spectral_doctor.cli import app
from spectral_doctor.cli.boundary import ExitCode
from spectral_doctor.inspection import inspect_paths
from spectral_doctor.training.folder import saved_states
from spectral_doctor.trajectory.records import SpectralTrajectory
from tests import stylegan

SMALL = ["--set", "batch_size=16", "--set", "generator_channels=8", "--set", "discriminator_channels=16"]
SMALL += ["--set", "samples=50", "--set", "save_every=10", "--set", "spectral_norm=true"]


def invoke(*arguments: str | Path) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run of `ring`, checkpoints at 0, 10, …, 40."""
    folder = tmp_path_factory.mktemp("source") / "run"
    assert invoke("train", "ring", "-o", folder, "--steps", "40", "--no-pictures", *SMALL).exit_code == 0
    return folder


def trajectory(path: Path) -> SpectralTrajectory:
    """The one series of a file, or of a run's folder without the control below it."""
    (diagnosis,) = inspect_paths(saved_states(path) if path.is_dir() else [path]).diagnoses
    return diagnosis.trajectory


def test_one_shot_raises_the_last_checkpoint_and_leaves_the_run(run: Path, tmp_path: Path) -> None:
    """Half of the values become σ1; the input keeps its bytes; the copy can be inspected."""
    before = {path.name: path.read_bytes() for path in run.glob("*.pt")}
    result = invoke("fix", run, "--mode", "static", "--weights-only", "-o", tmp_path / "fixed.pt")
    assert result.exit_code == 0, result.output
    assert f"written: {tmp_path / 'fixed.pt'}" in result.stdout
    assert {path.name: path.read_bytes() for path in run.glob("*.pt")} == before
    (layer,) = [item for item in trajectory(tmp_path / "fixed.pt").layers if item.identity.rank == 16]
    assert layer.spectra[0] is not None
    np.testing.assert_allclose(layer.spectra[0].relative[:8], 1.0, atol=1e-5)
    assert layer.spectra[0].relative[8] < 0.999


def test_one_shot_dynamic_takes_the_envelope_of_the_series(run: Path, tmp_path: Path) -> None:
    """No σ_j/σ1 of the copy is below the best of the five checkpoints."""
    result = invoke("fix", run, "--mode", "dynamic", "--weights-only", "-o", tmp_path / "fixed.pt")
    assert result.exit_code == 0, result.output
    assert "Envelope: the best of 5 checkpoints." in result.stdout
    envelopes = {layer.name: layer.envelopes[-1] for layer in trajectory(run).layers}
    for layer in trajectory(tmp_path / "fixed.pt").layers:
        assert layer.spectra[0] is not None
        np.testing.assert_allclose(layer.spectra[0].relative, envelopes[layer.name], atol=1e-5)


def test_one_checkpoint_alone_takes_the_envelope_of_fresh_layers(run: Path, tmp_path: Path) -> None:
    """And says so."""
    result = invoke("fix", run / "step-000040.pt", "--mode", "dynamic", "--weights-only", "-o", tmp_path / "fixed.pt")
    assert result.exit_code == 0, result.output
    assert "freshly initialised layers of the same shapes" in " ".join(result.stdout.split())


def test_a_dry_run_says_what_would_be_raised(run: Path) -> None:
    """The table, and nothing is written."""
    before = sorted(run.iterdir())
    result = invoke("fix", run, "--mode", "static", "--dry-run")
    assert result.exit_code == 0
    assert "7 of 16" in result.stdout
    assert "nothing written (dry run)" in result.stdout
    assert re.fullmatch(r"Next: spectral-doctor inspect \S+\.pt --witness", result.stdout.splitlines()[-1])
    assert sorted(run.iterdir()) == before


def test_the_input_is_never_overwritten(run: Path) -> None:
    """The same path as output is refused."""
    last = run / "step-000040.pt"
    before = last.read_bytes()
    result = invoke("fix", last, "--mode", "static", "--weights-only", "-o", last)
    assert result.exit_code == ExitCode.USAGE
    assert "the output is the input, which is never overwritten" in result.output
    assert last.read_bytes() == before


def test_a_resumed_treatment_reports_before_and_after(run: Path, tmp_path: Path) -> None:
    """The series goes on from the checkpoint named, treated, and both are put beside each other."""
    result = invoke("fix", run, "--mode", "static", "--steps", "20", "--from", "20", "-o", tmp_path / "fixed")
    assert result.exit_code == 0, result.output
    assert "Resuming from" in result.stderr
    assert "named with --from" in " ".join(result.stderr.split())
    assert [
        line.split()[0] for line in result.stdout.splitlines() if line.split()[:1] in (["spectrum"], ["modes"])
    ] == [
        "spectrum",
        "modes",
        "modes",
    ]
    treated = trajectory(tmp_path / "fixed")
    assert treated.steps == (20, 30, 40)
    (layer,) = [item for item in treated.layers if item.identity.rank == 16]
    assert layer.spectra[-1] is not None
    np.testing.assert_allclose(layer.spectra[-1].relative[:8], 1.0, atol=1e-5)


@pytest.mark.parametrize("mode", ["static", "dynamic"])
@pytest.mark.parametrize("apply", ["projection", "parametrization"])
def test_a_killed_treatment_resumes_to_the_same_bits(run: Path, tmp_path: Path, mode: str, apply: str) -> None:
    """`kill -9` in the middle, `--resume`, and the end is that of a treatment never stopped."""
    steps = "120" if apply == "projection" else "60"
    arguments = ["fix", str(run), "--mode", mode, "--apply", apply, "--steps", steps, "--from", "20"]
    assert invoke(*arguments, "-o", tmp_path / "whole").exit_code == 0
    killed = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, "-m", "spectral_doctor", *arguments, "-o", str(killed)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not (killed / "step-000040.pt").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    result = invoke(*arguments, "-o", killed, "--resume")
    assert result.exit_code == 0, result.output
    name = f"step-{20 + int(steps):06d}.pt"
    one, two = (torch.load(folder / name, weights_only=True) for folder in (tmp_path / "whole", killed))
    for part in ("generator", "discriminator"):
        assert all(torch.equal(value, two[part][key]) for key, value in one[part].items())
    envelopes = [content["treatment"].get("envelope", {}) for content in (one, two)]
    assert envelopes[0].keys() == envelopes[1].keys()
    assert all(torch.equal(value, envelopes[1][key]) for key, value in envelopes[0].items())
    if mode == "dynamic" and apply == "projection":
        assert envelopes[0]


def test_another_treatment_is_not_resumed(run: Path, tmp_path: Path) -> None:
    """The mode is part of the state."""
    arguments: list[str | Path] = ["fix", run, "--from", "20", "--steps", "10", "-o", tmp_path / "fixed"]
    assert invoke(*arguments, "--mode", "static").exit_code == 0
    result = invoke(*arguments, "--mode", "dynamic", "--resume")
    assert result.exit_code == ExitCode.USAGE
    assert "the treatment's mode was 'static', is 'dynamic'; resume with the same." in result.output


def strangers_discriminator() -> nn.Module:
    """What the recipe below builds, and a stranger saved."""
    return nn.Sequential(spectral_norm(nn.Linear(2, 16)), nn.ReLU(), spectral_norm(nn.Linear(16, 1)), nn.Flatten(0))


RECIPE = """
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from spectral_doctor import BaseRecipe, Settings

class Mine(BaseRecipe):
    def __init__(self):
        super().__init__(Settings(latent_dim=3, batch_size=8, save_every=5))
    def networks(self):
        return nn.Linear(3, 2), nn.Sequential(
            spectral_norm(nn.Linear(2, 16)), nn.ReLU(), spectral_norm(nn.Linear(16, 1)), nn.Flatten(0)
        )
    def real(self, count, random):
        return torch.randn(count, 2, generator=random)
"""


@pytest.mark.parametrize("whole", [True, False])
def test_a_strangers_run_is_resumed_with_a_recipe(tmp_path: Path, whole: bool) -> None:
    """Networks and optimizers where they are; what is missing is said, with what follows from it."""
    (tmp_path / "mine.py").write_text(RECIPE)
    discriminator, generator = strangers_discriminator(), nn.Linear(3, 2)
    optimizer = torch.optim.Adam(discriminator.parameters())
    discriminator(torch.randn(4, 2)).sum().backward()
    optimizer.step()
    content = {"netD": discriminator.state_dict(), "step": 70}
    if whole:
        content |= {"netG": generator.state_dict(), "optimizerD": optimizer.state_dict()}
    torch.save(content, tmp_path / "stranger_70.pt")
    stranger, fixed = str(tmp_path / "stranger_70.pt"), str(tmp_path / "fixed")
    arguments = ["fix", stranger, "--mode", "static", "--steps", "5", "-o", fixed]
    unnamed = invoke(*arguments)
    assert unnamed.exit_code == ExitCode.USAGE
    assert "name the recipe with --recipe" in unnamed.output
    result = invoke(*arguments, "--recipe", f"{tmp_path / 'mine.py'}:Mine")
    assert result.exit_code == 0, result.output
    said = " ".join(result.stderr.split())
    assert "Missing: random number generators" in said
    assert ("Missing: the generator:" in said) is not whole
    assert ("Missing: the discriminator's optimizer" in said) is not whole
    first = torch.load(tmp_path / "fixed" / "step-000070.pt", weights_only=True)
    for key, value in discriminator.state_dict().items():
        assert torch.equal(first["discriminator"][key], value)
    assert torch.equal(first["generator"]["weight"], generator.weight) is whole


def test_another_network_than_the_recipes_is_named(tmp_path: Path) -> None:
    """Which keys the recipe has and the file lacks."""
    (tmp_path / "mine.py").write_text(RECIPE.replace("16", "12"))
    torch.save({"netD": strangers_discriminator().state_dict(), "step": 1}, tmp_path / "d.pt")
    result = invoke(
        *("fix", tmp_path / "d.pt", "--mode", "static", "-o", tmp_path / "fixed"),
        *("--recipe", f"{tmp_path / 'mine.py'}:Mine"),
    )
    assert result.exit_code == ExitCode.USAGE
    assert "its discriminator is not the recipe's" in result.output


@pytest.mark.parametrize("steps_are_tensors", [True, False])
def test_the_discriminators_optimizer_can_be_set_back(tmp_path: Path, steps_are_tensors: bool) -> None:
    """Its moments and steps are zero, the generator's stay; plain numbers cannot be rewritten and say so."""
    discriminator = strangers_discriminator()
    optimizer = torch.optim.Adam(discriminator.parameters())
    discriminator(torch.randn(4, 2)).sum().backward()
    optimizer.step()
    state = optimizer.state_dict()
    if not steps_are_tensors:
        for entry in state["state"].values():
            entry["step"] = 1
    content = {"netD": discriminator.state_dict(), "optimizerD": state, "optimizerG": copy.deepcopy(state)}
    torch.save(content, tmp_path / "c.pt")
    output = tmp_path / "out.pt"
    result = invoke(
        *("fix", tmp_path / "c.pt", "--mode", "static", "--weights-only", "--reset-d-optimizer", "-o", output)
    )
    if not steps_are_tensors:
        assert result.exit_code == ExitCode.USAGE
        assert "counts its steps in plain numbers" in result.output
        assert not output.exists()
        return
    assert result.exit_code == 0, result.output
    again = torch.load(output, weights_only=True)
    for entry, other in zip(again["optimizerD"]["state"].values(), again["optimizerG"]["state"].values(), strict=True):
        assert all(not value.any() for value in entry.values())
        assert other["exp_avg"].any()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--mode", "best"], "--mode best: expected one of 'static', 'dynamic', 'veegan', 'restart', 'trial'."),
        (["--mode", "static"], "-o OUT: say where the treated checkpoint or run is to be written, or add --dry-run."),
        (["--mode", "static", "--scale", "2", "-o", "x"], "--scale 2: expected one of 'hold', 'one', 'free'."),
        (["--mode", "static", "--fraction", "3", "-o", "x"], "--fraction 3: expected between 0 and 1."),
        (["--mode", "static", "--from", "7", "-o", "x"], "--from 7: no checkpoint of that step; there are '0', '10'"),
        (["--mode", "static", "-o", "x", "--resume"], "x holds no checkpoint to resume from."),
        (["--mode", "static", "--weights-only", "-o", "no/such/x.pt"], "no/such: no such folder."),
    ],
)
def test_wrong_requests_are_usage_errors(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    """Exit 2, one sentence, nothing written."""
    monkeypatch.chdir(tmp_path)
    result = invoke("fix", run, *arguments)
    assert result.exit_code == ExitCode.USAGE
    assert sentence in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("setting", "name"),
    [("discriminator_channels=24", "discriminator"), ("latent_dim=3", "generator"), ("pack=2", "discriminator")],
)
def test_settings_of_another_network_are_refused(run: Path, tmp_path: Path, setting: str, name: str) -> None:
    """A run of ours, resumed with a setting that builds what its checkpoint does not hold: named, nothing written."""
    arguments: list[str | Path] = ["fix", run, "--mode", "static", "--steps", "2", "--no-control"]
    result = invoke(*arguments, "--set", setting, "-o", tmp_path / "out")
    assert result.exit_code == ExitCode.USAGE
    assert f"step-000040.pt: its {name} is not the recipe's:" in " ".join(result.output.split())
    assert not list(tmp_path.rglob("*.pt"))
    assert invoke(*arguments, "--set", "batch_size=8", "-o", tmp_path / "out").exit_code == 0


def test_an_average_asked_for_later_begins_at_the_generator(run: Path, tmp_path: Path) -> None:
    """The run had none; its first checkpoint has the generator's weights as the average, its next one others."""
    arguments: list[str | Path] = ["fix", run, "--mode", "static", "--steps", "10", "--no-control", "--set", "ema=0.9"]
    assert invoke(*arguments, "-o", tmp_path / "out").exit_code == 0
    first, last = (torch.load(tmp_path / "out" / f"step-0000{step}.pt", weights_only=True) for step in (40, 50))
    for content, equal in ((first, True), (last, False)):
        pairs = [(content["generator_ema"][key], value) for key, value in content["generator"].items()]
        assert all(torch.equal(average, own) for average, own in pairs) is equal


def test_train_does_not_go_on_with_a_treated_run(run: Path, tmp_path: Path) -> None:
    """It would drop the treatment without a word."""
    assert invoke("fix", run, "--mode", "static", "--from", "0", "--steps", "10", "-o", tmp_path / "f").exit_code == 0
    result = invoke("train", "ring", "-o", tmp_path / "f", "--resume", "--steps", "30", *SMALL)
    assert result.exit_code == ExitCode.USAGE
    assert "a treated run; go on with `fix --resume`" in result.output


def test_what_is_only_read_is_examined_and_refused(tmp_path: Path) -> None:
    """A StyleGAN snapshot: a dry run says what would be raised; writing is refused with the way out."""
    path = stylegan.snapshot(tmp_path / "network-snapshot-000001.pkl", stylegan.Discriminator())
    dry = invoke("fix", path, "--mode", "static", "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert "nothing written (dry run)" in dry.stdout
    refused = invoke("fix", path, "--mode", "static", "--weights-only", "-o", tmp_path / "out.pkl")
    assert refused.exit_code == ExitCode.UNREADABLE
    assert "a Python pickle, which can be examined and not rewritten." in refused.output
    assert not (tmp_path / "out.pkl").exists()
    elsewhere = invoke("fix", "memory://run/D.pt", "--mode", "static", "--weights-only", "-o", tmp_path / "out.pt")
    assert elsewhere.exit_code == ExitCode.USAGE
    assert "only `inspect` reads files that lie elsewhere" in elsewhere.output


def test_a_file_with_a_bracket_in_its_name_has_its_envelope(tmp_path: Path) -> None:
    """A browser calls a second download `netD (1).pt`; the name is not taken apart at its bracket."""
    torch.save(strangers_discriminator().state_dict(), tmp_path / "netD (1).pt")
    result = invoke("fix", tmp_path / "netD (1).pt", "--mode", "dynamic", "--weights-only", "-o", tmp_path / "out.pt")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out.pt").exists()


@pytest.mark.parametrize(("first", "then"), [("parametrization", "projection"), ("projection", "parametrization")])
def test_a_treatment_is_resumed_in_the_form_it_had(run: Path, tmp_path: Path, first: str, then: str) -> None:
    """Inside the forward pass and after the optimizer are two treatments; the same one goes on, another is refused."""
    arguments: list[str | Path] = ["fix", run, "--mode", "static", "--from", "20", "-o", tmp_path / "fixed"]
    assert invoke(*arguments, "--steps", "10", "--apply", first).exit_code == 0
    result = invoke(*arguments, "--steps", "20", "--apply", then, "--resume")
    assert result.exit_code == ExitCode.USAGE
    assert f"treated with --apply {first}, not {then}; resume with the same." in " ".join(result.output.split())
    assert invoke(*arguments, "--steps", "20", "--apply", first, "--resume").exit_code == 0


@pytest.mark.parametrize("weights_only", [True, False])
def test_a_place_that_cannot_be_written_is_named(run: Path, tmp_path: Path, weights_only: bool) -> None:
    """A sentence with the place and the system's reason, and never an internal error."""
    (tmp_path / "file").write_text("in the way")
    extra = ["--weights-only"] if weights_only else ["--steps", "10"]
    result = invoke("fix", run, "--mode", "static", "-o", tmp_path / "file" / "fixed", *extra)
    said = " ".join(result.output.split())
    assert result.exit_code == ExitCode.USAGE, said
    reason = "file: no such folder." if weights_only else "it cannot be written there (not a directory)"
    assert reason in said


def test_a_read_only_folder_is_named(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root reads any folder, the system's refusal is played."""

    def refuse(*_: object, **__: object) -> tuple[int, str]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    result = invoke("fix", run, "--mode", "static", "--weights-only", "-o", tmp_path / "fixed.pt")
    assert result.exit_code == ExitCode.USAGE
    assert "it cannot be written there (permission denied); name another place." in " ".join(result.output.split())
    assert list(tmp_path.iterdir()) == []
