"""Worker processes of this machine: results in the order of the items, and a process that dies costs one item."""

from __future__ import annotations

import gc
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TypeVar

from spectral_doctor.threads import keep_to_one_core

Item = TypeVar("Item")
Result = TypeVar("Result")

# So many items a worker are on their way at a time: enough that none waits, few enough to hold.
AHEAD = 4


def in_processes(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int, lost: Callable[[Item], Result]
) -> Iterator[Result]:
    """`function` of every item, in their order, by `workers` processes that are started afresh (spawn).

    A worker that is killed takes the whole pool with it, and nobody says which item it had. Those on their way are
    then examined again, one after the other; `lost` is the result of one whose process dies then too.
    """
    start = 0
    while start < len(items):
        pending: deque[Future[Result]] = deque()
        with _pool(min(workers, len(items) - start)) as pool:
            try:
                for item in items[start:]:
                    if len(pending) == AHEAD * workers:
                        yield pending[0].result()
                        pending.popleft()
                        start += 1
                    pending.append(pool.submit(function, item))
                while pending:
                    yield pending[0].result()
                    pending.popleft()
                    start += 1
            except BrokenProcessPool:
                pass
        suspects = items[start : start + len(pending)]
        yield from _one_by_one(function, suspects, lost)
        start += len(suspects)


def _one_by_one(
    function: Callable[[Item], Result], items: Sequence[Item], lost: Callable[[Item], Result]
) -> Iterator[Result]:
    """By one process at a time, so that the item is known that a process dies of."""
    start = 0
    while start < len(items):
        with _pool(1) as pool:
            for item in items[start:]:
                start += 1
                try:
                    yield pool.submit(function, item).result()
                except BrokenProcessPool:
                    yield lost(item)
                    break


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _begin)
    try:
        yield pool
    finally:
        # What is not begun is not waited for, as after Ctrl-C.
        pool.shutdown(wait=True, cancel_futures=True)


def _begin() -> None:
    """In a new worker: one core, and Ctrl-C is the parent's to answer."""
    keep_to_one_core()
    # As in the parent: imports follow, whose objects stay.
    gc.set_threshold(100_000, 50, 100)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
