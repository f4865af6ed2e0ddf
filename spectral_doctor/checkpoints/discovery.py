"""From the paths that a user names to the files to read, leaving nothing out without a word."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spectral_doctor.checkpoints.formats import Closed, Format, format_of
from spectral_doctor.checkpoints.formats.closed import History, NotACheckpoint
from spectral_doctor.checkpoints.formats.distributed import METADATA, SHARD, DistributedFolder
from spectral_doctor.checkpoints.opening import Candidate, candidate_at
from spectral_doctor.checkpoints.remote import filesystem_of, speaking_for
from spectral_doctor.checkpoints.stores import Source
from spectral_doctor.errors import DoctorError, MissingPath, UnreadableCheckpoint, UsageError, printable
from spectral_doctor.records import LeftOut, Location, RemotePath, is_remote

# What is left of `s3://bucket` once it has been taken for a path of this disk.
_PROTOCOL = re.compile(r"[a-z][a-z0-9+.-]+:", re.IGNORECASE)
_SKIPPED_FOLDERS = (".git", "__pycache__")


@dataclass(frozen=True, eq=False)
class Candidates:
    """The checkpoints to open in a stable order, the files that are histories, and what was left out.

    `failures` are (name, error) of files that should have been checkpoints: named by the user, torn, empty, or a
    pointer to a file that was not fetched.
    """

    checkpoints: tuple[Candidate, ...]
    histories: tuple[Path, ...]
    left_out: tuple[LeftOut, ...]
    failures: tuple[tuple[str, DoctorError], ...]


def find_candidates(paths: Sequence[Path | str], told: Callable[[Source], Format] = format_of) -> Candidates:
    """Expand files, folders (all the way down) and patterns into checkpoints, told by their content.

    A folder of torch.distributed.checkpoint is one checkpoint, and so are shards with their index. A file that was
    named and is no checkpoint is a failure; one that merely lies in a folder is left out, and said so with its format.
    A file that is reached twice (a link such as `latest.pt`) is read once. A text such as `s3://bucket/run` is looked
    up through fsspec, unless a path of this disk is called so. `told` tells the format of a file.

    Raises `MissingPath`, and `UsageError` where a remote place needs a package that is not there.
    """
    sorting = _Sorting(told)
    for location, named in _expanded(paths):
        sorting.add(location, named)
    return sorting.sorted()


@dataclass
class _Sorting:
    """What has been found so far."""

    told: Callable[[Source], Format]
    checkpoints: list[Candidate] = field(default_factory=list)
    histories: list[Path] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    failures: list[tuple[str, DoctorError]] = field(default_factory=list)
    seen: dict[Location, Location] = field(default_factory=dict)
    folders: dict[Path, Path] = field(default_factory=dict)

    def add(self, location: Location, named: bool) -> None:
        """Tell what a file is, once, and put it where it belongs."""
        real = self._real(location) if isinstance(location, Path) else location
        if real in self.seen:
            self.left_out.append(LeftOut(str(location), f"the same file as {self.seen[real]}"))
            return
        self.seen[real] = location
        if location.name.endswith(SHARD):
            self.left_out.append(LeftOut(str(location), "a shard of a torch.distributed checkpoint"))
            return
        try:
            found = candidate_at(location, self.told)
        except UnreadableCheckpoint as error:
            self.failures.append((str(location), error))
            return
        if not isinstance(found.format, Closed):
            self.checkpoints.append(found)
        elif isinstance(found.format, History) and isinstance(location, Path):
            self.histories.append(location)
        elif named or found.format.is_damage:
            self.failures.append((str(location), _refusal(found)))
        else:
            may_hold_weights = not isinstance(found.format, NotACheckpoint)
            name = found.format.name
            self.left_out.append(LeftOut(str(location), name, name if may_hold_weights else ""))

    def _real(self, path: Path) -> Path:
        """What `resolve` gives; a folder's links are followed once for all its files."""
        if path.is_symlink() or path.name == "..":
            return path.resolve()
        if path.parent not in self.folders:
            self.folders[path.parent] = path.parent.resolve()
        return self.folders[path.parent] / path.name

    def sorted(self) -> Candidates:
        """Everything, without the files that are parts of another checkpoint."""
        parts = {
            found.ref.location.parent / name: found.ref.name
            for found in self.checkpoints
            for name in found.format.members(found.source)
        }
        whole = [found for found in self.checkpoints if found.ref.location not in parts]
        shards = [found.ref.location for found in self.checkpoints if found.ref.location in parts]
        left_out = [LeftOut(str(shard), f"a shard of {parts[shard]}") for shard in shards]
        return Candidates(tuple(whole), tuple(self.histories), (*self.left_out, *left_out), tuple(self.failures))


