"""A cluster behind a dask.distributed scheduler: results in the order of the items, whoever examined them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from spectral_doctor.errors import MissingExtra, UsageError, printable

Item = TypeVar("Item")
Result = TypeVar("Result")

PATIENCE = "10s"
AHEAD = 4


def on_cluster(
    function: Callable[[Item], Result], items: Sequence[Item], address: str, lost: Callable[[Item], Result]
) -> Iterator[Result]:
    """`function` of every item, in their order, by the workers of the scheduler at `address`.

    What a worker had when it was killed, dask gives to another; `lost` is the result of an item that took several
    workers with it (dask's `allowed-failures`). The workers import spectral_doctor and see the same paths.

    Raises `MissingExtra` without dask.distributed, and `UsageError` where no scheduler answers or a worker lacks
    spectral_doctor.
    """
    try:
        from distributed import KilledWorker
    except ImportError as error:
        raise MissingExtra("--scheduler", "dask.distributed", "'spectral-doctor[dask]'") from error
    with _client(address) as client:
        most = AHEAD * max(1, sum(client.nthreads().values()))
        pending: deque[tuple[Any, Item]] = deque()
        for item in items:
            pending.append((client.submit(function, item, pure=False), item))
            if len(pending) == most:
                yield _result(client, function, *pending.popleft(), lost, KilledWorker)
        while pending:
            yield _result(client, function, *pending.popleft(), lost, KilledWorker)


def _client(address: str) -> Any:
    import distributed

    connect: Any = distributed.Client
    try:
        return connect(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"--scheduler {printable(address)}: no dask scheduler answers there.") from error


def _result(
    client: Any,
    function: Callable[[Item], Result],
    future: Any,
    item: Item,
    lost: Callable[[Item], Result],
    killed: type[Exception],
) -> Result:
    try:
        try:
            result: Result = future.result()
        except killed:
            # What merely waited on a worker is blamed for its death too, so whatever was given up has a second try.
            result = client.submit(function, item, pure=False).result()
        return result
    except killed:
        return lost(item)
    except ImportError as error:
        raise UsageError(f"--scheduler: a worker of the cluster cannot import what it needs: {error}.") from error
