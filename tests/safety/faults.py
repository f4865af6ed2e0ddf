"""Broken machines: each verb that writes dies, or finds the disk full or read-only, at the n-th of all its writes.

A library in C (`deaths.c`) is preloaded and counts what is done to files below a folder. The verb runs in a fork of a
process that has everything imported; then the same command runs again, undisturbed, and its result is compared with
that of a run that was never disturbed. What was there before is there still, or is the new one whole.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.safety.scenarios import Scenario, scenarios, small_tables

ROOT = Path(__file__).parent.parent.parent
COUNT, DIE, FULL, READ_ONLY = range(4)
WAYS = {"dies": DIE, "disk full": FULL, "read-only": READ_ONLY}
CODES = (0, 1, 2, 3, 4)


@dataclass
class Tally:
    """How often a verb was disturbed, and what was wrong after it."""

    points: int = 0
    runs: int = 0
    losses: list[str] = field(default_factory=list)
    leftovers: int = 0


def build(folder: Path) -> Path | None:
    """The library, compiled; None where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        return None
    target = folder / "deaths.so"
    source = Path(__file__).with_name("deaths.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", target, source, "-ldl"], check=True)
    return target


def disturbed(library: Path, folder: Path, names: Sequence[str], every: int = 1) -> dict[str, Tally]:
    """Disturb scenarios at every n-th of their writes, in another process that the library is preloaded into."""
    command = [sys.executable, "-m", "tests.safety.faults", str(folder), str(every), *names]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = {**os.environ, **threads, "LD_PRELOAD": str(library), "SPECTRAL_DOCTOR_CACHE": "off"}
    result = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return {name: Tally(**tally) for name, tally in json.loads(result.stdout.splitlines()[-1]).items()}


class Stage:
    """One scenario in a folder: run it, count it, disturb it."""

    def __init__(self, name: str, folder: Path, every: int) -> None:
        self.scenario: Scenario = scenarios()[name]
        self.folder, self.every = folder, every
        self.name, self.tally = name, Tally()
        self.shim = ctypes.CDLL(None)
        self.shim.counted.restype = ctypes.c_long

    def perform(self) -> Tally:
        """Once undisturbed, then at every point in every way."""
        self._set()
        # Once in this process, so that all that a fork needs is imported.
        before = Path.cwd()
        os.chdir(self.folder)
        _invoke(self.scenario.command, self.scenario.environment)
        os.chdir(before)
        self._set()
        inputs, old = _content(self.folder, inside=False), self._results()
        code, self.tally.points, said = self._run(self.scenario.command, COUNT, 0)
        assert code in (0, 1), said
        new = self._results()
        assert self.tally.points > 0, "it writes nothing"
        for way, mode in WAYS.items():
            for number in range(1, self.tally.points + 1, self.every):
                self._set()
                end, _, output = self._run(self.scenario.command, mode, number)
                problem = self._problem(way, end, output, inputs, old, new, said)
                if problem:
                    self.tally.losses.append(f"{self.name}, {way} at {number}: {problem}")
                self.tally.runs += 1
        return self.tally

    def _problem(
        self, way: str, end: int, output: str, inputs: object, old: dict[str, Any], new: dict[str, Any], said: str
    ) -> str:
        if way != "dies" and (end not in CODES or "internal error" in output or "Traceback" in output):
            return f"ended with {end}: {output[-300:]}"
        if _content(self.folder, inside=False) != inputs:
            return "an input was changed"
        for name, content in self._results().items():
            # What is in neither is on the way, as a state is that a later one takes the place of.
            if (name in old or name in new) and content not in (old.get(name), new.get(name)):
                return f"{name} is neither the old one nor the new one"
        missing = [name for name in old if name not in self._results() and name in new]
        if missing:
            return f"{missing} is gone"
        self.tally.leftovers += sum(1 for _ in _temporary(self.folder))
        again = self.scenario.again(self.folder) if self.scenario.again else self.scenario.command
        end, _, output = self._run(again, COUNT, 0)
        if end not in (0, 1):
            return f"the next run ended with {end}: {output[-300:]}"
        if self.scenario.says:
            return "" if output == said else f"the next run says other things: {output[-300:]}"
        return "" if self._results() == new else "the next run gives another result"

    def _results(self) -> dict[str, Any]:
        found = {}
        for path in sorted((self.folder / "out").rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(self.folder).parts)
            if path.is_file() and not hidden and not self.scenario.appends:
                found[str(path.relative_to(self.folder))] = self.scenario.alike(path)
        return found

    def _set(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "out").mkdir(parents=True)
        self.scenario.before(self.folder)

    def _run(self, command: Sequence[str], mode: int, number: int) -> tuple[int, int, str]:
        """Run a command in a fork: its exit code (−9 where it was killed), how much it wrote, what it said."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            os.chdir(self.folder)
            # Python seeds a fork anew, and a training state keeps what is random in the process that wrote it.
            random.seed(0)
            self.shim.arm(str(self.folder / "out").encode(), ctypes.c_long(number), mode)
            code, said = _invoke(command, self.scenario.environment)
            count = self.shim.counted()
            self.shim.arm(b"", ctypes.c_long(0), COUNT)
            with os.fdopen(writing, "w") as pipe:
                json.dump([code, count, said], pipe)
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            content = pipe.read()
        os.waitpid(child, 0)
        return tuple(json.loads(content)) if content else (-9, 0, "")


def _invoke(command: Sequence[str], environment: dict[str, str]) -> tuple[int, str]:
    from typer.testing import CliRunner

    from spectral_doctor.cli import app

    result = CliRunner().invoke(app, list(command), env=environment)
    trouble = result.exception if not isinstance(result.exception, SystemExit) else None
    return int(result.exit_code), result.output + (f"Traceback: {trouble!r}" if trouble else "")


def _content(folder: Path, inside: bool) -> dict[str, bytes]:
    """Every file in, or beside, the folder that is written to."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in paths
        if (path.relative_to(folder).parts[0] == "out") is inside
    }


def _temporary(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob(".*.tmp"))


def main(folder: Path, every: int, names: Sequence[str]) -> None:
    """Disturb scenarios and print what was seen as one line of JSON."""
    import torch

    torch.set_num_threads(1)
    small_tables()
    _invoke(("recipes",), {})
    tallies = {}
    for name in names or scenarios():
        tallies[name] = vars(Stage(name, folder / name.replace(", ", "-").replace(" ", "-"), every).perform())
        print(json.dumps({name: tallies[name]}), file=sys.stderr, flush=True)
    print(json.dumps(tallies))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
