"""Where the settings of a check are written down: `spectral-doctor.toml`, or a table in `pyproject.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from spectral_doctor.errors import UsageError, printable
from spectral_doctor.gate.settings import Source

OWN_FILE = "spectral-doctor.toml"
PROJECT_FILE = "pyproject.toml"
TABLE = "tool.spectral-doctor"


def from_file(path: Path) -> Source:
    """The settings of a named file; raises `UsageError` where it is not TOML, or a pyproject.toml without the table."""
    table = _table(path)
    if table is None:
        raise UsageError(f"{printable(path)}: has no table [{TABLE}].")
    return _source(path, table)


def found_from(folder: Path) -> Source:
    """The settings of the nearest file, upwards from a folder; of two side by side, `spectral-doctor.toml`.

    A pyproject.toml without the table is passed over. Without any file there are no settings.
    """
    for current in (folder, *folder.parents):
        for name in (OWN_FILE, PROJECT_FILE):
            path = current / name
            if path.is_file():
                table = _table(path)
                if table is not None:
                    return _source(path, table)
    return Source({}, lambda key: key)


def _table(path: Path) -> dict[str, Any] | None:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{printable(path)}: cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{printable(path)}: not valid TOML: {printable(error)}.") from error
    if path.name != PROJECT_FILE:
        return document
    tool = document.get("tool", {})
    table = tool.get("spectral-doctor") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise UsageError(f"{printable(path)}: {TABLE} is not a table.")
    return table


def _source(path: Path, table: dict[str, Any]) -> Source:
    where = f"{path} [{TABLE}]" if path.name == PROJECT_FILE else str(path)
    return Source(table, lambda key: f"{printable(where)}: {printable(key)}", path.parent)
