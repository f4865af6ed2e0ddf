"""How near samples are to real ones: distances, and the manifold of real data in a feature space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def as_rows(samples: ArrayLike) -> Floats:
    """Samples (n, …) as a float64 matrix (n, d)."""
    rows = np.asarray(samples, dtype=np.float64)
    return rows.reshape(len(rows), -1)


def distances(one: Floats, other: Floats) -> Floats:
    """Euclidean distances (n, m) between the rows of two matrices (n, d) and (m, d).

    By ‖a − b‖² = ‖a‖² + ‖b‖² − 2a·b, around the mean of `other`: a distance is exact to √eps of the data's size.
    """
    centre = other.mean(axis=0)
    one, other = one - centre, other - centre
    squared = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2 * one @ other.T
    roots: Floats = np.sqrt(np.maximum(squared, 0))
    return roots


@dataclass(frozen=True, eq=False)
class Manifold:
    """Real data (m, d) with the distance (m,) from each to its k-th nearest other: balls that cover the manifold."""

    real: Floats
    radii: Floats
    neighbours: int

    @classmethod
    def around(cls, real: ArrayLike, neighbours: int = 5) -> Manifold:
        """Lay a ball around every real sample; raises `ValueError` where there are not more samples than neighbours."""
        rows = as_rows(real)
        if len(rows) <= neighbours:
            raise ValueError(f"expected more than {neighbours} real samples, got {len(rows)}.")
        radii = np.partition(distances(rows, rows), neighbours, axis=1)[:, neighbours]
        return cls(rows, radii, neighbours)

    def contains(self, samples: ArrayLike) -> NDArray[np.bool_]:
        """Say of each sample (n, d) whether it lies in a ball (Kynkäänniemi et al., NeurIPS 2019, eq. 1)."""
        return np.asarray((distances(as_rows(samples), self.real) <= self.radii).any(axis=1))

    def visits(self, samples: ArrayLike) -> Floats:
        """How many of the samples (n, d) lie in each ball, over the number that real data have there: (m,).

        That is k for as many samples as there are real ones: 1 is a ball's fair share.
        """
        rows = as_rows(samples)
        inside = (distances(rows, self.real) < self.radii).sum(axis=0)
        shares: Floats = inside * (len(self.real) / (len(rows) * self.neighbours))
        return shares

    def coverage_and_density(self, samples: ArrayLike) -> tuple[float, float]:
        """The share of balls with a sample inside, and in how many balls a sample lies, over k."""
        inside = distances(as_rows(samples), self.real) < self.radii
        return float(inside.any(axis=0).mean()), float(inside.sum(axis=1).mean() / self.neighbours)


def coverage_and_density(real: ArrayLike, fake: ArrayLike, neighbours: int = 5) -> tuple[float, float]:
    """Coverage and density of fake samples (n, d) around real ones (m, d) (Naeem et al., ICML 2020, eqs. 3 and 4).

    Coverage is the share of real samples with a fake one inside their k-nearest-neighbour ball; density the
    mean number of such balls a fake sample lies in, over k. A perfect sampler scores near 1 in both.
    Raises `ValueError` where there are not more real samples than neighbours.
    """
    return Manifold.around(real, neighbours).coverage_and_density(fake)
