"""Does a trial of treatments cure? Falling patients, paired with plain continuation from the same checkpoint and seed.

    python tests/benchmarks/trial.py rings images -o runs/trial [--seeds 5] [--processes 2]
    python tests/benchmarks/trial.py rings -o runs/trial --results tests/benchmarks/results/trial.json
    python tests/benchmarks/trial.py --table tests/benchmarks/results/trial.json

Every patient is trained for every seed, and `fix --mode trial` goes on from its last, ill checkpoint: every arm for
half of the steps, then the best by solid modes, the best by the score without truth, the restart and `plain` to the
end, of which the best is kept. A patient-seed is recovered when the kept run ends with at least nine tenths of the
solid modes of a healthy run. Which arm the score without truth would have chosen is noted as well, and whether that
arm has nine tenths of the best arm's solid modes where the choice is made.

`rings` and `images` are the laboratory's patients (`spectral_doctor/gan/patients.py`), which learn first; healthy
is the most solid modes that the same run had. `ailing` are runs whose settings never let them learn: those of the
first corpus (`corpus.py`, by their number), a hard grid, and digits at rates that are too fast; healthy are all
modes of a mixture, and of the digits what the same settings reach at a tenth of the rates, or where it is the width
of the discriminator that fails them (`digits-147`, 4 channels), at eight times the width. `--steps` gives all of
them another budget. `wider` is `digits-147` once more, its restart told that width by `--set`.

One JSON file a patient, seed and budget goes into the output, and what is there already is not run again; an
interrupted trial goes on where it was. The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spectral_doctor.checkpoints.training_state import read_state
from spectral_doctor.gan.builtin import RECIPES
from spectral_doctor.gan.patients import PATIENTS
from spectral_doctor.gan.recipes import Recipe
from spectral_doctor.training.folder import RunFolder, saved_states
from spectral_doctor.training.loop import train
from spectral_doctor.training.state import TrainingState
from spectral_doctor.treatment.arms import ARMS, PLAIN, Pharmacy, checked_arms
from spectral_doctor.treatment.records import UNTREATED, Dose, Resume, ResumePlan
from spectral_doctor.treatment.resuming import plan_resume
from spectral_doctor.treatment.trial import ArmResult, TrialWish, finalists, measured_arm, ranked, run_arm
from tests.benchmarks.corpus import drawn_settings

Row = dict[str, Any]
RECOVERED = 0.9
TOLERATED = 0.95
MEASURED = tuple(arm for arm in ARMS if "+" not in arm)


@dataclass(frozen=True)
class Ill:
    """How an ill run is made, and for how many steps and at which rate it is treated.

    `healthy` are the changes of a run beside it, `fresh` the settings of its restart's discriminator.
    """

    recipe: str
    changes: dict[str, str] = field(default_factory=dict)
    steps: int = 3000
    rate: str | float = "safe"
    healthy: dict[str, str] = field(default_factory=dict)
    learns_first: bool = False
    fresh: tuple[str, ...] = ()

    def build(self, changes: dict[str, str] | None = None) -> Recipe:
        """Its recipe, with some settings changed."""
        base = PATIENTS[self.recipe].recipe if self.recipe in PATIENTS else RECIPES[self.recipe]
        return base.build(base.settings.changed({**self.changes, **(changes or {})}))


def _drawn(index: int, steps: int, rate: str | float) -> Ill:
    recipe, changes = drawn_settings(0, index)
    return Ill(recipe, changes, steps, rate)


HARD_GRID = {
    "spectral_norm": "true",
    "latent_dim": "32",
    "discriminator_channels": "64",
    "learning_rate_discriminator": "0.03",
    "learning_rate_generator": "0.006",
    "batch_size": "128",
    "steps": "1500",
    "save_every": "300",
}
FAST = {
    "network": "resnet",
    "discriminator_channels": "8",
    "generator_channels": "16",
    "latent_dim": "16",
    "loss": "hinge",
    "learning_rate_generator": "0.027507",
    "learning_rate_discriminator": "0.027507",
    "beta1": "0",
    "beta2": "0.999",
    "n_dis": "1",
    "batch_size": "32",
    "steps": "500",
    "save_every": "100",
}
TENTH = {"learning_rate_generator": "0.0027507", "learning_rate_discriminator": "0.0027507"}
NARROW = replace(_drawn(147, 500, "safe"), healthy={"discriminator_channels": "32"})
GROUPS: dict[str, dict[str, Ill]] = {
    "rings": {name: Ill(name, learns_first=True, steps=6000) for name in PATIENTS if name.startswith("ring")},
    "images": {
        name: Ill(name, learns_first=True, steps=PATIENTS[name].recipe.settings.steps)
        for name in ("digits-small-start", "digits-resnet", "glyphs-resnet")
    },
    "ailing": {
        "ring-60": _drawn(60, 6000, 1e-3),
        "ring-118": _drawn(118, 6000, 1e-3),
        "ring-137": _drawn(137, 6000, 1e-3),
        "grid-119": _drawn(119, 16000, 2e-3),
        "grid-hard": Ill("grid", HARD_GRID, 16000, 2e-3),
        "digits-fast": Ill("stacked-digits", FAST, 500, healthy=TENTH),
        "digits-147": NARROW,
    },
    "wider": {"digits-147-wide": replace(NARROW, fresh=("discriminator_channels=32",))},
}
ALL = {name: ill for group in GROUPS.values() for name, ill in group.items()}


@dataclass(frozen=True)
class Job:
    """One patient and seed, treated for so many steps by so many arms."""

    patient: str
    seed: int
    steps: int
    arms: tuple[str, ...]
    folder: Path

    @property
    def source(self) -> Path:
        """The folder of the ill run."""
        return self.folder / f"{self.patient}-{self.seed}"

    @property
    def path(self) -> Path:
        """The file of its row."""
        return self.folder / f"{self.patient}-{self.seed}-{self.steps}.json"

    def wish(self) -> TrialWish:
        """What `fix --mode trial` is asked for."""
        last = saved_states(self.source)[-1]
        step, pharmacy = int(last.stem.removeprefix("step-")), Pharmacy(rate=ALL[self.patient].rate)
        output = self.folder / f"{self.patient}-{self.seed}-trial-{self.steps}"
        fresh = ALL[self.patient].fresh
        resume = Resume((self.source,), output, UNTREATED, self.steps, step, assignments=fresh)
        return TrialWish(resume, checked_arms(self.arms), pharmacy=pharmacy)


def train_source(job: Job, healthy: bool = False) -> float:
    """Train an ill run, or the healthy one beside it, unless it is there; the seconds of processor."""
    torch.set_num_threads(1)
    ill, folder = ALL[job.patient], job.source.with_name(f"{job.source.name}-healthy") if healthy else job.source
    recipe = ill.build(ill.healthy if healthy else None)
    if RunFolder(folder).checkpoint(recipe.settings.steps).exists():
        return 0.0
    began = time.process_time()
    folder.mkdir(parents=True, exist_ok=True)
    train(TrainingState.fresh(recipe, job.seed, name=ill.recipe), RunFolder(folder))
    return time.process_time() - began


def solid_modes(folder: Path) -> list[int]:
    """The solid modes at each checkpoint of a run."""
    return [int(read_state(path)["evaluation"]["solid_modes"]) for path in saved_states(folder)]


def healthy_modes(job: Job) -> int:
    """The most solid modes of a healthy run: this one before it fell, the one beside it, or all of a mixture."""
    ill = ALL[job.patient]
    if ill.learns_first:
        return max(solid_modes(job.source))
    if ill.healthy:
        return max(solid_modes(job.source.with_name(f"{job.source.name}-healthy")))
    return int(read_state(saved_states(job.source)[-1])["evaluation"]["modes"])


@cache
def _plan(job: Job) -> ResumePlan:
    wish = job.wish()
    return plan_resume(wish.resume.paths, Dose("dynamic"), from_step=wish.resume.from_step)


def treat(job: Job, arm: str, steps: int) -> tuple[ArmResult, float]:
    """Train one arm up to so many steps, or go on where it was; what it measures there, and seconds of processor."""
    torch.set_num_threads(1)
    began = time.process_time()
    wish, plan = job.wish(), _plan(job)
    _, fault = run_arm(wish, plan, arm, plan.step + steps)
    return measured_arm(wish, plan, arm, fault, at=plan.step + steps), time.process_time() - began


def row_of(job: Job, results: Sequence[ArmResult], ends: Sequence[ArmResult], seconds: float) -> Row:
    """What became of one patient and seed."""
    chosen = finalists(results)
    return {
        "patient": job.patient,
        "seed": job.seed,
        "steps": job.steps,
        "healthy": healthy_modes(job),
        "ill": solid_modes(job.source)[-1],
        "arms": {item.arm: _numbers(item) for item in results},
        "best": chosen.best,
        "best_by_score": chosen.best_by_score,
        "ends": {item.arm: _numbers(item) for item in ends},
        "kept": ranked(ends)[0].arm,
        "still": _plan(job).still,
        "seconds": round(seconds, 1),
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


def try_all(jobs: Sequence[Job], processes: int) -> None:
    """Everything that the jobs lack, arm by arm in processes; a row is written as soon as its job is done."""
    with ProcessPoolExecutor(processes) as pool:
        beside = [job for job in jobs if ALL[job.patient].healthy]
        made = [pool.submit(train_source, job) for job in jobs] + [
            pool.submit(train_source, job, True) for job in beside
        ]
        took = dict(zip(jobs, [future.result() for future in made], strict=False))
        print(f"{len(made)} runs trained", flush=True)
        halves = {job: [pool.submit(treat, job, arm, round(job.steps / 2)) for arm in job.wish().arms] for job in jobs}
        ends: dict[Job, Any] = {}
        for job, futures in halves.items():
            results = [future.result()[0] for future in futures]
            last = dict.fromkeys((*finalists(results).arms, PLAIN))
            ends[job] = results, [pool.submit(treat, job, arm, job.steps) for arm in last]
        for job, (results, futures) in ends.items():
            finished = [future.result()[0] for future in futures]
            seconds = sum(future.result()[1] for future in (*halves[job], *futures))
            row = row_of(job, results, finished, took[job] + seconds)
            job.path.write_text(json.dumps(row) + "\n")
            print(job.patient, job.seed, row["ill"], row["healthy"], row["best"], row["ends"], flush=True)


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
    parser.add_argument(
        "names", nargs="*", metavar="PATIENT", help="patients, or groups of them: rings, images, ailing, wider"
    )
    parser.add_argument("-o", "--output", type=Path, help="a folder for the runs and their rows")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="the budget of a treatment, in place of each patient's own")
    parser.add_argument("--arms", nargs="+", default=list(MEASURED))
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--results", type=Path, help="write all rows and the summary there")
    parser.add_argument("--table", type=Path, help="print the table of such a file and run nothing")
    arguments = parser.parse_args()
    if arguments.table is not None:
        content = json.loads(arguments.table.read_text())
        print(*table(content["rows"]), json.dumps(content["summary"]), sep="\n")
        return
    if arguments.output is None:
        parser.error("-o OUTPUT: say where the runs go")
    patients = [patient for name in arguments.names or GROUPS for patient in GROUPS.get(name, [name])]
    if unknown := [name for name in patients if name not in ALL]:
        parser.error(f"no patient is called {unknown[0]}; there are {', '.join((*GROUPS, *ALL))}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    jobs = [
        Job(name, seed, arguments.steps or ALL[name].steps, tuple(arguments.arms), arguments.output)
        for name in patients
        for seed in range(arguments.seeds)
    ]
    try_all([job for job in jobs if not job.path.exists()], arguments.processes)
    rows = [json.loads(job.path.read_text()) for job in jobs]
    if arguments.results is not None:
        arguments.results.write_text(json.dumps({"summary": summary(rows), "rows": rows}, indent=1) + "\n")
    print(*table(rows), sep="\n")
    print(json.dumps(summary(rows)))


if __name__ == "__main__":
    main()
