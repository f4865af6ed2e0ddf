"""What a file is, told by its content and never by its name."""

from __future__ import annotations

import json
import tarfile
import zipfile
from enum import Enum
from pathlib import Path
from typing import IO

from spectral_doctor.errors import UnreadableCheckpoint
from spectral_doctor.records import RemotePath

HISTORY_SCHEMA = "spectral-doctor/history"
_LEGACY_TORCH = bytes.fromhex("80028a0a6cfc9c46f920")
_LARGEST_JSON = 512 * 2**20


class Format(Enum):
    """The formats that are told apart; the value is the name a report uses."""

    TORCH_ZIP = "PyTorch file"
    TORCH_LEGACY = "PyTorch file (legacy)"
    SAFETENSORS = "safetensors file"
    SAFETENSORS_INDEX = "sharded safetensors"
    NPZ = "NumPy archive"
    HISTORY = "spectral-doctor history"
    PICKLE = "Python pickle"
    TORCHSCRIPT = "TorchScript archive"
    TORCH_PACKAGE = "torch.package archive"
    TAR = "tar archive"
    DCP_METADATA = "torch.distributed checkpoint folder"
    OTHER_ZIP = "zip archive"
    HDF5 = "HDF5 file"
    PICTURE = "picture"
    JSON = "JSON text"
    TEXT = "text file"
    EMPTY = "empty file"
    UNKNOWN = "file of an unknown format"


CHECKPOINT_FORMATS = frozenset(
    {
        Format.TORCH_ZIP,
        Format.TORCH_LEGACY,
        Format.SAFETENSORS,
        Format.SAFETENSORS_INDEX,
        Format.NPZ,
        Format.PICKLE,
        Format.DCP_METADATA,
    }
)


def sniff(path: Path) -> Format:
    """Tell a file's format from its first bytes and, for a zip, from its members' names.

    A folder with a `.metadata` file is a torch.distributed checkpoint, and one file of it.

    Raises `UnreadableCheckpoint` where the file cannot be opened, or is a zip without its end.
    """
    if is_distributed(path):
        return Format.DCP_METADATA
    try:
        with path.open("rb") as file:
            return sniff_stream(file, path.stat().st_size, path)
    except OSError as error:
        raise UnreadableCheckpoint(path, error.strerror or str(error)) from error


def sniff_stream(file: IO[bytes], size: int, path: Path | RemotePath, *, largest_json: int = _LARGEST_JSON) -> Format:
    """Tell the format of an open file of a known size; `path` is its name.

    JSON of more than `largest_json` bytes is not looked into, and so a text.

    Raises `UnreadableCheckpoint` for a zip without its end, and `OSError`.
    """
    head = file.read(4096)
    if not head:
        return Format.EMPTY
    if head.startswith(b"PK\x03\x04"):
        return _sniff_zip(file, path)
    if head.startswith(_LEGACY_TORCH):
        return Format.TORCH_LEGACY
    if head.startswith((b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8")):
        return Format.PICTURE
    if head.startswith(b"\x89HDF\r\n"):
        return Format.HDF5
    if len(head) > 8 and head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= size - 8:
        return Format.SAFETENSORS
    if head[0] == 0x80 and len(head) > 1 and 2 <= head[1] <= 5:
        return Format.DCP_METADATA if path.name == ".metadata" else Format.PICKLE
    if head[257:262] == b"ustar" or (b"\0" in head and _is_tar(file)):
        return Format.TAR
    return _sniff_text(file, head, size, largest_json)


def is_distributed(folder: Path) -> bool:
    """Say whether a path is a folder that torch.distributed.checkpoint wrote: `.metadata` is its pickle."""
    metadata = folder / ".metadata"
    return folder.is_dir() and metadata.is_file() and sniff(metadata) is Format.DCP_METADATA


def _is_tar(file: IO[bytes]) -> bool:
    file.seek(0)
    return tarfile.is_tarfile(file)


def _sniff_zip(file: IO[bytes], path: Path | RemotePath) -> Format:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise UnreadableCheckpoint(
            str(path), "a zip file without its end, as when copying or saving was interrupted"
        ) from error
    base_names = {name.rsplit("/", 1)[-1] for name in names}
    if any("/.data/" in f"/{name}" and name.endswith("/extern_modules") for name in names):
        return Format.TORCH_PACKAGE
    if "data.pkl" in base_names:
        return Format.TORCHSCRIPT if "constants.pkl" in base_names else Format.TORCH_ZIP
    if names and all(name.endswith(".npy") for name in names):
        return Format.NPZ
    return Format.OTHER_ZIP


def _sniff_text(file: IO[bytes], head: bytes, size: int, largest_json: int) -> Format:
    try:
        text = head.decode("utf-8", errors="strict" if size <= len(head) else "ignore")
    except UnicodeDecodeError:
        return Format.UNKNOWN
    if "\0" in text or (size > len(head) and len(text) < len(head) - 4):
        return Format.UNKNOWN
    if text.lstrip().startswith("{") and size <= largest_json:
        return _sniff_json(file)
    if text[:1] in "(c" and text.rstrip().endswith("."):
        # A protocol-0 pickle is text: it opens with MARK or GLOBAL and ends with STOP.
        return Format.PICKLE
    return Format.TEXT


def _sniff_json(file: IO[bytes]) -> Format:
    try:
        file.seek(0)
        document = json.loads(file.read().decode("utf-8"))
    except (ValueError, RecursionError):
        return Format.TEXT
    if isinstance(document, dict):
        if str(document.get("schema", "")).startswith(HISTORY_SCHEMA):
            return Format.HISTORY
        if isinstance(document.get("weight_map"), dict):
            return Format.SAFETENSORS_INDEX
    return Format.JSON
