"""Does compensation cure? Treated runs against plain continuation from the same checkpoint, seed and budget.

    python tests/benchmarks/treatment.py -o runs/treatment.jsonl [--seeds 3] [--processes 1] [--only digits]

Eight runs of spectrally normalised discriminators that collapse spectrally are trained first: a ten-convolution
ResNet on stacked digits (1 000 modes), perceptrons on the grid (25) and the ring (8). From each run the command
resumes (a) from the checkpoint that `fix` chooses, before the onset, and (b) from the last, collapsed one, with every
arm and seed. One JSON line a resumed run goes to the output, and what is there already is not run again. Modes
and KL are the median over the last three evaluations of the resumed run, since single ones are noisy.

Arms: `none` (plain continuation), `static` (first half raised, σ1 held), `dynamic` (envelope of the run up to
there, rising), `official` (the envelope starts at the checkpoint), `median` (the median envelope over healthy
checkpoints, held). The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spectral_doctor.checkpoints.training_state import read_state
from spectral_doctor.diagnosis.records import Diagnosis
from spectral_doctor.gan.builtin import RECIPES
from spectral_doctor.inspection import inspect_paths
from spectral_doctor.training.folder import RunFolder
from spectral_doctor.training.loop import train
from spectral_doctor.training.records import Saved
from spectral_doctor.training.state import TrainingState
from spectral_doctor.treatment.envelopes import series_envelope
from spectral_doctor.treatment.records import Dose
from spectral_doctor.treatment.resuming import attach, chosen_start

DIGITS = {
    "spectral_norm": "true",
    "generator_channels": "16",
    "discriminator_channels": "16",
    "latent_dim": "32",
    "batch_size": "32",
    "n_dis": "1",
    "learning_rate_generator": "0.012",
    "learning_rate_discriminator": "0.012",
    "steps": "400",
    "save_every": "50",
    "samples": "5000",
}
MIXTURE = {"spectral_norm": "true", "latent_dim": "32", "steps": "1500", "save_every": "150"}
GRID = {
    **MIXTURE,
    "discriminator_channels": "64",
    "learning_rate_discriminator": "0.03",
    "learning_rate_generator": "0.006",
    "batch_size": "128",
}
RING = {
    **MIXTURE,
    "discriminator_channels": "128",
    "learning_rate_discriminator": "0.03",
    "learning_rate_generator": "0.03",
    "batch_size": "128",
    "loss": "least-squares",
    "beta1": "0.0",
}
RUNS = {
    **{f"digits-{seed}": ("stacked-digits", DIGITS, seed) for seed in range(4)},
    **{f"grid-{seed}": ("grid", GRID, seed) for seed in range(2)},
    **{f"ring-{seed}": ("ring", RING, seed) for seed in range(2)},
}
BUDGET = {"stacked-digits": 300, "grid": 1000, "ring": 1000}
ARMS: dict[str, Dose | None] = {
    "none": None,
    "static": Dose("static"),
    "dynamic": Dose("dynamic"),
    "official": Dose("dynamic", envelope="official"),
    "median": Dose("dynamic", envelope="median"),
}
STARTS = ("before onset", "collapsed")


def source_run(name: str, folder: Path) -> Diagnosis:
    """Train a run into a folder, unless it is there, and diagnose it."""
    recipe_name, settings, seed = RUNS[name]
    recipe = RECIPES[recipe_name].build(RECIPES[recipe_name].settings.changed(settings))
    if not (folder / f"step-{recipe.settings.steps:06d}.pt").exists():
        folder.mkdir(parents=True, exist_ok=True)
        train(TrainingState.fresh(recipe, seed, name=recipe_name), RunFolder(folder))
    (diagnosis,) = inspect_paths([folder]).diagnoses
    return diagnosis


def start_index(diagnosis: Diagnosis, start: str) -> int:
    """The index of the checkpoint that a resumed run goes on from; the first choice is that of `fix`."""
    return len(diagnosis.trajectory.steps) - 1 if start == "collapsed" else chosen_start(diagnosis, None)[0]


def resumed_run(name: str, start: str, arm: str, seed: int, sources: Path) -> dict[str, Any]:
    """Resume one run with one arm and seed, and return what was measured."""
    torch.set_num_threads(1)
    diagnosis = source_run(name, sources / name)
    index = start_index(diagnosis, start)
    recipe_name, settings, _ = RUNS[name]
    step, budget = diagnosis.trajectory.steps[index], BUDGET[recipe_name]
    changes = {**settings, "steps": str(step + budget), "save_every": str(budget // 5)}
    recipe = RECIPES[recipe_name].build(RECIPES[recipe_name].settings.changed(changes))
    state = TrainingState.fresh(recipe, 0, name=recipe_name)
    source = Path(str(diagnosis.trajectory.checkpoints[index].location))
    content = read_state(source)
    state.restore(content, source)
    state.random.manual_seed(1000 + seed)
    dose = ARMS[arm]
    if dose is not None:
        envelope = series_envelope(diagnosis, index, dose.envelope)[0] if dose.mode == "dynamic" else {}
        attach(state, dose, envelope)
    saved: list[Saved] = []
    with tempfile.TemporaryDirectory() as temporary:
        outcome = train(state, RunFolder(Path(temporary)), saved.append)
        after = inspect_paths([temporary]).diagnoses[0] if saved else None
    measured = [item.evaluation for item in saved[-3:] if item.evaluation is not None]
    return {
        "run": name,
        "start": start,
        "arm": arm,
        "seed": seed,
        "from_step": step,
        "onset": diagnosis.onset,
        "modes_at_start": content["evaluation"]["modes_captured"],
        "kl_at_start": round(content["evaluation"]["kl"], 4),
        "modes": statistics.median(item.modes_captured for item in measured) if measured else 0,
        "kl": round(statistics.median(item.kl for item in measured), 4) if measured else None,
        "best_plateau": None if after is None else round(after.states[-1].best_plateau or 0.0, 3),
        "fault": outcome.fault,
    }


def table(results: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for every data set, start and arm: medians, quartiles, and wins against plain continuation."""
    by_key = {(item["run"], item["start"], item["arm"], item["seed"]): item for item in results}
    rows = []
    for data in ("digits", "grid", "ring"):
        for start in STARTS:
            for arm in ARMS:
                chosen = [item for key, item in by_key.items() if key[0].startswith(data) and key[1:3] == (start, arm)]
                pairs = [
                    (item["modes"], by_key[item["run"], start, "none", item["seed"]]["modes"])
                    for item in chosen
                    if (item["run"], start, "none", item["seed"]) in by_key
                ]
                if len(chosen) < 2:
                    continue
                modes = sorted(float(item["modes"]) for item in chosen)
                quartiles = statistics.quantiles(modes, n=4, method="inclusive")
                rows.append(
                    {
                        "data": data,
                        "start": start,
                        "arm": arm,
                        "runs": len(chosen),
                        "modes_quartiles": [round(value, 1) for value in quartiles],
                        "kl_median": round(statistics.median(item["kl"] or 9.9 for item in chosen), 3),
                        "wins": sum(ours > theirs for ours, theirs in pairs),
                        "losses": sum(ours < theirs for ours, theirs in pairs),
                        "plateau_median": round(statistics.median(item["best_plateau"] or 0 for item in chosen), 2),
                    }
                )
    return rows


