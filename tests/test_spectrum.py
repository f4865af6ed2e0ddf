"""Singular values against an independent oracle, and the laws of every statistic."""

from __future__ import annotations

import math
import tracemalloc
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spectral_doctor import spectrum as spectrum_module
from spectral_doctor.arrays import live_arrays
from spectral_doctor.errors import NonFiniteWeight, WeightError
from spectral_doctor.records import Spectrum
from spectral_doctor.spectrum import (
    measured,
    share_at_bound,
    singular_values,
    spectra_of,
    spectrum_of,
    weight_matrices,
    with_singular_values,
)
from spectral_doctor.state_dicts.matrices import collect_layers

EPS = float(np.finfo(np.float64).eps)
SHAPES = [(1, 1), (1, 7), (7, 1), (2, 2), (3, 5), (5, 3), (8, 2), (2, 8), (10, 10), (16, 144), (144, 16), (64, 27)]


def random_matrix(rows: int, columns: int, seed: int = 0) -> Tensor:
    """A Gaussian matrix of that shape, the same for the same seed."""
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def oracle(matrix: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The singular values by numpy's SVD in float64: another algorithm, another library."""
    values: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = np.linalg.svd(matrix.double().numpy(), compute_uv=False)
    return values


@pytest.mark.parametrize("shape", SHAPES)
def test_singular_values_agree_with_the_svd(shape: tuple[int, int]) -> None:
    """The Gram matrix gives the SVD's values; its error is at most √(c·r·eps)·σ1 at the small end."""
    matrix = random_matrix(*shape)
    expected = oracle(matrix)
    tolerance = math.sqrt(8 * min(shape) * EPS) * expected[0]
    assert np.abs(singular_values(matrix) - expected).max() <= tolerance


def test_a_wrong_value_would_be_noticed() -> None:
    """The comparison above fails for values that are off by a part in a million."""
    matrix = random_matrix(16, 144)
    expected = oracle(matrix)
    assert np.abs(singular_values(matrix) * (1 + 1e-6) - expected).max() > math.sqrt(8 * 16 * EPS) * expected[0]


@pytest.mark.parametrize("smallest", [1e-4, 1e-7, 1e-10, 1e-13])
def test_the_small_end_of_a_spectrum_is_exact(smallest: float) -> None:
    """Below 1e-6·σ1, where the Gram matrix is blind, the QR way keeps the small values."""
    size = 12
    sigma = np.geomspace(1.0, smallest, size)
    random = np.random.default_rng(0)
    left = np.linalg.qr(random.standard_normal((size, size)))[0]
    right = np.linalg.qr(random.standard_normal((40, size)))[0]
    matrix = torch.from_numpy(left * sigma @ right.T)
    # Above the floor the Gram way has a relative error of eps·(σ1/σ)²; below it the QR way has eps·σ1/σ.
    relative = 64 * EPS * ((1 / smallest) ** 2 if smallest > 1e-6 else 1 / smallest)
    assert singular_values(matrix)[-1] == pytest.approx(smallest, rel=relative)


def test_float32_gram_would_lose_the_small_end() -> None:
    """Why the Gram matrix is formed in float64: in float32 a value at 1e-4·σ1 is wrong."""
    sigma = torch.tensor([1.0, 1e-4])
    rotation = torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    matrix = rotation @ torch.diag(sigma) @ rotation
    gram = matrix @ matrix.T
    by_float32 = torch.linalg.eigvalsh(gram).clamp(min=0).sqrt()[0].item()
    assert abs(by_float32 - 1e-4) > 1e-6
    assert singular_values(matrix)[-1] == pytest.approx(1e-4, rel=1e-3)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
def test_no_scale_overflows_or_underflows(scale: float) -> None:
    """Squares of very large or very small values stay finite and not zero."""
    matrix = random_matrix(4, 9).double() * scale
    assert singular_values(matrix) / scale == pytest.approx(oracle(matrix / scale), rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2])
def test_narrow_floats_are_widened(dtype: torch.dtype) -> None:
    """Half, bfloat16 and fp8 weights have the spectrum of their exact values."""
    matrix = random_matrix(6, 20).to(dtype)
    assert singular_values(matrix) == pytest.approx(oracle(matrix.to(torch.float32)), rel=1e-9)


