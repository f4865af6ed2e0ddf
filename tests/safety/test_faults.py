"""A machine that fails at any of a verb's writes loses nothing; the benchmark `faults.py` disturbs every verb."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from typer.main import get_command

from spectral_doctor.checkpoints.writing import write_atomically
from spectral_doctor.cli import app
from tests.safety.faults import build, disturbed
from tests.safety.scenarios import scenarios

QUICK = ("baseline", "rows", "reference")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that counts writes, which needs Linux and a C compiler."""
    built = build(tmp_path_factory.mktemp("library"))
    if built is None:
        pytest.skip("no C compiler, or not Linux")
    return built


def test_nothing_is_lost_at_any_write(library: Path, tmp_path: Path) -> None:
    """Killed at the n-th write, or without room from it on, for all n: the old file or the new one, and the next run
    gives what an undisturbed one gives."""
    tallies = disturbed(library, tmp_path, QUICK)
    assert not [loss for tally in tallies.values() for loss in tally.losses]
    assert all(tally.points >= 3 and tally.runs == 3 * tally.points for tally in tallies.values())


def test_the_patient_is_whole_at_every_fourth_write_of_a_treatment(library: Path, tmp_path: Path) -> None:
    """`fix` maps a copy and changes it in place; the checkpoint itself is never touched."""
    tally = disturbed(library, tmp_path, ["fix"], every=4)["fix"]
    assert not tally.losses
    assert tally.points >= 8


def test_a_writer_that_is_not_atomic_is_noticed(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative: with a writer that writes in place, something is lost at some point."""
    (tmp_path / "sitecustomize.py").write_text(
        "import spectral_doctor.checkpoints.writing as writing\n"
        "writing.write_atomically = lambda path, content: path.write_bytes(content)\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{Path(__file__).parents[2]}")
    losses = disturbed(library, tmp_path / "work", ["baseline"])["baseline"].losses
    assert any("neither the old one nor the new one" in loss for loss in losses)


def test_every_verb_that_writes_has_its_scenario() -> None:
    """Of every verb that takes a file or folder to write to, the name stands in a scenario; `merge` writes reports."""
    commands = get_command(app).commands  # type: ignore[attr-defined]
    writing = {
        verb
        for verb, command in commands.items()
        for option in command.params
        if {"--output", "--history", "--html", "--rows", "--update-baseline"} & set(option.opts)
    }
    assert {"inspect", "check", "watch", "fix", "train", "reproduce", "reference", "merge"} <= writing
    assert writing - {"merge"} == {scenario.command[0] for scenario in scenarios().values()}
    modes = [
        scenario.command[scenario.command.index("--mode") + 1]
        for scenario in scenarios().values()
        if "--mode" in scenario.command
    ]
    assert {"static", "dynamic", "restart", "trial", "veegan"} <= set(modes)


def test_a_folder_that_vanishes_is_said(tmp_path: Path) -> None:
    """Writing into it raises what the system says, and makes nothing."""
    with pytest.raises(FileNotFoundError) as caught:
        write_atomically(tmp_path / "gone" / "a.json", b"{}")
    assert caught.value.errno == errno.ENOENT
    assert list(tmp_path.iterdir()) == []
