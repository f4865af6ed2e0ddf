"""From a weight to its singular values: the only home of a decomposition."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spectral_doctor.errors import NonFiniteWeight, WeightError
from spectral_doctor.records import Spectrum

GRAM_FLOOR = 1e-6
VECTOR_FLOOR = 1e-4
LARGEST_SHORT_SIDE = 16_384
SMALLEST_TRACE, LARGEST_TRACE = 1e-200, 1e200
LARGEST_DENSE_NUMEL = 2**30


def dense(weight: Tensor) -> Tensor:
    """Return a quantised or sparse weight as a plain dense tensor, and any other as it is.

    Raises `WeightError` where that is impossible, or would take more memory than a weight should.
    """
    if weight.layout == torch.strided and not weight.is_quantized:
        return weight
    if weight.numel() > LARGEST_DENSE_NUMEL:
        raise WeightError(f"a sparse tensor of shape {tuple(weight.shape)} is larger than is made dense here")
    try:
        return weight.dequantize() if weight.is_quantized else weight.to_dense()
    except RuntimeError as error:
        raise WeightError(f"a {weight.dtype} tensor in {weight.layout} layout cannot be made dense") from error


def weight_matrices(weight: Tensor, *, output_axis: int = 0, groups: int = 1) -> tuple[Tensor, ...]:
    """Reshape a layer's weight into the matrices W (n_out, n_in) whose spectra are reported.

    A convolution (out, in/groups, *kernel) becomes one (out/groups, in/groups·∏kernel) matrix a group;
    a transposed one (in, out/groups, *kernel) has `output_axis=1`. This is the reshape of SNGAN and
    SR-GAN (arXiv 1908.10999, section 3), not the operator norm of the convolution.

    Raises `WeightError` where the tensor has fewer than two axes, is empty, or does not divide.
    """
    if weight.ndim < 2:
        raise WeightError(f"shape {tuple(weight.shape)} has fewer than two axes")
    if weight.numel() == 0:
        raise WeightError(f"shape {tuple(weight.shape)} is empty")
    if weight.shape[0] % groups:
        raise WeightError(f"shape {tuple(weight.shape)} does not divide into {groups} groups")
    weight = dense(weight)
    blocks = weight.chunk(groups, dim=0) if groups > 1 else (weight,)
    return tuple(block.movedim(output_axis, 0).flatten(1) for block in blocks)


def singular_values(matrix: Tensor) -> NDArray[np.float64]:
    """All singular values of a matrix (n_out, n_in), descending, in float64.

    σ = √eig(W Wᵀ), the Gram matrix formed in float64 on the short side. That loses the values below
    about 1e-8·σ_1, so where the smallest is under 1e-6·σ_1 all are taken again from the SVD of the R of
    a QR factorisation. Absolute error at most a few 1e-8·σ_1 on the first way, 1e-15·σ_1 on the second.

    Raises `NonFiniteWeight` on NaN or infinity (which `torch.linalg.svdvals` can hide: pytorch #187759)
    and `WeightError` on a tensor without data, or one too large to densify.
    """
    array = _as_float64(matrix)
    wide = array if array.shape[0] <= array.shape[1] else array.T
    gram = _gram(wide)
    exponent = 0
    # The trace holds the square of every value, so it also tells NaN, overflow and underflow at no cost.
    trace = float(np.trace(gram).real)
    if not SMALLEST_TRACE < trace < LARGEST_TRACE:
        wide, exponent = _scaled(wide)
        gram = _gram(wide)
    sigma = np.sqrt(np.clip(np.linalg.eigvalsh(gram)[::-1], 0.0, None))
    if sigma[-1] < GRAM_FLOOR * sigma[0]:
        triangle = np.linalg.qr(wide.conj().T, mode="r")
        sigma = np.linalg.svd(triangle, compute_uv=False)
    values: NDArray[np.float64] = np.ldexp(sigma, exponent)
    return values


def singular_system(matrix: Tensor) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[Any]]:
    """U (n_out, r), σ (r,) descending and V (n_in, r) in float64 with W = U diag(σ) Vᵀ.

    From the Gram matrix of the short side; the vectors of the long side are then W's image divided by σ_j, so
    where values fall below 1e-4·σ_1, and for weights stored in float64, the SVD of W itself is taken: both ways
    err less than the stored weight's own rounding. Raises what `singular_values` raises.
    """
    array = _as_float64(matrix)
    scaled, exponent = _scaled(array)
    wide = scaled if scaled.shape[0] <= scaled.shape[1] else scaled.conj().T
    squares, short = np.linalg.eigh(_gram(wide))
    sigma = np.sqrt(np.clip(squares[::-1], 0.0, None))
    if sigma[-1] <= VECTOR_FLOOR * sigma[0] or matrix.dtype in (torch.float64, torch.complex128):
        left, sigma, right = np.linalg.svd(wide, full_matrices=False)
        short, long = left, right.conj().T
    else:
        short = short[:, ::-1].copy()
        long = (wide.conj().T @ short) / sigma
    values: NDArray[np.float64] = np.ldexp(sigma, exponent)
    return (short, values, long) if wide is scaled else (long, values, short)


def with_singular_values(
    matrix: Tensor, change: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> tuple[Tensor, NDArray[np.float64], NDArray[np.float64]]:
    """Change the singular values of a matrix and nothing else: W + U diag(σ' − σ) Vᵀ.

    Returns the new matrix in the type of the old one, σ and σ' = change(σ). What is not changed keeps its bits,
    for only the difference is added. Raises what `singular_values` raises.
    """
    left, sigma, right = singular_system(matrix)
    target = change(sigma)
    moved = target != sigma
    if not moved.any():
        return matrix.clone(), sigma, target
    difference = (left[:, moved] * (target - sigma)[moved]) @ right[:, moved].conj().T
    changed = torch.from_numpy(np.ascontiguousarray(_as_float64(matrix) + difference))
    return changed.to(device=matrix.device, dtype=matrix.dtype), sigma, target


def share_at_bound(matrix: Tensor) -> float:
    """The share of entries that are as large as the largest: 0 as a rule, far more where weights were clipped.

    0 for a zero matrix and for types narrower than 16 bits, whose few values meet at the largest by themselves.
    """
    if matrix.is_meta or matrix.numel() == 0 or matrix.layout != torch.strided or matrix.is_quantized:
        return 0.0
    if not (matrix.is_floating_point() and matrix.element_size() >= 2):
        return 0.0
    size = matrix.detach().abs()
    largest = size.max()
    ties = int((size >= largest * (1 - 1e-6)).sum()) - 1
    return ties / size.numel() if largest > 0 else 0.0


def spectrum_of(matrix: Tensor) -> Spectrum:
    """Return the `Spectrum` of a matrix (n_out, n_in); raises what `singular_values` raises."""
    return Spectrum(tuple(singular_values(matrix).tolist()))


def _as_float64(matrix: Tensor) -> NDArray[np.inexact[Any]]:
    if matrix.is_meta:
        raise WeightError("a meta tensor: the file holds its shape and no values")
    if matrix.numel() == 0:
        raise WeightError(f"shape {tuple(matrix.shape)} is empty")
    if matrix.numel() > LARGEST_DENSE_NUMEL or min(matrix.shape) > LARGEST_SHORT_SIDE:
        raise WeightError(f"a {matrix.shape[0]}×{matrix.shape[1]} matrix is larger than is decomposed here")
    matrix = dense(matrix)
    if not (matrix.is_floating_point() or matrix.is_complex()):
        raise WeightError(f"{matrix.dtype} values are not a weight")
    return _widened(matrix.detach().cpu().contiguous())


def _widened(matrix: Tensor) -> NDArray[np.inexact[Any]]:
    if matrix.dtype in (torch.float64, torch.complex128):
        return np.asarray(matrix.numpy())
    if matrix.is_complex():
        return np.asarray(matrix.to(torch.complex128).numpy())
    if matrix.dtype not in (torch.float32, torch.float16):
        matrix = matrix.to(torch.float32)  # exact: bfloat16 and fp8 are narrower
    # numpy widens here, for torch's threads would still be spinning on the cores when BLAS starts.
    return matrix.numpy().astype(np.float64)


def _gram(wide: NDArray[np.inexact[Any]]) -> NDArray[np.inexact[Any]]:
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        # numpy takes A @ A.T for a symmetric product, half the work of a general one; a conjugate copy hides it.
        gram: NDArray[np.inexact[Any]] = wide @ (wide.conj().T if np.iscomplexobj(wide) else wide.T)
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
