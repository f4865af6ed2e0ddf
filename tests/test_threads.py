"""One BLAS thread a decomposition, decompositions side by side, and results that do not depend on how many."""

from __future__ import annotations

import math
from threading import Barrier, Thread

import numpy as np
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_info

from spectral_doctor import threads
from spectral_doctor.threads import one_blas_thread, side_by_side


def blas_threads() -> int:
    """How many threads NumPy's BLAS may use now, by threadpoolctl's own account."""
    return max(int(item["num_threads"]) for item in threadpool_info() if item["user_api"] == "blas")


def test_blas_has_one_thread_inside_and_what_it_had_outside() -> None:
    """Nested blocks count; an exception leaves nothing behind."""
    before = blas_threads()
    with one_blas_thread():
        assert blas_threads() == 1
        with one_blas_thread():
            assert blas_threads() == 1
        assert blas_threads() == 1
    assert blas_threads() == before
    with pytest.raises(ValueError, match="torn"), one_blas_thread():
        raise ValueError("torn")
    assert blas_threads() == before


def test_blocks_that_overlap_in_time_restore_the_first_ones_number() -> None:
    """The number belongs to the process: a block that ends first must not take it from one that still runs."""
    before, both = blas_threads(), Barrier(2)
    seen: list[int] = []

    def first() -> None:
        with one_blas_thread():
            both.wait()
        both.wait()

    thread = Thread(target=first)
    thread.start()
    with one_blas_thread():
        both.wait()
        both.wait()
        seen.append(blas_threads())
    thread.join()
    assert (seen, blas_threads()) == ([1], before)


@pytest.mark.parametrize("width", [1, 2, 7])
def test_results_come_in_order_and_do_not_depend_on_the_width(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """The same bits from one thread and from seven, with the largest begun first."""
    random = np.random.default_rng(0)
    matrices = [random.standard_normal((size, 2 * size)) for size in (150, 3, 200, 40, 160, 1)]

    def gram(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.linalg.eigvalsh(matrix @ matrix.T), dtype=np.float64)

    with one_blas_thread():
        expected = [gram(matrix) for matrix in matrices]
    monkeypatch.setattr(threads, "width", lambda: width)
    monkeypatch.setattr(threads, "LEAST_WORK", 0.0)
    for one, other in zip(side_by_side(gram, matrices, lambda item: math.prod(item.shape)), expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_largest_is_begun_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no long one is left for the end."""
    begun: list[int] = []
    monkeypatch.setattr(threads, "width", lambda: 2)
    both = Barrier(2, timeout=30)

    def note(item: int) -> int:
        begun.append(item)
        if item >= 50:
            both.wait()
        return -item

    assert side_by_side(note, [1, 50, 2, 90], lambda item: 1e9 * item) == [-1, -50, -2, -90]
    assert set(begun[:2]) == {50, 90}


def test_little_work_starts_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small network is observed in training many times; starting threads would cost more than they give."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a pool was made")

    monkeypatch.setattr(threads, "ThreadPoolExecutor", refuse)
    monkeypatch.setattr(threads, "width", lambda: 4)
    assert side_by_side(abs, [-1, -2], lambda _: 1.0) == [1, 2]
    with pytest.raises(AssertionError, match="a pool was made"):
        side_by_side(abs, [-1, -2], lambda _: 1e9)
