"""What is released: metadata, citation, image and workflows fit the code, and README's links lead somewhere."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from spectral_doctor.version import __version__
from tests.test_architecture import PACKAGE

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_every_place_has_one_version() -> None:
    """The package, its metadata, the citation."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert __version__ == PROJECT["version"] == citation["version"]
    assert citation["license"] == PROJECT["license"]


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-workflows", WORKFLOWS),
        ("vendor.citation-file-format", [ROOT / "CITATION.cff"]),
        ("vendor.github-actions", [ROOT / "action.yml"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_files_for_others_fit_their_schemas(schema: str, files: list[Path]) -> None:
    """As check-jsonschema has them; a file with a word too many does not fit."""
    pytest.importorskip("check_jsonschema")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema]
    result = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, check=False)
    if "not a valid value" in result.stderr or "invalid choice" in result.stderr.lower():
        pytest.skip(f"check-jsonschema has no {schema}")
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_workflow_with_a_fault_does_not_fit(tmp_path: Path) -> None:
    """The check above can fail."""
    pytest.importorskip("check_jsonschema")
    broken = tmp_path / "broken.yml"
    broken.write_text("name: broken\non: push\njobs:\n  one:\n    steps: {}\n")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(broken)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


def test_the_workflows_run_what_there_is() -> None:
    """Every file of the project that a step names exists."""
    for workflow in WORKFLOWS:
        for job in yaml.safe_load(workflow.read_text("utf-8"))["jobs"].values():
            text = " ".join(step.get("run", "") for step in job["steps"])
            for name in re.findall(r"(?<![\w/.-])((?:\.github|\.ci|tests)/[\w./-]+|requirements-reading\.txt)", text):
                assert (ROOT / name).is_file(), name


def test_the_image_gets_what_it_copies() -> None:
    """Every source exists, and .dockerignore lets it through; the entry point is a script of the package."""
    text = (ROOT / "Dockerfile").read_text("utf-8")
    copied = [
        name.removeprefix("./") for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE) for name in line.split()[:-1]
    ]
    let_through = set(re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE))
    assert set(copied) == let_through
    assert all((ROOT / name).exists() for name in copied)
    (entry,) = re.findall(r"^ENTRYPOINT (.*)$", text, re.MULTILINE)
    assert ast.literal_eval(entry)[0] in PROJECT["scripts"]


def test_every_extra_that_an_error_names_is_one() -> None:
    """`pip install 'spectral-doctor[…]'` in a sentence installs something."""
    named = {
        extra
        for path in PACKAGE.rglob("*.py")
        for extra in re.findall(r"spectral-doctor\[([\w-]+)\]", path.read_text("utf-8"))
    }
    assert "pandas" in named
    assert named <= set(PROJECT["optional-dependencies"])


def absolute_links() -> ModuleType:
    """The module that a release runs."""
    spec = importlib.util.spec_from_file_location("absolute_links", ROOT / ".github" / "absolute_links.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_release_makes_every_link_absolute() -> None:
    """Pictures from where files are served, other links to pages; anchors and addresses stay as they are."""
    module = absolute_links()
    text = "![a](b/c.png) [d](docs/e.md) [f](#g) [h](https://i.example) ![j](https://k.example/l.png)"
    assert module.absolute(text, "owner/name", "v1") == (
        "![a](https://raw.githubusercontent.com/owner/name/v1/b/c.png) "
        "[d](https://github.com/owner/name/blob/v1/docs/e.md) [f](#g) [h](https://i.example) ![j](https://k.example/l.png)"
    )
    readme = (ROOT / "README.md").read_text("utf-8")
    assert not re.findall(r"\]\((?!https?:|#)", module.absolute(readme, "owner/name", "v1"))


def test_every_relative_link_of_readme_is_a_file() -> None:
    """And there is at least the picture of the first run."""
    readme = (ROOT / "README.md").read_text("utf-8")
    places = re.findall(r"\]\((?!https?:|#)([^)\s#]+)", readme)
    assert places
    assert [place for place in places if not (ROOT / place).exists()] == []


def test_a_release_enters_the_addresses() -> None:
    """pyproject.toml stays whole, and has them once."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    project = tomllib.loads(absolute_links().with_addresses(text, "owner/name"))["project"]
    assert project.pop("urls")["Documentation"] == "https://owner.github.io/name/"
    assert project == PROJECT


def test_the_source_distribution_has_what_its_tests_read() -> None:
    """Every file at the top of the project, and every folder, is named by MANIFEST.in or is always there."""
    manifest = (ROOT / "MANIFEST.in").read_text("utf-8")
    always = {"README.md", "LICENSE", "pyproject.toml", "MANIFEST.in", "spectral_doctor"}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not a repository")
    top = {name.partition("/")[0] for name in tracked.stdout.splitlines()}
    assert {name for name in top - always if name not in manifest.split()} == set()
