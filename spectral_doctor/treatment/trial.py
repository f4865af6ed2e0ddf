"""A trial: treatments resumed from one checkpoint for a part of the steps, and the best of them taken to the end."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from spectral_doctor.errors import DoctorError, UsageError, printable
from spectral_doctor.gan.recipes import Recipe
from spectral_doctor.signals import received_signals
from spectral_doctor.training.folder import RunFolder, clear_torn, saved_states
from spectral_doctor.training.loop import train
from spectral_doctor.treatment.arms import PLAIN, Pharmacy, prescribed, restarts
from spectral_doctor.treatment.beginning import begun, recipe_of
from spectral_doctor.treatment.records import Resume, ResumePlan
from spectral_doctor.treatment.scoring import Measured, measured

_LOOK_AGAIN = 0.2


@dataclass(frozen=True)
class TrialWish:
    """A wish to have several arms tried: the resumed run, their names, until which share of the steps, by how many.

    The arms' runs lie below the output of `resume`, each in a folder of its name.
    """

    resume: Resume
    arms: tuple[str, ...]
    share: float = 0.5
    workers: int = 1
    pharmacy: Pharmacy = field(default_factory=Pharmacy)

    @property
    def part(self) -> int:
        """The steps that every arm is given."""
        return max(round(self.resume.steps * self.share), 1)

    def folder(self, arm: str) -> Path:
        """Where an arm's run lies."""
        return self.resume.output / arm

    def one(self, arm: str) -> Resume:
        """The wish of one arm."""
        return replace(
            self.resume,
            output=self.folder(arm),
            prescription=prescribed(arm, self.resume.steps, self.pharmacy),
            control=False,
            beside_a_restart=any(restarts(name) for name in self.arms),
        )


@dataclass(frozen=True, eq=False)
class ArmResult:
    """What an arm came to: at which step it was measured, what it measured, and the fault that ended it early."""

    arm: str
    step: int
    measured: Measured
    fault: str = ""


@dataclass(frozen=True)
class Finalists:
    """The arms that are taken to the end: the best one, the best by the score alone, the best restart."""

    best: str
    best_by_score: str
    restart: str | None

    @property
    def arms(self) -> tuple[str, ...]:
        """Each once, the best first."""
        return tuple(dict.fromkeys(arm for arm in (self.best, self.best_by_score, self.restart) if arm is not None))


@dataclass(frozen=True)
class _Ended:
    """How an arm's process ended: by a signal, with a fault of the training, or with an error."""

    signal: int = 0
    fault: str = ""
    error: str = ""


def run_arm(wish: TrialWish, plan: ResumePlan, arm: str, until: int) -> tuple[int, str]:
    """Train an arm up to a step, or go on where it was interrupted; returns the signal and the fault that ended it."""
    one, folder = wish.one(arm), wish.folder(arm)
    folder.mkdir(parents=True, exist_ok=True)
    clear_torn(folder)
    _, state, earlier = begun(one, plan, one.prescription, folder)
    outcome = train(state, RunFolder(folder), save_first=earlier is None, until=until)
    return outcome.signal, outcome.fault


def try_arms(
    wish: TrialWish, plan: ResumePlan, done: Callable[[ArmResult], None] = lambda result: None
) -> tuple[tuple[ArmResult, ...], int]:
    """Give every arm its part of the steps, side by side in processes; returns their results, and a signal that came.

    An arm that has come so far already is measured only. With one worker they run in this process, one after the
    other. Raises the error that an arm ended with, when the others have ended.
    """
    until = plan.step + wish.part
    ended = _one_by_one(wish, plan, until) if wish.workers == 1 else _side_by_side(wish, plan, until)
    for arm, end in ended.items():
        if end.error:
            raise UsageError(f"arm {printable(arm)}: {end.error}")
    signal = max((end.signal for end in ended.values()), default=0)
    if signal:
        return (), signal
    results = []
    for arm in wish.arms:
        result = measured_arm(wish, plan, arm, ended[arm].fault)
        done(result)
        results.append(result)
    return tuple(results), 0


