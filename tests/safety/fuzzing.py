"""One changed file read by the tool's own command: how it ended, and whether that is one of the ways it may end."""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from typer import testing
from typer.main import get_command
from typer.testing import CliRunner

from spectral_doctor.cli import app
from tests.safety.readers import Reader

RUNNER = CliRunner()
# Made once: making the command takes as long as reading a small file.
_COMMAND = get_command(app)
CODES = frozenset({0, 1, 2, 3, 4})
LONGEST = 5.0


@dataclass(frozen=True)
class End:
    """How a read ended: its exit code, its seconds of the processor, and what is wrong with it, else nothing."""

    code: int
    seconds: float
    fault: str = ""


class TooLong(BaseException):
    """A read took longer than it may."""


def read_changed(reader: Reader, seed: str) -> End:
    """Change a good file by a seed, read it, and look at how that ends."""
    with _folder() as folder:
        reader.written(folder, random.Random(seed))
        return read(reader, folder)


def read(reader: Reader, folder: Path) -> End:
    """Read what lies in a folder with the reader's command."""
    before, making = Path.cwd(), vars(testing)["_get_command"]
    vars(testing)["_get_command"] = lambda _: _COMMAND
    os.chdir(folder)
    start = time.process_time()
    try:
        with _alarm(LONGEST):
            result = RUNNER.invoke(app, list(reader.command), env=dict(reader.environment or {}))
    except TooLong:
        return End(-1, time.process_time() - start, f"longer than {LONGEST:.0f} s")
    finally:
        vars(testing)["_get_command"] = making
        os.chdir(before)
    seconds = time.process_time() - start
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return End(-1, seconds, "".join(traceback.format_exception(result.exception)))
    if "internal error" in result.output or "Traceback (most" in result.output:
        return End(result.exit_code, seconds, result.output)
    if "not enough memory" in result.output:
        return End(result.exit_code, seconds, "more memory than there is")
    if result.exit_code not in CODES:
        return End(result.exit_code, seconds, f"exit code {result.exit_code}")
    if any(mark in result.output for mark in ("\x1b", "\x07", "‮")):
        return End(result.exit_code, seconds, "a control character in the output")
    return End(result.exit_code, seconds)


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder of its own, in memory where the system has such a place."""
    memory = Path("/dev/shm")
    name = tempfile.mkdtemp(prefix="fuzz-", dir=memory if memory.is_dir() else None)
    try:
        yield Path(name)
    finally:
        shutil.rmtree(name, ignore_errors=True)


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Ring after so much time of the processor, which a busy machine does not change, or after a minute of any time."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise TooLong

    clocks = {signal.SIGPROF: (signal.ITIMER_PROF, seconds), signal.SIGALRM: (signal.ITIMER_REAL, 60.0)}
    before = {number: signal.signal(number, ring) for number in clocks}
    for timer, length in clocks.values():
        signal.setitimer(timer, length)
    try:
        yield
    finally:
        for timer, _ in clocks.values():
            signal.setitimer(timer, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
