"""`inspect --reconstruct` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner, Result

from spectral_doctor.checkpoints.training_state import read_state
from spectral_doctor.cli import app
from spectral_doctor.cli.boundary import ExitCode
from spectral_doctor.gan.builtin import RECIPES
from spectral_doctor.report.reconstruction import render_reconstructions
from spectral_doctor.training.adoption import adopted_generator
from spectral_doctor.veegan.records import Reconstruction

RECIPE = """
import torch
from torch import nn
from spectral_doctor import BaseRecipe, Settings

class Mine(BaseRecipe):
    def __init__(self):
        super().__init__(Settings(latent_dim=2, generator_channels=16))
    def networks(self):
        return nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1), nn.Flatten(0))
    def real(self, count, random):
        samples = torch.randn(count, 2, generator=random)
        return samples + 8 * (torch.arange(count) % 2)[:, None]
"""


def invoke(*arguments: str | Path) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of `ring` that has hardly begun."""
    folder = tmp_path_factory.mktemp("source") / "run"
    settings = ["--set", "generator_channels=16", "--set", "samples=50", "--set", "save_every=10"]
    assert invoke("train", "ring", "-o", folder, "--steps", "20", "--no-pictures", *settings).exit_code == 0
    return folder


def strangers(folder: Path, shift: float) -> Path:
    """A stranger's checkpoint: a generator that makes one Gaussian, of the two that the recipe above wants."""
    torch.manual_seed(0)
    generator = nn.Linear(2, 2)
    with torch.no_grad():
        generator.weight.copy_(torch.eye(2))
        generator.bias.fill_(shift)
    discriminator = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1), nn.Flatten(0))
    (folder / "mine.py").write_text(RECIPE)
    torch.save({"netG": generator.state_dict(), "netD": discriminator.state_dict(), "step": 3}, folder / "s_3.pt")
    return folder / "s_3.pt"


def test_a_run_of_ours_is_examined_without_naming_its_recipe(run: Path) -> None:
    """The last checkpoint; the input keeps its bytes; missing modes count for `--fail-on`."""
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    result = invoke("inspect", run, "--reconstruct", "--fail-on", "collapsed")
    assert result.exit_code == ExitCode.FINDINGS, result.output
    said = " ".join(result.stdout.split())
    assert f"MODES MISSING (provisional) {run / 'step-000020.pt'}: F, trained for 800 steps" in said
    assert "The discriminator was not asked." in said
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    assert invoke("inspect", run, "--reconstruct").exit_code == 0
    assert "MODES MISSING" not in invoke("inspect", run).stdout


def test_a_checkpoint_that_is_a_folder_and_its_average(tmp_path: Path) -> None:
    """Networks as safetensors files beside the state; the generator's average is the one that is examined."""
    settings = ["--set", "generator_channels=16", "--set", "samples=50", "--set", "ema=0.5"]
    arguments = ["train", "ring", "-o", str(tmp_path / "run"), "--steps", "2", "--no-pictures", "--folders"]
    assert invoke(*arguments, *settings).exit_code == 0
    result = invoke("inspect", tmp_path / "run", "--reconstruct")
    assert result.exit_code == 0, result.output
    assert "MODES MISSING (provisional)" in " ".join(result.stdout.split())
    last = tmp_path / "run" / "step-000002"
    generator = adopted_generator(
        RECIPES["ring"].build(RECIPES["ring"].settings.changed({"generator_channels": "16"})),
        last / "discriminator.safetensors",
    )
    content = read_state(last)
    assert all(torch.equal(value, content["generator_ema"][key]) for key, value in generator.state_dict().items())
    assert not torch.equal(content["generator_ema"]["0.weight"], content["generator"]["0.weight"])


def test_a_strangers_generator_is_examined_with_a_recipe(tmp_path: Path) -> None:
    """One of two Gaussians is missing; JSON carries the numbers and is still a history."""
    path = strangers(tmp_path, 0.0)
    result = invoke("inspect", path, "--reconstruct", "--recipe", f"{tmp_path / 'mine.py'}:Mine", "--format", "json")
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)["reconstructions"]
    assert found["checkpoint"] == str(path)
    assert found["modes_missing"] is True
    assert found["explained"] > 0.9
    assert 0.3 < found["outside"] < 0.8
    (tmp_path / "history.json").write_text(result.stdout)
    again = invoke("inspect", tmp_path / "history.json")
    assert again.exit_code == 0, again.output


def test_a_generator_that_has_both_is_not_accused(tmp_path: Path) -> None:
    """The negative: with one Gaussian wanted, and made, there is no sign, and `--fail-on` does not fail."""
    path = strangers(tmp_path, 0.0)
    (tmp_path / "mine.py").write_text(RECIPE.replace("+ 8 *", "+ 0 *"))
    arguments = ["inspect", str(path), "--reconstruct", "--recipe", f"{tmp_path / 'mine.py'}:Mine"]
    result = invoke(*arguments, "--fail-on", "collapsed")
    assert result.exit_code == 0, result.output
    assert "NO SIGN OF MISSING MODES (provisional)" in " ".join(result.stdout.split())


def test_what_is_missing_is_said(run: Path, tmp_path: Path) -> None:
    """A recipe, a generator, a file, a matching network."""
    path = strangers(tmp_path, 0.0)
    recipe = f"{tmp_path / 'mine.py'}:Mine"
    lonely = tmp_path / "lonely.pt"
    torch.save({"netD": torch.load(path, weights_only=True)["netD"]}, lonely)
    history = tmp_path / "history.json"
    history.write_text(invoke("inspect", run, "--format", "json").stdout.replace("step-0000", "gone-0000"))
    cases: tuple[tuple[list[str | Path], str], ...] = (
        ([path, "--reconstruct"], "does not say how it was trained: name its recipe with --recipe"),
        ([lonely, "--reconstruct", "--recipe", recipe], "no generator in it or beside it"),
        ([history, "--reconstruct"], "is not there; a history alone holds no generator."),
        ([run, "--reconstruct", "--recipe", recipe], "its generator is not the recipe's"),
        ([run, "--recipe", recipe], "--recipe goes with --reconstruct or --witness, --set with --reconstruct."),
    )
    for arguments, sentence in cases:
        result = invoke("inspect", *arguments)
        assert result.exit_code == ExitCode.USAGE, result.output
        assert sentence in result.output


@pytest.mark.parametrize(
    ("coefficient", "p_value", "words", "missing"),
    [
        (0.2, 0.005, "do not go where generated ones go: energy coefficient 0.200 (p = 0.005,", True),
        (0.03, 0.005, "0.007), below the 0.05 that missing modes make;", False),
        (0.004, 0.4, "Real samples go where generated ones go: energy coefficient 0.004 (p = 0.400,", False),
        (0.2, 0.4, "Real samples go where", False),
    ],
)
def test_the_statement_needs_both_chance_and_size(
    coefficient: float, p_value: float, words: str, missing: bool
) -> None:
    """A small difference beyond chance is no statement, nor a large one within it."""
    item = Reconstruction(coefficient, 0.007, p_value, 0.1, 0.5, 500, 199, 800, 1.0)
    assert item.modes_missing is missing
    said = render_reconstructions({"g.pt": item}, width=2000)
    assert words in said
    assert said.startswith("MODES MISSING" if missing else "NO SIGN OF MISSING MODES")
