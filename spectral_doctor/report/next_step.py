"""The command to type after a report, whole, to be copied as it stands."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from spectral_doctor.diagnosis.records import Diagnosis, ModesStatement, SpectrumState
from spectral_doctor.errors import printable

_SPECTRUM_RULES = {
    SpectrumState.COLLAPSED: "SD101",
    SpectrumState.DECLINING: "SD102",
    SpectrumState.NOT_JUDGED: "SD103",
    SpectrumState.STILL: "SD104",
    SpectrumState.UNTRAINED: "SD107",
    SpectrumState.NON_FINITE: "SD201",
    SpectrumState.ZERO: "SD204",
    SpectrumState.EXPLODED: "SD205",
}
_MODES_RULES = {ModesStatement.LOST: "SD105", ModesStatement.IN_DOUBT: "SD106"}
# A longer one is not copied by anybody.
_LONGEST = 500


def next_command(diagnoses: Sequence[Diagnosis], asked: Sequence[str]) -> str:
    """What tells most now: the rules of what was found, else a closer look at what was asked; empty where none fits.

    `asked` is the verb and the paths that it was given.
    """
    codes = {_SPECTRUM_RULES.get(item.spectrum, "") for item in diagnoses}
    codes |= {_MODES_RULES.get(item.modes.statement, "") for item in diagnoses}
    found = sorted(codes - {""})
    if found:
        return f"spectral-doctor rule {' '.join(found)}"
    if not asked or "-" in asked:
        return ""
    unknown = any(item.modes.statement is ModesStatement.NOT_KNOWN for item in diagnoses)
    wish = "--witness" if unknown and asked[0] == "inspect" else "--html report.html"
    command = f"spectral-doctor {shlex.join(map(str, asked))} {wish}"
    return command if len(command) <= _LONGEST and command == printable(command) else ""
