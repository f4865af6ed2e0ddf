"""The GitHub action and the pre-commit hooks, run in a small repository."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from spectral_doctor.cli import app
from tests.cli.test_check import collapsed, healthy

ROOT = Path(__file__).parents[1]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
HOOKS: list[dict[str, Any]] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
SCRIPTS = str(Path(sys.executable).parent)


def environment(**changes: str) -> dict[str, str]:
    """That of this process, its scripts first on the path, and nothing of a job around it."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("GITHUB_", "INPUT_", "PRE_COMMIT"))}
    return {**kept, "PATH": f"{SCRIPTS}{os.pathsep}{kept.get('PATH', '')}", **changes}


def git(folder: Path, *arguments: str) -> None:
    """Run git as nobody in particular."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    name = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *name, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a good and a bad run, and the history of each."""
    folder = tmp_path / "repository"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name, build in (("good", healthy), ("bad", collapsed)):
        build(folder / name)
        result = CliRunner().invoke(app, ["inspect", name, "--format", "json"])
        (folder / f"spectral-history-{name}.json").write_text(result.stdout)
    git(folder, "init")
    return folder


def run_action(repository: Path, **inputs: str) -> tuple[subprocess.CompletedProcess[str], dict[str, str]]:
    """Run the action's check step as a runner does: its script in bash, inputs only through its environment."""
    (step,) = [step for step in ACTION["runs"]["steps"] if step.get("id") == "check"]
    values = {name: str(given["default"]) for name, given in ACTION["inputs"].items()} | inputs
    given = {
        name: re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda match: values[match[1]], text)
        for name, text in step["env"].items()
    }
    output, summary = repository.parent / "output", repository.parent / "summary.md"
    output.write_text("")
    result = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=repository,
        env=environment(**given, GITHUB_OUTPUT=str(output), GITHUB_STEP_SUMMARY=str(summary)),
        capture_output=True,
        text=True,
        check=False,
    )
    return result, dict(line.split("=", 1) for line in output.read_text().splitlines())


def test_the_action_passes_a_good_run(repository: Path) -> None:
    """Exit code, SARIF, summary."""
    result, outputs = run_action(repository, paths="good\n")
    assert result.returncode == 0, result.stderr
    assert outputs == {"exit-code": "0", "sarif-file": "spectral-doctor.sarif"}
    assert json.loads((repository / "spectral-doctor.sarif").read_text())["runs"][0]["results"] == []
    assert (repository.parent / "summary.md").read_text().startswith("### spectral-doctor: PASSED")


def test_the_action_fails_a_bad_run_and_writes_its_reports_all_the_same(repository: Path) -> None:
    """The step fails, so that a later one with `if: always()` uploads what was found."""
    result, outputs = run_action(repository, paths="good\nbad\n")
    assert result.returncode == 1
    assert outputs["exit-code"] == "1"
    assert result.stdout.startswith("::error title=SD101 spectrum collapsed,file=bad/netD_1.pth::netD (bad): ")
    (found,) = json.loads((repository / "spectral-doctor.sarif").read_text())["runs"][0]["results"]
    assert found["ruleId"] == "SD101"


def test_the_inputs_of_the_action_reach_the_command(repository: Path) -> None:
    """A level, more arguments, a baseline, no SARIF, and nothing to examine."""
    assert run_action(repository, paths="bad", **{"fail-on": "never"})[0].returncode == 0
    (repository / "spectral-doctor.toml").write_text('fail-on = "never"\n')
    assert run_action(repository, paths="bad")[0].returncode == 0
    (repository / "spectral-doctor.toml").unlink()
    assert run_action(repository, paths="bad", arguments="--ignore\nSD101\n")[0].returncode == 0
    missing, outputs = run_action(repository, paths="bad", baseline="known.json")
    assert (missing.returncode, outputs["exit-code"]) == (2, "2")
    (repository / "spectral-doctor.sarif").unlink()
    assert run_action(repository, paths="good", **{"sarif-file": ""})[0].returncode == 0
    assert not (repository / "spectral-doctor.sarif").exists()
    (repository / "empty").mkdir()
    assert run_action(repository, paths="empty")[1]["exit-code"] == "3"


def test_an_input_of_the_action_is_no_code(repository: Path) -> None:
    """A path is a path, also where it looks like a command or an option."""
    result, _ = run_action(repository, paths="$(touch hacked)\n--exit-zero; touch hacked")
    assert result.returncode == 2
    assert not (repository / "hacked").exists()
    scripts = [step["run"] for step in ACTION["runs"]["steps"]]
    assert not any("${{" in script for script in scripts)


def test_the_action_file_is_valid() -> None:
    """The schema of GitHub actions, as check-jsonschema ships it."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-actions", "action.yml"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_the_hooks_are_valid() -> None:
    """pre-commit's own check of the manifest."""
    command = [sys.executable, "-m", "pre_commit", "validate-manifest", ".pre-commit-hooks.yaml"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment())
    assert result.returncode == 0, result.stdout


def pre_commit(repository: Path, hook: str) -> subprocess.CompletedProcess[str]:
    """Run a hook of the manifest by pre-commit, in this environment in place of one that it would build."""
    (entry,) = [dict(item) for item in HOOKS if item["id"] == hook]
    config = {"repos": [{"repo": "local", "hooks": [{**entry, "language": "system"}]}]}
    (repository / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    git(repository, "add", "-A")
    return subprocess.run(
        [sys.executable, "-m", "pre_commit", "run", "--all-files"],
        cwd=repository,
        env=environment(PRE_COMMIT_HOME=str(repository.parent / "pre-commit"), NO_COLOR="1"),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_hook_checks_the_histories_that_are_tracked(repository: Path) -> None:
    """Small JSON in place of weights: it fails while one of them has collapsed."""
    failing = pre_commit(repository, "spectral-doctor")
    assert failing.returncode == 1, failing.stdout + failing.stderr
    assert "spectral-doctor..." in failing.stdout
    assert "- exit code: 1" in failing.stdout
    assert "fail  SD101 spectrum collapsed: netD: " in failing.stdout
    (repository / "spectral-history-bad.json").unlink()
    passing = pre_commit(repository, "spectral-doctor")
    assert passing.returncode == 0, passing.stdout
    assert re.search(r"^spectral-doctor\.+Passed$", passing.stdout, re.MULTILINE)


def test_the_hook_of_checkpoints_takes_the_paths_of_the_settings(repository: Path) -> None:
    """Whatever is committed; without paths it is a usage error and no pass."""
    (repository / "spectral-doctor.toml").write_text('paths = ["bad"]\n')
    assert "- exit code: 1" in pre_commit(repository, "spectral-doctor-checkpoints").stdout
    (repository / "spectral-doctor.toml").write_text('paths = ["good"]\n')
    assert pre_commit(repository, "spectral-doctor-checkpoints").returncode == 0
    (repository / "spectral-doctor.toml").unlink()
    assert "- exit code: 2" in pre_commit(repository, "spectral-doctor-checkpoints").stdout


def test_an_emptied_repository_has_nothing_to_check(repository: Path) -> None:
    """No history tracked: the hook is skipped by pre-commit, which says so."""
    for path in repository.glob("spectral-history-*.json"):
        path.unlink()
    assert re.search(r"\(no files to check\)Skipped", pre_commit(repository, "spectral-doctor").stdout)
