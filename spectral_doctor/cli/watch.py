"""`spectral-doctor watch`: a run followed while it trains."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spectral_doctor.cli.boundary import ExitCode, speaking_plainly
from spectral_doctor.cli.cache import cache_of
from spectral_doctor.cli.options import (
    DiscriminatorKey,
    ExcludedLayers,
    FailingFrom,
    Quiet,
    StepPattern,
    Trackers,
    WatchFormat,
    Watching,
    WithoutCache,
)
from spectral_doctor.errors import MissingPath, UsageError, printable
from spectral_doctor.gate.checking import load_settings
from spectral_doctor.signals import Received, received_signals

if TYPE_CHECKING:
    from spectral_doctor.cli.watching import View
    from spectral_doctor.diagnosis.records import Diagnosis
    from spectral_doctor.following.follower import Follower
    from spectral_doctor.following.records import Observation
    from spectral_doctor.gate.records import CheckOutcome, Problem
    from spectral_doctor.gate.settings import GateSettings
    from spectral_doctor.inspection import Inspection
    from spectral_doctor.training.tracking import TensorBoard, Tracker

FINDING_PREFIX = "SPECTRAL_FINDING_"
_PAUSE = 0.25
_LONGEST_WAIT = 60.0


def watch(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder that a run writes its checkpoints into.")],
    fail_on: FailingFrom = "never",
    interval: Annotated[float, typer.Option("--interval", min=0.1, metavar="SECONDS", help="Between two looks.")] = 5.0,
    once: Annotated[
        bool, typer.Option("--once", help="Look until all files are whole and examined, then end.")
    ] = False,
    command: Annotated[
        str | None, typer.Option("--exec", metavar="CMD", help="Run this at every new finding; no shell.")
    ] = None,
    history: Annotated[
        Path | None, typer.Option("--history", metavar="FILE", help="Keep all spectra seen here, as JSON.")
    ] = None,
    tensorboard: Annotated[
        Path | None,
        typer.Option("--tensorboard", metavar="DIR", help="Scalars and spectra, into DIR."),
    ] = None,
    tracker: Trackers = None,
    select: Annotated[list[str] | None, typer.Option("--select", metavar="CODES", help="Only these rules.")] = None,
    ignore: Annotated[list[str] | None, typer.Option("--ignore", metavar="CODES", help="Not these rules.")] = None,
    level: Annotated[
        list[str] | None, typer.Option("--level", metavar="CODE=LEVEL", help="fail, warn or off for one rule.")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="The settings file.")] = None,
    discriminator: DiscriminatorKey = None,
    step_pattern: StepPattern = None,
    exclude: ExcludedLayers = None,
    no_cache: WithoutCache = False,
    report_format: Watching = WatchFormat.TEXT,
    quiet: Quiet = False,
) -> None:
    """Follow a run that is training: examine every new checkpoint once, and say what is found."""
    with speaking_plainly():
        options = {
            "fail-on": fail_on,
            "select": select,
            "ignore": ignore,
            "level": level,
            "discriminator": discriminator,
            "step": step_pattern,
            "exclude": exclude,
        }
        # A run that has just begun covers little, and a baseline is for what is finished: both are for check.
        settings = replace(load_settings(options, os.environ, Path.cwd(), config), fail_on_coverage=None)
        if not folder.is_dir():
            raise MissingPath(folder) if not folder.exists() else UsageError(f"{printable(folder)}: not a folder.")
        from spectral_doctor.cli.tracking import trackers
        from spectral_doctor.cli.watching import View

        arguments = _arguments(command)
        _check_history(history, folder)
        wishes = _Wishes(
            settings,
            interval,
            once,
            arguments,
            history,
            _board(tensorboard),
            trackers(tracker or (), Path("runs") / f"spectral-doctor-{folder.resolve().name}"),
            no_cache,
            partial(View, folder, as_json=report_format is WatchFormat.JSONL, quiet=quiet),
        )
        code = _follow(folder, wishes)
        if code:
            raise typer.Exit(code)


@dataclass(frozen=True)
class _Wishes:
    """What a watch was asked for."""

    settings: GateSettings
    interval: float
    once: bool
    command: Sequence[str]
    history: Path | None
    board: TensorBoard | None
    trackers: Sequence[Tracker]
    no_cache: bool
    view: Callable[[], View]


def _follow(folder: Path, wishes: _Wishes) -> int:
    from spectral_doctor.checkpoints.runs import step_pattern
    from spectral_doctor.following.follower import Follower
    from spectral_doctor.inspection import no_checkpoints

    follower = Follower(
        folder,
        discriminator=wishes.settings.discriminator,
        exclude=wishes.settings.exclude,
        step=None if wishes.settings.step is None else step_pattern(wishes.settings.step),
        observations=_earlier(wishes.history),
        cache=None if wishes.no_cache else cache_of(os.environ),
    )
    with received_signals() as received, wishes.view() as view:
        view.take_over(follower.inspection())
        waited = 0.0
        while True:
            outcome, waiting = _look(follower, wishes, received, view)
            if received.signal:
                return 128 + received.signal
            if outcome.fails:
                return ExitCode.FINDINGS
            if wishes.once and (not waiting or waited > _LONGEST_WAIT):
                if not outcome.inspection.diagnoses:
                    raise no_checkpoints([folder], outcome.inspection.left_out)
                return ExitCode.HEALTHY
            pause = _PAUSE if wishes.once else wishes.interval
            waited += pause
            received.event.wait(pause)


def _look(follower: Follower, wishes: _Wishes, received: Received, view: View) -> tuple[CheckOutcome, int]:
    """Look once, and tell the terminal, the history, the trackers and the user's command what is new."""
    from spectral_doctor.gate.judging import judge
    from spectral_doctor.report.watching import state_values

    look = follower.look(received.event.is_set)
    outcome = judge(look.inspection, wishes.settings, str(Path.cwd()))
    if look.examined and wishes.history is not None:
        _write_history(wishes.history, follower, look.inspection)
    groups = view.show(outcome)
    for diagnosis, index in view.fresh:
        for track in (*wishes.trackers, *((wishes.board,) if wishes.board is not None else ())):
            track(diagnosis.states[index].step, state_values(diagnosis, index))
    if wishes.board is not None:
        _draw_spectra(wishes.board, [diagnosis for diagnosis, _ in view.fresh])
    for group in groups:
        if wishes.command:
            _execute(wishes.command, group, outcome)
    return outcome, look.waiting


