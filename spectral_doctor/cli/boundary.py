"""The boundary where errors become sentences on stderr and exit codes."""

from __future__ import annotations

import errno
import os
import shlex
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from importlib.util import find_spec
from pathlib import Path

import typer

from spectral_doctor.errors import CheckpointError, DoctorError, MissingExtra, NothingToExamine, UsageError, printable


class ExitCode(IntEnum):
    """The exit codes of every verb."""

    HEALTHY = 0
    FINDINGS = 1
    USAGE = 2
    NOTHING_EXAMINED = 3
    UNREADABLE = 4
    INTERRUPTED = 130
    TERMINATED = 143


# What a machine that fails says, and the way out. Whatever was written before is whole.
_MACHINE = {
    errno.ENOSPC: "Make room and run again; what was written before is whole.",
    errno.EDQUOT: "Make room and run again; what was written before is whole.",
    errno.EROFS: "Name a place that can be written to; what was written before is whole.",
    errno.EACCES: "Name a place that can be written to; what was written before is whole.",
    errno.EIO: "The disk fails; what was written before is whole.",
    errno.EMFILE: "Close other files, or raise the limit of open ones (ulimit -n), and run again.",
}


@contextmanager
def speaking_plainly(torch_for: str = "") -> Iterator[None]:
    """Turn every error of the block into one message on stderr and its exit code.

    `torch_for` names what the block is that needs PyTorch; it is not begun where PyTorch is not installed.
    """
    try:
        if torch_for:
            require_torch(torch_for)
        yield
    except DoctorError as error:
        notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
        typer.echo(f"error: {error}{notes}", err=True)
        raise typer.Exit(exit_code(error)) from None
    except KeyboardInterrupt:
        typer.echo("interrupted; nothing was written", err=True)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except MemoryError:
        typer.echo("error: not enough memory; examine fewer or smaller files at once", err=True)
        raise typer.Exit(ExitCode.UNREADABLE) from None
    except (typer.Exit, typer.Abort, BrokenPipeError):
        raise
    except OSError as error:
        if error.errno not in _MACHINE:
            _say_fault(error)
        else:
            typer.echo(f"error: {_where(error)}{error.strerror}. {_MACHINE[error.errno]}", err=True)
        raise typer.Exit(ExitCode.UNREADABLE) from None
    except Exception as error:
        _say_fault(error)
        raise typer.Exit(ExitCode.UNREADABLE) from None


def _say_fault(error: Exception) -> None:
    if os.environ.get("SPECTRAL_DOCTOR_DEBUG"):
        traceback.print_exc()
    typer.echo(
        f"internal error: {type(error).__name__}: {printable(error)}. This is a fault of spectral-doctor; "
        "run again with SPECTRAL_DOCTOR_DEBUG=1 and report what it prints.",
        err=True,
    )


def _where(error: OSError) -> str:
    return f"{printable(error.filename)}: " if error.filename else ""


def next_look(place: Path) -> str:
    """The command that looks at what was written, to be copied as it stands."""
    return f"spectral-doctor inspect {shlex.quote(printable(place))}"


def require_torch(what: str) -> None:
    """Say in one sentence that something needs PyTorch, where that is not installed; raises `MissingExtra`."""
    try:
        found = find_spec("torch") is not None
    except ImportError:
        found = False
    if not found:
        raise MissingExtra(what, "PyTorch", "torch")


def exit_code(error: DoctorError) -> ExitCode:
    """The exit code that an error stands for."""
    match error:
        case UsageError():
            return ExitCode.USAGE
        case NothingToExamine():
            return ExitCode.NOTHING_EXAMINED
        case CheckpointError():
            return ExitCode.UNREADABLE
        case _:
            return ExitCode.UNREADABLE
