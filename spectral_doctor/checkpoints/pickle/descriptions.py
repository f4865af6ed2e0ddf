"""What a pickle describes, as it stands in the file: names, calls, and bytes that were not read."""

from __future__ import annotations

from dataclasses import dataclass, field


class MalformedPickle(ValueError):
    """The instructions make no sense, or end before they are complete."""


class RefusedPickle(ValueError):
    """The instructions are well formed and ask for what is not given."""


@dataclass(eq=False, slots=True)
class Named:
    """The name of something importable, as the file spells it; it is never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False, slots=True)
class Described:
    """What the file says how to make, and nobody makes: a call, with all that was to be put into its result.

    Dicts and sets are descriptions too, because comparing keys could itself take for ever.
    """

    maker: object
    arguments: tuple[object, ...] = ()
    pairs: list[tuple[object, object]] = field(default_factory=list)
    entries: list[object] = field(default_factory=list)
    state: object = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """Bytes that lie in the stream and were not read: where they begin, and how many."""

    start: int
    length: int


DICT = Named("builtins", "dict")
SET = Named("builtins", "set")
PERSISTENT = Named("", "persistent id")
