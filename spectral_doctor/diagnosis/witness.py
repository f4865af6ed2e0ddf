"""What the generator beside a discriminator says, as plain numbers: its spectra, and its samples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spectral_doctor.evaluation.spread import Spread

# Below, all samples are nearly one.
_LEAST = -3.0
_SMALLEST_ENERGY = 0.01


@dataclass(frozen=True)
class Witness:
    """The generator's testimony at one checkpoint; None is what was not asked or could not be.

    `ratio` is the mean σ_2/σ_1 of the generator's layers. `participation` and `deviation` are those of `Spread`, at
    least −3, the first at most 1; `diversity` is ln of the Vendi score, all of `samples` samples. `energy` is
    ln(e + 0.01), e the energy distance to real data over its ceiling; `coverage`, `broad_coverage`, `relative_vendi`,
    `served` and `evenness` are those of `Spread`. `ratio_fall` and `loss` say by how much `ratio` and `diversity` lie
    below their best so far in a series. `constant` says that all samples are one; `why` where the samples come from,
    or why there are none.
    """

    ratio: float | None = None
    participation: float | None = None
    deviation: float | None = None
    diversity: float | None = None
    energy: float | None = None
    coverage: float | None = None
    broad_coverage: float | None = None
    relative_vendi: float | None = None
    served: float | None = None
    evenness: float | None = None
    samples: int = 0
    constant: bool = False
    why: str = ""
    ratio_fall: float = 0.0
    loss: float = 0.0


def witness_of(ratio: float | None, spread: Spread | None, samples: int = 0, why: str = "") -> Witness:
    """The testimony of a generator with this mean σ_2/σ_1, whose samples have this spread."""
    if spread is None:
        return Witness(ratio, why=why)
    energy = None if spread.energy is None else math.log(max(spread.energy, 0.0) + _SMALLEST_ENERGY)
    return Witness(
        ratio,
        min(max(spread.participation, _LEAST), 1.0),
        max(spread.deviation, _LEAST),
        math.log(max(spread.vendi, 1.0)),
        energy,
        spread.coverage,
        spread.broad_coverage,
        spread.relative_vendi,
        spread.served,
        spread.evenness,
        samples,
        why=why,
    )


def in_series(witnesses: Mapping[int, Witness]) -> dict[int, Witness]:
    """The testimonies by step, each beside the best before it: `ratio_fall` and `loss`."""
    ratio = diversity = -math.inf
    found = {}
    for step in sorted(witnesses):
        item = witnesses[step]
        ratio = max(ratio, -math.inf if item.ratio is None else item.ratio)
        diversity = max(diversity, -math.inf if item.diversity is None else item.diversity)
        fall = 0.0 if item.ratio is None else ratio - item.ratio
        loss = 0.0 if item.diversity is None else diversity - item.diversity
        found[step] = replace(item, ratio_fall=fall, loss=loss)
    return found
