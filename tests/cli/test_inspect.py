"""The verb as a user runs it: exit codes, streams, bad input, and never a traceback."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from spectral_doctor.cli.boundary import ExitCode, exit_code
from spectral_doctor.errors import CheckpointError, DoctorError, NothingToExamine, UsageError, WeightError
from tests import hostile, stylegan
from tests.builders import save, small_discriminator, small_generator, sound_discriminator

COLLAPSED = {"conv.weight": torch.outer(torch.ones(16), torch.ones(144)).reshape(16, 16, 3, 3) + 0.001 * torch.randn(
    16, 16, 3, 3, generator=torch.Generator().manual_seed(0)
)}  # fmt: skip


def as_spectral_norm(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same convolutions in the old spectral norm form."""
    out: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.ndim == 4:
            layer = name.removesuffix(".weight")
            out |= {
                f"{layer}.weight_orig": tensor,
                f"{layer}.weight_u": torch.ones(tensor.shape[0]),
                f"{layer}.weight_v": torch.ones(tensor[0].numel()),
            }
    return out


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, as a user does."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "spectral_doctor", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
        timeout=120,
    )


def nan_weights() -> dict[str, torch.Tensor]:
    """A discriminator with one NaN."""
    tensors = small_discriminator()
    tensors["conv2.weight"][0, 0, 0, 0] = float("nan")
    return tensors


def torn(folder: Path) -> Path:
    """A zip without its end."""
    whole = save(folder, "whole.pth", small_discriminator())
    path = folder / "netD.pth"
    path.write_bytes(whole.read_bytes()[:3000])
    whole.unlink()
    return path


def written(path: Path, content: bytes) -> Path:
    """A file of those bytes."""
    path.write_bytes(content)
    return path


