"""Train the second corpus: many GANs of drawn settings, each written as one JSON of truth and evidence.

    python tests/benchmarks/laboratory.py --runs 240 -o runs/corpus-2 [--processes 2] [--seed 0] [--first 0]
    python tests/benchmarks/laboratory.py --runs 240 -o runs/corpus-2 --pack tests/data/corpus-2.json.gz
    python tests/benchmarks/laboratory.py --runs 240 -o runs/corpus-2 --same-as runs/again

Run i is decided by (seed, i) alone (`draws.py`). Each is written when it is whole, so the command can be stopped and
called again. Per checkpoint a JSON holds the evaluation (modes, quality, spread), losses and logits, every layer's
spectrum of D and of G, and statistics of both optimizers. `--same-as` compares two folders byte by byte.
The last line is one JSON object: runs, outcomes, courses.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spectral_doctor.evaluation import Evaluation, course, outcomes
from spectral_doctor.gan.builtin import RECIPES
from spectral_doctor.records import LayerSpectrum
from spectral_doctor.training.folder import RunFolder
from spectral_doctor.training.loop import train
from spectral_doctor.training.records import Saved, StepLosses
from spectral_doctor.training.state import TrainingState
from spectral_doctor.trajectory.monitor import SpectralMonitor
from tests.benchmarks.corpus_file import pack, read_corpus
from tests.benchmarks.draws import Draw, drawn


def train_run(draw: Draw, index: int, folder: Path) -> dict[str, Any]:
    """Train one run in a temporary folder and write its JSON."""
    torch.set_num_threads(1)
    recipe = RECIPES[draw.recipe].build(RECIPES[draw.recipe].settings.changed(draw.changes))
    settings = asdict(recipe.settings)
    state = TrainingState.fresh(recipe, draw.seed)
    generator = SpectralMonitor(state.generator)
    checkpoints: list[dict[str, Any]] = []
    layers: dict[str, Any] = {}

    def keep(saved: Saved) -> None:
        found = {"discriminator": saved.snapshot.layers, "generator": generator.observe(saved.step)}
        layers.update({role: {item.identity.name: shape_of(item) for item in found[role]} for role in found})
        checkpoints.append(
            {
                "step": saved.step,
                "evaluation": asdict(saved.evaluation) if saved.evaluation else None,
                "losses": asdict(saved.losses) if saved.losses else None,
                "scores": [saved.snapshot.score_real, saved.snapshot.score_fake],
                "optimizers": {
                    "discriminator": optimizer_statistics(state.discriminator, state.discriminator_optimizer),
                    "generator": optimizer_statistics(state.generator, state.generator_optimizer),
                },
                "spectra": {role: spectra_of(items) for role, items in found.items()},
            }
        )

    def change(step: int, _: StepLosses) -> None:
        if draw.later and step == draw.after:
            change_settings(state, draw.later)

    with tempfile.TemporaryDirectory() as temporary:
        outcome = train(state, RunFolder(Path(temporary), keep=1), keep, change)
    if outcome.signal:
        raise SystemExit(128 + outcome.signal)  # a run that was cut short is not written
    run = {
        "run": index,
        "recipe": draw.recipe,
        "origin": draw.origin,
        "seed": draw.seed,
        "fault": outcome.fault,
        "settings": settings,
        "later": {"after": draw.after, **draw.later} if draw.later else None,
        "layers": layers,
        "checkpoints": checkpoints,
    }
    write(folder / f"run-{index:03d}.json", json.dumps(run, separators=(",", ":")))
    return run


def change_settings(state: TrainingState, changes: dict[str, str]) -> None:
    """Go on with other settings: those that a step reads, and the optimizers' rates."""
    settings = state.recipe.settings = state.recipe.settings.changed(changes)
    for optimizer, rate in (
        (state.generator_optimizer, settings.learning_rate_generator),
        (state.discriminator_optimizer, settings.learning_rate_discriminator),
    ):
        for group in optimizer.param_groups:
            group["lr"] = rate


def shape_of(layer: LayerSpectrum) -> list[Any]:
    """Kind, form and matrix shape of a layer: what a reference range is looked up by."""
    return [str(layer.identity.kind), str(layer.identity.form), *layer.identity.matrix_shape]


def spectra_of(layers: tuple[LayerSpectrum, ...]) -> dict[str, Any]:
    """Every layer's σ_1 and relative spectrum in thousandths; None where a weight is not finite."""
    return {
        item.identity.name: None
        if item.spectrum is None
        else [float(f"{item.spectrum.sigma_max:.5g}"), [round(1000 * value) for value in item.spectrum.relative]]
        for item in layers
    }


