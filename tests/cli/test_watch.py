"""A run watched while it is written, as a user does it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from spectral_doctor.checkpoints.writing import write_atomically
from spectral_doctor.cli import app
from spectral_doctor.cli.boundary import ExitCode
from tests.builders import save, small_discriminator, small_generator, sound_discriminator, tensorboard_tags
from tests.cli.test_check import collapsed, healthy
from tests.cli.test_inspect import as_spectral_norm, torn


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def watch(*arguments: object) -> Result:
    """Run the verb in this process."""
    return CliRunner().invoke(app, ["watch", *map(str, arguments)])


def old(path: Path) -> Path:
    """A file that was last changed a minute ago."""
    os.utime(path, (time.time() - 60, time.time() - 60))
    return path


@pytest.fixture
def watching() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that end with the test."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def start(processes: list[subprocess.Popen[str]], *arguments: object) -> subprocess.Popen[str]:
    """Run the verb beside the test."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "spectral_doctor", "watch", *map(str, arguments), "--interval", "0.2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    processes.append(process)
    return process


def line(process: subprocess.Popen[str]) -> str:
    """The next line of its output."""
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def with_plateau(tensor: torch.Tensor, plateau: float) -> torch.Tensor:
    """The same convolution with all its singular values but the first scaled to a plateau."""
    left, values, right = torch.linalg.svd(tensor.flatten(1), full_matrices=False)
    flat: torch.Tensor = left @ torch.diag(torch.cat([values[:1], plateau * values[1:]])) @ right
    return flat.reshape(tensor.shape)


def test_a_live_run_that_collapses_stops_the_watch(watching: list[subprocess.Popen[str]]) -> None:
    """A line a checkpoint while it is written; at the collapse the finding, the command, and exit code 1."""
    folder = Path("run")
    folder.mkdir()
    script = "import os; print(*(os.environ['SPECTRAL_FINDING_' + key] for key in ('RULE', 'STEP', 'PATH')))"
    tell = f'{sys.executable} -c "{script}"'
    process = start(watching, folder, "--fail-on", "collapsed", "--history", "history.json", "--exec", tell)
    write_atomically(folder / "netD_1.pth", healthy(Path("a")).read_bytes())
    first = line(process)
    assert first.startswith("step 1: SOUND spectrum, modes ")
    assert first.endswith(" (netD)")
    # The same convolutions, with all directions but the first near the end of the range, and then far below it.
    for step, rest in ((2, 0.45), (3, 0.03)):
        flat = {
            name: with_plateau(tensor, rest) if tensor.ndim == 4 else tensor
            for name, tensor in as_spectral_norm(sound_discriminator()).items()
        }
        write_atomically(folder / f"netD_{step}.pth", save(Path("b"), f"netD_{step}.pth", flat).read_bytes())
        if step == 2:
            assert line(process).startswith("step 2: DECLINING spectrum, modes ")
            assert line(process).startswith("warn  SD102 spectrum declining: netD: ")
            assert line(process) == "SD102 2 run/netD_2.pth"
    assert line(process).startswith("step 3: COLLAPSED spectrum, modes ")
    assert line(process).startswith("fail  SD101 spectrum collapsed: netD: ")
    assert line(process) == "SD101 3 run/netD_3.pth"
    assert process.wait(20) == ExitCode.FINDINGS
    assert json.loads(Path("history.json").read_text())["series"][0]["steps"] == [1, 2, 3]
    assert CliRunner().invoke(app, ["check", "history.json"]).exit_code == ExitCode.FINDINGS


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_watch(watching: list[subprocess.Popen[str]], number: signal.Signals, code: int) -> None:
    """At once, also in the pause between two looks, and without a traceback."""
    Path("run").mkdir()
    old(healthy(Path("run")))
    process = start(watching, "run")
    line(process)
    process.send_signal(number)
    assert process.wait(10) == code
    assert process.stderr is not None
    assert process.stderr.read() == ""


def test_once_examines_what_is_there_and_ends() -> None:
    """0 without `--fail-on`, 1 with it; 3 where there is nothing."""
    Path("run").mkdir()
    old(collapsed(Path("run")))
    assert watch("run", "--once").exit_code == ExitCode.HEALTHY
    result = watch("run", "--once", "--fail-on", "collapsed")
    assert result.exit_code == ExitCode.FINDINGS
    assert result.stdout.splitlines()[0].startswith("step 1: COLLAPSED spectrum, modes NOT KNOWN, best plateau 0.")
    assert watch("run", "--once", "--fail-on", "collapsed", "--ignore", "SD101").exit_code == ExitCode.HEALTHY
    Path("empty").mkdir()
    old(save(Path("empty"), "netG.pt", small_generator()))
    nothing = watch("empty", "--once")
    assert nothing.exit_code == ExitCode.NOTHING_EXAMINED
    assert nothing.stderr == "error: 'empty': no checkpoint found (1 file looked at).\n"