BAD_INPUT: dict[str, tuple[Callable[[Path], Path], ExitCode, str]] = {
    "missing file": (lambda folder: folder / "no.pt", ExitCode.USAGE, "no such file or folder"),
    "empty folder": (lambda folder: folder, ExitCode.NOTHING_EXAMINED, "no checkpoint found (no file there)"),
    "folder of text files": (
        lambda folder: written(folder / "log.txt", b"loss 1.0\n").parent,
        ExitCode.NOTHING_EXAMINED,
        "no checkpoint found (1 file looked at)",
    ),
    "text file": (
        lambda folder: written(folder / "log.txt", b"loss 1.0\n"),
        ExitCode.UNREADABLE,
        "it is a text file, not a checkpoint",
    ),
    "truncated zip": (torn, ExitCode.UNREADABLE, "a zip file without its end"),
    "empty file": (lambda folder: written(folder / "netD.pt", b""), ExitCode.UNREADABLE, "the file is empty (0 bytes)"),
    "generator only": (
        lambda folder: save(folder, "netG.pt", small_generator()),
        ExitCode.NOTHING_EXAMINED,
        "only a generator is here (file name 'netG.pt')",
    ),
    "only meta tensors": (
        lambda folder: save(folder, "netD.pt", {"conv.weight": torch.empty(4, 4, device="meta")}),
        ExitCode.NOTHING_EXAMINED,
        "a meta tensor",
    ),
    "code in a zip": (
        lambda folder: hostile.only_code_zip(folder / "netD.pt", folder / "canary"),
        ExitCode.UNREADABLE,
        "refused: it contains '__builtin__.getattr'",
    ),
    "code in a legacy file": (
        lambda folder: hostile.only_code_legacy(folder / "netD.pt", folder / "canary"),
        ExitCode.UNREADABLE,
        "refused: it contains",
    ),
    "code in a pickle": (
        lambda folder: hostile.plain_pickle(folder / "network-snapshot.pkl", folder / "canary"),
        ExitCode.UNREADABLE,
        "which is code or an object of a class. Only tensors and plain values are read.",
    ),
    "unwritable plot": (
        lambda folder: save(folder, "netD.pt", small_discriminator()),
        ExitCode.USAGE,
        "the folder '/no/such/folder' does not exist",
    ),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_ends_in_one_sentence(tmp_path: Path, case: str) -> None:
    """The right exit code, one `error:` on stderr, nothing on stdout, no traceback, no canary."""
    build, code, sentence = BAD_INPUT[case]
    path = build(tmp_path)
    extra = ["--plot", "/no/such/folder/a.png"] if case == "unwritable plot" else []
    result = run("inspect", path, *extra)
    assert result.returncode == code, result.stderr
    assert result.stderr.startswith("error: ")
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""
    assert not (tmp_path / "canary").exists()


def test_nan_weights_are_a_finding_and_no_error(tmp_path: Path) -> None:
    """Examined is examined: exit 0, and 1 where the user asked to fail."""
    path = save(tmp_path, "netD.pt", nan_weights())
    plain, failing = run("inspect", path), run("inspect", path, "--fail-on", "collapsed")
    assert (plain.returncode, failing.returncode) == (0, 1)
    assert plain.stdout.startswith("NON-FINITE spectrum · modes NOT KNOWN    netD · one checkpoint\n")
    assert "  non-finite  1 value is NaN or infinite in 'conv2' in the one checkpoint given\n" in plain.stdout


def test_two_runs_in_one_folder_are_reported_one_by_one(tmp_path: Path) -> None:
    """Mixed runs are told apart and told about."""
    save(tmp_path, "netD_1.pth", small_discriminator())
    save(tmp_path, "netD_2.pth", as_spectral_norm(small_discriminator()))
    result = run("inspect", tmp_path)
    assert result.returncode == 0
    assert "the files hold 2 different networks under one name" in " ".join(result.stdout.split())


def test_exit_codes_follow_the_statements(tmp_path: Path) -> None:
    """`--fail-on` decides; without it no statement is a failure."""
    collapsed = save(tmp_path, "netD_1.pth", as_spectral_norm(COLLAPSED))
    healthy = save(tmp_path / "h", "netD_1.pth", as_spectral_norm(sound_discriminator()))
    assert run("inspect", collapsed).returncode == 0
    for level, expected in (("collapsed", 1), ("declining", 1), ("lost", 0), ("never", 0)):
        assert run("inspect", collapsed, "--fail-on", level).returncode == expected
    assert run("inspect", healthy, "--fail-on", "declining").returncode == 0


def test_sensitive_calls_a_decline_earlier(tmp_path: Path) -> None:
    """From a shallower depth on: the same series is sound by default and fails with the option."""
    left, _, right = torch.linalg.svd(
        torch.randn(16, 144, generator=torch.Generator().manual_seed(0)), full_matrices=False
    )
    ranges = tmp_path / "ranges.json"
    ranges.write_text(
        json.dumps({"schema": 1, "quantiles": [0.1, 0.9], "ranges": {"spectral norm": [0.6, 1.0, 20, 5]}})
    )
    # Depth ln((1.05 − 0.8) / (1.05 − 0.6)) = −0.59: between −0.7, from which it declines early, and −0.5.
    for step, plateau in enumerate((0.97, 0.8)):
        values = torch.tensor([1.0] + [plateau] * 15)
        tensors = {"conv.weight": (left @ torch.diag(values) @ right).reshape(16, 16, 3, 3)}
        save(tmp_path, f"netD_{step}.pth", as_spectral_norm(tensors))
    usual = run("inspect", tmp_path, "--fail-on", "declining", "--reference", ranges)
    early = run("inspect", tmp_path, "--fail-on", "declining", "--reference", ranges, "--sensitive", "--explain")
    assert (usual.returncode, early.returncode) == (0, 1)
    assert usual.stdout.startswith("SOUND spectrum")
    assert early.stdout.startswith("DECLINING spectrum")
    assert "modes LOST: probability 0.5 or more" in early.stdout


def test_layers_and_explain_show_more(tmp_path: Path) -> None:
    """The worst five by default; all of them, and what was skipped, where it is asked for."""
    tensors: dict[str, torch.Tensor] = {"norm.weight": torch.ones(16)}
    for index in range(7):
        tensors[f"conv{index}.weight"] = sound_discriminator(index)["conv2.weight"]
    path = save(tmp_path, "netD_1.pth", tensors)
    few, every, explained = (run("inspect", path, *option) for option in ([], ["--layers"], ["--explain"]))
    rows = [[f"conv{index}" in result.stdout for index in range(7)].count(True) for result in (few, every, explained)]
    assert rows == [5, 7, 7]
    assert "  worst 5 of 7 layers (--layers shows all)\n" in few.stdout
    assert [("Thresholds:" in result.stdout) for result in (few, every, explained)] == [False, False, True]


def test_a_clipped_critic_is_recognised_from_its_file(tmp_path: Path) -> None:
    """The weights at ±0.01 are counted where the file is read."""
    random = torch.Generator().manual_seed(0)
    critic = {"conv.weight": (0.02 * torch.randn(16, 16, 3, 3, generator=random)).clamp(-0.01, 0.01)}
    result = run("inspect", save(tmp_path, "netD_1.pth", critic))
    assert result.returncode == 0
    assert result.stdout.startswith("CLIPPED spectrum · modes NOT KNOWN    netD · one checkpoint")
    assert "  clipped     61% or more of the weights of 'conv'" in result.stdout


def test_a_torn_file_does_not_hide_the_rest(tmp_path: Path) -> None:
    """What can be examined is, and the torn file is named."""
    torn(tmp_path)
    save(tmp_path, "netD_5.pth", small_discriminator())
    result = run("inspect", tmp_path)
    assert result.returncode == 0
    assert "Could not be used:" in result.stdout


def test_the_key_of_the_discriminator_can_be_given(tmp_path: Path) -> None:
    """Where no name tells; a key that is nowhere is a usage error."""
    (tmp_path / "run").mkdir()
    path = save(tmp_path / "run", "a.pt", {"x": small_discriminator(), "y": small_discriminator(1)})
    assert run("inspect", path).returncode == ExitCode.NOTHING_EXAMINED
    named = run("inspect", path, "--discriminator", "x", "--exclude", "conv1", "--explain")
    assert named.returncode == 0
    assert "Skipped: conv1: excluded by --exclude." in named.stdout
    wrong = run("inspect", path, "--discriminator", "z")
    assert wrong.returncode == ExitCode.USAGE
    assert wrong.stderr == (
        "error: --discriminator 'z': no file has tensors below that key; the keys that hold tensors are 'x', 'y'.\n"
    )


def test_json_goes_to_stdout_and_comes_back(tmp_path: Path) -> None:
    """The JSON of one run is the input of the next, with the same statements."""
    path = save(tmp_path, "netD_1.pth", as_spectral_norm(COLLAPSED))
    first = run("inspect", path, "--format", "json")
    assert first.stderr == ""
    history = written(tmp_path / "history.json", first.stdout.encode())
    second = run("inspect", history, "--format", "json")
    assert json.loads(second.stdout) == json.loads(first.stdout)
    assert "COLLAPSED" in run("inspect", history).stdout


def test_a_plot_is_written_and_inputs_never_are(tmp_path: Path) -> None:
    """A new file appears; a wrong ending or an input's own path is refused; the input's bytes stay."""
    path = save(tmp_path, "netD_1.pth", small_discriminator())
    before = path.read_bytes()
    picture = tmp_path / "spectra.png"
    drawn = run("inspect", path, "--plot", picture)
    assert (drawn.returncode, drawn.stderr) == (0, f"written: {picture}\n")
    assert picture.read_bytes().startswith(b"\x89PNG")
    wrong = run("inspect", path, "--plot", tmp_path / "spectra.gif")
    assert wrong.returncode == ExitCode.USAGE
    assert "expected a file that ends in .png, .svg or .pdf" in wrong.stderr
    disguised = tmp_path / "netD_2.png"
    path.rename(disguised)
    assert "one of the inputs, which are never overwritten" in run("inspect", disguised, "--plot", disguised).stderr
    assert disguised.read_bytes() == before
    assert sorted(item.name for item in tmp_path.iterdir()) == ["netD_2.png", "spectra.png"]


def test_a_page_is_written_and_inputs_never_are(tmp_path: Path) -> None:
    """The whole report as HTML beside that on stdout; what is a checkpoint stays one, whatever its name."""
    path = save(tmp_path / "run", "netD_1.pth", as_spectral_norm(COLLAPSED))
    page = tmp_path / "report.html"
    page.write_text("an older report")
    result = run("inspect", path, "--html", page, "--fail-on", "collapsed")
    assert (result.returncode, result.stderr) == (1, f"written: {page}\n")
    assert "COLLAPSED" in result.stdout
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert "<title>COLLAPSED: netD (spectral-doctor)</title>" in text
    assert run("inspect", path, "--html", page).returncode == 0
    assert page.read_text(encoding="utf-8") == text
    disguised = path.rename(path.with_name("netD_1.html"))
    before = disguised.read_bytes()
    for given in (disguised, disguised.parent):
        refused = run("inspect", given, "--html", disguised)
        assert refused.returncode == ExitCode.USAGE
        assert refused.stderr == f"error: --html {disguised}: is one of the inputs, which are never overwritten.\n"
    assert disguised.read_bytes() == before
    assert sorted(item.name for item in tmp_path.rglob("*")) == ["netD_1.html", "report.html", "run"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("report.pdf", "expected a file that ends in .html or .htm."),
        ("none/report.html", "the folder '{folder}/none' does not exist."),
        ("taken.html", "cannot be written: Is a directory."),
    ],
)
def test_a_page_that_cannot_be_written_is_a_usage_error(tmp_path: Path, name: str, reason: str) -> None:
    """Said in one line, and before the work where that is possible."""
    path = save(tmp_path, "netD_1.pth", small_discriminator())
    (tmp_path / "taken.html").mkdir()
    result = run("inspect", path, "--html", tmp_path / name)
    assert result.returncode == ExitCode.USAGE
    assert result.stderr == f"error: --html {tmp_path / name}: {reason.format(folder=tmp_path)}\n"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["netD_1.pth", "taken.html"]