def _refusal(found: Candidate) -> DoctorError:
    """The error with which a format that is not read says so."""
    try:
        found.format.open(found.source)
    except DoctorError as error:
        return error
    raise AssertionError(f"a closed format opened {found.ref}")


def _expanded(paths: Iterable[Path | str]) -> Iterator[tuple[Location, bool]]:
    """Every file, and every folder that is one checkpoint, with whether it was named."""
    for given in paths:
        path = Path(given)
        if path.name == METADATA and _is_distributed(path.parent):
            yield path.parent, True
        elif path.is_dir():
            yield from ((file, False) for file in _files_below(path))
        elif path.exists():
            yield path, True
        else:
            yield from _matching(given)


def _matching(given: Path | str) -> Iterator[tuple[Location, bool]]:
    """What a text that is no path matches: files of this disk as a pattern, else a place that lies elsewhere."""
    matches = _matches(str(given))
    if matches:
        yield from _expanded(matches)
    elif isinstance(given, str) and is_remote(given):
        yield from _found_elsewhere(given)
    elif Path(given).parts and _PROTOCOL.match(Path(given).parts[0]):
        raise UsageError(f"{printable(given)}: only `inspect` reads files that lie elsewhere; copy them here first.")
    else:
        raise MissingPath(given)


def _matches(pattern: str) -> list[str]:
    # Path.glob knows neither absolute patterns nor `~`; glob.glob takes what a shell takes.
    return sorted(glob.glob(pattern, recursive=True)) if glob.has_magic(pattern) else []  # noqa: PTH207


def _files_below(folder: Path) -> list[Path]:
    files: list[Path] = []
    for current, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED_FOLDERS)
        if METADATA in names and _is_distributed(Path(current)):
            files.append(Path(current))
            names = [name for name in names if name != METADATA and not name.endswith(SHARD)]
        files += [Path(current) / name for name in sorted(names)]
    return files


def _is_distributed(folder: Path) -> bool:
    """Say whether a folder is one checkpoint that torch.distributed.checkpoint wrote."""
    metadata = folder / METADATA
    return metadata.is_file() and isinstance(candidate_at(metadata).format, DistributedFolder)


def _found_elsewhere(url: str) -> list[tuple[Location, bool]]:
    """Expand a URL (a file, a folder all the way down, a pattern) into files, and folders that are one checkpoint.

    Raises `UsageError`, `MissingPath`, or `UnreadableCheckpoint` where the place cannot be listed.
    """
    system, root = filesystem_of(url)
    found: dict[str, bool] = {}
    with speaking_for(RemotePath(url)):
        for start in sorted(system.glob(root)) if glob.has_magic(root) else [root]:
            if system.isdir(start):
                found |= {str(system.unstrip_protocol(path)): False for path in sorted(system.find(start))}
            elif system.exists(start):
                found[str(system.unstrip_protocol(start))] = True
    if not found:
        raise MissingPath(url)
    folders = {RemotePath(name).parent.url for name in found if RemotePath(name).name == METADATA}
    locations: list[tuple[Location, bool]] = [(RemotePath(url, is_folder=True), False) for url in sorted(folders)]
    for name, named in found.items():
        path = RemotePath(name)
        if path.parent.url not in folders or not (path.name == METADATA or name.endswith(SHARD)):
            locations.append((path, named))
    return locations
