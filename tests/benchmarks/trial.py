"""Does a trial of treatments cure? Falling patients, paired with plain continuation from the same checkpoint and seed.

    python tests/benchmarks/trial.py -o runs/trial.jsonl [--seeds 5] [--steps 3000] [--patients …] [--arms …]
    python tests/benchmarks/trial.py -o runs/trial.jsonl --results tests/benchmarks/results/trial.json
    python tests/benchmarks/trial.py --table tests/benchmarks/results/trial.json

Every patient (`spectral_doctor/gan/patients.py`) is trained for every seed, and `fix --mode trial` goes on from its
last, ill checkpoint: every arm for half of the steps, then the best by solid modes, the best by the score without
truth and `plain` to the end, of which the best is kept. Healthy is the most solid modes that the same run had at a
checkpoint; a patient-seed is recovered when the kept run ends with at least nine tenths of them. Which arm the score
without truth would have chosen is noted as well, and whether that arm has nine tenths of the best arm's solid modes
where the choice is made.

One JSON line a patient and seed goes to the output, and what is there already is not run again; an interrupted trial
goes on where it was. `--share I/N` takes every N-th job, so that several can run side by side. The last line printed
is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from spectral_doctor.checkpoints.training_state import read_state
from spectral_doctor.gan.patients import PATIENTS
from spectral_doctor.training.folder import RunFolder, saved_states
from spectral_doctor.training.loop import train
from spectral_doctor.training.state import TrainingState
from spectral_doctor.treatment.arms import ARMS, PLAIN, checked_arms
from spectral_doctor.treatment.records import UNTREATED, Dose, Resume
from spectral_doctor.treatment.resuming import plan_resume
from spectral_doctor.treatment.trial import ArmResult, TrialWish, finalists, measured_arm, ranked, run_arm, try_arms

Row = dict[str, Any]
RING = tuple(name for name in PATIENTS if name.startswith("ring"))
RECOVERED = 0.9
TOLERATED = 0.95


def source_run(patient: str, seed: int, folder: Path) -> list[int]:
    """Train a patient, unless it is there, and return the solid modes at each of its checkpoints."""
    recipe = PATIENTS[patient].recipe
    last = RunFolder(folder).checkpoint(recipe.settings.steps)
    if not last.exists():
        folder.mkdir(parents=True, exist_ok=True)
        train(TrainingState.fresh(recipe.build(recipe.settings), seed, name=patient), RunFolder(folder))
    return [int(read_state(path)["evaluation"]["solid_modes"]) for path in saved_states(folder)]


def tried(patient: str, seed: int, steps: int, arms: Sequence[str], folder: Path) -> Row:
    """Train a patient, try the arms on its last checkpoint, and say what became of it."""
    began = time.process_time()
    source = folder / f"{patient}-{seed}"
    solid = source_run(patient, seed, source)
    last = PATIENTS[patient].recipe.settings.steps
    wish = Resume((source,), folder / f"{patient}-{seed}-trial-{steps}", UNTREATED, steps, last)
    trial = TrialWish(wish, checked_arms(arms))
    plan = plan_resume(wish.paths, Dose("dynamic"), from_step=last)
    results, _ = try_arms(trial, plan)
    chosen = finalists(results)
    ends: dict[str, ArmResult] = {}
    for arm in dict.fromkeys((*chosen, PLAIN)):
        _, fault = run_arm(trial, plan, arm, last + steps)
        ends[arm] = measured_arm(trial, plan, arm, fault, at=last + steps)
    kept = ranked(list(ends.values()))[0].arm
    return {
        "patient": patient,
        "seed": seed,
        "steps": steps,
        "healthy": max(solid),
        "ill": solid[-1],
        "arms": {item.arm: _numbers(item) for item in results},
        "best": chosen[0],
        "best_by_score": chosen[-1],
        "ends": {arm: _numbers(item) for arm, item in ends.items()},
        "kept": kept,
        "still": plan.still,
        "seconds": round(time.process_time() - began, 1),
    }


def _numbers(item: ArmResult) -> Row:
    found, score = item.measured.evaluation, item.measured.score
    assert found is not None
    return {
        "solid": found.solid_modes,
        "quality": round(found.high_quality_fraction or 0.0, 4),
        "kl": round(found.kl, 4),
        "score": round(score.value, 4),
        "reconstruction": round(score.reconstruction, 4),
        "fault": item.fault,
    }


def summary(rows: Sequence[Row]) -> Row:
    """Over all patient-seeds: how many recover, how many end below plain, how often the score chooses well."""
    kept = [(row["ends"][row["kept"]]["solid"], row["ends"][PLAIN]["solid"], row["healthy"]) for row in rows]
    chosen = [
        row["arms"][row["best_by_score"]]["solid"] >= RECOVERED * max(arm["solid"] for arm in row["arms"].values())
        for row in rows
    ]
    return {
        "patient_seeds": len(rows),
        "recovered": sum(solid >= RECOVERED * healthy for solid, _, healthy in kept),
        "plain_recovered": sum(plain >= RECOVERED * healthy for _, plain, healthy in kept),
        "below_plain": sum(solid < TOLERATED * plain for solid, plain, _ in kept),
        "score_within_a_tenth": sum(chosen),
    }


def table(rows: Sequence[Row]) -> list[str]:
    """A Markdown row a patient, over its seeds: medians at the choice for every arm, and what was kept at the end."""
    arms = list(dict.fromkeys(arm for row in rows for arm in row["arms"]))
    lines = [
        f"| patient | ill | {' | '.join(arms)} | chosen | kept at the end, by seed | plain at the end | recovered |",
        "|" + "---|" * (6 + len(arms)),
    ]
    for patient in dict.fromkeys(row["patient"] for row in rows):
        own = [row for row in rows if row["patient"] == patient]
        cells = []
        for arm in arms:
            there = [row["arms"][arm] for row in own if arm in row["arms"]]
            solid, quality = (statistics.median(item[key] for item in there) for key in ("solid", "quality"))
            cells.append(f"{solid:g}, {quality:.0%}")
        ends = [row["ends"][row["kept"]]["solid"] for row in own]
        plain = [row["ends"][PLAIN]["solid"] for row in own]
        chosen = ", ".join(
            f"{name} {sum(row['best'] == name for row in own)}"
            for name in arms
            if any(row["best"] == name for row in own)
        )
        ill, healthy = statistics.median(row["ill"] for row in own), max(row["healthy"] for row in own)
        lines.append(
            f"| `{patient}` | {ill:g} of {healthy} | "
            f"{' | '.join(cells)} | {chosen} | {' '.join(map(str, ends))} | {' '.join(map(str, plain))} | "
            f"{summary(own)['recovered']} of {len(own)} |"
        )
    return lines


def main() -> None:
    """Run what is missing and print a line a patient and seed, the table, and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--patients", nargs="+", default=list(RING), choices=tuple(PATIENTS))
    parser.add_argument("--arms", nargs="+", default=[arm for arm in ARMS if "+" not in arm])
    parser.add_argument("--share", default="0/1", help="I/N: every N-th job from the I-th on")
    parser.add_argument("--results", type=Path, help="write all rows and the summary there")
    parser.add_argument("--table", type=Path, help="print the table of such a file and run nothing")
    arguments = parser.parse_args()
    if arguments.table is not None:
        content = json.loads(arguments.table.read_text())
        print(*table(content["rows"]), json.dumps(content["summary"]), sep="\n")
        return
    if arguments.output is None:
        parser.error("-o OUTPUT: say where the lines go")
    torch.set_num_threads(1)
    output: Path = arguments.output
    output.parent.mkdir(parents=True, exist_ok=True)
    first, every = map(int, arguments.share.split("/"))
    jobs = [(patient, seed) for seed in range(arguments.seeds) for patient in arguments.patients]
    for patient, seed in jobs[first::every]:
        if any(
            (row["patient"], row["seed"], row["steps"]) == (patient, seed, arguments.steps) for row in _rows(output)
        ):
            continue
        row = tried(patient, seed, arguments.steps, arguments.arms, output.with_suffix(""))
        with output.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(patient, seed, row["ill"], row["healthy"], row["best"], row["ends"], flush=True)
    rows = sorted(_rows(output), key=lambda row: (list(PATIENTS).index(row["patient"]), row["seed"]))
    if arguments.results is not None:
        arguments.results.write_text(json.dumps({"summary": summary(rows), "rows": rows}, indent=1) + "\n")
    print(*table(rows), sep="\n")
    print(json.dumps(summary(rows)))


def _rows(output: Path) -> list[Row]:
    return [json.loads(line) for line in output.read_text().splitlines()] if output.exists() else []


if __name__ == "__main__":
    main()
