"""What random matrices show, against random matrices."""

from __future__ import annotations

import numpy as np
import pytest

from spectral_doctor.diagnosis.random_matrix import expected_ratio


@pytest.mark.parametrize("kind", ["gaussian", "uniform"])
@pytest.mark.parametrize("shape", [(8, 27), (8, 72), (16, 27), (16, 144), (32, 288), (64, 576), (32, 32), (128, 128)])
def test_the_expected_ratio_is_the_mean_over_random_matrices(shape: tuple[int, int], kind: str) -> None:
    """σ5/σ1 within 0.03 of numpy's on 40 matrices drawn, whatever the entries' law."""
    random = np.random.default_rng(0)
    drawn = random.standard_normal((40, *shape)) if kind == "gaussian" else random.uniform(-1, 1, (40, *shape))
    values = np.linalg.svd(drawn, compute_uv=False)
    assert expected_ratio(*shape, 5) == pytest.approx(float((values[:, 4] / values[:, 0]).mean()), abs=0.03)


def test_it_starts_at_one_falls_with_k_and_knows_no_transposition() -> None:
    """σ1/σ1 is 1, later values are smaller, and a matrix has the spectrum of its transpose."""
    ratios = [expected_ratio(16, 144, k) for k in range(1, 17)]
    assert ratios[0] == 1.0
    assert ratios == sorted(ratios, reverse=True)
    assert len(set(ratios)) == 16
    assert expected_ratio(144, 16, 5) == ratios[4]


def test_k_beyond_the_rank_is_the_last_value() -> None:
    """As `Spectrum.ratio` has it."""
    assert expected_ratio(3, 27, 5) == expected_ratio(3, 27, 3)
