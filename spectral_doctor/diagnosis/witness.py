"""What the generator beside a discriminator says, as plain numbers: its spectra, and its samples."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Witness:
    """The generator's testimony at one checkpoint; None is what was not asked or could not be.

    `ratio` is the mean σ_2/σ_1 of the generator's layers. `participation` and `deviation` are those of `Spread`, of
    `samples` samples; `energy` the energy distance to real data over its ceiling. `constant` says that all samples are
    one; `why` says where the samples come from, or why there are none.
    """

    ratio: float | None = None
    participation: float | None = None
    deviation: float | None = None
    energy: float | None = None
    samples: int = 0
    constant: bool = False
    why: str = ""


def bounded(value: float) -> float:
    """A logarithm of the spread as the formulas take it: at least −3, below which all samples are nearly one."""
    return max(value, -3.0)