def test_once_waits_until_a_fresh_file_has_settled() -> None:
    """A file of this moment may be half of one: it is looked at again."""
    Path("run").mkdir()
    healthy(Path("run"))
    began = time.monotonic()
    result = watch("run", "--once")
    assert result.stdout.startswith("step 1: SOUND spectrum, modes ")
    assert time.monotonic() - began > 0.5


def test_a_torn_file_is_told_once() -> None:
    """As a warning, beside what could be examined."""
    Path("run").mkdir()
    old(torn(Path("run")))
    old(save(Path("run"), "netD_5.pth", small_discriminator()))
    result = watch("run", "--once", "--fail-on", "collapsed")
    assert result.exit_code == ExitCode.HEALTHY
    assert result.stdout.count("warn  SD302 file not read: run/netD.pth: cannot be read") == 1


def test_settings_of_check_that_ask_for_the_end_of_a_run_do_not_stop_a_watch() -> None:
    """`fail-on` and coverage in the file are for CI."""
    Path("spectral-doctor.toml").write_text('fail-on = "collapsed"\nfail-on-coverage = 100\n')
    Path("run").mkdir()
    old(collapsed(Path("run")))
    old(torn(Path("run")))
    assert watch("run", "--once").exit_code == ExitCode.HEALTHY


def test_a_watch_goes_on_from_the_history_of_an_earlier_one() -> None:
    """Also with the states that have been overwritten since; what is told already is not told again."""
    Path("run").mkdir()
    latest = Path("run/latest.pth")
    for step in (1, 2):
        save(Path("run"), "latest.pth", {"step": step, "netD": as_spectral_norm(sound_discriminator(seed=step))})
        os.utime(latest, (time.time() - 60 + step, time.time() - 60 + step))
        result = watch("run", "--once", "--history", "history.json")
        assert result.exit_code == ExitCode.HEALTHY
        assert len(result.stdout.splitlines()) == 1
        assert result.stdout.startswith(f"step {step}: SOUND spectrum, modes ")
        assert result.stderr == ("" if step == 1 else "taken over from history.json: 1 checkpoint\n")
    (series,) = json.loads(Path("history.json").read_text())["series"]
    assert series["steps"] == [1, 2]
    assert series["checkpoints"] == ["run/latest.pth (overwritten since)", "run/latest.pth"]
    again = watch("run", "--once", "--history", "history.json")
    assert (again.stdout, again.stderr) == ("", "taken over from history.json: 2 checkpoints\n")
    assert CliRunner().invoke(app, ["inspect", "history.json"]).exit_code == ExitCode.HEALTHY


def test_a_history_that_watch_did_not_write_is_refused() -> None:
    """It is neither taken over nor overwritten."""
    Path("run").mkdir()
    old(healthy(Path("run")))
    text = CliRunner().invoke(app, ["inspect", "run", "--format", "json"]).stdout
    Path("history.json").write_text(text)
    result = watch("run", "--once", "--history", "history.json")
    assert result.exit_code == ExitCode.UNREADABLE
    assert result.stderr == (
        "error: history.json: cannot be read: no history that watch wrote, without the entry 'observations'. "
        "Name a new file for --history.\n"
    )
    assert Path("history.json").read_text() == text


def test_a_tracker_gets_every_state_once() -> None:
    """A function of the user's own, called with the step and a flat dict of numbers."""
    Path("run").mkdir()
    for step in (1, 2):
        old(save(Path("run"), f"netD_{step}.pth", as_spectral_norm(sound_discriminator(seed=step))))
    Path("mine.py").write_text(
        "import json, pathlib\ndef track(step, values):\n"
        "    with pathlib.Path('told.jsonl').open('a') as file: file.write(json.dumps([step, values]) + '\\n')\n"
    )
    assert watch("run", "--once", "--tracker", "mine.py:track").exit_code == ExitCode.HEALTHY
    (first, values), (second, _) = (json.loads(text) for text in Path("told.jsonl").read_text().splitlines())
    assert (first, second) == (1, 2)
    assert set(values) == {
        "best_plateau",
        *(f"{key}/{layer}" for key in ("sigma_max", "plateau", "deficit") for layer in ("conv1", "conv2")),
    }
    assert watch("run", "--once", "--tracker", "mine.py:nobody").exit_code == ExitCode.USAGE


