"""The tables by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spectral_doctor.errors import UsageError, listed, printable
from spectral_doctor.reproduction.images import SR_GAN, STACKED, stacked_from
from spectral_doctor.reproduction.mixtures import GRID, RING, SYNTHETIC_1200D
from spectral_doctor.reproduction.records import Arm, Table

TABLES = {table.name: table for table in (RING, GRID, SYNTHETIC_1200D, STACKED, SR_GAN)}


def chosen_table(name: str, data: Path | None = None) -> Table:
    """The table of a name, on digits of one's own where `data` is given; raises `UsageError` for what there is not."""
    if name not in TABLES:
        raise UsageError(f"no table is called '{printable(name)}'; there are {listed(TABLES, 10)}.")
    table = TABLES[name]
    if data is None:
        return table
    if table is not STACKED:
        raise UsageError(f"--data: goes with the table '{STACKED.name}'.")
    if not data.exists():
        raise UsageError(f"--data {printable(data)}: no such file or folder.")
    return stacked_from(data)


def chosen_arms(table: Table, names: Sequence[str]) -> tuple[Arm, ...]:
    """Those arms of a table, or all for no names; with an arm that resumes another's runs goes that other.

    Raises `UsageError` for a name there is not.
    """
    there = {arm.name: arm for arm in table.arms}
    for name in names:
        if name not in there:
            raise UsageError(f"--arm {printable(name)}: no such arm; there are {listed(there, 40)}.")
    wanted = {*names, *(there[name].resumes for name in names)} if names else there.keys()
    return tuple(arm for arm in table.arms if arm.name in wanted)
