"""VEEGAN as a user runs it: from scratch, attached to a run, killed, detached."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner, Result

from spectral_doctor.cli import app
from spectral_doctor.cli.boundary import ExitCode

SMALL = ["--set", "batch_size=16", "--set", "generator_channels=8", "--set", "discriminator_channels=16"]
SMALL += ["--set", "samples=50", "--set", "save_every=10"]
SHORT = ["--veegan", "warm_up=7", "--veegan", "ramp=15"]


def invoke(*arguments: object) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def load(path: Path) -> dict[str, object]:
    """A training state as it lies on disk."""
    content: dict[str, object] = torch.load(path, weights_only=True)
    return content


def tensors(content: object) -> list[Tensor]:
    """Every tensor of a nested dict, in its order."""
    if isinstance(content, Tensor):
        return [content]
    if isinstance(content, dict):
        return [tensor for value in content.values() for tensor in tensors(value)]
    return []


def assert_same_state(first: Path, second: Path) -> None:
    """Networks, optimizers, randomness, reconstructor, head and treatment are equal to the last bit."""
    one, two = tensors(load(first)), tensors(load(second))
    assert len(one) == len(two) > 30
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short plain run of `ring`, checkpoints at 0, 10, 20."""
    folder = tmp_path_factory.mktemp("source") / "run"
    assert invoke("train", "ring", "-o", folder, "--steps", "20", "--no-pictures", *SMALL).exit_code == 0
    return folder


