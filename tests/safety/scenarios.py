"""Every verb that writes, each as a command below a folder, with what is there before it and what comes of it.

A verb that is missing here is one whose writes nothing disturbs: `faults.py` goes through these.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from spectral_doctor.cli import app


@dataclass(frozen=True)
class Scenario:
    """A verb that writes below `out`: the command, what is there before, and what makes two results the same.

    `again` is the command that goes on after a disturbance, where it is another one. With `says` the report counts.
    What only `appends` is never compared as a file.
    """

    command: Sequence[str]
    before: Callable[[Path], None]
    again: Callable[[Path], Sequence[str]] | None = None
    alike: Callable[[Path], object] = lambda path: path.read_bytes()
    environment: dict[str, str] = field(default_factory=dict)
    says: bool = False
    appends: bool = False


GOOD = ("run/netD_1.pt", "run/netD_2.pt")
SMALL = ("--set", "samples=100", "--set", "generator_channels=8", "--set", "discriminator_channels=16")
TRAINING = ("train", "ring", "-o", "out/run", "--steps", "4", "--set", "save_every=2", *SMALL)
RESUMED = ("--steps", "4", "--set", "save_every=2")


def scenarios() -> dict[str, Scenario]:
    """All of them, by what they write."""
    return {**_reports(), **_remembered(), **_rewritten(), **_trained(), **_treated(), **_tables()}


def _reports() -> dict[str, Scenario]:
    formats = ("json", "jsonl", "junit", "sarif", "github", "gitlab", "markdown", "csv")
    every = [part for name in formats for part in ("--format", f"{name}:out/a.{name}")]
    own = {"GITHUB_STEP_SUMMARY": "out/summary.md"}
    return {
        "reports": Scenario(
            ("check", *GOOD, "--no-cache", "--format", "sarif:out/a.sarif", "--format", "html:out/a.html"),
            beside({"out/a.sarif": b"old", "out/a.html": b"old"}),
        ),
        "reports of every format": Scenario(
            ("inspect", *GOOD, "--no-cache", *every), beside({f"out/a.{name}": b"old" for name in formats})
        ),
        "job summary": Scenario(
            ("check", *GOOD, "--no-cache", "--format", "github"), beside({}), environment=own, says=True, appends=True
        ),
        "page": Scenario(("inspect", *GOOD, "--no-cache", "--html", "out/a.html"), beside({"out/a.html": b"old"})),
        "picture": Scenario(("inspect", *GOOD, "--no-cache", "--plot", "out/a.png"), beside({"out/a.png": b"old"})),
        "reference": Scenario(
            ("reference", "build", "run", "-o", "out/r.json"),
            beside({"out/r.json": b"old"}),
        ),
    }


def _remembered() -> dict[str, Scenario]:
    baseline = ("check", *GOOD, "--no-cache", "--baseline", "out/b.json", "--update-baseline")
    history = ("watch", "run", "--once", "--no-cache", "--history", "out/h.json")
    board = ("watch", "run", "--once", "--no-cache", "--format", "jsonl", "--tensorboard", "out/board")
    return {
        "baseline": Scenario(
            baseline, beside({"out/b.json": b'{"schema": "spectral-doctor-baseline/1", "findings": []}'})
        ),
        "history": Scenario(history, beside({}), alike=_without_inodes),
        "history gone on with": Scenario(history, _watched_before(history), alike=_without_inodes),
        "scalars and spectra": Scenario(board, beside({}), says=True, appends=True),
        "cache": Scenario(
            ("inspect", *GOOD), beside({}), environment={"SPECTRAL_DOCTOR_CACHE": "out/cache"}, says=True, appends=True
        ),
        "rows": Scenario(("inspect", *GOOD, "--rows", "out/r.jsonl"), beside({}), says=True, appends=True),
        "rows as Parquet": Scenario(("inspect", *GOOD, "--rows", "out/r.parquet"), beside({}), says=True, appends=True),
    }


def _rewritten() -> dict[str, Scenario]:
    static = ("fix", "run/netD_2.pt", "--mode", "static", "--weights-only")
    detach = ("fix", "patient/step-000004.pt", "--detach")
    return {
        "fix": Scenario((*static, "-o", "out/D.pt"), beside({}), again=_or_another("out/D.pt", *static)),
        "fix, safetensors": Scenario(
            ("fix", "run/D.safetensors", "--mode", "static", "--weights-only", "-o", "out/D.safetensors"), beside({})
        ),
        "fix, detached": Scenario((*detach, "-o", "out/plain.pt"), _patient("--mode", "veegan"), alike=state_of),
    }


def _trained() -> dict[str, Scenario]:
    return {
        name: Scenario((*TRAINING, *more), beside({}), again=_resumed((*TRAINING, *more)), alike=state_of)
        for name, more in (
            ("train", ("--no-pictures",)),
            ("train, folders", ("--no-pictures", "--folders")),
            ("train, keeping one", ("--no-pictures", "--keep", "1")),
            ("train, with pictures", ()),
            ("train, VEEGAN", ("--no-pictures", "--mode", "veegan")),
        )
    }


def _treated() -> dict[str, Scenario]:
    ways = {
        "restarted": ("--mode", "restart"),
        "dynamic": ("--mode", "dynamic"),
        "tried": ("--mode", "trial", "--arms", "calm", "--workers", "1"),
    }
    found = {}
    for name, more in ways.items():
        command = ("fix", "patient", "-o", "out/run", "--from", "2", *RESUMED, *more)
        found[f"fix, {name}"] = Scenario(command, _patient(), again=_resumed(command), alike=state_of)
    return found


def _tables() -> dict[str, Scenario]:
    """A table of two arms of four steps, trained in this process; `small_tables` puts it in the place of the ring."""
    return {
        "reproduce": Scenario(
            ("reproduce", "ring", "-o", "out", "--seeds", "1"), beside({"out/ring.md": b"old"}), alike=_without_seconds
        )
    }


def small_tables() -> None:
    """Make the table `ring` a small one, and train it in this process, whose writes are counted."""
    from dataclasses import replace

    from spectral_doctor.reproduction import running, tables

    ring = tables.TABLES["ring"]
    few = {"steps": 4, "save_every": 2, "samples": 64, "batch_size": 8, "generator_channels": 8}
    arms = (ring.arm("plain"), ring.arm("R3"))
    tables.TABLES["ring"] = replace(ring, settings={**ring.settings, **few}, arms=arms)
    vars(running)["in_processes"] = lambda function, items, workers, lost: map(function, items)


def beside(files: dict[str, bytes]) -> Callable[[Path], None]:
    """Two good checkpoints beside what was written before."""

    def write(folder: Path) -> None:
        (folder / "run").mkdir()
        for name, content in {**_checkpoints(), **files}.items():
            (folder / name).write_bytes(content)
            os.utime(folder / name, (1e9, 1e9))

    return write


@lru_cache
def _checkpoints() -> dict[str, bytes]:
    import torch
    from safetensors.torch import save

    from tests.builders import small_discriminator

    made = {}
    for seed in (1, 2):
        target = io.BytesIO()
        torch.save({"discriminator": small_discriminator(seed)}, target)
        made[f"run/netD_{seed}.pt"] = target.getvalue()
    return {**made, "run/D.safetensors": save(small_discriminator(3))}


def _watched_before(command: Sequence[str]) -> Callable[[Path], None]:
    """A history of the first checkpoint, that an earlier watch wrote."""

    @lru_cache
    def first(folder: Path) -> bytes:
        late = folder / "run" / "netD_2.pt"
        content = late.read_bytes()
        late.unlink()
        result = _in(folder, command)
        assert result == 0
        late.write_bytes(content)
        os.utime(late, (1e9, 1e9))
        return (folder / "out" / "h.json").read_bytes()

    def write(folder: Path) -> None:
        beside({})(folder)
        (folder / "out" / "h.json").write_bytes(first(folder))

    return write


def _patient(*more: str) -> Callable[[Path], None]:
    """A run of two checkpoints and the untrained one, as `train` writes it."""

    @lru_cache
    def files(folder: Path) -> dict[str, bytes]:
        command = [part.replace("out/run", "patient") for part in (*TRAINING, *more, "--no-pictures")]
        assert _in(folder, command) == 0
        return {path.name: path.read_bytes() for path in (folder / "patient").iterdir()}

    def write(folder: Path) -> None:
        content = files(folder)
        (folder / "patient").mkdir(exist_ok=True)
        for name, held in content.items():
            (folder / "patient" / name).write_bytes(held)

    return write


def _in(folder: Path, command: Sequence[str]) -> int:
    before = Path.cwd()
    os.chdir(folder)
    try:
        return int(CliRunner().invoke(app, list(command)).exit_code)
    finally:
        os.chdir(before)


def _resumed(command: Sequence[str]) -> Callable[[Path], Sequence[str]]:
    def again(folder: Path) -> Sequence[str]:
        return (*command, "--resume") if any((folder / "out").glob("run/**/step-*")) else command

    return again


def _or_another(written: str, *command: str) -> Callable[[Path], Sequence[str]]:
    """A result that is there already is not written over: what was done is done."""

    def again(folder: Path) -> Sequence[str]:
        return ("inspect", "--no-cache", written) if (folder / written).exists() else (*command, "-o", written)

    return again


def state_of(path: Path) -> object:
    """A state's values to the last bit, without Python's own randomness, which no recipe here draws from.

    What imports a module for the first time may draw from it, and a resumed run has imported it before.
    """
    import torch

    if path.suffix != ".pt":
        return path.read_bytes()
    return sorted(_leaves(torch.load(path, weights_only=True)))


def _leaves(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, dict | list | tuple):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if name != "rng" or key != "python":
                yield from _leaves(inner, f"{name}.{key}".lstrip("."))
    else:
        yield f"{name}: {value.numpy().tobytes().hex() if hasattr(value, 'numpy') else value!r}"


def _without_inodes(path: Path) -> object:
    """A history without what differs between two copies of one file: its identity on the disk."""
    document = json.loads(path.read_bytes())
    for item in document.get("observations", []):
        item["signature"] = [part[:3] for part in item["signature"]]
    return document


def _without_seconds(path: Path) -> object:
    """A file of a table without how long its runs took."""
    if path.suffix != ".json":
        return path.read_bytes()
    document = json.loads(path.read_bytes())
    for run in document.get("runs", [document]):
        run["seconds"] = 0
    return document
