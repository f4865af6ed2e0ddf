"""Files that lie elsewhere, through fsspec: found, told apart, and read in part where the format allows it."""

from __future__ import annotations

import glob
import json
import math
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spectral_doctor.checkpoints.distributed import METADATA, SHARD
from spectral_doctor.checkpoints.formats import Format, sniff_stream
from spectral_doctor.checkpoints.pickle.storages import is_count, whole_numbers
from spectral_doctor.errors import (
    DoctorError,
    MissingPath,
    UnreadableCheckpoint,
    UnsafeCheckpoint,
    UsageError,
    listed,
    printable,
)
from spectral_doctor.records import RemotePath

LARGEST_HEADER = 100_000_000
LARGEST_INDEX = 16 * 2**20
_BLOCK = 2**16
_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "hf": "huggingface_hub", "abfs": "adlfs"}
_PACKAGES |= {"az": "adlfs", "http": "aiohttp", "https": "aiohttp", "sftp": "paramiko", "ssh": "paramiko"}
_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "C64": torch.complex64,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}


class RemoteStore:
    """A folder that lies elsewhere, by its URL."""

    def __init__(self, folder: RemotePath) -> None:
        self._folder = folder
        self._system, self._root = _filesystem(folder.url)

    def _at(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def size(self, name: str) -> int | None:
        """The size of a file; None where it is missing."""
        with speaking_for(self._folder):
            try:
                return int(self._system.info(self._at(name))["size"])
            except FileNotFoundError:
                return None

    def read(self, name: str, start: int, length: int) -> bytes:
        """The bytes of a file from `start` on, and no others."""
        if length == 0:
            return b""
        with speaking_for(self._folder):
            content: bytes = self._system.cat_file(self._at(name), start=start, end=start + length)
            return content

    def modified(self, name: str) -> float:
        """When a file was last written, in seconds since the epoch; 0 where the place does not say."""
        try:
            return float(self._system.modified(self._at(name)).timestamp())
        except Exception:  # no reason not to examine the file
            return 0.0

    def sniff(self, name: str) -> Format:
        """The format of a file, from its first bytes and, for a zip, its last."""
        path = self._folder / name
        with speaking_for(path):
            size = int(self._system.info(self._at(name))["size"])
            with self._system.open(self._at(name), "rb", block_size=_BLOCK) as file:
                return sniff_stream(file, size, path, largest_json=LARGEST_INDEX)

    def fetch_whole(self, name: str, target: Path) -> int:
        """Copy a file to this disk and return its size; refused where the disk has no room for it."""
        size = self.size(name) or 0
        free = shutil.disk_usage(target.parent).free
        if size > free:
            raise UnreadableCheckpoint(
                str(self._folder / name), f"it has {size} bytes, and {free} are free on this disk"
            )
        with speaking_for(self._folder / name):
            self._system.get_file(self._at(name), str(target))
        return size


@contextmanager
def speaking_for(path: RemotePath) -> Iterator[None]:
    """Turn whatever a remote file system raises into one sentence."""
    try:
        yield
    except (DoctorError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise UnreadableCheckpoint(str(path), "no such file") from error
    except Exception as error:  # every store has errors of its own, of no common class
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnreadableCheckpoint(str(path), f"{type(error).__name__}: {reason}") from error


def _filesystem(url: str) -> tuple[Any, str]:
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


def find_remote(url: str) -> list[tuple[RemotePath, bool]]:
    """Expand a URL (a file, a folder all the way down, a pattern) into files, and folders that are one checkpoint.

    Each comes with whether it was named, or merely lay in a folder. Raises `UsageError`, `MissingPath`, or
    `UnreadableCheckpoint` where the place cannot be listed.
    """
    system, root = _filesystem(url)
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
    paths = [(RemotePath(folder, is_folder=True), False) for folder in sorted(folders)]
    for name, named in found.items():
        path = RemotePath(name)
        if path.parent.url not in folders or not (path.name == METADATA or name.endswith(SHARD)):
            paths.append((path, named))
    return paths


class RemoteSafetensors:
    """The tree of safetensors files in one remote folder: shapes from their headers, values one by one by `fetch`.

    Raises `UnreadableCheckpoint` or `UnsafeCheckpoint`.
    """

    def __init__(self, path: RemotePath, store: RemoteStore, names: tuple[str, ...]) -> None:
        self._path, self._store = path, store
        self._ranges: dict[int, tuple[Tensor, str, int, int]] = {}
        self.tree: dict[str, object] = {}
        for name in names:
            self._read_header(name)

    def fetch(self, tensor: Tensor) -> Tensor:
        """Read the values of one tensor, and no others."""
        known = self._ranges.get(id(tensor))
        if known is None:
            return tensor
        _, name, start, length = known
        raw = self._store.read(name, start, length)
        if len(raw) != length:
            raise UnreadableCheckpoint(str(self._path), f"'{name}' ends before its tensors do")
        if not raw:
            return torch.empty(tensor.shape, dtype=tensor.dtype)
        return torch.frombuffer(bytearray(raw), dtype=torch.uint8).view(tensor.dtype).reshape(tensor.shape)

    def _read_header(self, name: str) -> None:
        size = self._store.size(name)
        if size is None:
            raise UnreadableCheckpoint(str(self._path), f"its shard '{name}' is missing")
        length = int.from_bytes(self._store.read(name, 0, 8), "little")
        if length > min(LARGEST_HEADER, size - 8):
            raise UnreadableCheckpoint(str(self._path), f"the header of '{name}' is larger than can be")
        try:
            header = json.loads(self._store.read(name, 8, length))
            entries = {str(key): dict(entry) for key, entry in header.items() if key != "__metadata__"}
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise UnreadableCheckpoint(str(self._path), f"the header of '{name}' is no description") from error
        for key, entry in entries.items():
            self._add(name, key, entry, 8 + length, size)

    def _add(self, name: str, key: str, entry: Mapping[str, object], start: int, size: int) -> None:
        dtype, shape, place = _TYPES.get(str(entry.get("dtype"))), entry.get("shape"), entry.get("data_offsets")
        sizes = whole_numbers(tuple(shape)) if isinstance(shape, list) else None
        if dtype is None or sizes is None or not isinstance(place, list) or not all(map(is_count, place)):
            raise UnreadableCheckpoint(str(self._path), f"'{key}' has a type or shape that is not known here")
        if len(place) != 2 or place[1] - place[0] != math.prod(sizes) * dtype.itemsize or start + place[1] > size:
            raise UnreadableCheckpoint(str(self._path), f"'{key}' does not lie where the header of '{name}' says")
        try:
            tensor = torch.empty(sizes, dtype=dtype, device="meta")
        except RuntimeError as error:
            raise UnreadableCheckpoint(str(self._path), f"'{key}' has a shape that cannot be") from error
        self._ranges[id(tensor)] = (tensor, name, start + place[0], place[1] - place[0])
        self.tree[key] = tensor


def open_sharded(path: RemotePath, store: RemoteStore) -> RemoteSafetensors:
    """Open safetensors shards by their index: only the index and the shards' headers are read."""
    index = json.loads(store.read(path.name, 0, store.size(path.name) or 0))["weight_map"]
    names = tuple(sorted({str(name) for name in index.values()}))
    for name in names:
        if Path(name).name != name or name in ("", ".", ".."):
            raise UnsafeCheckpoint(
                str(path), f"its index points outside its folder, to '{name}'", "Shards lie beside their index."
            )
    opened = RemoteSafetensors(path, store, names)
    missing = sorted(str(key) for key in index if key not in opened.tree)
    if missing:
        raise UnreadableCheckpoint(str(path), f"no shard holds {listed(missing)}")
    return opened


@contextmanager
def on_this_disk(path: RemotePath, store: RemoteStore) -> Iterator[tuple[Path, int]]:
    """A copy of a remote file for as long as this is open, and its size; errors name the file and not the copy."""
    with tempfile.TemporaryDirectory(prefix="spectral-doctor-", ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / "fetched"
        try:
            yield copy, store.fetch_whole(path.name, copy)
        except DoctorError as error:
            error.args = tuple(str(item).replace(str(copy), str(path)) for item in error.args)
            raise
