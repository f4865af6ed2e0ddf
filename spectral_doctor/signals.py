"""SIGINT and SIGTERM as the wish to end, for whatever goes on for long: `watch`, `train`."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Received:
    """The first signal that came, 0 while there is none, and the event that ends a pause when one comes."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.signal = 0

    def take(self, number: int, _: FrameType | None) -> None:
        """Note a signal; what is under way goes on until it asks."""
        self.signal = self.signal or number
        self.event.set()


@contextmanager
def received_signals() -> Iterator[Received]:
    """Take SIGINT and SIGTERM instead of dying of them, as long as the block lasts; then they are as before."""
    received = Received()
    before = {number: signal.signal(number, received.take) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
