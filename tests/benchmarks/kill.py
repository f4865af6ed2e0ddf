"""Random `kill -9` during training, then `--resume`: are the final weights those of a run never stopped?

    python tests/benchmarks/kill.py [--kills 20] [--recipe ring]

One uninterrupted run, then one that is killed after a random time and resumed, again and again, until it has
been killed that often, and then let finish; a killed run that had already finished starts afresh. The last
line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

STEPS = 600


def command(recipe: str, folder: Path, resume: bool) -> list[str]:
    """The training command, saving every 50 steps."""
    base = [sys.executable, "-m", "spectral_doctor", "train", recipe, "-o", str(folder), "--steps", str(STEPS)]
    base += ["--set", "save_every=50", "--set", "samples=500", "--set", "images_per_digit=20"]
    return [*base, "--resume"] if resume else base


def identical(first: Path, second: Path) -> bool:
    """Whether all weights and both optimizers' moments of two states are the same to the last bit."""
    one, two = torch.load(first, weights_only=True), torch.load(second, weights_only=True)
    same = all(
        torch.equal(one[part][key], two[part][key]) for part in ("generator", "discriminator") for key in one[part]
    )
    for part in ("generator_optimizer", "discriminator_optimizer"):
        states = one[part]["state"]
        same &= all(
            torch.equal(states[index][key], two[part]["state"][index][key]) for index in states for key in states[index]
        )
    return same


def killed_run(recipe: str, folder: Path, source: random.Random) -> tuple[int, Path]:
    """Start a run, kill it after a random time, resume it to its end; return the step it had saved and its state."""
    shutil.rmtree(folder, ignore_errors=True)
    with subprocess.Popen(command(recipe, folder, False), stdout=subprocess.DEVNULL) as process:
        try:
            process.wait(timeout=source.uniform(2.0, 7.0))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
    saved = sorted(folder.glob("step-*.pt"))
    step = int(saved[-1].stem.removeprefix("step-")) if saved else -1
    subprocess.run(
        command(recipe, folder, bool(saved)), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return step, folder / f"step-{STEPS:06d}.pt"


def main() -> None:
    """Run the comparison and print a line a kill, then the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--recipe", default="ring")
    arguments = parser.parse_args()
    source = random.Random(0)
    steps: list[int] = []
    right = 0
    with tempfile.TemporaryDirectory() as name:
        whole = Path(name) / "whole"
        subprocess.run(command(arguments.recipe, whole, False), check=True, stdout=subprocess.DEVNULL)
        while len(steps) < arguments.kills:
            step, state = killed_run(arguments.recipe, Path(name) / "killed", source)
            if step >= STEPS:
                continue
            same = identical(whole / f"step-{STEPS:06d}.pt", state)
            steps.append(step)
            right += same
            print(f"killed with step {step} saved: {'identical' if same else 'DIFFERENT'}", flush=True)
    print(json.dumps({"recipe": arguments.recipe, "identical": f"{right}/{len(steps)}", "saved_steps": sorted(steps)}))


if __name__ == "__main__":
    main()