def test_quantised_sparse_and_complex_weights_have_a_spectrum() -> None:
    """Each is made dense, and a complex matrix has real singular values."""
    matrix = random_matrix(6, 20)
    sparse = torch.where(matrix.abs() > 1, matrix, 0.0)
    assert singular_values(sparse.to_sparse()) == pytest.approx(oracle(sparse), rel=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says once in a process that quantising is deprecated
        quantised = torch.quantize_per_tensor(matrix, scale=0.05, zero_point=0, dtype=torch.qint8)
    assert singular_values(quantised) == pytest.approx(oracle(quantised.dequantize()), rel=1e-9)
    rotated = matrix.to(torch.complex64) * 1j
    assert singular_values(rotated) == pytest.approx(oracle(matrix), rel=1e-6)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_an_error_and_never_a_number(value: float) -> None:
    """NaN is counted and named; `torch.linalg.svdvals` can return numbers for it (pytorch #187759)."""
    matrix = random_matrix(4, 9)
    matrix[1, 2] = value
    with pytest.raises(NonFiniteWeight, match=r"^1 of 36 values is NaN or infinite$"):
        singular_values(matrix)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.empty(3, 0), r"^shape (3, 0) is empty$"),
        (torch.empty(3, 4, device="meta"), "^a meta tensor: the file holds its shape and no values$"),
        (torch.ones(3, 4, dtype=torch.int64), r"^int64 values are not a weight$"),
        (torch.empty(1).expand(20_000, 20_000), "^a 20000×20000 matrix is larger than is decomposed here$"),
    ],
)
def test_a_tensor_without_a_spectrum_says_why(tensor: Tensor, message: str) -> None:
    """Empty, meta, integer and oversized tensors are refused with their reason."""
    with pytest.raises(WeightError, match=message.replace("(", r"\(").replace(")", r"\)")):
        singular_values(tensor)


def test_a_zero_matrix_has_a_zero_spectrum() -> None:
    """Nothing is divided by σ1 = 0."""
    spectrum = spectrum_of(torch.zeros(3, 5))
    assert spectrum.values == (0.0, 0.0, 0.0)
    assert spectrum.relative == (0.0, 0.0, 0.0)
    assert (spectrum.stable_rank, spectrum.effective_rank, spectrum.plateau_width) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("layer", "output_axis", "groups", "expected"),
    [
        (nn.Linear(5, 3), 0, 1, (3, 5)),
        (nn.Conv1d(4, 6, 3), 0, 1, (6, 12)),
        (nn.Conv2d(4, 6, 3), 0, 1, (6, 36)),
        (nn.Conv3d(2, 3, 2), 0, 1, (3, 16)),
        (nn.ConvTranspose2d(4, 6, 3), 1, 1, (6, 36)),
        (nn.Conv2d(4, 6, 3, groups=2), 0, 2, (3, 18)),
        (nn.ConvTranspose2d(4, 6, 3, groups=2), 1, 2, (3, 18)),
    ],
)
def test_a_weight_becomes_one_matrix_a_group(
    layer: nn.Module, output_axis: int, groups: int, expected: tuple[int, int]
) -> None:
    """Outputs are the rows, in every kind of layer."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    matrices = weight_matrices(weight, output_axis=output_axis, groups=groups)
    assert [tuple(matrix.shape) for matrix in matrices] == [expected] * groups


def test_a_transposed_weight_is_unfolded_as_spectral_norm_unfolds_it() -> None:
    """torch's own spectral norm of a transposed convolution has the same σ1 as our matrix."""
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(4, 6, 3)
    nn.utils.parametrizations.spectral_norm(layer, n_power_iterations=200)
    normalised = layer.weight.detach()
    (matrix,) = weight_matrices(normalised, output_axis=1)
    assert spectrum_of(matrix).sigma_max == pytest.approx(1.0, abs=1e-4)
    (wrong,) = weight_matrices(normalised)
    assert abs(spectrum_of(wrong).sigma_max - 1.0) > 1e-2


