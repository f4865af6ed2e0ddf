"""Following a folder that a run is still writing into: what is new, whole, and not examined yet."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from spectral_doctor.checkpoints.discovery import find_candidates
from spectral_doctor.checkpoints.opening import candidate_at
from spectral_doctor.diagnosis.rules import diagnose
from spectral_doctor.errors import CheckpointError, DoctorError, NoWeights, UnreadableCheckpoint
from spectral_doctor.following.records import Look, Observation, Signature
from spectral_doctor.inspection import Inspection
from spectral_doctor.records import CheckpointRef, Failure, FileState, LeftOut
from spectral_doctor.state_dicts.loading import load_checkpoint
from spectral_doctor.trajectory.cache import SpectraCache
from spectral_doctor.trajectory.examining import examine
from spectral_doctor.trajectory.recollection import Recollection
from spectral_doctor.trajectory.series import build_trajectories

SETTLE = 1.0
# Files of these names may have parts beside them.
_INDICES = (".index.json", ".index")


class Follower:
    """Examines each state of each checkpoint below a folder once, and keeps the spectra of those overwritten.

    A file is left alone until it has not changed for `settle` seconds. It is then copied and the copy examined:
    a writer that truncates the file under the reader would otherwise end the process. What changed while it was
    copied is left for the next look. Our own temporary files (`.name.….tmp`) are never touched.
    """

    def __init__(
        self,
        folder: Path,
        *,
        discriminator: str | None = None,
        exclude: Sequence[str] = (),
        step: re.Pattern[str] | None = None,
        settle: float = SETTLE,
        clock: Callable[[], float] = time.time,
        observations: Sequence[Observation] = (),
        cache: SpectraCache | None = None,
    ) -> None:
        self.folder = folder
        self.discriminator = discriminator
        self.exclude = tuple(exclude)
        self.step = step
        self.settle = settle
        self.clock = clock
        self.cache = cache
        self._first_seen: dict[Path, tuple[Signature, float]] = {}
        # Those of an earlier follower come first; a file that is still as it was then is not read again.
        self._done: dict[Path, Signature] = {item.path: item.signature for item in observations}
        self.observations: list[Observation] = list(observations)
        self._failures: dict[Path, Failure] = {}
        self._left_out: dict[Path, tuple[LeftOut, ...]] = {}

    def look(self, stopped: Callable[[], bool] = lambda: False) -> Look:
        """Examine what is new and settled; `stopped` is asked before every file, and ends the look early."""
        examined: list[Path] = []
        waiting = 0
        try:
            candidates = find_candidates([self.folder])
        except OSError:  # a file was taken away while its kind was being told
            return Look((), 1, self.inspection())
        refused = {Path(name): error for name, error in candidates.failures}
        locations = [found.ref.location for found in candidates.checkpoints]
        here = [path for path in locations if isinstance(path, Path)]
        for found in (*here, *refused):
            # A link such as latest.pt stands for the file that it points to.
            path = found.resolve() if found.is_symlink() else found
            now = signature(path)
            if not now or _is_temporary(path) or self._done.get(path) == now:
                continue
            if stopped():
                break
            if not self._is_settled(path, now):
                waiting += 1
            elif found in refused:
                self._done[path] = now
                self._note(path, refused[found], str(path))
            elif self._examine(path, now):
                examined.append(path)
            else:
                waiting += 1
        return Look(tuple(examined), waiting, self.inspection())

    def inspection(self) -> Inspection:
        """Everything examined so far, diagnosed; a checkpoint that is no longer there says so in its state."""
        states = {path: signature(path) for path in {item.path for item in self.observations}}
        items = [replace(item.examination, ref=_ref(item, states[item.path])) for item in self.observations]
        trajectories = build_trajectories((item for item in items if item.layers), self.step)
        return Inspection(
            diagnoses=tuple(diagnose(trajectory) for trajectory in trajectories),
            left_out=tuple(item for items in self._left_out.values() for item in items),
            failures=tuple(self._failures.values()),
        )

    def _is_settled(self, path: Path, now: Signature) -> bool:
        seen = self._first_seen.get(path)
        # A clock that has gone back would leave a file waiting until it is again what it was.
        if seen is None or seen[0] != now or seen[1] > self.clock():
            self._first_seen[path] = (now, self.clock())
            seen = self._first_seen[path]
        newest = max(changed for _, _, changed, _ in now) / 1e9
        return self.clock() - seen[1] >= self.settle or self.clock() - newest >= self.settle

    def _examine(self, path: Path, now: Signature) -> bool:
        """Examine a copy of a checkpoint; False where it changed or vanished meanwhile."""
        with tempfile.TemporaryDirectory(prefix="spectral-doctor-") as folder:
            try:
                copy = _copied(path, Path(folder))
            except FileNotFoundError:
                return False
            except OSError as error:
                self._done[path] = now
                self._note(path, UnreadableCheckpoint(path, f"copying it says: {error.strerror or error}"), str(path))
                return True
            if signature(path) != now:
                return False
            self._done[path] = now
            self._failures.pop(path, None)
            try:
                found = replace(candidate_at(copy), ref=CheckpointRef(path))
                checkpoint = load_checkpoint(found, discriminator=self.discriminator, exclude=self.exclude)
                # A copy in a new place is known by its content alone.
                known = None if self.cache is None else Recollection(self.cache, found, by_content=True)
                examinations = examine(checkpoint, known)
            except DoctorError as error:
                self._note(path, error, str(copy))
                return True
            self._left_out[path] = tuple(replace(item, name=f"{path}: {item.name}") for item in checkpoint.left_out)
        self._left_out[path] += tuple(
            LeftOut(f"{path}: {item.discriminator}", NoWeights.reason) for item in examinations if not item.layers
        )
        for item in examinations:
            self._keep(Observation(path, now, item))
        return True

    def _keep(self, new: Observation) -> None:
        """Add a state; one that was only written again, with the same spectra, replaces the one before."""
        earlier = [
            index
            for index, item in enumerate(self.observations)
            if item.path == new.path and item.examination.discriminator == new.examination.discriminator
        ]
        if earlier:
            last = self.observations[earlier[-1]].examination
            if (last.layers, last.step_clues) == (new.examination.layers, new.examination.step_clues):
                self.observations[earlier[-1]] = new
                return
        self.observations.append(new)

    def _note(self, path: Path, error: DoctorError, shown: str) -> None:
        sentence = str(error).replace(shown, str(path))
        if isinstance(error, CheckpointError):
            self._failures[path] = Failure(str(path), error.reason.replace(shown, str(path)))
        else:
            self._left_out[path] = (LeftOut(str(path), getattr(error, "reason", sentence)),)


def signature(path: Path) -> Signature:
    """What changes when a checkpoint does; empty where it is not there (any more)."""
    try:
        return tuple(
            (str(part), stat.st_size, stat.st_mtime_ns, stat.st_ino) for part in _parts(path) for stat in [part.stat()]
        )
    except (OSError, ValueError):  # not there, or a name from a history that no file can have
        return ()


def _parts(path: Path) -> list[Path]:
    """The files that make up a checkpoint: itself, the shards beside an index, or all in a folder."""
    if path.is_dir():
        return sorted(item for item in path.rglob("*") if item.is_file())
    if not path.name.endswith(_INDICES):
        return [path]
    try:
        found = candidate_at(path)
        names = found.format.members(found.source)
    except DoctorError:
        return [path]
    return [path, *(path.parent / name for name in names if (path.parent / name).is_file())]


def _copied(path: Path, folder: Path) -> Path:
    """Copy a checkpoint with its times into a folder called as its own, which may say whose weights it holds."""
    target = folder / (path.parent.name or "root")
    target.mkdir()
    if path.is_dir():
        shutil.copytree(path, target / path.name)
        return target / path.name
    for part in _parts(path):
        if part.parent == path.parent:
            shutil.copy2(part, target / part.name)
    return target / path.name


def _ref(item: Observation, now: Signature) -> CheckpointRef:
    """The file of an observation, and whether it is still as it was seen."""
    if now == item.signature:
        return CheckpointRef(item.path)
    return CheckpointRef(item.path, FileState.OVERWRITTEN if now else FileState.DELETED)


def _is_temporary(path: Path) -> bool:
    """Whether a file, or a folder on the way to it, is one that is being written to be renamed."""
    return any(part.startswith(".") and part.endswith(".tmp") for part in path.parts)
