"""`fix` beside its control: the same checkpoint untreated, never at another step, and all of it resumed to the bit."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner, Result

from spectral_doctor.cli import app
from spectral_doctor.cli.boundary import ExitCode
from spectral_doctor.gan.own import recipe_named
from spectral_doctor.inspection import inspect_paths

SMALL = ["--set", "batch_size=16", "--set", "generator_channels=8", "--set", "discriminator_channels=16"]
SMALL += ["--set", "samples=50", "--set", "save_every=10"]
QUICK = ["--restart", "warm_up=3"]


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


def same(first: Path, second: Path) -> bool:
    """Whether two states hold the same tensors to the last bit."""
    one, two = tensors(load(first)), tensors(load(second))
    assert len(one) == len(two) > 20
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run of `ring`, checkpoints at 0, 10, …, 40."""
    folder = tmp_path_factory.mktemp("source") / "run"
    assert invoke("train", "ring", "-o", folder, "--steps", "40", "--no-pictures", *SMALL).exit_code == 0
    return folder


def test_the_control_is_the_untreated_run_to_the_bit(run: Path, tmp_path: Path) -> None:
    """From step 20 on it does what the run did; the treated run does not. Both stand at one step."""
    result = invoke("fix", run, "--mode", "static", "--from", "20", "--steps", "20", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    control = tmp_path / "out" / "control"
    assert sorted(path.name for path in control.glob("*.pt")) == [f"step-0000{step}.pt" for step in (20, 30, 40)]
    for name in ("step-000030.pt", "step-000040.pt"):
        one, two, treated = (load(folder / name) for folder in (control, run, tmp_path / "out"))
        for part in ("generator", "discriminator", "generator_optimizer", "discriminator_optimizer", "rng"):
            assert all(torch.equal(a, b) for a, b in zip(tensors(one[part]), tensors(two[part]), strict=True))
        assert not torch.equal(tensors(treated["discriminator"])[0], tensors(one["discriminator"])[0])
    head = next(line for line in result.stdout.splitlines() if "untreated run" in line)
    assert head.split() == ["step", "40", "treated", "control", "untreated", "run"]
    assert "solid modes" in result.stdout


def test_steps_that_differ_never_stand_side_by_side(run: Path, tmp_path: Path) -> None:
    """Beyond the untreated run's last step there is no column of it, and it is said why."""
    result = invoke("fix", run, "--mode", "static", "--from", "30", "--steps", "20", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert [line.split() for line in result.stdout.splitlines() if line.split()[:2] == ["step", "50"]][-1] == [
        *("step", "50", "treated", "control")
    ]
    assert "The untreated run has no checkpoint of step 50." in result.stdout


def test_without_a_control_it_is_said(run: Path, tmp_path: Path) -> None:
    """`--no-control` trains once, and the report does not hide it."""
    result = invoke(
        *("fix", run, "--mode", "static", "--from", "20", "--steps", "20", "--no-control", "-o", tmp_path / "out")
    )
    assert result.exit_code == 0, result.output
    assert not (tmp_path / "out" / "control").exists()
    assert "No control: switched off with --no-control." in result.stdout


@pytest.mark.parametrize("lost", ["treated", "control"])
@pytest.mark.parametrize("mode", ["static", "restart"])
def test_an_interrupted_fix_goes_on_to_the_same_bits(run: Path, tmp_path: Path, mode: str, lost: str) -> None:
    """Killed in the treated run, before its control began, or in the control."""
    arguments = ["fix", run, "--mode", mode, "--from", "20", "--steps", "30", *(QUICK if mode == "restart" else [])]
    assert invoke(*arguments, "-o", tmp_path / "whole").exit_code == 0
    shutil.copytree(tmp_path / "whole", tmp_path / "killed")
    killed = tmp_path / "killed"
    if lost == "treated":
        shutil.rmtree(killed / "control")
        (killed / "step-000040.pt").unlink()
        (killed / "step-000050.pt").unlink()
    else:
        (killed / "control" / "step-000050.pt").unlink()
    (killed / "control").mkdir(exist_ok=True)
    (killed / "control" / ".step-000040.pt.x.tmp").write_bytes(b"torn")
    result = invoke(*arguments, "-o", killed, "--resume")
    assert result.exit_code == 0, result.output
    for name in ("step-000050.pt", "control/step-000050.pt"):
        assert same(tmp_path / "whole" / name, killed / name)
    assert not list((killed / "control").glob("*.tmp"))


def test_a_treatment_at_rates_of_its_own_is_resumed_with_the_same(run: Path, tmp_path: Path) -> None:
    """Rates that decay end where they were to end; others are refused, and `train` does not take the run."""
    arguments = ["fix", run, "--mode", "static", "--from", "20", "--steps", "20", "--no-control", "-o", tmp_path / "o"]
    result = invoke(*arguments, "--decay", "--rate", "0.002", "--beta1", "0.1")
    assert result.exit_code == 0, result.output
    said = " ".join(result.stderr.split())
    assert "Rates: generator 0.002, discriminator 0.002; falling to zero over the second half; β1 0.1." in said
    group = load(tmp_path / "o" / "step-000040.pt")["generator_optimizer"]["param_groups"][0]  # type: ignore[index]
    assert group["lr"] == pytest.approx(0.002 * 0.1)
    assert group["betas"] == (0.1, 0.999)
    other = invoke(*arguments, "--decay", "--rate", "0.004", "--beta1", "0.1", "--resume")
    assert other.exit_code == ExitCode.USAGE
    said = " ".join(other.output.split())
    assert "trained at other rates (generator_rate was 0.002, is 0.004; discriminator_rate was 0.002, is 0.004)" in said


def test_a_restart_keeps_the_generator_and_nothing_of_the_discriminator(run: Path, tmp_path: Path) -> None:
    """Its first checkpoint makes the run's samples; the discriminator is fresh, of the width that was asked for."""
    result = invoke(
        *("fix", run, "--mode", "restart", "--from", "40", "--steps", "10", *QUICK, "-o", tmp_path / "out"),
        *("--set", "discriminator_channels=24"),
    )
    assert result.exit_code == 0, result.output
    first, before = load(tmp_path / "out" / "step-000040.pt"), load(run / "step-000040.pt")
    recipe = recipe_named("ring", {"generator_channels": "8"})
    latents = recipe.latent(100, torch.Generator().manual_seed(3))
    made = []
    for content in (first, before):
        generator, _ = recipe.networks()
        generator.load_state_dict(content["generator"])  # type: ignore[arg-type]
        made.append(generator(latents))
    torch.testing.assert_close(made[0], made[1], rtol=1e-6, atol=1e-6)
    assert tensors(first["discriminator"])[0].shape == (24, 2)
    assert first["method"]["mode"] == "restart"  # type: ignore[index]
    assert load(tmp_path / "out" / "control" / "step-000050.pt")["method"] is None
    plain = invoke("fix", tmp_path / "out", "--detach", "-o", tmp_path / "plain.pt")
    assert plain.exit_code == 0, plain.output
    assert load(tmp_path / "plain.pt")["method"] is load(tmp_path / "plain.pt")["pace"] is None
    again = invoke("fix", tmp_path / "out", "--mode", "static", "--steps", "10", "-o", tmp_path / "second")
    assert again.exit_code == ExitCode.USAGE
    assert "a run with a restart already; go on with it by --resume, or take restart off" in " ".join(
        again.output.split()
    )


def test_a_generator_alone_is_restarted_with_a_recipe(run: Path, tmp_path: Path) -> None:
    """No discriminator in the file: one is built and warmed up; there is no control, and it is said why."""
    torch.save(load(run / "step-000040.pt")["generator"], tmp_path / "netG.pth")
    arguments = ["fix", tmp_path / "netG.pth", "--mode", "restart", "--steps", "10", *QUICK]
    result = invoke(*arguments, "--recipe", "ring", *SMALL, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "a generator alone; a fresh discriminator learns to judge it first" in " ".join(result.stderr.split())
    said = " ".join(result.stdout.split())
    assert "No control: a generator alone cannot be trained on without a discriminator." in said
    assert (tmp_path / "out" / "step-000010.pt").exists()
    unnamed = invoke(*arguments, "-o", tmp_path / "other")
    assert unnamed.exit_code == ExitCode.USAGE
    assert "name the recipe with --recipe" in " ".join(unnamed.output.split())
    static = invoke("fix", tmp_path / "netG.pth", "--mode", "static", "--recipe", "ring", "-o", tmp_path / "other")
    assert static.exit_code == ExitCode.NOTHING_EXAMINED


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_weights_only_never_yield_a_probability(tmp_path: Path, mode: str) -> None:
    """The collapsed sample's discriminator alone, compensated: nothing was trained, so nothing is said of modes."""
    content = load(Path("sample_checkpoints/collapsed/step-000700.pt"))
    torch.save({"netD": content["discriminator"]}, tmp_path / "netD_700.pt")
    result = invoke("fix", tmp_path / "netD_700.pt", "--mode", mode, "--weights-only", "-o", tmp_path / "out.pt")
    assert result.exit_code == 0, result.output
    assert "probab" not in result.output
    (diagnosis,) = inspect_paths([tmp_path / "out.pt"]).diagnoses
    assert diagnosis.words.endswith("modes NOT KNOWN")


RECIPE = """
import torch
from torch import nn
from spectral_doctor import BaseRecipe, Settings

class Still(BaseRecipe):
    def __init__(self):
        super().__init__(Settings(latent_dim=3, batch_size=8, save_every=5, learning_rate_discriminator=0.0))
    def networks(self):
        return nn.Linear(3, 2), nn.Sequential(
            nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1), nn.Flatten(0)
        )
    def real(self, count, random):
        return torch.randn(count, 2, generator=random)
"""


def test_a_discriminator_that_stands_still_is_told_to_be_replaced(run: Path, tmp_path: Path) -> None:
    """At rate 0 nothing moves: only a fresh one will help; of a run that moves nothing is said."""
    (tmp_path / "still.py").write_text(RECIPE)
    recipe = f"{tmp_path / 'still.py'}:Still"
    assert invoke("train", recipe, "-o", tmp_path / "run", "--steps", "20", "--no-pictures").exit_code == 0
    arguments = ["--mode", "static", "--steps", "5", "--no-control"]
    sentence = (
        "The discriminator stands still: no treatment that keeps it will help, only a fresh one. Use --mode restart"
    )
    still = invoke("fix", tmp_path / "run", *arguments, "-o", tmp_path / "fixed")
    assert still.exit_code == 0, still.output
    assert sentence in " ".join(still.stderr.split())
    moving = invoke("fix", run, *arguments, "-o", tmp_path / "moving")
    assert sentence not in " ".join(moving.stderr.split())