@pytest.mark.parametrize("shape", SHAPES)
def test_the_statistics_keep_their_laws(shape: tuple[int, int]) -> None:
    """Bounds, scale invariance, and each definition computed the long way round."""
    matrix = random_matrix(*shape)
    spectrum, scaled = spectrum_of(matrix), spectrum_of(matrix * 7.0)
    rank = min(shape)
    assert spectrum.size == rank
    assert spectrum.relative[0] == 1.0
    assert list(spectrum.values) == sorted(spectrum.values, reverse=True)
    assert 1.0 <= spectrum.stable_rank <= rank + 1e-9
    assert 1.0 - 1e-9 <= spectrum.effective_rank <= rank + 1e-9
    assert 1 / rank <= spectrum.plateau_width <= 1.0
    norm = float(torch.linalg.matrix_norm(matrix.double(), "fro"))
    assert spectrum.stable_rank == pytest.approx((norm / spectrum.sigma_max) ** 2, rel=1e-9)
    shares = oracle(matrix) / oracle(matrix).sum()
    assert spectrum.effective_rank == pytest.approx(float(np.prod(shares**-shares)), rel=1e-6)
    assert scaled.relative == pytest.approx(spectrum.relative, rel=1e-6)
    assert scaled.sigma_max == pytest.approx(7 * spectrum.sigma_max, rel=1e-6)


def test_an_orthogonal_matrix_has_full_rank_by_every_measure() -> None:
    """All σ equal: stable and effective rank are r and the plateau is the whole spectrum."""
    spectrum = spectrum_of(torch.linalg.qr(random_matrix(6, 6).double())[0])
    assert spectrum.stable_rank == pytest.approx(6)
    assert spectrum.effective_rank == pytest.approx(6)
    assert spectrum.plateau_width == 1.0


def test_a_rank_one_spike_has_rank_one_by_every_measure() -> None:
    """One σ alone: both ranks are 1 and the plateau is one value of r."""
    spectrum = Spectrum((5.0, 0.0, 0.0, 0.0))
    assert (spectrum.stable_rank, spectrum.effective_rank, spectrum.plateau_width) == (1.0, 1.0, 0.25)
    assert (spectrum.ratio(1), spectrum.ratio(2), spectrum.ratio(99)) == (1.0, 0.0, 0.0)


def test_the_plateau_counts_values_above_nine_tenths() -> None:
    """The edge itself does not count."""
    assert Spectrum((1.0, 0.95, 0.9, 0.89)).plateau_width == 0.5


def test_a_shape_that_does_not_divide_is_refused() -> None:
    """Groups must divide the first axis."""
    with pytest.raises(WeightError, match=r"^shape \(6, 2, 3\) does not divide into 4 groups$"):
        weight_matrices(torch.zeros(6, 2, 3), groups=4)
    with pytest.raises(WeightError, match=r"^shape \(6,\) has fewer than two axes$"):
        weight_matrices(torch.zeros(6))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_clipped_weights_meet_at_the_bound(dtype: torch.dtype) -> None:
    """About 32 % of Gaussian entries lie outside ±1; unclipped ones meet nowhere, and small matrices have no ties."""
    matrix = random_matrix(40, 50)
    assert share_at_bound(matrix.clamp(-1, 1).to(dtype)) == pytest.approx(0.32, abs=0.03)
    assert share_at_bound(matrix.to(dtype)) < 0.002
    assert share_at_bound(torch.tensor([[3.0, 1.0, 2.0]], dtype=dtype)) == 0.0


def test_a_share_at_the_bound_needs_values_that_can_tell() -> None:
    """Zeros, integers and meta tensors have none."""
    assert share_at_bound(torch.zeros(4, 4)) == 0.0
    assert share_at_bound(torch.ones(4, 4, dtype=torch.int8)) == 0.0
    assert share_at_bound(torch.ones(4, 4, device="meta")) == 0.0
    assert share_at_bound(torch.ones(4, 4)) == 15 / 16


