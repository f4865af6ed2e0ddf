"""`watch` beside `train`: do the watcher's memory and open files stay as they are while checkpoints keep coming?

    python tests/benchmarks/soak.py [--minutes 60] [--recipe ring]

A run trains and saves without end, keeping its last checkpoints; `watch` follows it with a history. Every few seconds
the watcher's resident memory and its open files are noted (Linux). The first fifth is warming up; of the rest the line
of least squares tells how much memory grows by the checkpoint, as the series of spectra does. For the last tenth the
training has ended and the watcher looks on: what grows there grows without end. Minutes in which all of it is stopped
do not count. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
PAUSE = 2.0


@dataclass(frozen=True)
class Look:
    """The watcher at a moment: seconds since the start, megabytes, open files, checkpoints that it has examined."""

    seconds: float
    megabytes: float
    handles: int
    examined: int


def look(process: subprocess.Popen[bytes], seconds: float, said: Path) -> Look:
    """The watcher now; it says a line of JSON for every checkpoint."""
    folder = Path(f"/proc/{process.pid}")
    pages = int((folder / "statm").read_text().split()[1])
    examined = said.read_bytes().count(b'"type": "state"')
    return Look(seconds, pages * 4096 / 2**20, len(list((folder / "fd").iterdir())), examined)


def soak(folder: Path, minutes: float, recipe: str) -> tuple[list[Look], int]:
    """Train and watch for so long; the looks at the watcher, and its exit code."""
    run, said = folder / "run", folder / "said.jsonl"
    run.mkdir()
    base = [sys.executable, "-m", "spectral_doctor"]
    train = [*base, "train", recipe, "-o", str(run), "--steps", "100000000", "--keep", "5", "--no-pictures"]
    train += ["--set", "save_every=50", "--set", "samples=200"]
    watch = [*base, "watch", str(run), "--interval", "1", "--no-cache", "--format", "jsonl"]
    watch += ["--history", str(folder / "history.json")]
    silent = subprocess.DEVNULL
    looks: list[Look] = []
    idle = False
    trainer = subprocess.Popen(train, cwd=ROOT, stdout=silent, stderr=silent)
    with said.open("wb") as output:
        watcher = subprocess.Popen(watch, cwd=ROOT, stdout=output, stderr=silent)
    try:
        while PAUSE * len(looks) < 60 * minutes and watcher.poll() is None and (idle or trainer.poll() is None):
            time.sleep(PAUSE)
            looks.append(look(watcher, PAUSE * (1 + len(looks)), said))
            if len(looks) % 30 == 0:
                print(looks[-1], flush=True)
            if not idle and PAUSE * len(looks) >= 54 * minutes:
                idle = True
                trainer.terminate()
    finally:
        trainer.terminate()
        watcher.terminate()
        trainer.wait()
    return looks, watcher.wait()


def main() -> None:
    """Soak, and print the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--recipe", default="ring")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        looks, code = soak(Path(name), arguments.minutes, arguments.recipe)
    settled, idle = looks[len(looks) // 5 : len(looks) * 9 // 10], looks[len(looks) * 37 // 40 :]
    examined = np.array([item.examined for item in settled], dtype=np.float64)
    memory = np.array([item.megabytes for item in settled])
    slope = float(np.polyfit(examined, memory, 1)[0]) if np.ptp(examined) else 0.0
    figures = {
        "minutes": round(looks[-1].seconds / 60, 1),
        "examined": looks[-1].examined,
        "megabytes_first": round(float(memory[0]), 1),
        "megabytes_last": round(float(memory[-1]), 1),
        "kilobytes_per_checkpoint": round(1024 * slope, 1),
        "megabytes_idle": [round(item.megabytes, 2) for item in (idle[0], idle[-1])],
        "handles": [min(item.handles for item in settled + idle), max(item.handles for item in settled + idle)],
        "exit_code": code,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
