"""Where files lie: on this disk, mapped, or elsewhere through fsspec; both are read by the same code."""

from __future__ import annotations

import io
import mmap
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np

from spectral_doctor.elements import Values
from spectral_doctor.errors import DoctorError, UnreadableCheckpoint, UsageError, printable
from spectral_doctor.records import Location, RemotePath

HEAD = 4096
_BLOCK = 2**16
_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "hf": "huggingface_hub", "abfs": "adlfs"}
_PACKAGES |= {"az": "adlfs", "http": "aiohttp", "https": "aiohttp", "sftp": "paramiko", "ssh": "paramiko"}


class Source(ABC):
    """One file, wherever it lies: its size, any of its bytes, and the folder it lies in."""

    location: Location

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.location.name

    @property
    @abstractmethod
    def size(self) -> int:
        """Its size in bytes."""

    @property
    @abstractmethod
    def modified(self) -> float:
        """When it was last written, in seconds since the epoch; 0 where the place does not say."""

    @abstractmethod
    def read(self, start: int, length: int) -> bytes:
        """The bytes from `start` on, as many as there are up to `length`. Raises `UnreadableCheckpoint`."""

    @abstractmethod
    def span(self, start: int, length: int) -> Values:
        """The bytes from `start` on as an array (uint8), mapped where that can be; short at the file's end."""

    @property
    @abstractmethod
    def beside(self) -> Store:
        """The folder it lies in."""

    @cached_property
    def head(self) -> bytes:
        """The first bytes, by which formats tell each other apart."""
        return self.read(0, HEAD)

    def stream(self, start: int = 0, length: int | None = None) -> IO[bytes]:
        """The file, or a part of it, as a seekable stream that reads no more than it must."""
        end = self.size if length is None else min(start + length, self.size)
        return io.BufferedReader(_Part(self, start, end), _BLOCK)


class Store(ABC):
    """A folder: which files lie in it, and opening one."""

    folder: Location

    @abstractmethod
    def open(self, name: str) -> Source:
        """A file of the folder. Raises `UnreadableCheckpoint` where it is missing."""

    @abstractmethod
    def size(self, name: str) -> int | None:
        """The size of a file of the folder; None where it is missing."""


class _Part(io.RawIOBase):
    """A stretch of a source as a raw stream."""

    def __init__(self, source: Source, start: int, end: int) -> None:
        self._source, self._start, self._end, self._position = source, start, end, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._end - self._start}[whence]
        if base + offset < 0:
            raise OSError("a seek to before the file's beginning")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), max(0, self._end - self._start - self._position))
        content = self._source.read(self._start + self._position, wanted) if wanted else b""
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)


class LocalFile(Source):
    """A file on this disk, mapped into memory; with `writable`, arrays of it change the file.

    Raises `UnreadableCheckpoint` where it cannot be opened.
    """

    def __init__(self, path: Path, *, writable: bool = False) -> None:
        self.location = path
        self._path, self._writable = path, writable
        try:
            self._stat = path.stat()
        except OSError as error:
            raise UnreadableCheckpoint(path, error.strerror or str(error)) from error

    @property
    def size(self) -> int:
        return self._stat.st_size

    @property
    def modified(self) -> float:
        return self._stat.st_mtime

    @property
    def beside(self) -> LocalFolder:
        return LocalFolder(self._path.parent, writable=self._writable)

    @cached_property
    def _map(self) -> mmap.mmap:
        access = mmap.ACCESS_WRITE if self._writable else mmap.ACCESS_READ
        try:
            with self._path.open("r+b" if self._writable else "rb") as file:
                return mmap.mmap(file.fileno(), 0, access=access)
        except (OSError, ValueError) as error:
            raise UnreadableCheckpoint(self._path, getattr(error, "strerror", None) or str(error)) from error

    @cached_property
    def _bytes(self) -> Values:
        return np.frombuffer(self._map, dtype=np.uint8)

    @cached_property
    def head(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                return file.read(HEAD)
        except OSError as error:
            raise UnreadableCheckpoint(self._path, error.strerror or str(error)) from error

    def read(self, start: int, length: int) -> bytes:
        return self._map[start : start + length] if self.size and length > 0 else b""

    def span(self, start: int, length: int) -> Values:
        return self._bytes[start : start + length] if self.size else np.empty(0, dtype=np.uint8)


class LocalFolder(Store):
    """A folder on this disk."""

    def __init__(self, folder: Path, *, writable: bool = False) -> None:
        self.folder = folder
        self._path, self._writable = folder, writable

    def open(self, name: str) -> LocalFile:
        return LocalFile(self._path / name, writable=self._writable)

    def size(self, name: str) -> int | None:
        path = self._path / name
        return path.stat().st_size if path.is_file() else None


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
        return np.frombuffer(self.read(start, length), dtype=np.uint8)

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
        raise UsageError(
            f"{printable(url)}: reading from there needs a package that is not installed: pip install {package}."
        ) from error
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
