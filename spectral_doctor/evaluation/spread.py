"""How widely samples are spread: without real data, and against real data."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from spectral_doctor.evaluation.quality import Floats, Manifold, as_rows, distances

MEASURED = 768
_KERNEL_SAMPLES = 256
_KERNEL_WIDTH = 0.2
_SMALLEST = 1e-6
_NEIGHBOURS = (5, 25)
# A mode counts as solid from a fifth of its fair share on (`modes`); so does a neighbourhood.
_SOLID = 0.2
_THIN = 1e-3


@dataclass(frozen=True)
class Spread:
    """How widely samples x (n, d) of a generator are spread; C is their covariance. None without real samples y.

    `participation` is ln PR / ln min(d, latent, 16) with PR = (tr C)² / tr C², 0 for a constant; 1 fills that many
    directions evenly. `deviation` is ln √(tr C / E‖x‖²), at most 0, and does not change with the samples' scale.
    `vendi` is the Vendi score of 256 samples: how many different ones there seem to be. `energy` is the energy
    distance over 2·E‖x − y‖, from 0 (the same distribution) to 1. `size` is ln √(E‖x − ȳ‖² / E‖y − ȳ‖²) and
    `relative_deviation` ln √(tr C / tr C_y): how far out, and how wide, beside real data. No logarithm is below
    ln 10⁻⁶. `coverage` and `broad_coverage` are the shares of real samples with one of x nearer than their 5th and
    25th nearest real neighbour (Naeem et al., ICML 2020, eq. 4), `relative_vendi` is ln of the Vendi score over that
    of y, and `whitened` the participation of x where y fills every direction alike. Around every real sample lies the
    tenth of the others that is nearest: `served` is the share of these neighbourhoods that hold at least a fifth of the
    x that are due to them, and `evenness` is (Σv)² / m Σv² of what the m hold, 1 where all hold as many.
    """

    participation: float
    deviation: float
    vendi: float
    energy: float | None = None
    size: float | None = None
    relative_deviation: float | None = None
    coverage: float | None = None
    broad_coverage: float | None = None
    relative_vendi: float | None = None
    whitened: float | None = None
    served: float | None = None
    evenness: float | None = None


def measured_spread(samples: ArrayLike, latent_dim: int, real: ArrayLike | None = None) -> Spread:
    """Measure the spread of the first 768 samples (n, …), beside as many real ones where they are given."""
    x = as_rows(samples)[:MEASURED]
    variance, rms = float(x.var(axis=0).sum()), float((x**2).sum(axis=1).mean())
    participation, deviation, vendi = _participation(x, latent_dim), _log_ratio(variance, rms), vendi_score(x)
    if real is None:
        return Spread(participation, deviation, vendi)
    y = as_rows(real)[:MEASURED]
    centre, real_variance = y.mean(axis=0), float(y.var(axis=0).sum())
    size = _log_ratio(float(((x - centre) ** 2).sum(axis=1).mean()), real_variance)
    inside = [
        Manifold.around(y, neighbours).coverage_and_density(x)[0] if len(y) > neighbours else None
        for neighbours in _NEIGHBOURS
    ]
    visits = Manifold.around(y, len(y) // 10).visits(x) if len(y) >= 20 else None
    return Spread(
        participation,
        deviation,
        vendi,
        energy_distance(x, y),
        size,
        _log_ratio(variance, real_variance),
        coverage=inside[0],
        broad_coverage=inside[1],
        relative_vendi=math.log(vendi / vendi_score(y)),
        whitened=_participation(_whitened(x, y), latent_dim) if real_variance else None,
        served=None if visits is None else float((visits >= _SOLID).mean()),
        evenness=None if visits is None else _evenness(visits),
    )


def _evenness(visits: Floats) -> float:
    square = float((visits**2).mean())
    return float(visits.mean()) ** 2 / square if square else 0.0


def _whitened(x: Floats, y: Floats) -> Floats:
    """x in the basis in which the covariance of y is the identity; directions that y hardly has stay small."""
    centred = y - y.mean(axis=0)
    # By the singular values of y itself: pictures have far more dimensions than there are samples.
    _, sigma, directions = np.linalg.svd(centred, full_matrices=False)
    kept = sigma**2 > _THIN * sigma[0] ** 2
    white: Floats = (x - y.mean(axis=0)) @ (directions[kept].T * (math.sqrt(len(y)) / sigma[kept]))
    return white


def energy_distance(x: Floats, y: Floats) -> float:
    """The energy distance of two samples (n, d), (m, d) over its ceiling: 1 − (E‖x − x'‖ + E‖y − y'‖) / 2E‖x − y‖.

    Székely & Rizzo (2013); pairs of a sample with itself are left out, so equal distributions score near 0.
    """
    between = float(distances(x, y).mean())
    within = sum(float(distances(part, part).sum()) / (len(part) * (len(part) - 1)) for part in (x, y))
    return 1 - within / (2 * between) if between else 0.0


def vendi_score(x: Floats) -> float:
    """exp of the entropy of the eigenvalues of K/n (Friedman & Dieng, TMLR 2023) of the first 256 samples (n, d).

    K is Gaussian, exp(−‖x − x'‖² / 2h²), with h a fifth of the samples' root mean square: 1 for a constant,
    near the number of modes for tight modes that far apart.
    """
    x = x[:_KERNEL_SAMPLES]
    width = _KERNEL_WIDTH * math.sqrt(float((x**2).sum(axis=1).mean()))
    if not width:
        return 1.0
    kernel = np.exp(-(distances(x, x) ** 2) / (2 * width**2))
    eigenvalues = np.linalg.eigvalsh(kernel / len(x))
    positive = eigenvalues[eigenvalues > np.finfo(np.float64).eps]
    return math.exp(-float((positive * np.log(positive)).sum()))


def _participation(x: Floats, latent_dim: int) -> float:
    directions = min(x.shape[1], latent_dim, 16)
    centred = x - x.mean(axis=0)
    # The smaller of C and its Gram matrix: both have the same eigenvalues.
    product = centred @ centred.T if len(x) < x.shape[1] else centred.T @ centred
    trace, of_square = float(np.trace(product)), float((product**2).sum())
    if of_square == 0:
        return 0.0
    return math.log(trace**2 / of_square) / math.log(directions) if directions > 1 else 1.0


def _log_ratio(variance: float, reference: float) -> float:
    if not reference:
        return math.log(_SMALLEST)
    return max(0.5 * math.log(max(variance / reference, _SMALLEST**2)), math.log(_SMALLEST))
