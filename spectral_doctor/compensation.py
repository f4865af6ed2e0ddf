"""The compensations of SR-GAN as maps on singular values, and on the matrices that have them.

Liu, Tang, Zhou & Qiu, *Spectral Regularization for Combating Mode Collapse in GANs*, ICCV 2019, arXiv 1908.10999.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol

import numpy as np
from numpy.typing import NDArray

from spectral_doctor.errors import CompensationError
from spectral_doctor.records import Spectrum
from spectral_doctor.spectrum import MatrixT, with_singular_values

Sigma = NDArray[np.float64]


class Compensation(Protocol):
    """A map on the singular values of one matrix that lifts some of them towards the first."""

    def floor(self, rank: int) -> Sigma:
        """The smallest σ_j/σ_1 that the map leaves, j = 1 … rank; the first is 1."""
        ...

    @property
    def scale(self) -> float | None:
        """The σ_1 that the matrix is rescaled to; None keeps its own."""
        ...


@dataclass(frozen=True)
class StaticCompensation:
    """Raise the first i = ⌊fraction·r⌋ singular values to σ_1 (section 3.2; i at least 1).

    ΔD = diag(0, σ_1 − σ_2, …, σ_1 − σ_i, 0, …, 0), r = min(n_out, n_in). The official code takes i = r // 2,
    which is `fraction=0.5`, and rescales to σ_1 = 1 afterwards, which is `scale=1.0`.

    Raises `CompensationError` where the fraction is not between 0 and 1, or the scale not positive.
    """

    fraction: float = 0.5
    scale: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.fraction <= 1.0:
            raise CompensationError(f"a static fraction of {self.fraction:g}: expected between 0 and 1")
        _check_scale(self.scale)

    def count(self, rank: int) -> int:
        """i, how many singular values of a matrix of that rank become σ_1."""
        # A product such as 0.29·100 = 28.999…96 means 29.
        return max(1, math.floor(self.fraction * rank * (1 + 4 * np.finfo(np.float64).eps)))

    def floor(self, rank: int) -> Sigma:
        """1 for the first i, 0 behind."""
        floor: Sigma = (np.arange(rank) < self.count(rank)).astype(np.float64)
        return floor


@dataclass(frozen=True)
class DynamicCompensation:
    """Let no σ_j/σ_1 be below the envelope γ_j, its best so far (section 3.3).

    ΔD = diag(0, γ_2·σ_1 − σ_2, …, γ_r·σ_1 − σ_r) where that is positive. The envelope of spectra is not
    increasing, with γ_1 = 1.

    Raises `CompensationError` where the envelope is empty, leaves [0, 1], or increases.
    """

    envelope: tuple[float, ...]
    scale: float | None = None

    def __post_init__(self) -> None:
        envelope = np.asarray(self.envelope, dtype=np.float64)
        inside = envelope.size > 0 and bool(np.all((envelope >= 0) & (envelope <= 1)))
        if not inside or bool(np.any(np.diff(envelope) > 0)):
            raise CompensationError("an envelope is a spectrum's: values from 1 down to 0 that do not increase")
        _check_scale(self.scale)

    def floor(self, rank: int) -> Sigma:
        """The envelope; raises `CompensationError` where it is that of another rank."""
        if len(self.envelope) != rank:
            raise CompensationError(f"an envelope of {len(self.envelope)} values for a matrix of rank {rank}")
        floor = np.asarray(self.envelope, dtype=np.float64)
        floor[0] = 1.0
        return floor


@dataclass(frozen=True, eq=False)
class Compensated(Generic[MatrixT]):
    """A matrix (n_out, n_in) after compensation, in its own type, and its spectra before and after.

    `left` holds the left singular vectors (n_out, r), which a compensation keeps.
    """

    matrix: MatrixT
    before: Spectrum
    after: Spectrum
    left: NDArray[Any]

    @property
    def raised(self) -> int:
        """How many relative singular values were raised, by more than rounding."""
        pairs = zip(self.before.relative, self.after.relative, strict=True)
        return sum(after > before + 1e-9 for before, after in pairs)


def raised(sigma: Sigma, compensation: Compensation) -> Sigma:
    """The singular values after a compensation: σ'_j = max(σ_j, floor_j·σ_1), then rescaled where it says so.

    `sigma` is descending, (r,). Order is kept and no σ_j/σ_1 is lowered; applied twice it changes nothing more.
    """
    lifted: Sigma = np.maximum(sigma, compensation.floor(len(sigma)) * sigma[0])
    if compensation.scale is not None and sigma[0] > 0:
        lifted = lifted * (compensation.scale / sigma[0])
    return lifted


def compensate(matrix: MatrixT, compensation: Compensation) -> Compensated[MatrixT]:
    """Apply a compensation to a matrix (n_out, n_in): W' = U diag(σ') Vᵀ with the singular vectors of W.

    The result is a NumPy array or a PyTorch tensor as the matrix is, in its type.

    Raises `CompensationError`, and what `singular_values` raises.
    """
    return compensate_by(matrix, lambda _: compensation)


def compensate_by(matrix: MatrixT, choose: Callable[[Spectrum], Compensation]) -> Compensated[MatrixT]:
    """Apply the compensation that is chosen by the matrix' own spectrum, with one decomposition for both."""

    def change(sigma: Sigma) -> Sigma:
        return raised(sigma, choose(Spectrum(tuple(sigma.tolist()))))

    result = with_singular_values(matrix, change)
    before, after = (Spectrum(tuple(sigma.tolist())) for sigma in (result.before, result.after))
    return Compensated(result.matrix, before, after, result.left)


def envelope_of(spectra: Sequence[Spectrum], quantile: float = 1.0) -> tuple[float, ...]:
    """γ_j over some spectra of one layer: the maximum of σ_j/σ_1, or another quantile of it.

    With `quantile=1` this is the paper's running maximum. A maximum of a noisy ratio creeps upward; a lower
    quantile does not. Quantiles keep the order, so γ does not increase with j.
    """
    if not spectra:
        raise CompensationError("an envelope needs at least one spectrum")
    values = np.quantile(np.asarray([spectrum.relative for spectrum in spectra]), quantile, axis=0)
    return tuple(np.minimum.accumulate(values).tolist())


def _check_scale(scale: float | None) -> None:
    if scale is not None and not scale > 0.0:
        raise CompensationError(f"a scale of {scale:g}: expected a positive σ1, or none")
