"""From the paths a user names to diagnoses: the whole of the first flow, without a word printed."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from spectral_doctor.checkpoints.discovery import find_candidates
from spectral_doctor.checkpoints.opening import Candidate
from spectral_doctor.checkpoints.runs import step_pattern
from spectral_doctor.checkpoints.training_state import is_training_states
from spectral_doctor.diagnosis.records import Diagnosis, Thresholds
from spectral_doctor.diagnosis.reference import Reference
from spectral_doctor.diagnosis.rows import layer_rows, summary_line, summary_row
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
from spectral_doctor.tables import data_frame, html_table
from spectral_doctor.threads import Crew, crew
from spectral_doctor.trajectory.cache import SpectraCache
from spectral_doctor.trajectory.cached_outcome import Outcome
from spectral_doctor.trajectory.curves import read_curves
from spectral_doctor.trajectory.examining import begin
from spectral_doctor.trajectory.file_states import KnownFormats
from spectral_doctor.trajectory.history import read_history
from spectral_doctor.trajectory.recollection import Recollection
from spectral_doctor.trajectory.records import Examination, SpectralTrajectory
from spectral_doctor.trajectory.series import build_trajectories

if TYPE_CHECKING:
    import pandas

Progress = Callable[[int, int, str], None]

# How many checkpoints are begun before the one that is waited for: no core idles between two files.
_AHEAD = 1


@dataclass(frozen=True)
class Inspection:
    """What was examined and what was not: a diagnosis a series, and every file or part that was left out.

    `failures` are the files that could not be read or were refused; the rest was examined all the same.
    """

    diagnoses: tuple[Diagnosis, ...]
    left_out: tuple[LeftOut, ...]
    failures: tuple[Failure, ...]

    def to_dataframe(self) -> pandas.DataFrame:
        """One row for every layer at every checkpoint: names, sizes, σ_1, σ_k/σ_1, ranks, deficit, state, range.

        Needs pandas (the extra `pandas`); raises `MissingExtra` without it.
        """
        return data_frame([row for item in self.diagnoses for row in layer_rows(item)], "Inspection.to_dataframe()")

    def __repr__(self) -> str:
        counts = f"{len(self.left_out)} left out, {len(self.failures)} could not be used"
        return f"<Inspection: {'; '.join(map(summary_line, self.diagnoses)) or 'nothing'}; {counts}>"

    def _repr_html_(self) -> str:
        rows = [summary_row(item) for item in self.diagnoses]
        return html_table(rows, f"{len(self.left_out)} left out, {len(self.failures)} could not be used")


def inspect_paths(
    paths: Path | str | Sequence[Path | str],
    *,
    discriminator: str | None = None,
    exclude: Sequence[str] = (),
    step: str | re.Pattern[str] | None = None,
    thresholds: Thresholds | None = None,
    reference: Reference | None = None,
    progress: Progress | None = None,
    cache: SpectraCache | None = None,
) -> Inspection:
    """Examine files, folders and patterns (one, or several), and diagnose every discriminator's series found in them.

    One layer a core is in memory at a time. `step` is a regular expression whose first group is the step in a path,
    where names alone do not tell, `reference` what layers are held against in place of the shipped ranges.
    `progress(done, total, name)` is called before each file. With a `cache`, what was examined before is not decomposed
    again.

    Raises `UsageError` (a missing path, a `discriminator` key no file has, a `step` without a group),
    `CheckpointError` where every file is unreadable or refused, and `NothingToExamine`.
    """
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    pattern = step_pattern(step) if isinstance(step, str) else step
    formats = None if cache is None else KnownFormats(cache)
    candidates = find_candidates(given) if formats is None else find_candidates(given, formats)
    files = _examined(candidates.checkpoints, _Asked(discriminator, tuple(exclude), cache), progress)
    files += [examine_history(history) for history in candidates.histories]
    if formats is not None:
        formats.keep()
    return concluded(
        given,
        candidates.left_out,
        candidates.failures,
        files,
        step=pattern,
        thresholds=thresholds,
        reference=reference,
    )


@dataclass(frozen=True)
class Findings:
    """What one file gave: its networks' spectra or a history's series, what in it was left out, or the error."""

    name: str
    examinations: tuple[Examination, ...] = ()
    series: tuple[SpectralTrajectory, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    error: DoctorError | None = None


def examine_file(candidate: Candidate, discriminator: str | None = None, exclude: Sequence[str] = ()) -> Findings:
    """Examine one checkpoint; an error is what was found, and ends nothing."""
    return _examined([candidate], _Asked(discriminator, tuple(exclude), None), None)[0]


def examine_history(history: Path) -> Findings:
    """The series that a history holds, or the error that it cannot be read."""
    try:
        return Findings(str(history), series=tuple(item for item in read_history(history) if item.layers))
    except CheckpointError as error:
        return Findings(str(history), error=error)


def concluded(
    paths: Sequence[Path | str],
    left_out: Sequence[LeftOut],
    failures: Sequence[tuple[str, DoctorError]],
    files: Sequence[Findings],
    *,
    step: re.Pattern[str] | None = None,
    thresholds: Thresholds | None = None,
    reference: Reference | None = None,
) -> Inspection:
    """Diagnose what the files gave, in their order; `left_out` and `failures` are what was no checkpoint to open.

    Raises `UsageError`, `CheckpointError` or `NothingToExamine` where there is no series.
    """
    examinations = [item for file in files for item in file.examinations]
    series = list(build_trajectories((item for item in examinations if item.layers), step))
    series += [item for file in files for item in file.series]
    beside = [*left_out, *(item for file in files for item in file.left_out)]
    errors = [*failures, *((file.name, file.error) for file in files if file.error is not None)]
    errors += [_without_layers(item) for item in examinations if not item.layers]
    ours = is_training_states(item.name.rpartition(": ")[2] for item in beside)
    if not series:
        raise _worst([error for _, error in errors]) or no_checkpoints(paths, beside)
    return Inspection(
        diagnoses=tuple(
            diagnose(item, thresholds, reference=reference, curves=read_curves(item, ours)) for item in series
        ),
        left_out=(*beside, *(_as_left_out(name, error) for name, error in errors if _is_quiet(error))),
        failures=tuple(failure_of(error) for _, error in errors if not _is_quiet(error)),
    )


@dataclass(frozen=True)
class _Asked:
    """What is to be examined in every checkpoint, and what is known of it."""

    discriminator: str | None
    exclude: tuple[str, ...]
    cache: SpectraCache | None

    def begin(self, candidate: Candidate, workers: Crew) -> Callable[[], Outcome]:
        """Begin with a checkpoint; what is returned waits for it, and raises the error that there was."""
        try:
            recollection = None
            if self.cache is not None:
                recollection = Recollection(self.cache, candidate, (self.discriminator, self.exclude))
                known = recollection.recalled()
                if known is not None:
                    return lambda: known
            checkpoint = load_checkpoint(candidate, discriminator=self.discriminator, exclude=self.exclude)
            wait = begin(checkpoint, workers, recollection)
        except DoctorError as error:
            return partial(_raise, error)
        return lambda: (wait(), checkpoint.left_out)


def _examined(checkpoints: Sequence[Candidate], asked: _Asked, progress: Progress | None) -> list[Findings]:
    """Examine one checkpoint after the other, the next begun before the last is done; an error ends nothing."""
    files: list[Findings] = []
    with crew() as workers:
        begun: deque[tuple[Candidate, Callable[[], Outcome]]] = deque()
        for done, candidate in enumerate(checkpoints):
            if progress is not None:
                progress(done, len(checkpoints), candidate.ref.name)
            begun.append((candidate, asked.begin(candidate, workers)))
            if len(begun) > _AHEAD:
                files.append(_findings(*begun.popleft()))
        while begun:
            files.append(_findings(*begun.popleft()))
    return files


def _findings(candidate: Candidate, wait: Callable[[], Outcome]) -> Findings:
    name = str(candidate.ref)
    try:
        examinations, left_out = wait()
    except DoctorError as error:
        return Findings(name, error=error)
    return Findings(name, examinations, left_out=tuple(replace(item, name=f"{name}: {item.name}") for item in left_out))


def no_checkpoints(paths: Sequence[Path | str], left_out: Sequence[LeftOut]) -> NoCheckpoints:
    """The error that says what lies there in place of a checkpoint: by format what may hold weights, and the rest."""
    unread = Counter(item.format_name for item in left_out if item.format_name)
    return NoCheckpoints(paths, len(left_out) - unread.total(), unread)


def held_against(inspection: Inspection, reference: Reference) -> Inspection:
    """The same examinations, their layers held against other reference ranges."""
    diagnoses = tuple(
        diagnose(item.trajectory, item.thresholds, reference=reference, curves=item.curves)
        for item in inspection.diagnoses
    )
    return replace(inspection, diagnoses=diagnoses)


def failure_of(error: DoctorError) -> Failure:
    """A file that could not be used, its name apart from the reason, which other files may share."""
    return Failure(error.path, error.reason) if isinstance(error, CheckpointError) else Failure("", str(error))


def _raise(error: DoctorError) -> Outcome:
    raise error


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
