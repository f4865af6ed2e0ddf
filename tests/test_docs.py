"""The documentation is a test: its commands and code run on the layouts that they name.

A block that needs what is not there says so in a comment above it, `<!-- needs: … -->`; one that ends otherwise than
with 0, `<!-- exit: 1 -->`. The block below `<!-- output -->` is what the command above it prints.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from spectral_doctor.cli import app
from spectral_doctor.gate.rules import RULES
from spectral_doctor.report.formats import RENDERERS
from tests.layouts import write_all

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
READ = [ROOT / "README.md", *PAGES]
_BLOCK = re.compile(r"(?:<!-- (\w+)(?:: ([^>]*?))? -->\n)?```(\w+)\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: what stands above it, its language, its text."""

    mark: str
    value: str
    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(*(part or "" for part in found.groups())) for found in _BLOCK.finditer(page.read_text("utf-8"))]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every layout that a guide names."""
    folder = tmp_path_factory.mktemp("layouts")
    write_all(folder)
    return folder


@pytest.fixture
def beside_the_runs(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of a reader of the guides."""
    folder = tmp_path / "work"
    shutil.copytree(runs, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("page", READ, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_runs(page: Path, beside_the_runs: Path) -> None:
    """In order, in one folder, with the exit code that the page says, and with the output that it shows."""
    output = ""
    for block in blocks(page):
        if block.mark == "output":
            assert block.text == output
        elif block.language == "bash":
            script = beside_the_runs / name_of_script(page, block)
            script.write_text(block.text)
            script.chmod(script.stat().st_mode | stat.S_IXUSR)
            assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0
        elif block.language == "console" and block.mark != "needs":
            for command in re.findall(r"^\$ (.*)$", block.text, re.MULTILINE):
                words = shlex.split(command)
                assert words[0] == "spectral-doctor", f"{command}: run it, or say what it needs"
                result = CliRunner().invoke(app, words[1:])
                output = result.stdout
                assert result.exit_code == int(block.value or 0), f"{command}\n{result.output}"


def name_of_script(page: Path, block: Block) -> str:
    """The name that the text gives the script above it; `job.sh` where it gives none."""
    before = page.read_text("utf-8").partition(block.text)[0]
    named = re.findall(r"`(\w+\.sh)`", before.rpartition("```console")[2])
    return named[-1] if named else "job.sh"


@pytest.mark.parametrize("page", READ, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_python_block_of_a_page_runs(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the project's folder, one after the other with the same names."""
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    for block in blocks(page):
        if block.language == "python" and block.mark != "needs":
            exec(compile(block.text, str(page), "exec"), names)


def test_a_mark_says_what_is_needed() -> None:
    """No block is left out without a reason, and no other mark is used."""
    marks = {(block.mark, bool(block.value)) for page in READ for block in blocks(page)}
    assert marks <= {("", False), ("needs", True), ("exit", True), ("output", False)}
    needed = [block for page in READ for block in blocks(page) if block.mark == "needs"]
    ran = [block for page in READ for block in blocks(page) if block.language == "console" and block.mark != "needs"]
    assert len(needed) < len(ran)


def generated() -> ModuleType:
    """The module that writes the reference."""
    spec = importlib.util.spec_from_file_location("generated", DOCS / "generated.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_has_what_there_is() -> None:
    """Every rule under its code, every option of every verb, every format, recipe, exit code and public name."""
    import spectral_doctor
    from spectral_doctor.cli.boundary import ExitCode
    from spectral_doctor.gan.patients import known_recipes

    pages = generated().pages()
    for rule in RULES.values():
        assert f"{{ #{rule.code.lower()} }}" in pages["reference/rules.md"]
        assert f"| [{rule.code}](#{rule.code.lower()}) | {rule.level.value} |" in pages["reference/rules.md"]
    for verb, names in options():
        section = pages["reference/options.md"].split(f"\n## {verb}\n")[1].split("\n## ")[0]
        assert names <= set(re.findall(r"`(--?[a-z][a-z0-9-]*)`", section)), verb
    assert all(f"| `{name}` |" in pages["reference/formats.md"] for name in RENDERERS)
    assert all(f"\n## {name}\n" in pages["reference/recipes.md"] for name in known_recipes())
    assert all(f"| {code.value} |" in pages["reference/exit-codes.md"] for code in ExitCode)
    public = set(spectral_doctor.__all__) - {"__version__"}
    assert set(re.findall(r"^## (\w+)$", pages["reference/python.md"], re.MULTILINE)) == public


def options() -> Iterator[tuple[str, set[str]]]:
    """Every verb with the names of its options, as `--help` prints them."""
    listed = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).stdout
    for verb in re.findall(r"^│ ([a-z]+) {2,}", listed, re.MULTILINE):
        text = CliRunner().invoke(app, [verb, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).stdout
        rows = " ".join(re.findall(r"^│[ *]+(--?\w.*?) {2,}", text, re.MULTILINE))
        yield verb, set(re.findall(r"--[a-z][a-z0-9-]+", rows)) - {"--help"}


def test_the_navigation_has_every_page() -> None:
    """Written and generated ones, each once."""
    settings = yaml.load((ROOT / "mkdocs.yml").read_text("utf-8"), Loader=yaml.BaseLoader)

    def places(item: Any) -> Iterator[str]:
        if isinstance(item, str):
            yield item
        for part in item.values() if isinstance(item, dict) else item if isinstance(item, list) else ():
            yield from places(part)

    named = list(places(settings["nav"]))
    assert sorted(named) == sorted({*(str(page.relative_to(DOCS)) for page in PAGES), *generated().pages()})


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    """`mkdocs build --strict`: every link and anchor leads somewhere, and nothing is loaded from elsewhere."""
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "NO_MKDOCS_2_WARNING": "1",
        "DISABLE_MKDOCS_2_WARNING": "true",
    }
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    page = (tmp_path / "site" / "index.html").read_text("utf-8")
    assert "COLLAPSED spectrum" in page
    loaded = re.findall(r'<(?:script|img|link)[^>]*(?:src|href)="(https?://[^"]+)"', page)
    assert [place for place in loaded if "fonts" in place or place.endswith(".js")] == []
    assert (tmp_path / "site" / "reference" / "rules" / "index.html").read_text("utf-8").count('id="sd') == len(RULES)


@pytest.mark.skipif(shutil.which("sh") is None, reason="no shell")
def test_the_rollback_of_the_guide_rolls_back(beside_the_runs: Path) -> None:
    """The script as printed: the training is stopped, and goes on from the checkpoint that the finding names."""
    (block,) = [item for item in blocks(DOCS / "guides" / "training-guard.md") if "training.pid" in item.text]
    script = beside_the_runs / "rollback.sh"
    script.write_text(block.text)
    script.chmod(0o755)
    Path("train.py").write_text("import pathlib, sys; pathlib.Path('resumed').write_text(' '.join(sys.argv[1:]))\n")
    training = subprocess.Popen(["sleep", "60"])
    Path("training.pid").write_text(str(training.pid))
    try:
        shutil.copytree("sample_checkpoints/collapsed", "collapsing")
        (beside_the_runs / "bin").mkdir()
        (beside_the_runs / "bin" / "python").symlink_to(sys.executable)
        path = f"{beside_the_runs / 'bin'}{os.pathsep}{os.environ['PATH']}"
        result = CliRunner().invoke(
            app, ["watch", "collapsing", "--once", "--exec", "./rollback.sh"], env={"PATH": path}
        )
        assert result.exit_code == 0, result.output
        assert training.wait(10) != 0
        resumed = waited_for(beside_the_runs / "resumed")
        assert re.fullmatch(r"--resume collapsing/step-000[0-5]00\.pt --lr-d 1e-4", resumed)
    finally:
        training.kill()
        training.wait()


def waited_for(path: Path) -> str:
    """The text of a file that another process writes."""
    import time

    for _ in range(100):
        if path.is_file() and path.read_text():
            return path.read_text()
        time.sleep(0.1)
    raise AssertionError(f"{path} was not written")
