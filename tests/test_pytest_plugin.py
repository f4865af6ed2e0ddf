"""The pytest plugin as a project uses it: in a pytest of its own."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tests.builders import save, small_generator, sound_discriminator
from tests.cli.test_check import collapsed, healthy
from tests.cli.test_inspect import as_spectral_norm, torn

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder, with the plugin as it is installed, or named where it is not."""
    import os

    installed = any(point.name == "spectral_doctor" for point in entry_points(group="pytest11"))
    plugin = [] if installed else ["-p", "spectral_doctor.pytest_plugin"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", *plugin, *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one test of its own, a good run and a bad one."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_own.py").write_text("def test_own(): pass\n")
    healthy(tmp_path / "good")
    collapsed(tmp_path / "bad")
    return tmp_path


def test_the_entry_point_is_declared() -> None:
    """What pip installs is this module."""
    import tomllib

    declared = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["entry-points"]["pytest11"]
    assert declared == {"spectral_doctor": "spectral_doctor.pytest_plugin"}


def test_a_discriminator_is_a_test(project: Path) -> None:
    """One that has collapsed fails with its sentence and no traceback; beside it the project's own test."""
    result = run(project, "--spectral-doctor", "good", "--spectral-doctor", "bad", "-v")
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    assert any("::test_own PASSED" in line for line in lines)
    assert any("::netD (good) PASSED" in line for line in lines)
    assert any("::netD (bad) FAILED" in line for line in lines)
    assert any("::files PASSED" in line for line in lines)
    assert any(line.startswith("SD101 spectrum collapsed: netD (bad): ") for line in lines)
    assert "Traceback" not in result.stdout
    assert "1 failed, 3 passed" in lines[-1]


def test_the_paths_may_stand_in_the_settings_of_pytest(project: Path) -> None:
    """And are then those of the folder of the settings; -k chooses among the items."""
    (project / "pytest.ini").write_text("[pytest]\nspectral_doctor_paths = good\n")
    inner = project / "inner"
    inner.mkdir()
    result = run(inner, "-v")
    assert result.returncode == 0
    assert "netD PASSED" in result.stdout
    chosen = run(project, "-v", "-k", "netD")
    assert "1 passed, 2 deselected" in chosen.stdout


def test_the_settings_of_check_apply(project: Path) -> None:
    """Levels from the file, and from the environment."""
    (project / "spectral-doctor.toml").write_text('ignore = ["SD101"]\n')
    assert run(project, "--spectral-doctor", "bad").returncode == 0
    (project / "spectral-doctor.toml").write_text("")
    assert run(project, "--spectral-doctor", "bad", SPECTRAL_DOCTOR_FAIL_ON="never").returncode == 0
    wrong = run(project, "--spectral-doctor", "bad", SPECTRAL_DOCTOR_FAILON="never")
    assert wrong.returncode == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: --spectral-doctor: SPECTRAL_DOCTOR_FAILON: unknown variable" in wrong.stderr


def test_nothing_examined_is_a_failure(project: Path) -> None:
    """And a path that is not there an error of usage."""
    save(project / "g", "netG.pt", small_generator())
    result = run(project, "--spectral-doctor", "g", "-v")
    assert result.returncode == 1
    assert "::files FAILED" in result.stdout
    assert "SD301 nothing examined: g/netG.pt: only a generator is here" in result.stdout
    missing = run(project, "--spectral-doctor", "no")
    assert missing.returncode == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: --spectral-doctor: no: no such file or folder" in missing.stderr


def test_warnings_are_shown_and_do_not_fail(project: Path) -> None:
    """A torn file beside a good one."""
    save(project / "good", "netD_5.pth", as_spectral_norm(sound_discriminator(1)))
    torn(project / "good")
    result = run(project, "--spectral-doctor", "good", "-rA")
    assert result.returncode == 0
    assert "SD302 file not read: good/netD.pth: cannot be read" in result.stdout


def test_without_paths_the_plugin_is_silent_and_light(project: Path) -> None:
    """It is loaded in every run of pytest where the package is installed: it may cost nothing."""
    (project / "test_own.py").write_text("import sys\ndef test_own(): assert 'torch' not in sys.modules\n")
    result = run(project, "-v")
    assert result.returncode == 0
    assert "1 passed" in result.stdout
