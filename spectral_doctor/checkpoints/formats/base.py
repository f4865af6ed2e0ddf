"""What a file format is to the rest: it accepts a file by its first bytes, opens it, and can be rewritten or not."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spectral_doctor.checkpoints.stores import Source
from spectral_doctor.errors import UnsupportedCheckpoint, UnwritableCheckpoint
from spectral_doctor.records import LeftOut

Tree = Mapping[str, object]


@dataclass(frozen=True, eq=False)
class Contents:
    """What a file holds: nested mappings with text keys, whose leaves are `Array`s (unread) or plain values."""

    tree: Tree
    left_out: tuple[LeftOut, ...] = ()


class Format(ABC):
    """One file format. A new one is one class in a file of its own and one line in `formats.FORMATS`.

    `name` is what a report calls it, with `article` before it. `looks_beside` says that whether a file is of the
    format depends on other files too.
    """

    name: str
    article: str = "a"
    looks_beside: bool = False

    @abstractmethod
    def accept(self, source: Source) -> bool:
        """Say whether a file is of this format, by its content and never by its name's ending alone."""

    @abstractmethod
    def open(self, source: Source) -> Contents:
        """Read what the file holds, its arrays lazily; nothing in it is run.

        Raises `UnreadableCheckpoint` (torn, not what it claims to be), `UnsafeCheckpoint` or
        `UnsupportedCheckpoint`.
        """

    def members(self, source: Source) -> tuple[str, ...]:
        """The names of the files beside it that belong to the same checkpoint, such as the shards of an index."""
        return ()

    def copy(self, path: Path, target: Path) -> None:
        """Copy a file so that its arrays can be changed in place."""
        shutil.copyfile(path, target)

    def finish(self, path: Path) -> None:
        """Mend what depends on the content (checksums) of a copy whose arrays were changed in place.

        Raises `UnwritableCheckpoint` for a format that cannot be rewritten.
        """
        raise UnwritableCheckpoint(path, f"{self.article} {self.name}", self.rewriting_remedy)

    rewriting_remedy: str = "Save the discriminator alone with torch.save where it was made, and treat that file."


class Closed(Format):
    """A format that is recognised, so that it can be named, and not opened.

    `is_damage` says that a checkpoint was meant to be there: it is a fault even in a folder.
    """

    remedy: str = ""
    is_damage: bool = False

    def open(self, source: Source) -> Contents:
        """Say why it is not opened, and the way out."""
        raise UnsupportedCheckpoint(str(source.location), f"{self.article} {self.name}", self.remedy)
