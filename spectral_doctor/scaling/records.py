"""What is asked for when many files are examined, and what one shard of them came to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from spectral_doctor.errors import UsageError, printable

Item = TypeVar("Item")
_SHARD = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")


@dataclass(frozen=True)
class Shard:
    """Part `number` of `count` parts, counted from 1: every `count`-th item, so that neighbours are spread."""

    number: int = 1
    count: int = 1

    @classmethod
    def parsed(cls, text: str) -> Shard:
        """Read "2/8". Raises `UsageError`."""
        match = _SHARD.fullmatch(text)
        shard = cls(int(match[1]), int(match[2])) if match else cls(0, 0)
        if not 1 <= shard.number <= shard.count:
            raise UsageError(f"--shard {printable(text)}: expected i/n with 1 ≤ i ≤ n, as in 2/8.")
        return shard

    def of(self, items: Sequence[Item]) -> list[tuple[int, Item]]:
        """Its items, each with its position among all."""
        return [(position, items[position]) for position in range(self.number - 1, len(items), self.count)]

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


@dataclass(frozen=True)
class Scale:
    """How many files are to be examined: by how many processes or which cluster, which part, and into what rows.

    `workers` are processes of this machine; `scheduler` is the address of a dask.distributed scheduler, whose
    workers see the same paths; `rows` is a file that every result is appended to, and that a second run goes on from.
    Raises `UsageError` for what does not go together.
    """

    workers: int = 1
    scheduler: str | None = None
    shard: Shard | None = None
    rows: Path | None = None

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise UsageError(f"--workers {self.workers}: expected 1 or more.")
        if self.scheduler is not None and self.workers > 1:
            raise UsageError("--scheduler and --workers: the cluster has workers of its own; give one of the two.")

    @property
    def is_plain(self) -> bool:
        """Whether nothing was asked for but one process that examines everything."""
        return self == Scale()


@dataclass(frozen=True)
class Options:
    """What decides the rows of a file, beside its content: rows of other options are never mixed."""

    discriminator: str | None = None
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True)
class Written:
    """What a run wrote into a file of rows: how many files it saw, examined now, found there already, and errors."""

    file: Path
    shard: Shard
    files: int
    examined: int
    errors: int

    @property
    def kept(self) -> int:
        """How many files had their rows already."""
        return self.files - self.examined
