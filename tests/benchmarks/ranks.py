"""One process against several: do two ranks of torchrun follow the trajectory of one?

    python tests/benchmarks/ranks.py [--processes 2] [--steps 200]

Trains `ring` with one global batch in one process and in several, and compares the mean losses of every step.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spectral_doctor.gan.builtin import RECIPES
from spectral_doctor.training.folder import RunFolder
from spectral_doctor.training.loop import train
from spectral_doctor.training.records import StepLosses
from spectral_doctor.training.state import TrainingState
from spectral_doctor.training.world import joined_world


def record(folder: Path, steps: int) -> None:
    """Train in this process, one of those torchrun started, and let rank 0 write the losses."""
    recipe = RECIPES["ring"].build(RECIPES["ring"].settings.changed({"steps": str(steps), "save_every": str(steps)}))
    losses: list[tuple[float, float]] = []

    def remember(_: int, step: StepLosses) -> None:
        losses.append((step.discriminator, step.generator))

    with joined_world() as world:
        train(TrainingState.fresh(recipe, seed=0), RunFolder(folder), on_step=remember, world=world)
        if world.leads:
            (folder / f"losses-{world.size}.json").write_text(json.dumps(losses))


def losses_of(folder: Path, steps: int, processes: int) -> list[list[float]]:
    """Run the recording under torchrun with that many processes and read its losses."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", __file__]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, "--record", str(folder), "--steps", str(steps)], check=True, env=environment)
    losses: list[list[float]] = json.loads((folder / f"losses-{processes}.json").read_text())
    return losses


def main() -> None:
    """Compare, and print the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--record", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.record is not None:
        record(arguments.record, arguments.steps)
        return
    with tempfile.TemporaryDirectory() as name:
        one = losses_of(Path(name), arguments.steps, 1)
        several = losses_of(Path(name), arguments.steps, arguments.processes)
    pairs = zip((loss for step in one for loss in step), (loss for step in several for loss in step), strict=True)
    largest = max(abs(alone - together) for alone, together in pairs)
    figures = {"processes": arguments.processes, "steps": len(one), "largest_loss_difference": float(f"{largest:.3g}")}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
