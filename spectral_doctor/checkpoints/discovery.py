"""From the paths that a user names to the files to read, leaving nothing out without a word."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spectral_doctor.checkpoints.formats import CHECKPOINT_FORMATS, Format, sniff
from spectral_doctor.checkpoints.reading import not_a_checkpoint
from spectral_doctor.checkpoints.records import LeftOut
from spectral_doctor.errors import DoctorError, MissingPath, UnreadableCheckpoint


@dataclass(frozen=True)
class Candidates:
    """The files to read in a stable order, those that are histories, and what was left out."""

    checkpoints: tuple[Path, ...]
    histories: tuple[Path, ...]
    left_out: tuple[LeftOut, ...]
    failures: tuple[tuple[str, DoctorError], ...]


def find_candidates(paths: Sequence[Path | str]) -> Candidates:
    """Expand files, folders (all the way down) and patterns into checkpoint files, told by their content.

    A file that was named and is no checkpoint is a failure; one that merely lies in a folder is left out,
    and said so. A file that is reached twice (a link such as `latest.pt`) is read once.

    Raises `MissingPath`.
    """
    checkpoints: list[Path] = []
    histories: list[Path] = []
    left_out: list[LeftOut] = []
    failures: list[tuple[str, DoctorError]] = []
    seen: dict[Path, Path] = {}
    for path, named in _expanded(paths):
        real = path.resolve()
        if real in seen:
            left_out.append(LeftOut(str(path), f"the same file as {seen[real]}"))
            continue
        seen[real] = path
        if path.suffix == ".distcp":
            left_out.append(LeftOut(str(path), "a shard of a torch.distributed checkpoint"))
            continue
        try:
            file_format = sniff(path)
        except UnreadableCheckpoint as error:
            failures.append((str(path), error))
            continue
        if file_format in CHECKPOINT_FORMATS:
            checkpoints.append(path)
        elif file_format is Format.HISTORY:
            histories.append(path)
        elif named or file_format in (Format.EMPTY, Format.PICKLE, Format.DCP_METADATA):
            failures.append((str(path), not_a_checkpoint(path, file_format)))
        else:
            left_out.append(LeftOut(str(path), file_format.value))
    shards = _shards(checkpoints)
    left_out += [LeftOut(str(path), f"a shard of {index}") for path, index in shards.items()]
    kept = tuple(path for path in checkpoints if path not in shards)
    return Candidates(kept, tuple(histories), tuple(left_out), tuple(failures))


def _expanded(paths: Iterable[Path | str]) -> list[tuple[Path, bool]]:
    files: list[tuple[Path, bool]] = []
    for given in paths:
        path = Path(given)
        if path.is_dir():
            files += [(file, False) for file in _files_below(path)]
        elif path.exists():
            files.append((path, True))
        else:
            matches = _matches(str(given))
            if not matches:
                raise MissingPath(path)
            files += [pair for match in matches for pair in _expanded([match])]
    return files


def _matches(pattern: str) -> list[str]:
    # Path.glob knows neither absolute patterns nor `~`; glob.glob takes what a shell takes.
    return sorted(glob.glob(pattern, recursive=True)) if glob.has_magic(pattern) else []  # noqa: PTH207


def _files_below(folder: Path) -> list[Path]:
    files: list[Path] = []
    for current, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in (".git", "__pycache__"))
        files += [Path(current) / name for name in sorted(names)]
    return files


def _shards(checkpoints: Sequence[Path]) -> dict[Path, str]:
    indexes = [path for path in checkpoints if path.name.endswith(".safetensors.index.json")]
    shards: dict[Path, str] = {}
    for index in indexes:
        stem = index.name.removesuffix(".safetensors.index.json")
        for path in checkpoints:
            if path.parent == index.parent and path.name.startswith(f"{stem}-") and "-of-" in path.name:
                shards[path] = index.name
    return shards
