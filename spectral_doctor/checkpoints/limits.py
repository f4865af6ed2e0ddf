"""How much a file may ask for before it is refused: bounds that no real checkpoint meets, and that can be set.

`SPECTRAL_DOCTOR_LIMITS="bytes=2e9,seconds=60"` sets some of them, as for strangers' files; `Limits` says what each is.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

from spectral_doctor.errors import UnsafeCheckpoint, UsageError, listed, printable

VARIABLE = "SPECTRAL_DOCTOR_LIMITS"


@dataclass(frozen=True)
class Limits:
    """The largest file that is opened, and the most that is taken from it.

    `bytes` counts a checkpoint's files together, `tensors` its arrays, `name` the characters of the longest name,
    `matrix` the values of one weight matrix: a larger one is left out, anything else refuses the file. `seconds` is
    how long one file may take. Memory is bounded by them: of a file at most one matrix a core is in memory, 24 bytes
    a value.
    """

    bytes: float = 2.0**41
    tensors: float = 1e5
    name: float = 4096.0
    matrix: float = 2.0**30
    seconds: float = 3600.0

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Limits:
        """The limits that the variable sets, and the others as they are. Raises `UsageError` on what is none."""
        text = environment.get(VARIABLE, "")
        found: dict[str, float] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, equals, value = part.partition("=")
            try:
                number = float(value)
            except ValueError:
                number = math.nan
            if not equals or name not in NAMES or not 0 < number < math.inf:
                raise UsageError(
                    f"{VARIABLE}: expected NAME=NUMBER with one of {listed(NAMES)} and commas between, "
                    f"got '{printable(part)}'."
                )
            found[name] = number
        return cls(**found)

    def check_bytes(self, path: object, size: int) -> None:
        """Raise `UnsafeCheckpoint` where a checkpoint has more bytes."""
        if size > self.bytes:
            raise _over(path, f"it has {size} bytes", "bytes", self.bytes)

    def check_names(self, path: object, names: Iterable[str]) -> None:
        """Raise `UnsafeCheckpoint` where there are more tensors, or one has a longer name."""
        count = 0
        for name in names:
            count += 1
            if len(name) > self.name:
                raise _over(path, f"a name in it has {len(name)} characters, '{name[:40]}…'", "name", self.name)
        if count > self.tensors:
            raise _over(path, f"it has {count} tensors", "tensors", self.tensors)

    def deadline(self, path: object) -> Deadline:
        """The time from now until which a file may take."""
        return Deadline(path, self.seconds, time.monotonic() + self.seconds)


@dataclass(frozen=True)
class Deadline:
    """Until when a file may take, on the clock that never goes back."""

    path: object
    seconds: float
    end: float

    def check(self) -> None:
        """Raise `UnsafeCheckpoint` where it is over."""
        if time.monotonic() > self.end:
            raise _over(self.path, "examining it takes longer", "seconds", self.seconds)


def current() -> Limits:
    """The limits of this process. Raises `UsageError`."""
    return Limits.of(os.environ)


NAMES = tuple(item.name for item in fields(Limits))


def _over(path: object, what: str, name: str, limit: float) -> UnsafeCheckpoint:
    return UnsafeCheckpoint(
        str(path),
        f"{what}, and the limit '{name}' is {limit:.15g}",
        f"If it is to be examined all the same, set {VARIABLE}={name}=NUMBER.",
    )