@torch.no_grad()
def optimizer_statistics(network: nn.Module, optimizer: Optimizer) -> dict[str, float] | None:
    """What Adam's moments m̂, v̂ and the parameters say; None before the first step.

    `signal` is ‖m̂‖ / ‖√v̂‖ over all parameters; `bias` the root mean square of biases over that of weights,
    `bias_gradient` the same of √v̂.
    """
    moments: dict[bool, list[torch.Tensor]] = {True: [], False: []}
    values: dict[bool, list[torch.Tensor]] = {True: [], False: []}
    mean_square = square = 0.0
    (group,) = optimizer.param_groups
    beta1, beta2 = group["betas"]
    for parameter in network.parameters():
        state = optimizer.state.get(parameter)
        if not state:
            return None
        count = float(state["step"])
        mean, variance = state["exp_avg"] / (1 - beta1**count), state["exp_avg_sq"] / (1 - beta2**count)
        mean_square += float(mean.double().square().sum())
        square += float(variance.double().sum())
        moments[parameter.ndim == 1].append(variance.flatten())
        values[parameter.ndim == 1].append(parameter.square().flatten())
    return {
        "signal": math.sqrt(mean_square / max(square, 1e-30)),
        "bias": _ratio(values),
        "bias_gradient": _ratio(moments),
    }


def _ratio(squares: dict[bool, list[torch.Tensor]]) -> float:
    if not squares[True] or not squares[False]:
        return 0.0
    biases, weights = (float(torch.cat(squares[one]).double().mean()) for one in (True, False))
    return math.sqrt(biases / max(weights, 1e-30))


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    beside = path.with_suffix(".tmp")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def verdicts(run: dict[str, Any]) -> tuple[list[str], str]:
    """The outcome of every checkpoint of a run, and its course."""
    found = outcomes(
        [Evaluation.read(item["evaluation"]) for item in run["checkpoints"]],
        [item["step"] for item in run["checkpoints"]],
    )
    return [one.value for one in found], course(found).value


def differing(one: Path, other: Path, runs: int) -> list[int]:
    """The indices of runs whose files differ, or are missing, in two folders."""
    names = [f"run-{index:03d}.json" for index in range(runs)]
    return [
        index
        for index, name in enumerate(names)
        if not (one / name).exists()
        or not (other / name).exists()
        or (one / name).read_bytes() != (other / name).read_bytes()
    ]


def main() -> None:
    """Train what is missing, then pack or compare, and print the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--first", type=int, default=0, help="index of the first run that is trained")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pack", type=Path)
    parser.add_argument("--same-as", type=Path)
    arguments = parser.parse_args()
    if arguments.same_as:
        found = differing(arguments.output, arguments.same_as, arguments.runs)
        print(json.dumps({"runs": arguments.runs, "differing": found}))
        sys.exit(bool(found))
    arguments.output.mkdir(parents=True, exist_ok=True)
    paths = [arguments.output / f"run-{index:03d}.json" for index in range(arguments.runs)]
    missing = [index for index in range(arguments.first, arguments.runs) if not paths[index].exists()]
    # One thread a process, also in NumPy's BLAS, which reads this when it is imported.
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    with ProcessPoolExecutor(arguments.processes, multiprocessing.get_context("spawn")) as pool:
        started = time.monotonic()
        waiting = {pool.submit(train_run, drawn(arguments.seed, index), index, arguments.output) for index in missing}
        for done, future in enumerate(as_completed(waiting), start=1):
            run = future.result()
            labels, way = verdicts(run)
            since = time.monotonic() - started
            print(
                f"{done}/{len(missing)} {since:.0f}s run {run['run']} {run['recipe']}: {labels[-1]}, {way}", flush=True
            )
    if arguments.pack:
        pack([json.loads(path.read_text(encoding="utf-8")) for path in paths], arguments.pack)
        runs = read_corpus(arguments.pack)
    else:
        runs = [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]
    judged = [verdicts(run) for run in runs]
    ends, ways = Counter(labels[-1] for labels, _ in judged), Counter(way for _, way in judged)
    print(json.dumps({"runs": len(runs), "seed": arguments.seed, "outcomes": dict(ends), "courses": dict(ways)}))


if __name__ == "__main__":
    main()
