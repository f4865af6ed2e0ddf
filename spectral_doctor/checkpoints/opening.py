"""Opening a checkpoint wherever it lies; no more of it is read than is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spectral_doctor.checkpoints.formats import Format, Tree, format_of
from spectral_doctor.checkpoints.formats.distributed import METADATA
from spectral_doctor.checkpoints.remote import folder_at, source_at
from spectral_doctor.checkpoints.stores import Source
from spectral_doctor.records import CheckpointRef, LeftOut, Location, RemotePath, location_of


@dataclass(frozen=True, eq=False)
class Opened:
    """A checkpoint's tree, whose arrays are read when they are asked for, and what in it is not read."""

    ref: CheckpointRef
    format_name: str
    modified: float
    tree: Tree
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, eq=False)
class Candidate:
    """A checkpoint that was found and not opened yet: where it lies, its file (the first of them), its format."""

    ref: CheckpointRef
    source: Source
    format: Format


def candidate_at(location: Location | str, told: Callable[[Source], Format] = format_of) -> Candidate:
    """The checkpoint at a place: a file, or a folder that is one checkpoint; `told` tells the format of a file.

    Raises `UnreadableCheckpoint`, and `UsageError` where a remote place needs a package that is not there.
    """
    where = location_of(location) if isinstance(location, str) else location
    is_folder = where.is_folder if isinstance(where, RemotePath) else where.is_dir()
    source = folder_at(where).open(METADATA) if is_folder else source_at(where)
    if isinstance(where, Path) and where.name == METADATA:
        where = where.parent
    return Candidate(CheckpointRef(where), source, told(source))


def open_candidate(candidate: Candidate) -> Opened:
    """Open a checkpoint that was found. Raises what its format raises: `CheckpointError`."""
    contents = candidate.format.open(candidate.source)
    return Opened(candidate.ref, candidate.format.name, candidate.source.modified, contents.tree, contents.left_out)


def open_path(location: Location | str) -> Opened:
    """Open the checkpoint at a place. Raises what `candidate_at` and `open_candidate` raise."""
    return open_candidate(candidate_at(location))
