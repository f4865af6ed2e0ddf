"""How much of the files and of the weights in them was examined."""

from __future__ import annotations

from spectral_doctor.gate.records import Coverage
from spectral_doctor.inspection import Inspection

# Skipped on purpose, or no weight at all: not missing from an examination.
_NO_LOSS = (
    "excluded by --exclude",
    "the same weight as ",
    "a normalisation's scale",
    "a buffer, not a weight",
)
_NO_WEIGHT = "values are not a weight"


def coverage_of(inspection: Inspection) -> Coverage:
    """Count what was examined and what was missed: unreadable files, and weights that have no spectrum."""
    files = {path for diagnosis in inspection.diagnoses for path in diagnosis.trajectory.checkpoints}
    trajectories = [diagnosis.trajectory for diagnosis in inspection.diagnoses]
    return Coverage(
        files=len(files),
        files_missed=len(inspection.failures),
        weights=sum(len(trajectory.layers) for trajectory in trajectories),
        weights_missed=sum(is_missed(item.reason) for trajectory in trajectories for item in trajectory.skipped),
    )


def is_missed(reason: str) -> bool:
    """Tell a weight that could not be examined from what need not be."""
    return not reason.startswith(_NO_LOSS) and not reason.endswith(_NO_WEIGHT)