def test_tensorboard_has_the_numbers_and_the_spectra() -> None:
    """A scalar a layer and statistic, and a picture of all spectra at the last step."""
    pytest.importorskip("tensorboard")
    Path("run").mkdir()
    old(healthy(Path("run")))
    assert watch("run", "--once", "--tensorboard", "board").exit_code == 0
    scalars, images = tensorboard_tags(Path("board"))
    assert {"sigma_max/conv1", "plateau/conv2", "deficit/conv1"} <= scalars
    assert images == {"spectra/netD"}


def test_a_command_that_fails_is_told_and_the_watch_goes_on() -> None:
    """Its exit code is not ours; quotes are kept, and no shell reads it."""
    Path("run").mkdir()
    old(collapsed(Path("run")))
    failing = watch("run", "--once", "--exec", f"{sys.executable} -c 'import sys; sys.exit(7)'")
    assert failing.exit_code == ExitCode.HEALTHY
    assert failing.stderr == f"--exec {sys.executable}: ended with 7\n"
    script = "import pathlib, sys; pathlib.Path('told').write_text(repr(sys.argv[1:]))"
    watch("run", "--once", "--exec", f'{sys.executable} -c "{script}" "a b" $HOME;id')
    assert Path("told").read_text() == "['a b', '$HOME;id']"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["no"], "error: no: no such file or folder, and no file matches it as a pattern.\n"),
        (["file"], "error: file: not a folder.\n"),
        (["run", "--exec", "no-such-command-here"], "error: --exec no-such-command-here: no such command; it is run"),
        (["run", "--exec", "'a"], "error: --exec 'a: cannot be split into words: No closing quotation.\n"),
        (["run", "--exec", ""], "error: --exec : no such command; it is run without a shell.\n"),
        (["run", "--history", "run/h.json"], "error: --history run/h.json: lies in the folder that is watched"),
        (["run", "--history", "no/h.json"], "error: --history no/h.json: the folder 'no' does not exist.\n"),
    ],
)
def test_wrong_usage_is_said_before_the_watch_begins(arguments: list[str], sentence: str) -> None:
    """Exit code 2, one sentence."""
    Path("run").mkdir()
    Path("file").touch()
    result = watch(*arguments, "--once")
    assert result.exit_code == ExitCode.USAGE
    assert result.stderr.startswith(sentence)
    assert result.stdout == ""


def test_a_terminal_gets_a_live_table() -> None:
    """Lines above, and below them one row a discriminator."""
    from io import StringIO

    from rich.console import Console

    from spectral_doctor.cli.watching import View
    from spectral_doctor.gate.judging import judge
    from spectral_doctor.gate.settings import GateSettings
    from tests.gate.cases import collapsed as case
    from tests.gate.cases import inspection_of

    file = StringIO()
    outcome = judge(inspection_of(case()), GateSettings())
    with View(Path("run"), Console(file=file, force_terminal=True, width=100, color_system=None)) as view:
        assert len(view.show(outcome)) == 3
        assert view.show(outcome) == []
    text = file.getvalue()
    assert "discriminator" in text
    assert "step 400" in text
    assert "watching run; Ctrl-C ends it" in text
    assert text.count("fail  SD101 spectrum collapsed") == 1


def test_findings_are_lines_of_json_for_those_who_ask() -> None:
    """One object a state and a finding, with both statements and where to resume; `--quiet` leaves the findings."""
    Path("run").mkdir()
    old(collapsed(Path("run")))
    told = [json.loads(text) for text in watch("run", "--once", "--format", "jsonl").stdout.splitlines()]
    assert [item["type"] for item in told] == ["state", "finding"]
    state, finding = told
    assert (state["spectrum"], state["step"]) == ("COLLAPSED", 1)
    assert {key: finding[key] for key in ("rule", "level", "spectrum", "modes", "resume_from")} == {
        "rule": "SD101",
        "level": "warn",
        "spectrum": "COLLAPSED",
        "modes": "NOT KNOWN",
        "resume_from": None,
    }
    quiet = watch("run", "--once", "--format", "jsonl", "-q").stdout
    assert json.loads(quiet) == finding
    assert watch("run", "--once", "-q").stdout.startswith("warn  SD101 spectrum collapsed: ")
