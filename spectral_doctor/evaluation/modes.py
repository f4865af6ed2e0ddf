"""Which modes samples reach, how many of them are solid, and how good the samples are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spectral_doctor.evaluation.quality import as_rows, distances
from spectral_doctor.evaluation.spread import Spread

SOLID = 0.2


@dataclass(frozen=True)
class Evaluation:
    """What a generator's samples were measured to be.

    `modes_captured`, `kl` and `counts` are the published measures: the modes with at least one counted sample, and
    KL(generated ‖ real weights) in nats over the counted samples of each mode; `kl_floor` is what a perfect sampler
    of as many samples is expected to score, (modes − 1)/(2·samples). Of a mixture the samples of high quality
    are counted, of images all. They reward scatter: uniform noise captures 21 of the grid's 25 modes.

    `solid_modes` do not: a mode is solid when its samples *of high quality* are at least a fifth of its fair
    share, the number of *all* samples times its weight. `covered_modes` are counted alike from samples of any quality.
    `solid_ceiling` is how many a sampler is expected to have that draws all modes by their weights. Where one sample
    of high quality makes a mode solid (a thousand modes), it has the quality measured; else, a fifth of the fair share
    being enough, all its samples are of high quality.

    `high_quality_fraction` is the share of samples of high quality (of digits, where they are stacked),
    `real_high_quality` that of real data. Of images there are also `density` and `coverage` in the classifier's
    features, and its mean `confidence` beside that in real data. `finite` says that all samples are. None is what was
    not measured.
    """

    samples: int
    modes: int
    modes_captured: int
    high_quality_fraction: float | None
    kl: float
    kl_floor: float
    counts: tuple[int, ...]
    solid_modes: int | None = None
    covered_modes: int | None = None
    solid_ceiling: float | None = None
    real_high_quality: float | None = None
    density: float | None = None
    coverage: float | None = None
    confidence: float | None = None
    real_confidence: float | None = None
    spread: Spread | None = None
    finite: bool = True

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Evaluation:
        """Rebuild an evaluation from the mapping that `dataclasses.asdict` made of it, of this version or before."""
        spread = content.get("spread")
        made = {"counts": tuple(content["counts"]), "spread": None if spread is None else Spread(**spread)}
        return cls(**{**content, **made})


def evaluate_mixture(
    samples: ArrayLike,
    means: ArrayLike,
    radius: ArrayLike,
    *,
    weights: Sequence[float] | None = None,
    real_high_quality: float | None = None,
    spread: Spread | None = None,
) -> Evaluation:
    """Evaluate samples (n, d) against a mixture of Gaussians with means (m, d), and weights (m,) or equal ones.

    A sample is of high quality within `radius` (l2) of its nearest mean; a mode is captured when it is nearest
    to at least one such sample (VEEGAN, Srivastava et al. 2017, section 4.1). Only samples of high quality are
    counted. With a radius of 3σ a perfect sampler in two dimensions scores 1 − e^−4.5 = 0.989 and not 1.
    """
    x, centres = as_rows(samples), as_rows(means)
    shares = tuple(weights) if weights is not None else (1 / len(centres),) * len(centres)
    finite = bool(np.isfinite(x).all())
    if finite:
        distance = distances(x, centres)
        nearest, good = distance.argmin(axis=1), distance.min(axis=1) <= radius
    else:
        nearest, good = np.zeros(len(x), dtype=np.int64), np.zeros(len(x), dtype=bool)
    held = _histogram(nearest[good], len(centres))
    return _evaluation(
        held,
        held,
        _histogram(nearest, len(centres)) if finite else (0,) * len(centres),
        len(x),
        shares,
        high_quality_fraction=float(good.mean()),
        real_high_quality=real_high_quality,
        spread=spread,
        finite=finite,
    )


def evaluate_codes(
    codes: ArrayLike,
    modes: int,
    good: ArrayLike | None = None,
    high_quality_fraction: float | None = None,
    *,
    finite: bool = True,
    **measured: Any,
) -> Evaluation:
    """Evaluate samples by the mode a classifier put each in: codes (n,), integers from 0 to `modes` − 1.

    `good` (n,) says which samples are of high quality; without it there is neither quality nor a solid mode. The
    share of high quality is theirs, or the one that is given, where parts of samples have a quality.
    What else was measured of the samples is handed on to the `Evaluation`.
    """
    found = np.asarray(codes)
    counts, shares = _histogram(found, modes), (1 / modes,) * modes
    if good is None:
        return _evaluation(counts, None, counts, len(found), shares, finite=finite, **measured)
    mask = np.asarray(good, dtype=bool)
    held = _histogram(found[mask], modes)
    share = float(mask.mean()) if high_quality_fraction is None else high_quality_fraction
    return _evaluation(counts, held, counts, len(found), shares, high_quality_fraction=share, finite=finite, **measured)


def least_for_solid(samples: int, weight: float) -> int:
    """How many samples of high quality make a mode of this weight solid: a fifth of its fair share, and one."""
    return max(math.ceil(SOLID * samples * weight - 1e-9), 1)


def solid_ceiling(samples: int, weights: Sequence[float], quality: float = 1.0) -> float:
    """How many solid modes an even sampler is expected to have: the sum of P(Binomial(n, w) ≥ n·w/5) over weights w.

    Where one sample makes a mode solid, w is multiplied by `quality`: the number of samples of high quality bounds
    how many modes can be, and not the share that each has of them.
    """
    return math.fsum(_chance_of_solid(samples, weight, quality) for weight in weights)


@lru_cache(maxsize=4096)
def _chance_of_solid(samples: int, weight: float, quality: float) -> float:
    least = least_for_solid(samples, weight)
    chance = weight * quality if least == 1 else weight
    if not 0 < chance < 1:
        return float(chance >= 1)
    fewer = math.fsum(
        math.exp(
            math.lgamma(samples + 1)
            - math.lgamma(count + 1)
            - math.lgamma(samples - count + 1)
            + count * math.log(chance)
            + (samples - count) * math.log1p(-chance)
        )
        for count in range(least)
    )
    return max(1 - fewer, 0.0)


def _solid(counts: Sequence[int], samples: int, weights: Sequence[float]) -> int:
    return sum(count >= least_for_solid(samples, weight) for count, weight in zip(counts, weights, strict=True))


def _histogram(codes: NDArray[np.integer[Any]], modes: int) -> tuple[int, ...]:
    return tuple(int(count) for count in np.bincount(codes, minlength=modes))


def _evaluation(
    counts: tuple[int, ...],
    held: tuple[int, ...] | None,
    all_counts: tuple[int, ...],
    samples: int,
    weights: tuple[float, ...],
    *,
    high_quality_fraction: float | None = None,
    **measured: Any,
) -> Evaluation:
    total, modes = sum(counts), len(counts)
    # With no sample counted there is no histogram; the distance is that of everything in the rarest mode.
    kl = -math.log(min(weights))
    if total:
        kl = math.fsum(
            count / total * math.log(count / total / weight)
            for count, weight in zip(counts, weights, strict=True)
            if count
        )
    return Evaluation(
        samples,
        modes,
        sum(count > 0 for count in counts),
        high_quality_fraction,
        kl,
        (modes - 1) / (2 * samples),
        counts,
        solid_modes=None if held is None else _solid(held, samples, weights),
        covered_modes=_solid(all_counts, samples, weights),
        solid_ceiling=None if held is None else solid_ceiling(samples, weights, sum(held) / samples),
        **measured,
    )