@pytest.mark.parametrize("shape", [(16, 3000), (3000, 16), (40, 40)])
def test_a_weight_in_many_blocks_has_the_same_spectrum(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]) -> None:
    """The Gram matrix is a sum over blocks of the long side, wide or tall."""
    monkeypatch.setattr(spectrum_module, "BLOCK_COLUMNS", 7)
    monkeypatch.setattr(spectrum_module, "BLOCK_NUMEL", 1)
    matrix = random_matrix(*shape)
    expected = oracle(matrix)
    assert np.abs(singular_values(matrix) - expected).max() <= math.sqrt(8 * 40 * EPS) * expected[0]
    assert measured(matrix.clamp(-1, 1)).at_bound == pytest.approx(share_at_bound(matrix.clamp(-1, 1)), abs=1e-12)


def test_a_weight_is_never_widened_at_once() -> None:
    """Peak memory beyond the stored weight stays far below the weight in float64 (96 MB here)."""
    matrix = np.random.default_rng(0).standard_normal((64, 187_500), dtype=np.float32)
    measured(matrix[:, :1000])
    tracemalloc.start()
    measured(matrix)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.6 * matrix.size * 8


def test_one_pass_tells_spectrum_values_that_are_not_finite_and_clipping() -> None:
    """`measured` is what the single functions say, one by one."""
    matrix = random_matrix(30, 50).clamp(-1, 1)
    result = measured(matrix)
    assert (result.spectrum, result.non_finite) == (spectrum_of(matrix), 0)
    assert result.at_bound == share_at_bound(matrix) > 0.2
    matrix[2, 3] = math.nan
    assert measured(matrix) == spectrum_module.Measured(None, 1)
    with pytest.raises(WeightError, match="int8 values are not a weight"):
        measured(torch.ones(3, 3, dtype=torch.int8))


def test_many_weights_are_measured_in_order_with_their_errors_in_place() -> None:
    """What has no spectrum stands where its weight stood, and takes nothing else with it."""
    tensors = {f"{index}.weight": random_matrix(8, 8 + index) for index in range(4)}
    tensors["2.weight"] = torch.empty(8, 9, device="meta")
    layers, _ = collect_layers(live_arrays(tensors))
    results = spectra_of(layers)
    assert [isinstance(item, WeightError) for item in results] == [False, False, True, False]
    last = results[-1]
    assert not isinstance(last, WeightError)
    assert last.spectrum == spectrum_of(tensors["3.weight"])


def test_few_values_meet_at_the_bound_by_themselves() -> None:
    """fp8 and quantised weights are not called clipped, however they are widened."""
    matrix = random_matrix(40, 50).clamp(-1, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says once in a process that quantising is deprecated
        quantised = torch.quantize_per_tensor(matrix, scale=0.1, zero_point=0, dtype=torch.qint8)
    for narrow in (matrix.to(torch.float8_e4m3fn), quantised):
        assert measured(narrow).at_bound == 0.0
    layers, _ = collect_layers(live_arrays({"a.weight": matrix.to(torch.float8_e4m3fn), "b.weight": matrix}))
    first, second = spectra_of(layers)
    assert not isinstance(first, WeightError)
    assert not isinstance(second, WeightError)
    assert first.at_bound == 0.0 < second.at_bound


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_changed_matrix_is_of_the_kind_it_was(dtype: torch.dtype) -> None:
    """A tensor gives a tensor of its type, a NumPy array an array of its own, with the same values."""
    matrix = random_matrix(6, 9).to(dtype)
    changed = with_singular_values(matrix, lambda sigma: sigma * 2)
    tensor, before, after = changed.matrix, changed.before, changed.after
    assert (tensor.dtype, tensor.device) == (matrix.dtype, matrix.device)
    np.testing.assert_allclose(after, 2 * before)
    same = with_singular_values(matrix, lambda sigma: sigma).matrix
    assert torch.equal(same, matrix)
    assert same.data_ptr() != matrix.data_ptr()
    if dtype is not torch.bfloat16:
        array = with_singular_values(matrix.numpy(), lambda sigma: sigma * 2).matrix
        assert array.dtype == matrix.numpy().dtype
        np.testing.assert_array_equal(array, tensor.numpy())