def main() -> None:
    """Run what is missing and print a line a run, the table, and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--only", default="", help="only runs whose name starts so")
    arguments = parser.parse_args()
    sources = arguments.output.with_suffix("")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    results = (
        [json.loads(line) for line in arguments.output.read_text().splitlines()] if arguments.output.exists() else []
    )
    done = {(item["run"], item["start"], item["arm"], item["seed"]) for item in results}
    names = [name for name in RUNS if name.startswith(arguments.only)]
    torch.set_num_threads(1)
    for name in names:
        diagnosis = source_run(name, sources / name)
        print(f"{name}: {diagnosis.words}, onset {diagnosis.onset}", flush=True)
    jobs = [
        (name, start, arm, seed)
        for seed in range(arguments.seeds)
        for name in names
        for start in STARTS
        for arm in ARMS
        if (name, start, arm, seed) not in done
    ]
    with ProcessPoolExecutor(arguments.processes) as pool, arguments.output.open("a") as file:
        waiting = [pool.submit(resumed_run, *job, sources) for job in jobs]
        for count, future in enumerate(as_completed(waiting), start=1):
            result = future.result()
            results.append(result)
            file.write(json.dumps(result) + "\n")
            file.flush()
            keys = ("run", "start", "arm", "seed", "from_step", "modes_at_start", "modes", "kl", "best_plateau")
            print(f"{count}/{len(jobs)}", *(result[key] for key in keys), flush=True)
    rows = table(results)
    for row in rows:
        print(*row.values(), sep="  ")
    print(json.dumps({"resumed_runs": len(results), "table": rows}))


if __name__ == "__main__":
    main()
