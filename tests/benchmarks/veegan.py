"""VEEGAN measured: from scratch, on collapsed runs, and its diagnosis that needs no discriminator.

    python tests/benchmarks/veegan.py scratch ring grid -o runs/veegan-scratch.jsonl [--seeds 5]

`scratch` trains VEEGAN and a plain GAN of the same networks, data, seeds and steps, and counts the modes and the
share of high quality in 2 500 samples, as Srivastava et al. (2017, section 4.1) do. Each trained run goes to the
output as one JSON line when it is whole; what is there already is not run again. The last line printed is one
JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from spectral_doctor.gan.builtin import RECIPES
from spectral_doctor.gan.networks import parameters_are_finite
from spectral_doctor.training.loop import update
from spectral_doctor.training.state import TrainingState
from spectral_doctor.training.veegan import Veegan
from spectral_doctor.training.world import World
from spectral_doctor.veegan.records import VeeganPlan

Row = dict[str, Any]

# Modes and high-quality share as published: table 1 of Srivastava et al. 2017, means over 5 runs.
PUBLISHED = {
    "ring": {"gan": (1.0, 0.993), "veegan": (8.0, 0.529)},
    "grid": {"gan": (3.3, 0.005), "veegan": (24.6, 0.40)},
}
COMMON = {"latent_dim": "32", "batch_size": "128", "ema": "0.999", "samples": "2500"}
SCRATCH = {
    "ring": {**COMMON, "steps": "8000"},
    "grid": {**COMMON, "latent_dim": "8", "learning_rate_discriminator": "0.0005", "steps": "8000"},
}
SCRATCH_PLAN = {"ring": VeeganPlan(), "grid": VeeganPlan()}


def scratch_run(data: str, arm: str, seed: int) -> Row:
    """Train one run from scratch and measure its samples at the end."""
    recipe = RECIPES[data].build(RECIPES[data].settings.changed(SCRATCH[data]))
    state = TrainingState.fresh(recipe, seed, name=data)
    if arm == "veegan":
        state.method = Veegan(state, SCRATCH_PLAN[data])
    started, modes = time.perf_counter(), []
    for step in range(recipe.settings.steps):
        update(state, World())
        if (step + 1) % (recipe.settings.steps // 8) == 0:
            measured = recipe.evaluate(state.average or state.generator)
            assert measured is not None
            modes.append(measured.modes_captured)
    assert measured is not None
    return {
        "data": data,
        "arm": arm,
        "seed": seed,
        "steps": recipe.settings.steps,
        "modes": measured.modes_captured,
        "high_quality": round(measured.high_quality_fraction or 0.0, 4),
        "kl": round(measured.kl, 4),
        "modes_over_time": modes,
        "finite": parameters_are_finite(state.generator),
        "seconds": round(time.perf_counter() - started, 1),
    }


def scratch_table(rows: Iterable[Row]) -> list[Row]:
    """A row for every data set and arm: means over the seeds, beside the published ones."""
    rows, table = list(rows), []
    for data, arm in sorted({(row["data"], row["arm"]) for row in rows}):
        chosen = [row for row in rows if (row["data"], row["arm"]) == (data, arm)]
        modes, quality = PUBLISHED[data][arm]
        table.append(
            {
                "data": data,
                "arm": arm,
                "runs": len(chosen),
                "modes_mean": round(statistics.mean(row["modes"] for row in chosen), 2),
                "modes_lowest": min(row["modes"] for row in chosen),
                "high_quality_mean": round(statistics.mean(row["high_quality"] for row in chosen), 4),
                "kl_mean": round(statistics.mean(row["kl"] for row in chosen), 3),
                "published_modes": modes,
                "published_high_quality": quality,
            }
        )
    return table


def run_missing(
    path: Path, jobs: Iterable[tuple[Any, ...]], keys: tuple[str, ...], run: Callable[..., Row]
) -> list[Row]:
    """Run the jobs that have no line in the output yet, write a line for each, and return all lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {tuple(row[key] for key in keys) for row in rows}
    for job in jobs:
        if job in done:
            continue
        row = run(*job)
        rows.append(row)
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(*row.values(), flush=True)
    return rows


def main() -> None:
    """Run what is missing and print a line a run, the table, and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    scratch = commands.add_parser("scratch")
    scratch.add_argument("data", nargs="+", choices=("ring", "grid"))
    scratch.add_argument("--seeds", type=int, default=5)
    for command in (scratch,):
        command.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    jobs = [
        (data, arm, seed) for data in arguments.data for seed in range(arguments.seeds) for arm in ("veegan", "gan")
    ]
    rows = run_missing(arguments.output, jobs, ("data", "arm", "seed"), scratch_run)
    table = scratch_table(rows)
    for row in table:
        print(*row.values(), sep="  ")
    print(json.dumps({"runs": len(rows), "table": table}))


if __name__ == "__main__":
    main()
