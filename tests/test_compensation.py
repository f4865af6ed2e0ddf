"""The compensations against a naive port written from the formulas, on a grid of shapes."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from spectral_doctor.compensation import (
    Compensation,
    DynamicCompensation,
    StaticCompensation,
    compensate,
    envelope_of,
    raised,
)
from spectral_doctor.errors import CompensationError, NonFiniteWeight
from spectral_doctor.records import Spectrum
from spectral_doctor.spectrum import singular_system

SHAPES = [(1, 1), (1, 5), (5, 1), (2, 2), (3, 3), (3, 27), (8, 2), (27, 3), (16, 16), (12, 40), (40, 12)]
DTYPES = [torch.float64, torch.float32, torch.bfloat16]


def matrix(shape: tuple[int, int], dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    """A Gaussian matrix with a spike, as a collapsing layer has."""
    random = torch.Generator().manual_seed(seed)
    gaussian = torch.randn(shape, generator=random, dtype=torch.float64)
    left, right = torch.randn(shape[0], 1, generator=random), torch.randn(1, shape[1], generator=random)
    return (gaussian + 2 * (left @ right).double()).to(dtype)


def envelope(rank: int) -> tuple[float, ...]:
    """A healthy layer's: a plateau and a decay."""
    return tuple(float(value) for value in np.minimum(1.0, np.linspace(1.4, 0.3, rank)))


def naive_static(weight: NDArray[np.float64], fraction: float) -> NDArray[np.float64]:
    """W + Σ_{k=2..i} (σ_1 − σ_k) u_k v_kᵀ, term by term."""
    u, s, vt = np.linalg.svd(weight, full_matrices=False)
    result = weight.copy()
    for k in range(1, max(1, int(fraction * len(s) + 1e-9))):
        result += (s[0] - s[k]) * np.outer(u[:, k], vt[k])
    return result


def naive_dynamic(weight: NDArray[np.float64], gamma: tuple[float, ...]) -> NDArray[np.float64]:
    """W + Σ_{k≥2} (γ_k σ_1 − σ_k)₊ u_k v_kᵀ, term by term."""
    u, s, vt = np.linalg.svd(weight, full_matrices=False)
    result = weight.copy()
    for k in range(1, len(s)):
        result += max(gamma[k] * s[0] - s[k], 0.0) * np.outer(u[:, k], vt[k])
    return result


def tolerance(weight: Tensor) -> float:
    """What rounding to the weight's own type may do to a singular value: a few ulps of σ_1 per element on a side."""
    return 8 * torch.finfo(weight.dtype).eps * float(torch.linalg.matrix_norm(weight.double(), 2)) * sum(weight.shape)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.5, 1.0])
def test_static_is_the_formula(shape: tuple[int, int], fraction: float, dtype: torch.dtype) -> None:
    """The same matrix as the sum written in the paper."""
    weight = matrix(shape, dtype)
    ours = compensate(weight, StaticCompensation(fraction)).matrix
    theirs = naive_static(weight.double().numpy(), fraction)
    assert ours.dtype == dtype
    np.testing.assert_allclose(ours.double().numpy(), theirs, atol=tolerance(weight), rtol=0)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_dynamic_is_the_formula(shape: tuple[int, int], dtype: torch.dtype) -> None:
    """The same matrix as the sum written in the paper."""
    weight, gamma = matrix(shape, dtype), envelope(min(shape))
    ours = compensate(weight, DynamicCompensation(gamma)).matrix
    np.testing.assert_allclose(
        ours.double().numpy(), naive_dynamic(weight.double().numpy(), gamma), atol=tolerance(weight), rtol=0
    )


def compensations(rank: int) -> list[Compensation]:
    """One of each kind for a rank."""
    return [StaticCompensation(0.5), StaticCompensation(1.0), DynamicCompensation(envelope(rank))]


def broken_laws(change: Callable[[Tensor], Tensor], weight: Tensor) -> list[str]:
    """Which laws of a compensation a change of a matrix breaks."""
    before = np.linalg.svd(weight.numpy(), compute_uv=False)
    once, tolerated = change(weight), tolerance(weight)
    after = np.linalg.svd(once.numpy(), compute_uv=False)
    twice = change(once)
    u, _, vt = np.linalg.svd(weight.numpy(), full_matrices=False)
    rotated = u.T @ once.numpy() @ vt.T
    laws = {
        "no value is lowered": bool(np.all(after >= before - tolerated)),
        "σ1 stays": abs(after[0] - before[0]) <= tolerated,
        "idempotent": bool(np.allclose(twice.numpy(), once.numpy(), atol=tolerated, rtol=0)),
        "the singular vectors stay": bool(np.allclose(rotated, np.diag(np.diag(rotated)), atol=tolerated)),
        "the order is kept": bool(np.all(np.diff(np.diag(rotated)) <= tolerated)),
    }
    return [law for law, kept in laws.items() if not kept]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_laws_hold(shape: tuple[int, int]) -> None:
    """Values rise or stay, σ1 stays, twice is once, vectors and order are kept."""
    for compensation in compensations(min(shape)):
        assert broken_laws(lambda weight, c=compensation: compensate(weight, c).matrix, matrix(shape)) == []  # type: ignore[misc]


