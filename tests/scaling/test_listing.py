"""Lists of paths, and the plan: what will be read, before it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from spectral_doctor.checkpoints.stores import LocalFile
from spectral_doctor.elements import Values
from spectral_doctor.errors import UsageError
from spectral_doctor.inspection import inspect_paths
from spectral_doctor.scaling.manifests import listed_paths
from spectral_doctor.scaling.planning import plan_of
from spectral_doctor.scaling.records import Options, Shard
from tests.builders import save, small_discriminator, small_generator
from tests.scaling.cases import mixed_folder


def run(*arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """The command line in a process of its own; every warning is an error."""
    command = [sys.executable, "-W", "error", "-m", "spectral_doctor", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=120)


def no_stdin() -> bytes:
    """A pipe that is not to be read."""
    raise AssertionError("stdin was read")


@pytest.mark.parametrize(
    ("content", "paths"),
    [
        (b"a.pt\nb c.pt\n", ["a.pt", "b c.pt"]),
        (b"# all of them\n\na.pt\r\nb.pt", ["a.pt", "b.pt"]),
        (b"a.pt\0b\nc.pt\0", ["a.pt", "b\nc.pt"]),
        (b"\xff.pt\n", [os.fsdecode(b"\xff.pt")]),
    ],
)
def test_a_list_stands_for_its_paths(tmp_path: Path, content: bytes, paths: list[str]) -> None:
    """By name or on stdin, by lines or between NUL bytes, among other paths."""
    manifest = tmp_path / "list.txt"
    manifest.write_bytes(content)
    assert listed_paths(["x", f"@{manifest}", "y"], no_stdin) == ["x", *paths, "y"]
    assert listed_paths(["x", "-", "y"], lambda: content) == ["x", *paths, "y"]


def test_a_file_called_like_a_list_is_that_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there under the very name wins."""
    monkeypatch.chdir(tmp_path)
    for name in ("@D.pt", "-"):
        Path(name).touch()
    assert listed_paths(["@D.pt", "-"], no_stdin) == ["@D.pt", "-"]


def test_a_list_that_says_nothing_is_refused(tmp_path: Path) -> None:
    """Missing, or empty."""
    with pytest.raises(UsageError) as caught:
        listed_paths(["@/no/list"], no_stdin)
    assert str(caught.value) == "@/no/list: the list of paths cannot be read (no such file or directory)."
    with pytest.raises(UsageError) as caught:
        listed_paths(["-"], lambda: b"\n# none\n")
    assert str(caught.value) == "-: lists no path; one path a line is expected."


def test_the_command_line_takes_lists_workers_rows_and_shards(tmp_path: Path) -> None:
    """One and the same document on stdout, whichever way the files were given and examined."""
    folder = mixed_folder(tmp_path / "in")
    manifest, rows = tmp_path / "list.txt", tmp_path / "rows.jsonl"
    manifest.write_text(f"{folder}\n")
    golden = run("inspect", folder, "--format", "json")
    assert golden.returncode == 0
    assert run("inspect", f"@{manifest}", "--format", "json", "--workers", 2).stdout == golden.stdout
    assert run("inspect", "-", "--format", "json", "--rows", rows, stdin=manifest.read_bytes()).stdout == golden.stdout
    assert run("merge", rows, "--format", "json").stdout == golden.stdout
    parts = [tmp_path / f"{number}.jsonl" for number in (1, 2)]
    for number, part in enumerate(parts, start=1):
        result = run("inspect", folder, "--shard", f"{number}/2", "--rows", part)
        assert (result.returncode, result.stdout) == (0, b"")
        assert result.stderr.startswith(f"written: {part} (shard {number}/2: ".encode())
    assert run("merge", *parts, "--format", "json").stdout == golden.stdout
    refused = run("inspect", folder, "--shard", "1/2")
    sentence = "--shard: a part of the files gives rows; say where to write them with --rows FILE."
    assert (refused.returncode, refused.stderr.decode()) == (2, f"error: {sentence}\n")


def test_check_gives_the_same_whatever_the_workers(tmp_path: Path) -> None:
    """Problems, coverage and exit code."""
    folder = mixed_folder(tmp_path / "in")
    golden = run("check", folder, "--format", "json")
    other = run("check", folder, "--format", "json", "--workers", 2, "--rows", tmp_path / "rows.jsonl")
    assert (golden.returncode, golden.stdout) == (other.returncode, other.stdout)


def test_a_plan_counts_the_bytes_that_examining_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the spans that an examination asks for; planning itself asks for no weight."""
    spans: list[int] = []
    original = LocalFile.span

    def noted(self: LocalFile, start: int, length: int) -> Values:
        spans.append(length)
        return original(self, start, length)

    monkeypatch.setattr(LocalFile, "span", noted)
    state = {f"netD.{name}": tensor for name, tensor in small_discriminator().items()}
    state |= {f"netG.{name}": tensor for name, tensor in small_generator().items()}
    path = tmp_path / "both.safetensors"
    save_file(state, path)
    plan = plan_of([tmp_path])
    assert spans == []
    inspect_paths(tmp_path)
    (file,) = plan.files
    assert file.weight_bytes == plan.weight_bytes == sum(spans) == 4 * (16 * 3 * 9 + 16 * 16 * 9 + 16)
    assert (file.file_bytes, file.format_name) == (path.stat().st_size, "safetensors file")
    assert [(network.name, network.layers) for network in file.networks] == [("netD", 3)]
    fewer = plan_of([tmp_path], options=Options(exclude=("conv2*",)))
    assert fewer.weight_bytes == plan.weight_bytes - 4 * 16 * 16 * 9


def test_a_plan_names_what_holds_nothing(tmp_path: Path) -> None:
    """Every file of the folder is in it, and the shards' plans are its parts."""
    folder = mixed_folder(tmp_path)
    plan = plan_of([folder])
    assert {Path(item.name).name for item in plan.without} == {"netG_1.pth", "torn.pth", "code.pth"}
    assert [Path(name).name for name in plan.histories] == ["broken.json", "old.json"]
    assert (len(plan.files), plan.left_out) == (8, 2)
    parts = [plan_of([folder], shard=Shard(number, 3)) for number in (1, 2, 3)]
    assert {file for part in parts for file in part.files} == set(plan.files)
    assert sum(part.weight_bytes for part in parts) == plan.weight_bytes


def test_the_plan_on_the_command_line(tmp_path: Path) -> None:
    """Text with sums, or JSON; nothing is diagnosed."""
    path = save(tmp_path, "netD.pth", {"w.weight": torch.ones(1000, 250)})
    result = run("inspect", path, "--plan")
    assert result.returncode == 0, result.stderr
    size = path.stat().st_size
    assert result.stdout.decode() == (
        f"{path}  PyTorch file, {size / 1e6:.1f} MB\n"
        "  netD  1 layers, 1.0 MB\n"
        f"1 checkpoints, 1 discriminators: 1.0 MB to read of {size / 1e6:.1f} MB; "
        "0 files with nothing to examine, 0 left out\n"
    )
    document = json.loads(run("inspect", path, "--plan", "--format", "json").stdout)
    assert (document["weight_bytes"], document["file_bytes"]) == (1_000_000, size)
