"""The recipes of the guide "Your own GAN" treat checkpoints that another script wrote: one file, two files, labels."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from spectral_doctor.cli import app
from spectral_doctor.gan.own import load_recipe

GUIDE = (Path(__file__).parents[1] / "docs" / "guides" / "your-own-gan.md").read_text(encoding="utf-8")
SOURCES = dict(
    zip(("my_gan", "two_files", "conditional"), re.findall(r"```python\n(.*?)```", GUIDE, re.S), strict=True)
)
ATTRIBUTES = {"my_gan": "MyGan", "two_files": "Points", "conditional": "Conditional"}


def stranger(name: str, folder: Path) -> tuple[str, Path]:
    """The recipe of the guide as a file, and a checkpoint of its networks as a stranger's script writes it."""
    (folder / f"{name}.py").write_text(SOURCES[name])
    recipe = f"{folder / name}.py:{ATTRIBUTES[name]}"
    torch.manual_seed(0)
    generator, discriminator = load_recipe(recipe, {}).networks()
    if name == "two_files":
        torch.save(generator.state_dict(), folder / "netG_1000.pth")
        torch.save(discriminator.state_dict(), folder / "netD_1000.pth")
        return recipe, folder / "netD_1000.pth"
    states = {"generator": generator.state_dict(), "discriminator": discriminator.state_dict(), "step": 1000}
    torch.save(states, folder / "gan_1000.pt")
    return recipe, folder / "gan_1000.pt"


@pytest.mark.parametrize(("name", "mode"), [*((name, "restart") for name in ATTRIBUTES), ("two_files", "dynamic")])
def test_a_strangers_run_is_treated_by_the_recipe_of_the_guide(tmp_path: Path, name: str, mode: str) -> None:
    """From step 1000 on, beside a control; what was adopted is the generator that the file holds."""
    recipe, path = stranger(name, tmp_path)
    arguments = ["fix", str(path), "--recipe", recipe, "--mode", mode, "--steps", "4", "--set", "save_every=2"]
    arguments += ["--restart", "warm_up=2"] if mode == "restart" else []
    result = CliRunner().invoke(app, [*arguments, "-o", str(tmp_path / "fixed")])
    assert result.exit_code == 0, result.output
    assert "control" in result.output
    assert "the generator: a new one" not in result.output
    assert sorted(item.name for item in (tmp_path / "fixed").glob("step-*"))[-1] == "step-001004.pt"


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_another_recipes_networks_are_refused(tmp_path: Path, name: str) -> None:
    """The recipe of another example does not fit, and nothing is written."""
    _, path = stranger(name, tmp_path)
    other = "two_files" if name != "two_files" else "my_gan"
    (tmp_path / "other.py").write_text(SOURCES[other])
    recipe = f"{tmp_path / 'other.py'}:{ATTRIBUTES[other]}"
    result = CliRunner().invoke(
        app, ["fix", str(path), "--recipe", recipe, "--mode", "dynamic", "--steps", "4", "-o", str(tmp_path / "fixed")]
    )
    assert result.exit_code == 2
    assert "is not the recipe's" in " ".join(result.output.split())
    assert not list((tmp_path / "fixed").glob("step-*"))
