"""`spectral-doctor cache`: what is kept of earlier examinations, and its end."""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from spectral_doctor.cli.boundary import speaking_plainly
from spectral_doctor.errors import UsageError, printable

if TYPE_CHECKING:
    from spectral_doctor.trajectory.cache import SpectraCache


class CacheAction(Enum):
    """What can be done with the cache."""

    INFO = "info"
    CLEAR = "clear"


def cache(
    action: Annotated[CacheAction, typer.Argument(metavar="info|clear", help="Say what it holds, or take it away.")],
) -> None:
    """Say where spectra of earlier examinations are kept, or take them away."""
    with speaking_plainly():
        found = cache_of(os.environ)
        if found is None:
            typer.echo("no cache: it is turned off (SPECTRAL_DOCTOR_CACHE=off, or there is no home folder)")
        elif action is CacheAction.INFO:
            told = found.info()
            typer.echo(
                f"{printable(told.path)}: {told.size / 2**20:.1f} MB, spectra of {told.spectra} matrices, "
                f"{told.seen} checkpoints known by their files"
            )
        elif found.clear():
            typer.echo(f"cleared: {printable(found.path)}")
        else:
            raise UsageError(f"{printable(found.path)}: cannot be taken away; remove it by hand.")


def cache_of(environment: Mapping[str, str]) -> SpectraCache | None:
    """The cache that the environment names; None where it turns it off."""
    from spectral_doctor.trajectory.cache import SpectraCache, cache_folder

    folder = cache_folder(environment)
    return None if folder is None else SpectraCache(folder)