def test_hostile_names_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    """Keys with escape sequences reach neither the terminal nor the JSON raw."""
    path = save(tmp_path, "netD.pt", {"\x1b[31mconv.weight": torch.randn(16, 16), "a\nb.weight": torch.randn(16, 16)})
    for report_format in ("text", "json"):
        result = run("inspect", path, "--format", report_format, "--plot", tmp_path / "a.svg")
        assert result.returncode == 0
        assert "\x1b" not in result.stdout
    assert "\x1b" not in (tmp_path / "a.svg").read_text()


def test_an_ascii_terminal_gets_a_report_too(tmp_path: Path) -> None:
    """A locale without σ degrades and does not crash."""
    path = save(tmp_path, "netD.pt", small_discriminator())
    assert run("inspect", path, PYTHONIOENCODING="ascii").returncode == 0


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    """`… | head -1` leaves no traceback."""
    path = save(tmp_path, "netD.pt", small_discriminator())
    command = f"{sys.executable} -m spectral_doctor inspect {path} | head -1"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("raised", "code", "sentence"),
    [
        (KeyboardInterrupt(), ExitCode.INTERRUPTED, "interrupted; nothing was written"),
        (MemoryError(), ExitCode.UNREADABLE, "error: not enough memory; examine fewer or smaller files at once"),
        (ZeroDivisionError("boom"), ExitCode.UNREADABLE, "internal error: ZeroDivisionError: boom"),
    ],
)
def test_what_comes_from_elsewhere_is_one_line_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: ExitCode, sentence: str
) -> None:
    """Ctrl-C is 130, and a fault of our own is said to be one: neither looks like a finding."""
    from typer.testing import CliRunner

    from spectral_doctor import inspection
    from spectral_doctor.cli import app

    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(inspection, "inspect_paths", fail)
    result = CliRunner().invoke(app, ["inspect", str(tmp_path)])
    assert result.exit_code == code
    assert result.output.startswith(sentence)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), ExitCode.USAGE),
        (NothingToExamine("x"), ExitCode.NOTHING_EXAMINED),
        (CheckpointError("x", "it is torn"), ExitCode.UNREADABLE),
        (WeightError("x"), ExitCode.UNREADABLE),
    ],
)
def test_every_kind_of_error_has_its_exit_code(error: DoctorError, code: ExitCode) -> None:
    """No error is mistaken for a finding."""
    assert exit_code(error) is code