def _write_history(history: Path, follower: Follower, inspection: Inspection) -> None:
    """What `inspect` reads, and beside it what the next watch goes on from."""
    from spectral_doctor.checkpoints.writing import write_atomically
    from spectral_doctor.following.memory import OBSERVATIONS, observations_to_json
    from spectral_doctor.report.document import inspection_document, json_pieces

    document = {**inspection_document(inspection), OBSERVATIONS: observations_to_json(follower.observations)}
    try:
        write_atomically(history, map(str.encode, json_pieces(document)))
    except OSError as error:
        raise UsageError(f"--history {printable(history)}: cannot be written: {error.strerror}.") from error


def _earlier(history: Path | None) -> tuple[Observation, ...]:
    if history is None or not history.exists():
        return ()
    from spectral_doctor.following.memory import read_observations

    observations = read_observations(history)
    files = len({(item.path, item.signature) for item in observations})
    typer.echo(f"taken over from {printable(history)}: {files} checkpoint{'' if files == 1 else 's'}", err=True)
    return observations


def _board(folder: Path | None) -> TensorBoard | None:
    if folder is None:
        return None
    from spectral_doctor.training.tracking import TensorBoard

    return TensorBoard(folder)


def _draw_spectra(board: TensorBoard, fresh: Sequence[Diagnosis]) -> None:
    """One picture a discriminator and look, of all its spectra so far."""
    from spectral_doctor.report.figures import draw

    for diagnosis in {item.trajectory.discriminator: item for item in fresh}.values():
        name = f"spectra/{printable(diagnosis.trajectory.discriminator)}"
        board.picture(name, draw([diagnosis]), diagnosis.trajectory.steps[-1])


def _execute(arguments: Sequence[str], group: tuple[Problem, ...], outcome: CheckOutcome) -> None:
    """Run the user's command with a finding in its environment, and wait for it."""
    from spectral_doctor.report.problems import group_sentence

    problem = group[0]
    named = [item for item in outcome.inspection.diagnoses if item.trajectory.discriminator == problem.discriminator]
    facts = {
        "RULE": problem.rule.code,
        "LEVEL": problem.level.value,
        "SPECTRUM": named[0].spectrum.value if named else "",
        "MODES": named[0].modes.statement.value if named else "",
        "DISCRIMINATOR": printable(problem.discriminator),
        "LAYERS": " ".join(printable(item.layer) for item in group if item.layer),
        "STEP": "" if problem.step is None else str(problem.step),
        "PATH": "" if problem.checkpoint is None else str(problem.checkpoint.location),
        "RESUME_FROM": str(named[0].resume_from or "") if named else "",
        "MESSAGE": group_sentence(group),
    }
    environment = {**os.environ, **{f"{FINDING_PREFIX}{key}": value for key, value in facts.items()}}
    try:
        code = subprocess.run(list(arguments), env=environment, stdin=subprocess.DEVNULL, check=False).returncode
    except (OSError, ValueError) as error:
        typer.echo(f"--exec {printable(arguments[0])}: cannot be run: {printable(error)}", err=True)
        return
    if code:
        typer.echo(f"--exec {printable(arguments[0])}: ended with {code}", err=True)


def _arguments(command: str | None) -> list[str]:
    if command is None:
        return []
    try:
        arguments = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--exec {printable(command)}: cannot be split into words: {error}.") from error
    if not arguments or shutil.which(arguments[0]) is None:
        raise UsageError(f"--exec {printable(command)}: no such command; it is run without a shell.")
    return arguments


def _check_history(history: Path | None, folder: Path) -> None:
    if history is None:
        return
    if not history.parent.is_dir():
        raise UsageError(f"--history {printable(history)}: the folder '{printable(history.parent)}' does not exist.")
    if history.resolve().is_relative_to(folder.resolve()):
        raise UsageError(
            f"--history {printable(history)}: lies in the folder that is watched, where inspect would take it for a "
            "run of its own; name a file elsewhere."
        )
