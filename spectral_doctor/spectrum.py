"""From a weight to its singular values: the only home of a decomposition."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from spectral_doctor.arrays import LARGEST_DENSE, Array, Live, values_of
from spectral_doctor.elements import Values, tied_at_bound
from spectral_doctor.errors import NonFiniteWeight, WeightError
from spectral_doctor.records import Spectrum
from spectral_doctor.threads import one_blas_thread, side_by_side

if TYPE_CHECKING:
    from torch import Tensor

    Weight = Array | Values | Tensor
MatrixT = TypeVar("MatrixT")

GRAM_FLOOR = 1e-6
VECTOR_FLOOR = 1e-4
LARGEST_SHORT_SIDE = 16_384
SMALLEST_TRACE, LARGEST_TRACE = 1e-200, 1e200
# A block of the long side is widened at a time: 32 MiB, or 1024 columns where those are more.
BLOCK_NUMEL, BLOCK_COLUMNS = 2**22, 1024


@dataclass(frozen=True)
class Measured:
    """What one pass over a weight matrix tells.

    `spectrum` is None where `non_finite` values made one impossible; `at_bound` is the share of entries that are as
    large as the largest, see `share_at_bound`.
    """

    spectrum: Spectrum | None
    non_finite: int = 0
    at_bound: float = 0.0


class Readable(Protocol):
    """A weight matrix that is not read yet; `coarse` where its values are few, as 8-bit ones are."""

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """(n_out, n_in)."""
        ...

    @property
    def coarse(self) -> bool:
        """Whether many entries meet at the largest by themselves."""
        ...

    def read(self) -> Values:
        """The values; raises `WeightError` where there are none."""
        ...


ReadableT = TypeVar("ReadableT", bound=Readable)


def spectra_of(matrices: Sequence[Readable]) -> list[Measured | WeightError]:
    """Measure many weight matrices side by side, the largest first; a `WeightError` stands in its matrix' place.

    Each is read when its turn comes and let go after it. The results do not depend on how many run at once.
    """
    return side_by_side(measured_readable, matrices, work_of)


def measured_readable(matrix: Readable) -> Measured | WeightError:
    """Read a matrix and measure it, as `measured_by` has it."""
    return measured_by(lambda item: measured(item.read(), coarse=item.coarse), matrix)


def measured_by(measure: Callable[[ReadableT], Measured], matrix: ReadableT) -> Measured | WeightError:
    """What a measure says of a matrix; of one that is too large, or has no spectrum at all, its error."""
    try:
        check_size(matrix.matrix_shape)
        return measure(matrix)
    except WeightError as error:
        return error


def work_of(matrix: Readable) -> int:
    """About how many multiplications the spectrum of a matrix takes: m·n·min(m, n)."""
    return math.prod(matrix.matrix_shape) * min(matrix.matrix_shape)


def measured(matrix: Weight, *, coarse: bool | None = None) -> Measured:
    """Spectrum, number of values that are not finite, and share at the bound of a matrix (n_out, n_in).

    `coarse` is found out where it is not said. Raises `WeightError` for what has no spectrum at all.
    """
    values = _checked(matrix)
    few = _is_coarse(matrix) if coarse is None else coarse
    try:
        sigma = _singular_values(values)
    except NonFiniteWeight as error:
        return Measured(None, error.count)
    return Measured(Spectrum(tuple(sigma.tolist())), at_bound=0.0 if few else tied_at_bound(values))


def weight_matrices(weight: Weight, *, output_axis: int = 0, groups: int = 1) -> tuple[Values, ...]:
    """Reshape a layer's weight into the matrices W (n_out, n_in) whose spectra are reported.

    A convolution (out, in/groups, *kernel) becomes one (out/groups, in/groups·∏kernel) matrix a group;
    a transposed one (in, out/groups, *kernel) has `output_axis=1`. This is the reshape of SNGAN and
    SR-GAN (arXiv 1908.10999, section 3), not the operator norm of the convolution.

    Raises `WeightError` where the tensor has fewer than two axes, is empty, or does not divide.
    """
    check_divides(tuple(weight.shape), groups)
    values = values_of(weight)
    blocks = np.split(values, groups, axis=0) if groups > 1 else [values]
    return tuple(np.moveaxis(block, output_axis, 0).reshape(block.shape[output_axis], -1) for block in blocks)


def check_divides(shape: tuple[int, ...], groups: int = 1) -> None:
    """Raise `WeightError` where a weight of that shape is no matrix, or not one a group."""
    if len(shape) < 2:
        raise WeightError(f"shape {shape} has fewer than two axes")
    if math.prod(shape) == 0:
        raise WeightError(f"shape {shape} is empty")
    if shape[0] % groups:
        raise WeightError(f"shape {shape} does not divide into {groups} groups")


def check_size(shape: tuple[int, ...]) -> None:
    """Raise `WeightError` where a matrix of that shape has no values, or too many."""
    if math.prod(shape) == 0:
        raise WeightError(f"shape {shape} is empty")
    if math.prod(shape) > LARGEST_DENSE or min(shape) > LARGEST_SHORT_SIDE:
        raise WeightError(f"a {shape[0]}×{shape[1]} matrix is larger than is decomposed here")


def singular_values(matrix: Weight) -> NDArray[np.float64]:
    """All singular values of a matrix (n_out, n_in), descending, in float64.

    σ = √eig(W Wᵀ), the Gram matrix formed in float64 on the short side, block by block of the long side. That
    loses the values below about 1e-8·σ_1, so where the smallest is under 1e-6·σ_1 all are taken again from the SVD
    of the R of a QR factorisation. Absolute error at most a few 1e-8·σ_1 on the first way, 1e-15·σ_1 on the second.

    Takes a NumPy array, a stored array or a PyTorch tensor. Raises `NonFiniteWeight` on NaN or infinity (which
    `torch.linalg.svdvals` can hide: pytorch #187759) and `WeightError` on a tensor without data, or too large.
    """
    return _singular_values(_checked(matrix))


def singular_system(matrix: Weight) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[Any]]:
    """U (n_out, r), σ (r,) descending and V (n_in, r) in float64 with W = U diag(σ) Vᵀ.

    From the Gram matrix of the short side; the vectors of the long side are then W's image divided by σ_j, so
    where values fall below 1e-4·σ_1, and for weights stored in float64, the SVD of W itself is taken: both ways
    err less than the stored weight's own rounding. Raises what `singular_values` raises.
    """
    values = _checked(matrix)
    exact = values.dtype in (np.float64, np.complex128)
    scaled, exponent = _scaled(_wide(values))
    wide = scaled if scaled.shape[0] <= scaled.shape[1] else scaled.conj().T
    with one_blas_thread():
        squares, short = np.linalg.eigh(_gram(wide))
        sigma = np.sqrt(np.clip(squares[::-1], 0.0, None))
        if sigma[-1] <= VECTOR_FLOOR * sigma[0] or exact:
            left, sigma, right = np.linalg.svd(wide, full_matrices=False)
            short, long = left, right.conj().T
        else:
            short = short[:, ::-1].copy()
            long = (wide.conj().T @ short) / sigma
    result: NDArray[np.float64] = np.ldexp(sigma, exponent)
    return (short, result, long) if wide is scaled else (long, result, short)


@dataclass(frozen=True, eq=False)
class Changed(Generic[MatrixT]):
    """A matrix with other singular values: those before and after, and U (n_out, r), the same for both, in float64."""

    matrix: MatrixT
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    left: NDArray[Any]


def with_singular_values(
    matrix: MatrixT, change: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> Changed[MatrixT]:
    """Change the singular values of a matrix and nothing else: W + U diag(σ' − σ) Vᵀ with σ' = change(σ).

    The new matrix is a NumPy array or a PyTorch tensor as the old one is, in its type. What is not changed keeps its
    bits, for only the difference is added. Raises what `singular_values` raises.
    """
    given = cast("Values | Tensor", matrix)
    left, sigma, right = singular_system(given)
    target = change(sigma)
    moved = target != sigma
    if not moved.any():
        copy = given.copy() if isinstance(given, np.ndarray) else given.detach().clone()
        return Changed(cast(MatrixT, copy), sigma, target, left)
    with one_blas_thread():
        difference = (left[:, moved] * (target - sigma)[moved]) @ right[:, moved].conj().T
    changed = np.ascontiguousarray(_wide(values_of(given)) + difference)
    if isinstance(given, np.ndarray):
        return Changed(cast(MatrixT, changed.astype(given.dtype, copy=False)), sigma, target, left)
    from torch import from_numpy

    return Changed(cast(MatrixT, from_numpy(changed).to(given.device, given.dtype)), sigma, target, left)


def share_at_bound(matrix: Weight) -> float:
    """The share of entries that are as large as the largest: 0 as a rule, far more where weights were clipped.

    0 for a zero matrix and for types narrower than 16 bits, whose few values meet at the largest by themselves.
    """
    if math.prod(matrix.shape) == 0 or _is_coarse(matrix):
        return 0.0
    try:
        return tied_at_bound(values_of(matrix))
    except WeightError:
        return 0.0


def spectrum_of(matrix: Weight) -> Spectrum:
    """Return the `Spectrum` of a matrix (n_out, n_in); raises what `singular_values` raises."""
    return Spectrum(tuple(singular_values(matrix).tolist()))


def _is_coarse(matrix: Weight) -> bool:
    if isinstance(matrix, np.ndarray):
        return matrix.dtype.itemsize < 2
    return (matrix if isinstance(matrix, Array) else Live(matrix)).coarse


def _checked(matrix: Weight) -> Values:
    """The values of a matrix that can be decomposed."""
    check_size(tuple(matrix.shape))
    values = values_of(matrix)
    if values.dtype.kind not in "fc":
        raise WeightError(f"{values.dtype.name} values are not a weight")
    return values


def _singular_values(values: Values) -> NDArray[np.float64]:
    short_first = values if values.shape[0] <= values.shape[1] else values.T
    exponent = 0
    with one_blas_thread():
        gram = _gram(short_first)
        # The trace holds the square of every value, so it also tells NaN, overflow and underflow at no cost.
        trace = float(np.trace(gram).real)
        if not SMALLEST_TRACE < trace < LARGEST_TRACE:
            short_first, exponent = _scaled(_wide(short_first))
            gram = _gram(short_first)
        sigma = np.sqrt(np.clip(np.linalg.eigvalsh(gram)[::-1], 0.0, None))
        if sigma[-1] < GRAM_FLOOR * sigma[0]:
            triangle = np.linalg.qr(_wide(short_first).conj().T, mode="r")
            sigma = np.linalg.svd(triangle, compute_uv=False)
    result: NDArray[np.float64] = np.ldexp(sigma, exponent)
    return result


def _wide(values: Values) -> NDArray[np.inexact[Any]]:
    kind = np.complex128 if values.dtype.kind == "c" else np.float64
    wide: NDArray[np.inexact[Any]] = values.astype(kind, order="K", copy=False)
    return wide


def _blocks(short_first: Values) -> Iterator[Values]:
    """Pieces of the long, second axis, so that a whole weight is never widened at once."""
    rows, columns = short_first.shape
    step = max(BLOCK_COLUMNS, BLOCK_NUMEL // rows)
    for start in range(0, columns, step):
        yield short_first[:, start : start + step]


def _gram(short_first: Values) -> NDArray[np.inexact[Any]]:
    gram: NDArray[np.inexact[Any]] | None = None
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for block in _blocks(short_first):
            wide = _wide(block)
            # numpy takes A @ A.T for a symmetric product, half the work of a general one; a conjugate copy hides it.
            product = wide @ (wide.conj().T if np.iscomplexobj(wide) else wide.T)
            gram = product if gram is None else np.add(gram, product, out=gram)
            del wide, product  # before the next block is widened
    assert gram is not None
    return gram


def _scaled(array: NDArray[np.inexact[Any]]) -> tuple[NDArray[np.inexact[Any]], int]:
    """Divide by a power of two, exactly, so that no square overflows or underflows."""
    finite = np.isfinite(array)
    if not finite.all():
        raise NonFiniteWeight(int(array.size - finite.sum()), array.size)
    largest = float(np.abs(array).max())
    exponent = math.frexp(largest)[1] if largest > 0.0 else 0
    # Two steps: 2**-exponent itself can overflow where the largest value is subnormal.
    half = -exponent // 2
    return array * 2.0**half * 2.0 ** (-exponent - half), exponent
