"""Checkpoints in shards beside an index, as Hugging Face saves them: `….safetensors.index.json`, `….bin.index.json`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from spectral_doctor.checkpoints.formats.base import Contents, Format
from spectral_doctor.checkpoints.stores import Source
from spectral_doctor.errors import UnreadableCheckpoint, UnsafeCheckpoint, listed

LARGEST_INDEX = 64 * 2**20


class ShardIndex(Format):
    """A JSON text whose `weight_map` says which shard holds each tensor; `format_of` opens the shards."""

    name = "sharded checkpoint"
    rewriting_remedy = "Rewriting takes one file; join the shards into one first."

    def __init__(self, format_of: Callable[[Source], Format]) -> None:
        self._format_of = format_of

    def accept(self, source: Source) -> bool:
        """A JSON text with a `weight_map`."""
        return _weight_map(source) is not None

    def members(self, source: Source) -> tuple[str, ...]:
        """The shards."""
        return tuple(sorted({str(name) for name in (_weight_map(source) or {}).values()}))

    def open(self, source: Source) -> Contents:
        """Join the trees of the shards. Raises what opening a shard raises."""
        index = _weight_map(source) or {}
        tree: dict[str, object] = {}
        for name in self.members(source):
            if PurePosixPath(name).name != name or "\\" in name or name in ("", ".", ".."):
                raise UnsafeCheckpoint(
                    str(source.location),
                    f"its index points outside its folder, to '{name}'",
                    "Shards lie beside their index.",
                )
            if source.beside.size(name) is None:
                raise UnreadableCheckpoint(str(source.location), f"its shard '{name}' is missing")
            shard = source.beside.open(name)
            tree.update(self._format_of(shard).open(shard).tree)
        missing = sorted(str(key) for key in index if key not in tree)
        if missing:
            raise UnreadableCheckpoint(str(source.location), f"no shard holds {listed(missing)}")
        return Contents(tree)


def json_of(source: Source) -> object:
    """A file's content as JSON; None where it is none, or too large to be looked into."""
    if "json" not in source.kept:
        source.kept["json"] = _parsed(source)
    return source.kept["json"]


def _parsed(source: Source) -> object:
    if not source.head.lstrip().startswith(b"{") or source.size > LARGEST_INDEX or _is_lines(source):
        return None
    try:
        return json.loads(source.read(0, source.size))
    except (ValueError, RecursionError):
        return None


def _is_lines(source: Source) -> bool:
    """Whether the first line is whole by itself and more follows: a log of one object a line."""
    first, newline, rest = source.head.lstrip().partition(b"\n")
    if not newline or not rest.strip():
        return False
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return False
    return True


def _weight_map(source: Source) -> Mapping[str, object] | None:
    document = json_of(source)
    index = document.get("weight_map") if isinstance(document, dict) else None
    return index if isinstance(index, dict) else None