@pytest.mark.parametrize(
    ("broken", "law"),
    [
        (lambda weight: 0.9 * weight, "no value is lowered"),
        (lambda weight: 1.1 * weight, "σ1 stays"),
        (lambda weight: weight + 0.01 * torch.linalg.svd(weight)[1][0] * torch.eye(*weight.shape), "idempotent"),
        (lambda weight: compensate(weight, StaticCompensation(1.0)).matrix.roll(1, 0), "the singular vectors stay"),
        (
            lambda weight: weight + torch.linalg.svd(weight)[1][0] * _outer_last(weight),
            "the order is kept",
        ),
    ],
)
def test_a_broken_law_is_noticed(broken: Callable[[Tensor], Tensor], law: str) -> None:
    """Each law fails on a change that breaks it."""
    assert law in broken_laws(broken, matrix((12, 40)))


def _outer_last(weight: Tensor) -> Tensor:
    u, _, vt = torch.linalg.svd(weight, full_matrices=False)
    return torch.outer(u[:, -1], vt[-1])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_scale_is_the_new_first_value(shape: tuple[int, int]) -> None:
    """σ1 is what was asked for, and the relative spectrum is that without a scale."""
    for fraction in (0.5, 1.0):
        weight = matrix(shape)
        scaled = compensate(weight, StaticCompensation(fraction, scale=1.0))
        plain = compensate(weight, StaticCompensation(fraction))
        sigma = np.linalg.svd(scaled.matrix.numpy(), compute_uv=False)
        assert sigma[0] == pytest.approx(1.0, abs=1e-12)
        np.testing.assert_allclose(scaled.after.relative, plain.after.relative, atol=1e-12)


def test_the_untouched_part_keeps_its_bits() -> None:
    """Where nothing is raised the matrix is the same, and a copy."""
    weight = matrix((12, 40), torch.float32)
    same = compensate(weight, StaticCompensation(0.0)).matrix
    assert torch.equal(same, weight)
    assert same.data_ptr() != weight.data_ptr()


def test_zero_values_can_be_raised() -> None:
    """A matrix of rank one has null vectors to raise, and a zero matrix stays zero."""
    spike = torch.outer(torch.arange(1.0, 7.0), torch.arange(1.0, 10.0))
    result = compensate(spike, StaticCompensation(0.5))
    relative = np.linalg.svd(result.matrix.numpy(), compute_uv=False) / result.before.sigma_max
    np.testing.assert_allclose(relative, [1, 1, 1, 0, 0, 0], atol=1e-6)
    assert torch.equal(compensate(torch.zeros(3, 4), StaticCompensation(1.0)).matrix, torch.zeros(3, 4))


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_extreme_scales_lose_nothing(scale: float) -> None:
    """The squares would underflow or overflow in float32."""
    weight = matrix((6, 9), torch.float32)
    one, other = (compensate(item, StaticCompensation(0.5)).matrix for item in (weight, weight * scale))
    np.testing.assert_allclose((other / scale).numpy(), one.numpy(), atol=tolerance(weight), rtol=0)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_a_singular_system_rebuilds_the_matrix(shape: tuple[int, int], dtype: torch.dtype) -> None:
    """W = U diag(σ) Vᵀ with orthonormal U and V."""
    weight = matrix(shape, dtype)
    u, s, v = singular_system(weight)
    tolerated = tolerance(weight)
    np.testing.assert_allclose(u * s @ v.T, weight.double().numpy(), atol=tolerated, rtol=0)
    for vectors in (u, v):
        np.testing.assert_allclose(vectors.T @ vectors, np.eye(len(s)), atol=1e-7)


def test_the_envelope_is_the_best_so_far_or_a_quantile() -> None:
    """The maximum value by value; the median ignores one spike; both fall with j."""
    spectra = [Spectrum((4.0, 2.0, 1.0)), Spectrum((2.0, 1.8, 0.2)), Spectrum((1.0, 0.6, 0.3))]
    assert envelope_of(spectra) == pytest.approx((1.0, 0.9, 0.3))
    assert envelope_of(spectra, 0.5) == pytest.approx((1.0, 0.6, 0.25))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: StaticCompensation(1.5), "a static fraction of 1.5: expected between 0 and 1"),
        (lambda: StaticCompensation(0.5, scale=0.0), "a scale of 0: expected a positive σ1, or none"),
        (lambda: DynamicCompensation(()), "an envelope is a spectrum's: values from 1 down to 0 that do not increase"),
        (
            lambda: DynamicCompensation((1.0, 0.5, 0.6)),
            "an envelope is a spectrum's: values from 1 down to 0 that do not increase",
        ),
        (lambda: raised(np.ones(3), DynamicCompensation((1.0, 0.5))), "an envelope of 2 values for a matrix of rank 3"),
        (lambda: envelope_of([]), "an envelope needs at least one spectrum"),
    ],
)
def test_what_is_no_compensation_is_refused(make: Callable[[], object], sentence: str) -> None:
    """Exact messages."""
    with pytest.raises(CompensationError, match=f"^{re.escape(sentence)}$"):
        make()


def test_a_weight_that_is_not_finite_is_refused() -> None:
    """NaN has no singular values to raise."""
    weight = matrix((4, 4), torch.float32)
    weight[1, 2] = float("nan")
    with pytest.raises(NonFiniteWeight):
        compensate(weight, StaticCompensation())


def test_half_of_an_odd_rank_is_rounded_down_as_in_the_official_code() -> None:
    """i = r // 2; rounding half to even would give 2, 2, 4, 4 for 3, 5, 7, 9."""
    half = StaticCompensation(0.5)
    assert [half.count(rank) for rank in (1, 2, 3, 5, 7, 9, 64)] == [1, 1, 1, 2, 3, 4, 32]
    assert StaticCompensation(0.29).count(100) == 29  # 0.29·100 is 28.999… in floating point
    assert [StaticCompensation(1.0).count(rank) for rank in (1, 7, 10_007)] == [1, 7, 10_007]
    assert StaticCompensation(0.0).count(8) == 1