def measured_arm(wish: TrialWish, plan: ResumePlan, arm: str, fault: str = "", at: int | None = None) -> ArmResult:
    """Measure an arm at the step where the trial ends, `at` another, or at its last one where it ended before."""
    one = wish.one(arm)
    recipe: Recipe = recipe_of(one, plan, one.prescription)[0]
    states = saved_states(wish.folder(arm))
    step = plan.step + wish.part if at is None else at
    wanted = RunFolder(wish.folder(arm)).checkpoint(step)
    path = wanted if wanted in states else states[-1]
    number = int(path.stem.removeprefix("step-"))
    return ArmResult(arm, number, measured(recipe, path), fault)


def ranked(results: Sequence[ArmResult]) -> tuple[ArmResult, ...]:
    """The arms, the best first; of equal ones `plain`, then the one named first. One that diverged comes last."""
    order = sorted(results, key=lambda item: (not item.fault, item.measured.rank, item.arm == PLAIN), reverse=True)
    return tuple(order)


def finalists(results: Sequence[ArmResult]) -> Finalists:
    """Which arms are taken to the end.

    Half-way, solid modes do not tell which arm will have most: they count what is precise already, and a restart covers
    the data first and becomes precise while its rates fall. The score counts what is covered. A restart on a grid of
    modes is behind by both half-way and ahead at the end (docs/treatments.md), so that one is always finished.
    """
    order = ranked(results)
    covering = max(order, key=lambda item: (not item.fault, item.measured.score.value))
    fresh = [item.arm for item in order if restarts(item.arm) and not item.fault]
    return Finalists(order[0].arm, covering.arm, fresh[0] if fresh else None)


def _one_by_one(wish: TrialWish, plan: ResumePlan, until: int) -> dict[str, _Ended]:
    ended: dict[str, _Ended] = {}
    for arm in wish.arms:
        signal, fault = run_arm(wish, plan, arm, until)
        ended[arm] = _Ended(signal, fault)
        if signal:
            break
    return ended


def _side_by_side(wish: TrialWish, plan: ResumePlan, until: int) -> dict[str, _Ended]:
    """Every arm in a process of its own, so many at a time; a signal is handed on, and what was trained is saved."""
    context = multiprocessing.get_context("spawn")
    waiting, ended = list(wish.arms), dict[str, _Ended]()
    running: dict[str, tuple[BaseProcess, Connection]] = {}
    with received_signals() as received:
        while running or (waiting and not received.signal):
            while waiting and len(running) < wish.workers and not received.signal:
                arm = waiting.pop(0)
                ours, theirs = context.Pipe(duplex=False)
                process: BaseProcess = context.Process(target=_in_process, args=(wish, plan, arm, until, theirs))
                process.start()
                theirs.close()
                running[arm] = process, ours
            for arm, (process, ours) in list(running.items()):
                if received.signal and process.is_alive():
                    process.terminate()
                if not process.is_alive() or ours.poll():
                    ended[arm] = _received(process, ours)
                    del running[arm]
            received.event.wait(_LOOK_AGAIN)
        if received.signal:
            ended[PLAIN] = _Ended(received.signal)
    return ended


def _received(process: BaseProcess, ours: Connection) -> _Ended:
    try:
        end = ours.recv()
    except EOFError:
        end = None
    process.join()
    ours.close()
    if isinstance(end, _Ended):
        return end
    return _Ended(error=f"its process ended with exit code {process.exitcode}; go on with --resume.")


def _in_process(wish: TrialWish, plan: ResumePlan, arm: str, until: int, theirs: Connection) -> None:
    import torch

    torch.set_num_threads(max((os.cpu_count() or 1) // wish.workers, 1))
    try:
        signal, fault = run_arm(wish, plan, arm, until)
        theirs.send(_Ended(signal, fault))
    except (DoctorError, OSError) as error:
        theirs.send(_Ended(error=str(error)))
    finally:
        theirs.close()
