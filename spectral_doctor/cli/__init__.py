"""The command line: one file a verb, and the only rooms that print or exit."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from spectral_doctor.cli.cache import cache
from spectral_doctor.cli.check import check
from spectral_doctor.cli.fix import fix
from spectral_doctor.cli.inspect import inspect
from spectral_doctor.cli.merge import merge
from spectral_doctor.cli.rule import rule
from spectral_doctor.cli.train import recipes, train
from spectral_doctor.cli.watch import watch
from spectral_doctor.version import __version__

app = typer.Typer(
    name="spectral-doctor",
    help="Finds spectral collapse in the discriminators of GANs from their training checkpoints.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(inspect)
app.command()(check)
app.command()(rule)
app.command()(watch)
app.command()(cache)
app.command()(merge)
app.command()(fix)
app.command()(train)
app.command()(recipes)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"spectral-doctor {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; never ends in a traceback."""
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
