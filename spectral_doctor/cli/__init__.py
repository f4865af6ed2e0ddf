"""The command line: one file a verb, and the only rooms that print or exit."""

from __future__ import annotations

import gc
import os
import sys
from typing import Annotated

import typer

from spectral_doctor.cli.verbs import Verbs
from spectral_doctor.version import __version__

app = typer.Typer(
    name="spectral-doctor",
    cls=Verbs,
    help="Finds spectral collapse in the discriminators of GANs from their training checkpoints.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from spectral_doctor.cli.environment import environment_lines

        typer.echo("\n".join((f"spectral-doctor {__version__}", *environment_lines())))
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print version and environment; exit."),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; never ends in a traceback."""
    # Imports make hundreds of thousands of objects that stay; looked through every 700, they take a fifth longer.
    gc.set_threshold(100_000, 50, 100)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        app()
    except SystemExit as end:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            # A rank of torchrun that is done must not be aborted by gloo's threads while the interpreter is torn down.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))
        raise
    except BrokenPipeError:
        # The reader went away (`| head`); point stdout at nothing so that its flush at exit stays silent.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    finally:
        # What is alive now ends with the process; the interpreter need not look for cycles in it.
        gc.freeze()
