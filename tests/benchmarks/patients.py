"""Train every patient for several seeds and say what became of it: its course, its modes, its spectra.

    python tests/benchmarks/patients.py [--patient NAME] [--seeds 5] [--processes 2] [-o runs/patients]

A patient is a recipe that `spectral-doctor recipes` lists under patients; each run is what `spectral-doctor train
NAME --seed S` makes. A run is written as one JSON when it is whole, so the command can be stopped and called again;
`--pack FILE` writes all of them into one file, and `--table FILE` prints the table of docs/laboratory.md from it and
trains nothing.
The last line is one JSON object: the table's figures by patient.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spectral_doctor.checkpoints.writing import write_atomically
from spectral_doctor.evaluation import course, outcomes
from spectral_doctor.evaluation.outcomes import shares, smoothed
from spectral_doctor.gan.patients import PATIENTS
from spectral_doctor.records import LayerSpectrum
from spectral_doctor.training.folder import RunFolder
from spectral_doctor.training.loop import train
from spectral_doctor.training.records import Saved
from spectral_doctor.training.state import TrainingState

PLATEAU = 5
# A spectrum has fallen when its plateau is below this share of what it was at the best checkpoint.
FALLEN = 0.85


def train_run(name: str, seed: int, path: Path) -> dict[str, Any]:
    """Train one patient with one seed in a temporary folder and write what was measured as JSON."""
    torch.set_num_threads(1)
    began, patient, saved = time.perf_counter(), PATIENTS[name].recipe, []
    recipe = patient.build(patient.settings)

    def keep(item: Saved) -> None:
        saved.append(item)

    with tempfile.TemporaryDirectory() as temporary:
        state = TrainingState.fresh(recipe, seed, name=name)
        outcome = train(state, RunFolder(Path(temporary), keep=1), keep)
        if outcome.signal:
            raise SystemExit(128 + outcome.signal)  # a run that was cut short is not written
    steps = [item.step for item in saved if item.evaluation is not None]
    found = outcomes([item.evaluation for item in saved if item.evaluation is not None], steps)
    run = {
        "patient": name,
        "seed": seed,
        "course": course(found).value,
        "fault": outcome.fault,
        "seconds": round(time.perf_counter() - began, 1),
        "checkpoints": [_checkpoint(item, one.value) for item, one in zip(saved, found, strict=True)],
    }
    write_atomically(path, json.dumps(run).encode())
    return run


def _checkpoint(saved: Saved, outcome: str) -> dict[str, Any]:
    assert saved.evaluation is not None
    modes, quality = shares(saved.evaluation)
    return {
        "step": saved.step,
        "outcome": outcome,
        "solid_modes": saved.evaluation.solid_modes,
        "modes": saved.evaluation.modes,
        "modes_share": round(modes, 3),
        "quality_share": round(quality, 3),
        "plateau": plateau(saved.snapshot.layers),
    }


def plateau(layers: Sequence[LayerSpectrum]) -> float:
    """The median over a discriminator's layers of σ_5/σ_1, or of the last ratio where there are fewer than five."""
    spectra = [layer.spectrum for layer in layers if layer.spectrum is not None and layer.spectrum.size > 1]
    return round(statistics.median(spectrum.ratio(min(PLATEAU, spectrum.size)) for spectrum in spectra), 3)


def summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The figures of one patient's runs: courses, and at the best and the last checkpoint modes, quality, spectra."""
    best = [best_checkpoint(run) for run in runs]
    last = [run["checkpoints"][-1] for run in runs]
    return {
        "seeds": len(runs),
        "learnt": sum(any(one["outcome"] == "healthy" for one in run["checkpoints"]) for run in runs),
        "lost": sum(run["course"] == "fell" and run["checkpoints"][-1]["outcome"] == "modes lost" for run in runs),
        "kept": sum(run["checkpoints"][-1]["outcome"] == "healthy" for run in runs),
        "courses": [f"{run['course']}, {run['checkpoints'][-1]['outcome']}" for run in runs],
        "modes": runs[0]["checkpoints"][0]["modes"],
        "best_solid_modes": [one["solid_modes"] for one in best],
        "last_solid_modes": [one["solid_modes"] for one in last],
        "best_quality": [one["quality_share"] for one in best],
        "last_quality": [last_quality(run) for run in runs],
        "best_plateau": [one["plateau"] for one in best],
        "last_plateau": [one["plateau"] for one in last],
        "spectra_fell": sum(two["plateau"] < FALLEN * one["plateau"] for one, two in zip(best, last, strict=True)),
        "seconds": round(statistics.median(run["seconds"] for run in runs), 1),
    }


