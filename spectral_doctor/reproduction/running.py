"""Training what a table lacks: one file a run, written when it is whole."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spectral_doctor.checkpoints.training_state import read_state
from spectral_doctor.diagnosis.records import Diagnosis
from spectral_doctor.errors import UsageError
from spectral_doctor.gan.builtin import RECIPES
from spectral_doctor.gan.recipes import Recipe
from spectral_doctor.inspection import inspect_paths
from spectral_doctor.reproduction.files import recorded, run_path, write_run
from spectral_doctor.reproduction.records import Arm, Point, Run, Table
from spectral_doctor.scaling.processes import in_processes
from spectral_doctor.training.folder import RunFolder
from spectral_doctor.training.loop import train
from spectral_doctor.training.records import Saved, TrainingOutcome
from spectral_doctor.training.state import TrainingState
from spectral_doctor.training.veegan import Veegan
from spectral_doctor.training.world import World, joined_world
from spectral_doctor.treatment.resuming import attach, chosen_start

_PLATEAU = 5


@dataclass(frozen=True)
class Job:
    """A run that is to be trained, the file that it is written to, and where checkpoints stay that others resume."""

    table: Table
    arm: Arm
    seed: int
    path: Path
    states: Path
    device: str = "cpu"

    @property
    def is_resumed(self) -> bool:
        """Whether another arm of the table goes on from this one's checkpoints."""
        return any(arm.resumes == self.arm.name for arm in self.table.arms)


def jobs_of(table: Table, arms: Sequence[Arm], seeds: int, folder: Path, device: str = "cpu") -> list[Job]:
    """Every run of a table's arms, seed by seed, so that all arms have as many when the time runs out.

    Of a seed those come last that go on from another's checkpoints.
    """
    ordered = sorted(arms, key=lambda arm: bool(arm.resumes))
    return [
        Job(
            table,
            arm,
            seed,
            run_path(table, arm.name, seed, folder),
            run_path(table, arm.resumes or arm.name, seed, folder).with_suffix(""),
            device,
        )
        for seed in range(seeds)
        for arm in ordered
    ]


def train_missing(jobs: Sequence[Job], processes: int = 1) -> Iterator[Run | None]:
    """Train the jobs in as many processes and give each run as it is done, in their order; None: its process died.

    Arms that resume another's checkpoints wait until all others are done.
    """
    for job in jobs:
        job.path.parent.mkdir(parents=True, exist_ok=True)
    for resuming in (False, True):
        chosen = [job for job in jobs if bool(job.arm.resumes) is resuming]
        if chosen:
            yield from in_processes(run_job, chosen, processes, lambda job: None)


def run_job(job: Job) -> Run | None:
    """Train one run in a temporary folder, measure it, and write it; None where a signal ended it.

    Raises `OSError` where it cannot be written.
    """
    began = time.process_time()
    with tempfile.TemporaryDirectory() as temporary, joined_world(job.device) as world:
        go_through = _resumed if job.arm.resumes else _trained
        run = go_through(job, Path(temporary), world)
    if run is None:
        return None
    run = replace(run, seconds=round(time.process_time() - began, 1))
    write_run(run, job.path)
    return run


def _trained(job: Job, folder: Path, world: World) -> Run | None:
    if job.is_resumed:
        folder = job.states
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    state = TrainingState.fresh(_recipe(job.table, job.arm), job.seed, world.device, job.table.recipe)
    _treat(state, job.arm)
    saved: list[Saved] = []
    outcome = train(state, RunFolder(folder), saved.append, world=world)
    return _run(job, saved, outcome, folder, 0)


def _resumed(job: Job, folder: Path, world: World) -> Run | None:
    """Go on under the arm's treatment from the last sound checkpoint before the onset in the arm that is resumed."""
    before = _diagnosed(job.states)
    start = before.trajectory.steps[chosen_start(before, None)[0]]
    state = TrainingState.fresh(_recipe(job.table, job.arm), job.seed, world.device, job.table.recipe)
    saved_there = RunFolder(job.states).checkpoint(start)
    state.restore(read_state(saved_there), saved_there)
    _treat(state, job.arm)
    saved: list[Saved] = []
    outcome = train(state, RunFolder(folder), saved.append, world=world, save_first=True)
    return _run(job, saved, outcome, folder, start)


def _recipe(table: Table, arm: Arm) -> Recipe:
    built_in = RECIPES[table.recipe]
    return built_in.build(replace(built_in.settings, **{**table.settings, **arm.changes}))


def _treat(state: TrainingState, arm: Arm) -> None:
    if arm.veegan is not None:
        state.method = Veegan(state, arm.veegan)
    if arm.dose is not None:
        attach(state, arm.dose, {})


def _run(job: Job, saved: Sequence[Saved], outcome: TrainingOutcome, folder: Path, began: int) -> Run | None:
    if outcome.signal:
        return None
    diagnosis = _diagnosed(folder)
    points = tuple(_point(item) for item in saved)
    first = saved[0].evaluation
    assert first is not None
    return Run(
        job.table.name,
        job.arm.name,
        job.seed,
        began,
        first.modes,
        points,
        diagnosis.onset,
        diagnosis.spectrum.value,
        outcome.fault,
        0.0,
        recorded(job.table, job.arm),
    )


def _point(saved: Saved) -> Point:
    measured = saved.evaluation
    if measured is None or measured.solid_modes is None or measured.high_quality_fraction is None:
        raise UsageError("a table needs a recipe whose modes and their quality are known.")
    spectra = [layer.spectrum for layer in saved.snapshot.layers if layer.spectrum is not None]
    plateaus = sorted(spectrum.ratio(min(_PLATEAU, spectrum.size)) for spectrum in spectra if spectrum.size > 1)
    return Point(
        saved.step,
        measured.modes_captured,
        measured.solid_modes,
        round(measured.high_quality_fraction, 4),
        round(measured.kl, 4),
        round(plateaus[len(plateaus) // 2], 3) if plateaus else None,
    )


def _diagnosed(folder: Path) -> Diagnosis:
    (diagnosis,) = inspect_paths([folder]).diagnoses
    return diagnosis
