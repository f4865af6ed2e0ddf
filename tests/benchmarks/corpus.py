"""Train many GANs of randomly drawn settings and write each as one JSON: spectra beside the truth.

    python tests/benchmarks/corpus.py --runs 150 -o runs/corpus [--processes 2] [--seed 0]
    python tests/benchmarks/corpus.py --runs 150 -o runs/corpus --pack tests/data/corpus.json.gz

Run i is decided by (seed, i) alone: recipe, widths, losses, learning rates, spectral norm or none. Each is
written when it is whole, so the command can be stopped and called again. Every JSON holds the settings and, per
checkpoint, the modes captured, KL, losses, the generator's mean σ2/σ1, and every layer's relative spectrum. `--pack`
writes all of them into one file with three digits. The last line is one JSON object: runs and outcomes by recipe.

Outcome of a checkpoint, by the share of modes captured. A thousand modes: collapsed below 20 %, healthy above
40 % (2 500 samples of a perfect generator show 92 %). Mixtures of 8 or 25: collapsed at half or fewer, healthy from
80 %. What lies between is unclear. A run's outcome is that of its last checkpoint.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spectral_doctor.arrays import live_arrays
from spectral_doctor.checkpoints.writing import write_atomically
from spectral_doctor.gan.builtin import RECIPES
from spectral_doctor.inspection import inspect_paths
from spectral_doctor.state_dicts.matrices import collect_layers
from spectral_doctor.training.folder import RunFolder
from spectral_doctor.training.loop import train
from spectral_doctor.training.records import Saved
from spectral_doctor.training.state import TrainingState
from spectral_doctor.trajectory.examining import layer_spectra

RECIPE_SHARES = {"ring": 1, "grid": 1, "stacked-glyphs": 1, "stacked-digits": 1}
CHECKPOINTS = 10


def drawn_settings(seed: int, index: int) -> tuple[str, dict[str, str]]:
    """The recipe of run `index` and what of its settings is changed; mixtures take minutes less than images."""
    source = random.Random(f"{seed}/{index}")
    recipe = source.choices(list(RECIPE_SHARES), list(RECIPE_SHARES.values()))[0]
    mixture = recipe in ("ring", "grid")
    # Half of the runs are driven hard: at the usual learning rates nearly all stay healthy.
    hard = source.random() < 0.5
    learning_rate = 10 ** (source.uniform(-2.0, -1.0) if hard else source.uniform(-3.5, -2.0))
    ratio = source.choice((0.2, 0.5, 1.0, 1.0, 2.0))
    chosen: dict[str, object] = {
        "spectral_norm": source.random() < 0.65,
        "loss": source.choice(("hinge", "logistic", "logistic", "least-squares")),
        "learning_rate_discriminator": round(learning_rate, 6),
        "learning_rate_generator": round(learning_rate * ratio, 6),
        "beta1": source.choice((0.0, 0.5)),
        "n_dis": source.choice((1, 1, 1, 2)),
    }
    if mixture:
        chosen |= {
            "discriminator_channels": source.choice((16, 32, 64, 128)),
            "generator_channels": source.choice((32, 64, 128)),
            "latent_dim": source.choice((2, 8, 32)),
            "batch_size": source.choice((64, 128, 256)),
            "steps": 3000,
        }
    else:
        chosen |= {
            "network": source.choice(("resnet", "resnet", "cnn")),
            "discriminator_channels": source.choice((4, 8, 12, 16)),
            "generator_channels": source.choice((16, 24)),
            "latent_dim": source.choice((8, 16, 64)),
            "batch_size": 32,
            "steps": 500,
            "samples": 2500,
        }
    chosen["save_every"] = int(str(chosen["steps"])) // CHECKPOINTS
    return recipe, {key: str(value) for key, value in chosen.items()}


def train_run(seed: int, index: int, folder: Path) -> dict[str, Any]:
    """Train one run in a temporary folder, take its spectra as `inspect` does, and write its JSON."""
    torch.set_num_threads(1)
    name, changes = drawn_settings(seed, index)
    recipe = RECIPES[name].build(RECIPES[name].settings.changed(changes))
    saved: list[Saved] = []
    generator: list[float] = []
    with tempfile.TemporaryDirectory() as temporary:
        state = TrainingState.fresh(recipe, index)

        def keep(item: Saved) -> None:
            saved.append(item)
            generator.append(generator_sigma_2(state))

        outcome = train(state, RunFolder(Path(temporary)), keep)
        if outcome.signal:
            raise SystemExit(128 + outcome.signal)  # a run that was cut short is not written
        (diagnosis,) = inspect_paths([temporary]).diagnoses
    layers = diagnosis.trajectory.layers
    checkpoints = []
    for position, item in enumerate(saved):
        assert item.evaluation is not None
        evaluation = asdict(item.evaluation)
        record = {
            "step": item.step,
            "modes_captured": evaluation["modes_captured"],
            "kl": round(evaluation["kl"], 4),
            "high_quality_fraction": evaluation["high_quality_fraction"],
            "generator_sigma_2": generator[position],
            "losses": None if item.losses is None else [round(value, 4) for value in asdict(item.losses).values()],
            "layers": {
                layer.name: {
                    "sigma_max": float(f"{spectrum.sigma_max:.6g}"),
                    "relative_spectrum": [round(value, 6) for value in spectrum.relative],
                }
                for layer in layers
                if (spectrum := layer.spectra[position]) is not None
            },
        }
        checkpoints.append(record)
    run = {
        "run": f"run-{index:03d}",
        "recipe": name,
        "seed": index,
        "modes": saved[0].evaluation.modes if saved[0].evaluation else None,
        "fault": outcome.fault,
        "settings": asdict(recipe.settings),
        "checkpoints": checkpoints,
    }
    write_atomically(folder / f"run-{index:03d}.json", json.dumps(run, separators=(",", ":")).encode())
    return run


def generator_sigma_2(state: TrainingState) -> float:
    """The mean σ_2/σ_1 over the generator's layers: evidence outside the discriminator."""
    layers, _ = layer_spectra(*collect_layers(live_arrays(state.generator.state_dict())))
    ratios = [item.spectrum.ratio(2) for item in layers if item.spectrum is not None and item.spectrum.size > 1]
    return round(statistics.fmean(ratios), 4) if ratios else 0.0


