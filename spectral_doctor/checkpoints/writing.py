"""Writing so that an interruption leaves the old one or the new one, never half of it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path


def write_atomically(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Write beside the file, flush to disk, rename over it, and flush the folder; what is large comes in pieces.

    Raises `OSError`; the temporary file is then gone and an older file at `path` is as it was.
    """
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines([content] if isinstance(content, bytes) else content)
    except BaseException:
        discard(Path(temporary))
        raise
    replace_with(Path(temporary), path)


def replace_with(temporary: Path, path: Path) -> None:
    """Put a finished file that lies beside `path` in its place, with ordinary rights, and flush both to disk.

    Raises `OSError`; the temporary file is then gone.
    """
    try:
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException:
        discard(temporary)
        raise
    _flush_folder(path.parent)


def discard(temporary: Path) -> None:
    """Take away a temporary file, where that can be done; what went wrong before it matters more."""
    with suppress(OSError):
        temporary.unlink(missing_ok=True)


def write_folder_atomically(path: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a new folder beside `path`, flush them, and rename the folder to `path`.

    Raises `OSError`, also where `path` is a folder with something in it; the temporary folder is then gone.
    """
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        for name, content in files.items():
            with (temporary / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        _flush_folder(temporary)
        temporary.chmod(0o777 & ~_umask())
        temporary.replace(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _flush_folder(path.parent)


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def _flush_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