@pytest.mark.parametrize("arguments", [[], ["inspect"], ["inspect", "x", "--format", "xml"], ["operate"]])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    """Missing or unknown arguments are usage errors."""
    assert run(*arguments).returncode == ExitCode.USAGE


def test_the_version_is_printed_with_its_environment() -> None:
    """Name and number in the first line, then Python and the packages it runs on, on stdout."""
    lines = run("--version").stdout.splitlines()
    assert lines[0] == "spectral-doctor 0.1.0"
    assert lines[1].startswith(f"Python {platform.python_version()}, ")
    assert f"torch {version('torch')}" in lines[2]
    assert f"numpy {version('numpy')}" in lines[2]


def test_a_stylegan_run_is_a_series_in_thousands_of_images(tmp_path: Path) -> None:
    """Snapshots beside pictures and options: one discriminator, in order, with the way it was found."""
    for kimg in (400, 0, 200):
        stylegan.snapshot(tmp_path / f"network-snapshot-{kimg:06d}.pkl", stylegan.Discriminator())
    (tmp_path / "training_options.json").write_text("{}")
    result = run("inspect", tmp_path, "--explain")
    assert result.returncode == 0, result.stderr
    assert "    D · 3 checkpoints, kimg 0–400\n" in result.stdout
    assert "  network     confirmed by key 'D'\n" in result.stdout
    assert "  steps       from file name\n" in result.stdout
    assert "b16.fromrgb" in result.stdout