def outcome_of(run: Mapping[str, Any], position: int = -1) -> str:
    """The outcome of one checkpoint of a run, by the rule in this file's docstring."""
    modes = int(run.get("modes") or 1000)
    share = run["checkpoints"][position]["modes_captured"] / modes
    collapsed, healthy = (share < 0.2, share > 0.4) if modes >= 1000 else (share <= 0.5, share >= 0.8)
    return "collapsed" if collapsed else "healthy" if healthy else "unclear"


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Runs and outcomes, over all and by recipe and spectral norm."""
    table: dict[str, Counter[str]] = {}
    for run in runs:
        norm = "spectral norm" if run["settings"]["spectral_norm"] else "none"
        for key in ("all", f"{run['recipe']}, {norm}"):
            table.setdefault(key, Counter())[outcome_of(run)] += 1
    return {key: dict(counts) for key, counts in sorted(table.items())}


def pack(runs: list[dict[str, Any]], path: Path) -> None:
    """Write all runs into one gzipped file, numbers of a spectrum in thousandths."""
    for run in runs:
        for checkpoint in run["checkpoints"]:
            for layer in checkpoint["layers"].values():
                layer["relative_spectrum"] = [round(1000 * value) for value in layer["relative_spectrum"]]
    text = json.dumps({"unit": "relative_spectrum in thousandths", "runs": runs}, separators=(",", ":"))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, gzip.compress(text.encode(), mtime=0))
    print(f"{path}: {path.stat().st_size / 2**20:.2f} MiB")


def main() -> None:
    """Train what is missing, then print the table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pack", type=Path)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    paths = [arguments.output / f"run-{index:03d}.json" for index in range(arguments.runs)]
    missing = [index for index, path in enumerate(paths) if not path.exists()]
    with ProcessPoolExecutor(arguments.processes) as pool:
        waiting = {pool.submit(train_run, arguments.seed, index, arguments.output): index for index in missing}
        for done, future in enumerate(as_completed(waiting), start=1):
            run = future.result()
            modes = [checkpoint["modes_captured"] for checkpoint in run["checkpoints"]]
            print(f"{done}/{len(missing)} {run['run']} {run['recipe']} {outcome_of(run)} {modes}", flush=True)
    runs = [json.loads(path.read_text()) for path in paths]
    for key, counts in summary(runs).items():
        print(f"{key:32} {sum(counts.values()):4} runs  {dict(sorted(counts.items()))}")
    if arguments.pack:
        pack(runs, arguments.pack)
    print(json.dumps({"runs": len(runs), "seed": arguments.seed, "outcomes": summary(runs)}))


if __name__ == "__main__":
    main()
