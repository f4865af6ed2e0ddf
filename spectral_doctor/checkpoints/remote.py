"""Files that lie elsewhere, through fsspec: only what is asked for is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from spectral_doctor.checkpoints.stores import LocalFile, LocalFolder, Source, Store
from spectral_doctor.elements import Values
from spectral_doctor.errors import DoctorError, MissingExtra, UnreadableCheckpoint, UsageError, printable
from spectral_doctor.records import Location, RemotePath

_BLOCK = 2**16
_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "hf": "huggingface_hub", "abfs": "adlfs"}
_PACKAGES |= {"az": "adlfs", "http": "aiohttp", "https": "aiohttp", "sftp": "paramiko", "ssh": "paramiko"}


class RemoteFile(Source):
    """A file that lies elsewhere; only what is asked for is fetched, small reads in blocks that are kept."""

    def __init__(self, location: RemotePath, system: Any, path: str, information: dict[str, Any]) -> None:
        self.location = location
        self._remote, self._system, self._path, self._information = location, system, path, information
        self._blocks: dict[int, bytes] = {}

    @property
    def size(self) -> int:
        return int(self._information["size"])

    @cached_property
    def modified(self) -> float:
        try:
            return float(self._system.modified(self._path).timestamp())
        except Exception:  # no reason not to examine the file
            return 0.0

    @property
    def beside(self) -> RemoteFolder:
        return RemoteFolder(self._remote.parent, self._system, self._path.rpartition("/")[0])

    def read(self, start: int, length: int) -> bytes:
        length = max(0, min(length, self.size - start))
        if length > _BLOCK:
            return self._fetched(start, length)
        first, last = start // _BLOCK, max(start, start + length - 1) // _BLOCK
        for block in range(first, last + 1):
            if block not in self._blocks:
                self._blocks[block] = self._fetched(block * _BLOCK, min(_BLOCK, self.size - block * _BLOCK))
        joined = b"".join(self._blocks[block] for block in range(first, last + 1))
        return joined[start - first * _BLOCK :][:length]

    def span(self, start: int, length: int) -> Values:
        return self._whole(np.frombuffer(self.read(start, length), dtype=np.uint8), length)

    def _fetched(self, start: int, length: int) -> bytes:
        if length <= 0:
            return b""
        with speaking_for(self._remote):
            content: bytes = self._system.cat_file(self._path, start=start, end=start + length)
            return content


class RemoteFolder(Store):
    """A folder that lies elsewhere."""

    def __init__(self, folder: RemotePath, system: Any, root: str) -> None:
        self.folder = folder
        self._url, self._system, self._root = folder, system, root

    def open(self, name: str) -> RemoteFile:
        location, path = self._url / name, f"{self._root.rstrip('/')}/{name}"
        with speaking_for(location):
            return RemoteFile(location, self._system, path, self._system.info(path))

    def size(self, name: str) -> int | None:
        with speaking_for(self._url):
            try:
                return int(self._system.info(f"{self._root.rstrip('/')}/{name}")["size"])
            except FileNotFoundError:
                return None


def folder_at(location: Location) -> Store:
    """The folder at a place. Raises `UsageError` where it needs a package that is not there."""
    return LocalFolder(location) if isinstance(location, Path) else RemoteFolder(location, *filesystem_of(location.url))


def source_at(location: Location) -> Source:
    """The file at a place. Raises `UnreadableCheckpoint` or `UsageError`."""
    return LocalFile(location) if isinstance(location, Path) else folder_at(location.parent).open(location.name)


def filesystem_of(url: str) -> tuple[Any, str]:
    """The file system of a URL and the path in it; no package but fsspec is brought along."""
    try:
        from fsspec.core import url_to_fs

        system, path = url_to_fs(url)
    except ImportError as error:
        package = _PACKAGES.get(url.split("://")[0], "fsspec")
        wanted = f"'spectral-doctor[remote]' {package}" if package != "fsspec" else "'spectral-doctor[remote]'"
        raise MissingExtra(f"reading {printable(url)}", package, wanted) from error
    except ValueError as error:
        raise UsageError(f"{printable(url)}: {printable(error)}.") from error
    return system, str(path)


@contextmanager
def speaking_for(location: RemotePath) -> Iterator[None]:
    """Turn whatever a remote file system raises into one sentence."""
    try:
        yield
    except (DoctorError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise UnreadableCheckpoint(str(location), "no such file") from error
    except Exception as error:  # every store has errors of its own, of no common class
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnreadableCheckpoint(str(location), f"{type(error).__name__}: {reason}") from error