@pytest.fixture(scope="module")
def attached(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That run resumed with VEEGAN for 20 steps, from its last checkpoint."""
    folder = tmp_path_factory.mktemp("attached") / "run"
    result = invoke("fix", run, "--mode", "veegan", "--from", "20", "--steps", "20", "-o", folder, *SHORT)
    assert result.exit_code == 0, result.output
    assert "spectrum" in result.stdout
    assert "modes captured" in result.stdout
    return folder


@pytest.mark.parametrize("recipe", ["ring", "stacked-glyphs"])
def test_a_resumed_run_from_scratch_is_bit_identical(tmp_path: Path, recipe: str) -> None:
    """Perceptrons and convolutions: 20 steps, and again from the checkpoint at 10, with the ramp half way up."""
    arguments = ["train", recipe, "--mode", "veegan", "--no-pictures", *SMALL, *SHORT, "--set", "images_per_digit=3"]
    assert invoke(*arguments, "--steps", "20", "-o", tmp_path / "whole").exit_code == 0
    shutil.copytree(tmp_path / "whole", tmp_path / "halves")
    (tmp_path / "halves" / "step-000020.pt").unlink()
    result = invoke(*arguments, "--steps", "20", "-o", tmp_path / "halves", "--resume")
    assert result.exit_code == 0, result.output
    assert_same_state(tmp_path / "whole" / "step-000020.pt", tmp_path / "halves" / "step-000020.pt")


@pytest.mark.parametrize(("mode", "latents", "decay"), [("veegan", 8, True), ("gan", 32, False)])
def test_veegan_begins_from_the_recipes_settings_for_it(tmp_path: Path, mode: str, latents: int, decay: bool) -> None:
    """Those that reach the published level; a plain GAN begins from the recipe's own, and `--set` changes either."""
    arguments = ["train", "ring", "--mode", mode, "--no-pictures", *SMALL, "--steps", "1", "-o", tmp_path / "run"]
    assert invoke(*arguments).exit_code == 0
    settings = load(tmp_path / "run" / "step-000001.pt")["settings"]
    assert isinstance(settings, dict)
    assert (settings["latent_dim"], settings["decay"], settings["batch_size"]) == (latents, decay, 16)


@pytest.mark.parametrize("part", ["reconstructor", "head", "reconstructor_optimizer", "head_optimizer", "updates"])
def test_every_part_of_the_state_is_needed(tmp_path: Path, part: str) -> None:
    """The negative: a run that goes on without one of them ends elsewhere."""
    arguments = ["train", "ring", "--mode", "veegan", "--no-pictures", *SMALL, *SHORT, "-o", str(tmp_path / "run")]
    assert invoke(*arguments, "--steps", "20").exit_code == 0
    whole = load(tmp_path / "run" / "step-000020.pt")
    (tmp_path / "run" / "step-000020.pt").unlink()
    last = tmp_path / "run" / "step-000010.pt"
    content, first = load(last), load(tmp_path / "run" / "step-000000.pt")
    content["method"][part] = first["method"][part]  # type: ignore[index]
    torch.save(content, last)
    assert invoke(*arguments, "--steps", "20", "--resume").exit_code == 0
    again = load(tmp_path / "run" / "step-000020.pt")
    pairs = zip(tensors(whole["generator"]), tensors(again["generator"]), strict=True)
    assert not all(torch.equal(a, b) for a, b in pairs)


def test_at_first_the_attached_run_is_the_one_it_was_attached_to(run: Path, attached: Path) -> None:
    """Its first checkpoint holds the same networks and optimizers; then it goes another way."""
    before, first, last = (
        load(path) for path in (run / "step-000020.pt", attached / "step-000020.pt", attached / "step-000040.pt")
    )
    for part in ("generator", "discriminator", "generator_optimizer", "discriminator_optimizer"):
        pairs = list(zip(tensors(before[part]), tensors(first[part]), strict=True))
        assert all(torch.equal(a, b) for a, b in pairs)
        assert not all(torch.equal(a, b) for a, b in zip(tensors(before[part]), tensors(last[part]), strict=True))
    head = first["method"]["head"]  # type: ignore[index]
    assert not head["2.weight"].any()
    assert not head["2.bias"].any()


@pytest.mark.parametrize("companion", [[], ["--with", "dynamic"]])
def test_a_killed_attachment_resumes_to_the_same_bits(run: Path, tmp_path: Path, companion: list[str]) -> None:
    """`kill -9` in the middle, `--resume`, and the end is that of a run never stopped; compensation or none."""
    arguments = ["fix", str(run), "--mode", "veegan", "--from", "20", "--steps", "120", *SHORT, *companion]
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
    assert not (killed / "step-000140.pt").exists()
    result = invoke(*arguments, "-o", killed, "--resume")
    assert result.exit_code == 0, result.output
    assert_same_state(tmp_path / "whole" / "step-000140.pt", killed / "step-000140.pt")
    assert (load(killed / "step-000140.pt")["treatment"] is not None) is bool(companion)


def test_with_dynamic_raises_the_spectrum_as_well(run: Path, tmp_path: Path) -> None:
    """The envelope is said and saved, and VEEGAN's state lies beside it."""
    arguments = ["fix", str(run), "--mode", "veegan", "--with", "dynamic", "--from", "20", "--steps", "10", *SHORT]
    result = invoke(*arguments, "-o", tmp_path / "both")
    assert result.exit_code == 0, result.output
    assert "Envelope: the best of 3 checkpoints." in result.stderr
    content = load(tmp_path / "both" / "step-000030.pt")
    assert content["treatment"]["mode"] == "dynamic"  # type: ignore[index]
    assert content["method"]["updates"] == 10  # type: ignore[index]


def test_detached_the_run_goes_on_as_a_plain_gan(attached: Path, tmp_path: Path) -> None:
    """G and D(x) of the last checkpoint, without a trace of VEEGAN; `train --resume` takes it."""
    (tmp_path / "plain").mkdir()
    result = invoke("fix", attached, "--detach", "-o", tmp_path / "plain")
    assert result.exit_code == 0, result.output
    written = tmp_path / "plain" / "step-000040.pt"
    assert result.stdout == (
        f"written: {written} (generator and discriminator, plain)\nNext: spectral-doctor inspect {written}\n"
    )
    plain, source = load(written), load(attached / "step-000040.pt")
    assert plain["method"] is None
    assert plain.keys() == source.keys()
    for part in ("generator", "discriminator"):
        assert all(torch.equal(a, b) for a, b in zip(tensors(plain[part]), tensors(source[part]), strict=True))
    arguments = ["train", "ring", "-o", str(tmp_path / "plain"), "--resume", "--no-pictures", *SMALL]
    assert invoke(*arguments, "--steps", "50").exit_code == 0


def test_detached_in_a_strangers_layout(attached: Path, tmp_path: Path) -> None:
    """The stranger's file with its two networks replaced, everything else in it as it was."""
    source = load(attached / "step-000040.pt")
    first = load(attached / "step-000020.pt")
    names = {"netG": "generator", "netD": "discriminator"}
    content = {name: first[part] for name, part in names.items()} | {"epoch": 7, "note": "kept"}
    torch.save(content, tmp_path / "stranger.pth")
    result = invoke("fix", attached, "--detach", "--like", tmp_path / "stranger.pth", "-o", tmp_path / "out.pth")
    assert result.exit_code == 0, result.output
    again = load(tmp_path / "out.pth")
    assert (again["epoch"], again["note"]) == (7, "kept")
    for name, part in names.items():
        assert all(torch.equal(a, b) for a, b in zip(tensors(again[name]), tensors(source[part]), strict=True))
    other = {"netD": {"body.0.weight": torch.ones(3, 2), "body.2.weight": torch.ones(1, 3)}}
    torch.save(other, tmp_path / "other.pth")
    result = invoke("fix", attached, "--detach", "--like", tmp_path / "other.pth", "-o", tmp_path / "no.pth")
    assert result.exit_code == ExitCode.USAGE
    assert "its discriminator is not the run's: they differ in 'body.0.bias'" in result.output
    assert not (tmp_path / "no.pth").exists()


RECIPE = """
import torch
from torch import nn
from spectral_doctor import BaseRecipe, Settings

class Mine(BaseRecipe):
    def __init__(self):
        super().__init__(Settings(latent_dim=3, batch_size=8, save_every=5))
    def networks(self):
        return nn.Linear(3, 2), nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1), nn.Flatten(0))
    def reconstructor(self):
        return nn.Linear(2, 3)
    def real(self, count, random):
        return torch.randn(count, 2, generator=random)
"""


def test_a_strangers_run_gets_veegan_and_gives_its_layout_back(tmp_path: Path) -> None:
    """A checkpoint that was not made here, with a recipe that brings its reconstructor; then plain again."""
    (tmp_path / "mine.py").write_text(RECIPE)
    torch.manual_seed(0)
    discriminator = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1), nn.Flatten(0))
    generator = nn.Linear(3, 2)
    content = {"netD": discriminator.state_dict(), "netG": generator.state_dict(), "step": 70}
    torch.save(content, tmp_path / "stranger_70.pt")
    stranger, fixed = tmp_path / "stranger_70.pt", tmp_path / "fixed"
    recipe = ["--recipe", f"{tmp_path / 'mine.py'}:Mine"]
    result = invoke("fix", stranger, "--mode", "veegan", "--steps", "5", "-o", fixed, *SHORT, *recipe)
    assert result.exit_code == 0, result.output
    first, last = load(fixed / "step-000070.pt"), load(fixed / "step-000075.pt")
    assert all(torch.equal(value, first["discriminator"][key]) for key, value in discriminator.state_dict().items())  # type: ignore[index]
    assert sorted(last["method"]["reconstructor"]) == ["bias", "weight"]  # type: ignore[index]
    result = invoke("fix", fixed, "--detach", "--like", stranger, "-o", tmp_path / "plain_75.pt")
    assert result.exit_code == 0, result.output
    plain = load(tmp_path / "plain_75.pt")
    assert plain.keys() == content.keys()
    discriminator.load_state_dict(plain["netD"])  # type: ignore[arg-type]
    assert torch.equal(plain["netG"]["weight"], last["generator"]["weight"])  # type: ignore[index]
    assert not torch.equal(plain["netG"]["weight"], generator.weight)  # type: ignore[index]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "--mode: say how to treat it; expected one of 'static', 'dynamic', 'veegan', 'restart', 'trial'."),
        (["--mode", "static", "--with", "dynamic", "-o", "x"], "--with: goes with --mode veegan."),
        (["--mode", "static", "--veegan", "weight=2", "-o", "x"], "--veegan: goes with --mode veegan."),
        (["--mode", "veegan", "--with", "some", "-o", "x"], "--with some: expected one of 'static', 'dynamic'."),
        (["--mode", "veegan", "--veegan", "weight", "-o", "x"], "--veegan weight: expected KEY=VALUE."),
        (
            ["--mode", "veegan", "--weights-only", "-o", "x"],
            "--mode veegan: trains; it has no form that rewrites weights alone.",
        ),
        (["--detach"], "-o OUT: say where the plain networks are to be written."),
        (["--detach", "-o", "x"], "trained without VEEGAN and never restarted, so there is nothing to detach."),
        (["--detach", "-o", "x", "--from", "7"], "--from 7: no checkpoint of that step; there are '0', '10', '20'."),
    ],
)
def test_wrong_requests_are_usage_errors(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    """Exit 2, one sentence, nothing written."""
    monkeypatch.chdir(tmp_path)
    result = invoke("fix", run, *arguments)
    assert result.exit_code == ExitCode.USAGE, result.output
    assert sentence in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_run_goes_on_in_its_own_mode_and_plan(run: Path, attached: Path) -> None:
    """Neither mode is dropped, or changed, without a word."""
    train = ["train", "ring", "--no-pictures", "--resume", "--steps", "60", *SMALL]
    of_the_run = ["--set", "latent_dim=32", "--set", "decay=false", "--set", "learning_rate_discriminator=0.001"]
    for arguments, sentence in (
        ([*train, "-o", attached], "trained with --mode veegan, not gan; resume with the same."),
        ([*train, "-o", run, "--mode", "veegan"], "trained with --mode gan, not veegan; resume with the same."),
        (
            [*train, "-o", attached, "--mode", "veegan", *of_the_run],
            "VEEGAN was trained with another plan (warm_up was 7, is 0; ramp was 15, is 0); resume with the same one.",
        ),
        (["train", "ring", "-o", "x", "--mode", "wgan"], "--mode wgan: expected one of 'gan', 'veegan'."),
        (["train", "ring", "-o", "x", "--veegan", "ramp=1"], "--veegan: goes with --mode veegan."),
        (["fix", attached, "--mode", "veegan", "-o", "x"], "a run with VEEGAN already; go on with it by --resume"),
    ):
        result = invoke(*arguments)
        assert result.exit_code == ExitCode.USAGE, result.output
        assert sentence in result.output
