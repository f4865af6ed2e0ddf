"""The cache as a user meets it: kept by inspect and check, told and cleared by name, and left alone where asked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.builders import save, small_discriminator


def run(cache: Path | str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command line with a cache of its own."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "spectral_doctor", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SPECTRAL_DOCTOR_CACHE": str(cache)},
        timeout=120,
    )


def test_the_verbs_keep_and_use_it_unless_they_are_told_not_to(tmp_path: Path) -> None:
    """The same report with it, from it, and without; `--no-cache` and `off` make no file."""
    path = save(tmp_path / "run", "netD_100.pt", small_discriminator())
    file = tmp_path / "cache" / "spectra.sqlite3"
    plain = run(file.parent, "inspect", path, "--format", "json", "--no-cache")
    assert run("off", "inspect", path, "--format", "json").stdout == plain.stdout
    assert run(file.parent, "check", path, "--no-cache").returncode == 0
    assert run(file.parent, "watch", path.parent, "--once", "--no-cache").returncode == 0
    assert not file.exists()
    first, second = (run(file.parent, "inspect", path, "--format", "json") for _ in range(2))
    assert (first.returncode, second.returncode, plain.returncode) == (0, 0, 0)
    assert first.stdout == second.stdout == plain.stdout
    assert (first.stderr, second.stderr) == ("", "")
    told = run(file.parent, "cache", "info")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith(f"{file}: 0.0 MB, spectra of 3 matrices, ")


def test_it_is_cleared_by_name(tmp_path: Path) -> None:
    """And says where; a second time too."""
    file = tmp_path / "cache" / "spectra.sqlite3"
    run(file.parent, "check", save(tmp_path, "netD_100.pt", small_discriminator()))
    assert file.exists()
    for _ in range(2):
        cleared = run(file.parent, "cache", "clear")
        assert (cleared.returncode, cleared.stdout, cleared.stderr) == (0, f"cleared: {file}\n", "")
        assert not file.exists()


def test_where_it_is_off(tmp_path: Path) -> None:
    """It says so."""
    told = run("off", "cache", "info")
    expected = "no cache: it is turned off (SPECTRAL_DOCTOR_CACHE=off, or there is no home folder)\n"
    assert (told.returncode, told.stdout) == (0, expected)
    assert run("off", "cache", "other").returncode == 2
