"""Where files lie, as every reader sees it: a source of bytes in a folder; here those of this disk."""

from __future__ import annotations

import io
import mmap
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np

from spectral_doctor.elements import Values
from spectral_doctor.errors import UnreadableCheckpoint
from spectral_doctor.records import Location

HEAD = 4096
_BLOCK = 2**16


class Source(ABC):
    """One file, wherever it lies: its size, any of its bytes, and the folder it lies in."""

    location: Location

    @cached_property
    def kept(self) -> dict[str, Any]:
        """What a format has found out about the file, so that accepting and opening it look only once."""
        return {}

    @property
    def identity(self) -> Hashable:
        """Equal for two sources of the same bytes of the same file."""
        return str(self.location)

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
        """Exactly `length` bytes from `start` on as an array (uint8).

        Raises `UnreadableCheckpoint` where the file ends before, as one that is overwritten meanwhile does.
        """

    def _whole(self, content: Values, length: int) -> Values:
        if len(content) < length:
            raise UnreadableCheckpoint(
                str(self.location), f"it ends after {len(content)} of {length} bytes that a tensor needs"
            )
        return content

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
    """A file on this disk, with its `stat` as it was found; with `writable` it is mapped, and its arrays change it.

    What is only read is not mapped: a run that overwrites its checkpoint while it is examined would end this process,
    and pages once seen would count as its memory for as long as the file is open.

    Raises `UnreadableCheckpoint` where it cannot be opened.
    """

    def __init__(self, path: Path, *, writable: bool = False) -> None:
        self.location = path
        self.path, self._writable = path, writable
        with _speaking_of(path):
            self.stat = path.stat()

    @property
    def size(self) -> int:
        return self.stat.st_size

    @property
    def modified(self) -> float:
        return self.stat.st_mtime

    @property
    def beside(self) -> LocalFolder:
        return LocalFolder(self.path.parent, writable=self._writable)

    @cached_property
    def _map(self) -> mmap.mmap:
        with _speaking_of(self.path), self.path.open("r+b") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_WRITE)

    def flush(self) -> None:
        """Write what was changed in memory to the file."""
        if self.size:
            self._map.flush()

    def read(self, start: int, length: int) -> bytes:
        if length <= 0:
            return b""
        with _speaking_of(self.path), self.path.open("rb", buffering=0) as file:
            file.seek(start)
            return file.read(length)

    def span(self, start: int, length: int) -> Values:
        if self._writable and length:
            mapped = np.frombuffer(self._map, dtype=np.uint8)
            return self._whole(mapped[start : start + length], length)
        content = np.empty(length, dtype=np.uint8)
        with _speaking_of(self.path), self.path.open("rb", buffering=0) as file:
            file.seek(start)
            held = file.readinto(content.data) if length else 0
        return self._whole(content[:held], length)


@contextmanager
def _speaking_of(path: Path) -> Iterator[None]:
    """Turn what the disk says into one sentence."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise UnreadableCheckpoint(path, getattr(error, "strerror", None) or str(error)) from error


class LocalFolder(Store):
    """A folder on this disk."""

    def __init__(self, folder: Path, *, writable: bool = False) -> None:
        self.folder = folder
        self._path, self._writable = folder, writable

    def open(self, name: str) -> LocalFile:
        return LocalFile(self._path / name, writable=self._writable)

    def size(self, name: str) -> int | None:
        path = self._path / name
        try:
            return path.stat().st_size if path.is_file() else None
        except (OSError, ValueError):  # a name that no file of this system can have
            return None


class Inner(Source):
    """Bytes of another source as a source of their own; place, time and folder are the other's."""

    def __init__(self, source: Source) -> None:
        self.location = source.location
        self._source = source

    @property
    def modified(self) -> float:
        return self._source.modified

    @property
    def beside(self) -> Store:
        return self._source.beside


class Within(Inner):
    """A stretch of a file: a PyTorch file in a shard, an array in a pickle."""

    def __init__(self, source: Source, start: int, length: int) -> None:
        super().__init__(source)
        self._start = start
        self._length = max(0, min(length, source.size - start))

    @property
    def identity(self) -> Hashable:
        return (self._source.identity, self._start)

    @property
    def size(self) -> int:
        return self._length

    def read(self, start: int, length: int) -> bytes:
        return self._source.read(self._start + start, max(0, min(length, self._length - start)))

    def span(self, start: int, length: int) -> Values:
        if start + length > self._length:
            return self._whole(np.empty(0, dtype=np.uint8), length)
        return self._source.span(self._start + start, length)


class InMemory(Inner):
    """Bytes that were decoded from a file; `origin` is what they were decoded from, where it is another object."""

    def __init__(self, source: Source, content: bytes, origin: object = None) -> None:
        super().__init__(source)
        self._content = content
        self._origin = content if origin is None else origin

    @property
    def identity(self) -> Hashable:
        return (self._source.identity, id(self._origin))

    @property
    def size(self) -> int:
        return len(self._content)

    def read(self, start: int, length: int) -> bytes:
        return self._content[start : start + length]

    def span(self, start: int, length: int) -> Values:
        return self._whole(np.frombuffer(self._content, dtype=np.uint8)[start : start + length], length)
