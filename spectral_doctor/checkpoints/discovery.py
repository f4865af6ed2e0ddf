"""From the paths that a user names to the files to read, leaving nothing out without a word."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spectral_doctor.checkpoints.distributed import METADATA, SHARD
from spectral_doctor.checkpoints.formats import CHECKPOINT_FORMATS, Format, is_distributed, sniff
from spectral_doctor.checkpoints.reading import not_a_checkpoint
from spectral_doctor.checkpoints.remote import RemoteStore, find_remote
from spectral_doctor.errors import DoctorError, MissingPath, UnreadableCheckpoint, UsageError, printable
from spectral_doctor.records import LeftOut, RemotePath, is_remote

# What is left of `s3://bucket` once it has been taken for a path of this disk.
_PROTOCOL = re.compile(r"[a-z][a-z0-9+.-]+:", re.IGNORECASE)


@dataclass(frozen=True)
class Candidates:
    """The files to read in a stable order, those that are histories, and what was left out."""

    checkpoints: tuple[Path | RemotePath, ...]
    histories: tuple[Path, ...]
    left_out: tuple[LeftOut, ...]
    failures: tuple[tuple[str, DoctorError], ...]


def find_candidates(paths: Sequence[Path | str]) -> Candidates:
    """Expand files, folders (all the way down) and patterns into checkpoint files, told by their content.

    A folder of torch.distributed.checkpoint is one checkpoint, and comes back as the folder.
    A file that was named and is no checkpoint is a failure; one that merely lies in a folder is left out,
    and said so. A file that is reached twice (a link such as `latest.pt`) is read once.

    A text such as `s3://bucket/run` is looked up through fsspec.

    Raises `MissingPath`, and `UsageError` where a remote place needs a package that is not there.
    """
    checkpoints: list[Path | RemotePath] = []
    histories: list[Path] = []
    left_out: list[LeftOut] = []
    failures: list[tuple[str, DoctorError]] = []
    seen: dict[Path | RemotePath, Path | RemotePath] = {}
    for path, named in _expanded(paths):
        real = path.resolve() if isinstance(path, Path) else path
        if real in seen:
            left_out.append(LeftOut(str(path), f"the same file as {seen[real]}"))
            continue
        seen[real] = path
        if path.name.endswith(SHARD):
            left_out.append(LeftOut(str(path), "a shard of a torch.distributed checkpoint"))
            continue
        try:
            file_format = _format_of(path)
        except UnreadableCheckpoint as error:
            failures.append((str(path), error))
            continue
        if file_format in CHECKPOINT_FORMATS:
            checkpoints.append(path)
        elif file_format is Format.HISTORY and isinstance(path, Path):
            histories.append(path)
        elif named or file_format is Format.EMPTY:
            failures.append((str(path), not_a_checkpoint(path, file_format)))
        else:
            left_out.append(LeftOut(str(path), file_format.value))
    shards = _shards(checkpoints)
    left_out += [LeftOut(str(path), f"a shard of {index}") for path, index in shards.items()]
    kept = tuple(path for path in checkpoints if path not in shards)
    return Candidates(kept, tuple(histories), tuple(left_out), tuple(failures))


def _format_of(path: Path | RemotePath) -> Format:
    if isinstance(path, Path):
        return sniff(path)
    return Format.DCP_METADATA if path.is_folder else RemoteStore(path.parent).sniff(path.name)


def _expanded(paths: Iterable[Path | str]) -> list[tuple[Path | RemotePath, bool]]:
    files: list[tuple[Path | RemotePath, bool]] = []
    for given in paths:
        if isinstance(given, str) and is_remote(given):
            files += find_remote(given)
            continue
        path = Path(given)
        if path.parts and _PROTOCOL.match(path.parts[0]) and not path.exists():
            raise UsageError(f"{printable(path)}: only `inspect` reads files that lie elsewhere; copy them here first.")
        if path.name == METADATA and is_distributed(path.parent):
            files.append((path.parent, True))
        elif path.is_dir():
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
        if is_distributed(Path(current)):
            files.append(Path(current))
            names = [name for name in names if name != METADATA and not name.endswith(SHARD)]
        files += [Path(current) / name for name in sorted(names)]
    return files


def _shards(checkpoints: Sequence[Path | RemotePath]) -> dict[Path | RemotePath, str]:
    indexes = [path for path in checkpoints if path.name.endswith(".safetensors.index.json")]
    shards: dict[Path | RemotePath, str] = {}
    for index in indexes:
        stem = index.name.removesuffix(".safetensors.index.json")
        for path in checkpoints:
            if path.parent == index.parent and path.name.startswith(f"{stem}-") and "-of-" in path.name:
                shards[path] = index.name
    return shards
