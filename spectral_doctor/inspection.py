"""From the paths a user names to diagnoses: the whole of the first flow, without a word printed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from spectral_doctor.checkpoints.discovery import find_candidates
from spectral_doctor.checkpoints.opening import Candidate
from spectral_doctor.checkpoints.runs import step_pattern
from spectral_doctor.diagnosis.records import Diagnosis, Thresholds
from spectral_doctor.diagnosis.rules import diagnose
from spectral_doctor.errors import (
    CheckpointError,
    DoctorError,
    NoCheckpoints,
    NothingToExamine,
    NoWeights,
    UnknownDiscriminator,
    UsageError,
)
from spectral_doctor.records import Failure, LeftOut
from spectral_doctor.state_dicts.loading import load_checkpoint
from spectral_doctor.trajectory.examining import examine
from spectral_doctor.trajectory.history import read_history
from spectral_doctor.trajectory.records import Examination, SpectralTrajectory
from spectral_doctor.trajectory.series import build_trajectories

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Inspection:
    """What was examined and what was not: a diagnosis a series, and every file or part that was left out.

    `failures` are the files that could not be read or were refused; the rest was examined all the same.
    """

    diagnoses: tuple[Diagnosis, ...]
    left_out: tuple[LeftOut, ...]
    failures: tuple[Failure, ...]


def inspect_paths(
    paths: Path | str | Sequence[Path | str],
    *,
    discriminator: str | None = None,
    exclude: Sequence[str] = (),
    step: str | re.Pattern[str] | None = None,
    thresholds: Thresholds | None = None,
    progress: Progress | None = None,
) -> Inspection:
    """Examine files, folders and patterns (one, or several), and diagnose every discriminator's series found in them.

    One layer is in memory at a time. `step` is a regular expression whose first group is the step in a path, where
    names alone do not tell. `progress(done, total, name)` is called before each file.

    Raises `UsageError` (a missing path, a `discriminator` key no file has, a `step` without a group),
    `CheckpointError` where every file is unreadable or refused, and `NothingToExamine`.
    """
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    pattern = step_pattern(step) if isinstance(step, str) else step
    candidates = find_candidates(given)
    found = _Found(list(candidates.left_out), list(candidates.failures))
    found.examine(candidates.checkpoints, discriminator, exclude, progress)
    series = list(build_trajectories((item for item in found.examinations if item.layers), pattern))
    series += found.from_histories(candidates.histories)
    errors = [*found.errors, *(_without_layers(item) for item in found.examinations if not item.layers)]
    if not series:
        raise _worst([error for _, error in errors]) or no_checkpoints(given, found.left_out)
    return Inspection(
        diagnoses=tuple(diagnose(item, thresholds) for item in series),
        left_out=(*found.left_out, *(_as_left_out(name, error) for name, error in errors if _is_quiet(error))),
        failures=tuple(failure_of(error) for _, error in errors if not _is_quiet(error)),
    )


@dataclass
class _Found:
    """What has been examined so far, and what could not be."""

    left_out: list[LeftOut]
    errors: list[tuple[str, DoctorError]]
    examinations: list[Examination] = field(default_factory=list)

    def examine(
        self,
        checkpoints: Sequence[Candidate],
        discriminator: str | None,
        exclude: Sequence[str],
        progress: Progress | None,
    ) -> None:
        """Examine one checkpoint after the other; an error keeps its file's name and ends nothing."""
        for done, candidate in enumerate(checkpoints):
            if progress is not None:
                progress(done, len(checkpoints), candidate.ref.name)
            try:
                checkpoint = load_checkpoint(candidate, discriminator=discriminator, exclude=exclude)
                self.examinations += examine(checkpoint)
                self.left_out += [replace(item, name=f"{candidate.ref}: {item.name}") for item in checkpoint.left_out]
            except DoctorError as error:
                self.errors.append((str(candidate.ref), error))

    def from_histories(self, histories: Sequence[Path]) -> list[SpectralTrajectory]:
        """The series that histories hold."""
        series: list[SpectralTrajectory] = []
        for history in histories:
            try:
                series += [item for item in read_history(history) if item.layers]
            except CheckpointError as error:
                self.errors.append((str(history), error))
        return series


def no_checkpoints(paths: Sequence[Path | str], left_out: Sequence[LeftOut]) -> NoCheckpoints:
    """The error that says what lies there in place of a checkpoint: by format what may hold weights, and the rest."""
    unread = Counter(item.format_name for item in left_out if item.format_name)
    return NoCheckpoints(paths, len(left_out) - unread.total(), unread)


def failure_of(error: DoctorError) -> Failure:
    """A file that could not be used, its name apart from the reason, which other files may share."""
    return Failure(error.path, error.reason) if isinstance(error, CheckpointError) else Failure("", str(error))


def _without_layers(item: Examination) -> tuple[str, NoWeights]:
    reasons = [f"{skipped.name}: {skipped.sentence}" for skipped in item.skipped[:3]]
    return str(item.ref), NoWeights(str(item.ref), item.discriminator, reasons)


def _worst(errors: Sequence[DoctorError]) -> DoctorError | None:
    """The error that says most about why nothing was examined, noting how many others there are."""
    for kind in (CheckpointError, UsageError, NothingToExamine):
        matching = [error for error in errors if isinstance(error, kind)]
        if matching:
            if len(errors) > 1:
                matching[0].add_note(f"{len(errors) - 1} more of the files given could not be examined.")
            return matching[0]
    return None


def _is_quiet(error: DoctorError) -> bool:
    """Tell a file that merely holds no discriminator from one that cannot be used."""
    return isinstance(error, NothingToExamine | UsageError)


def _as_left_out(name: str, error: DoctorError) -> LeftOut:
    return LeftOut(name, error.reason if isinstance(error, NothingToExamine | UnknownDiscriminator) else str(error))
