"""What a follower sees: one state of one file, and one look at the folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spectral_doctor.inspection import Inspection
from spectral_doctor.trajectory.records import Examination

# Of every file that makes up a checkpoint: its name, size, time of change and identity on the disk.
Signature = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True)
class Observation:
    """One discriminator in one state of one file."""

    path: Path
    signature: Signature
    examination: Examination


@dataclass(frozen=True)
class Look:
    """One look at the folder: the files newly examined, how many are still being written, and all that is known."""

    examined: tuple[Path, ...]
    waiting: int
    inspection: Inspection
