"""Links in a terminal (OSC 8): the checkpoints that a report names, to their files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from spectral_doctor.errors import printable
from spectral_doctor.inspection import Inspection


def links_of(inspection: Inspection, root: Path, host: str) -> dict[str, str]:
    """What a report may name, and where it lies: every checkpoint on this disk (`root` is the working folder)."""
    targets: dict[str, str] = {}
    for diagnosis in inspection.diagnoses:
        for checkpoint in diagnosis.trajectory.checkpoints:
            if isinstance(checkpoint.location, Path) and checkpoint.is_present:
                place = (root / checkpoint.location).as_posix()
                targets[printable(checkpoint)] = f"file://{host}{quote(place, errors='surrogateescape')}"
    return targets


def linked(text: str, targets: Mapping[str, str]) -> str:
    """A text whose words that are targets are links; a terminal without them shows the same text."""
    if not targets:
        return text
    # The longest first, so that a path is no link to one that it begins with.
    words = "|".join(re.escape(word) for word in sorted(targets, key=len, reverse=True))
    return re.sub(
        rf"(?<![\w./-])(?:{words})(?![\w/-]|\.\w)",
        lambda found: f"\x1b]8;;{targets[found.group()]}\x1b\\{found.group()}\x1b]8;;\x1b\\",
        text,
    )