def last_quality(run: Mapping[str, Any]) -> float:
    """The quality at the last checkpoint, smoothed as the rule of outcomes does: a generator may hop between modes."""
    return smoothed([one["quality_share"] for one in run["checkpoints"]])[-1]


def best_checkpoint(run: Mapping[str, Any]) -> Mapping[str, Any]:
    """The checkpoint with most solid modes, of equal ones that of the better quality."""
    best: Mapping[str, Any] = max(run["checkpoints"], key=lambda one: (one["modes_share"], one["quality_share"]))
    return best


def show(name: str, figures: Mapping[str, Any]) -> None:
    """Print one patient's row."""
    pairs = zip(figures["best_solid_modes"], figures["last_solid_modes"], strict=True)
    plateaus = [statistics.median(figures[f"{when}_plateau"]) for when in ("best", "last")]
    quality = [statistics.median(figures[f"{when}_quality"]) for when in ("best", "last")]
    print(
        f"{name:24} learnt {figures['learnt']}/{figures['seeds']}  lost {figures['lost']}/{figures['seeds']}  "
        f"solid modes of {figures['modes']}: {', '.join(f'{one} to {other}' for one, other in pairs)}  "
        f"quality {quality[0]:.2f} to {quality[1]:.2f}  σ5/σ1 {plateaus[0]:.2f} to {plateaus[1]:.2f}  "
        f"{figures['seconds']:.0f} s"
    )


def table(summaries: Mapping[str, Mapping[str, Any]]) -> str:
    """The table of the page: a row a patient, medians over the seeds at the best checkpoint and at the last."""
    rows = [
        "| patient | what makes it ill | learnt | lost modes | spectra fell | solid modes | quality | plateau |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, figures in summaries.items():
        solid, quality, plateaus = (
            [statistics.median(figures[f"{when}_{what}"]) for when in ("best", "last")]
            for what in ("solid_modes", "quality", "plateau")
        )
        rows.append(
            f"| `{name}` | {PATIENTS[name].cause} | {figures['learnt']} of {figures['seeds']} | {figures['lost']} | "
            f"{figures['spectra_fell']} | {solid[0]:g} → {solid[1]:g} of {figures['modes']} | "
            f"{quality[0]:.2f} → {quality[1]:.2f} | {plateaus[0]:.2f} → {plateaus[1]:.2f} |"
        )
    return "\n".join(rows)


def main() -> None:
    """Train what is missing, then print the table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patient", choices=PATIENTS, action="append", help="only this one; may be repeated")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/patients"))
    parser.add_argument("--pack", type=Path, help="write all runs into one JSON file")
    parser.add_argument("--table", type=Path, help="print the table of docs/laboratory.md from a packed file")
    arguments = parser.parse_args()
    if arguments.table:
        summaries = json.loads(arguments.table.read_text())["summary"]
        print(table(summaries))
        print(json.dumps(summaries))
        return
    arguments.output.mkdir(parents=True, exist_ok=True)
    names = arguments.patient or list(PATIENTS)
    paths = {(n, s): arguments.output / f"{n}-{s}.json" for n in names for s in range(arguments.seeds)}
    with ProcessPoolExecutor(arguments.processes) as pool:
        waiting = [pool.submit(train_run, *key, path) for key, path in paths.items() if not path.exists()]
        for done, future in enumerate(as_completed(waiting), start=1):
            run = future.result()
            solid = [one["solid_modes"] for one in run["checkpoints"]]
            print(f"{done}/{len(waiting)} {run['patient']} seed {run['seed']} {run['course']} {solid}", flush=True)
    runs = [json.loads(path.read_text()) for path in paths.values()]
    figures = {name: summary([run for run in runs if run["patient"] == name]) for name in names}
    for name in names:
        show(name, figures[name])
    if arguments.pack:
        arguments.pack.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(arguments.pack, (json.dumps({"summary": figures, "runs": runs}) + "\n").encode())
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
