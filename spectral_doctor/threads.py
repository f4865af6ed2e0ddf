"""The threads that decompositions run on: one BLAS thread each, and as many side by side as the machine has cores.

Two pools that spin beside each other cost more than either gives, and a result must not depend on how many
threads there were; so every decomposition runs on one thread of BLAS, and nothing else sets that number.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Result = TypeVar("Result")

# Below this much work in all (multiplications), starting threads costs more than they give.
LEAST_WORK = 2e7
_POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def width() -> int:
    """How many cores this process may use."""
    if _limit.alone:
        return 1
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def keep_to_one_core() -> None:
    """Work on one core from now on, for other processes work beside this one; best called before NumPy is loaded."""
    os.environ.update(dict.fromkeys(_POOLS, "1"))
    _limit.alone = True


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let BLAS run on one thread inside; what it was before is set again when the last such block is left.

    The number belongs to the process and not to a thread, so blocks that overlap are counted.
    """
    _limit.enter()
    try:
        yield
    finally:
        _limit.leave()


def side_by_side(
    function: Callable[[Item], Result], items: Sequence[Item], work: Callable[[Item], float]
) -> list[Result]:
    """`function` of every item, in their order; the largest `work` is begun first, each on one BLAS thread."""
    with crew() as workers:
        if len(items) < 2:
            return [function(item) for item in items]
        return workers.begin(function, items, work)()


@contextmanager
def crew() -> Iterator[Crew]:
    """Workers, one for each core, for several batches in turn: the next is begun while the last of one still run.

    What has not been begun when the block is left, as by an error, is never begun.
    """
    with one_blas_thread():
        made = Crew()
        try:
            yield made
        finally:
            made.close()


class Crew:
    """Threads that take items in the order in which batches were begun, of each batch the largest first."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    def begin(
        self, function: Callable[[Item], Result], items: Sequence[Item], work: Callable[[Item], float]
    ) -> Callable[[], list[Result]]:
        """Begin a batch; what is returned waits for it and gives the results in the order of the items.

        It raises what `function` raised for the first item that did. Little work is done only then, in the caller's
        own thread.
        """
        sizes = [work(item) for item in items]
        if width() < 2 or sum(sizes) < LEAST_WORK:
            return lambda: [function(item) for item in items]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(width(), "spectra", _limit.enter_worker)
        pool, order = self._pool, sorted(range(len(items)), key=lambda position: -sizes[position])
        pending = {position: pool.submit(function, items[position]) for position in order}
        return lambda: [pending[position].result() for position in range(len(items))]

    def close(self) -> None:
        """Drop what has not been begun, and wait for what has."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


class _Limit:
    """How many blocks want one BLAS thread, and how many BLAS had before the first."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._before: list[int] = []
        self.alone = False

    def enter(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._before = [library.get_num_threads() for library in _libraries()]
                self._set([1] * len(_libraries()))
            self._inside += 1

    def enter_worker(self) -> None:
        """Repeat the limit in a new thread: an OpenBLAS on OpenMP counts for each thread by itself."""
        with self._lock:
            self._set([1] * len(_libraries()))

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._set(self._before)

    def _set(self, numbers: Sequence[int]) -> None:
        for library, number in zip(_libraries(), numbers, strict=True):
            # Newer versions let only the first thread that sets a number set it again; here the count decides.
            release = getattr(library, "clear_controlling_thread", lambda force: None)
            release(force=True)
            library.set_num_threads(number)
            release(force=True)


@lru_cache(maxsize=1)
def _libraries() -> tuple[Any, ...]:
    # Found once: looking for them takes a millisecond. NumPy's BLAS is loaded with NumPy, so it must be there first.
    importlib.import_module("numpy")
    return tuple(ThreadpoolController().select(user_api="blas").lib_controllers)


_limit = _Limit()
