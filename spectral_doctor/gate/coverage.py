"""How much of the files and of the weights in them was examined."""

from __future__ import annotations

from spectral_doctor.gate.records import Coverage
from spectral_doctor.inspection import Inspection


def coverage_of(inspection: Inspection) -> Coverage:
    """Count what was examined and what was missed.

    Missed are files that could not be read, files of a format that is not read here, and weights that have no
    spectrum; a file without a discriminator, and what was left out on purpose, are none of these.
    """
    files = {path for diagnosis in inspection.diagnoses for path in diagnosis.trajectory.checkpoints}
    trajectories = [diagnosis.trajectory for diagnosis in inspection.diagnoses]
    return Coverage(
        files=len(files),
        files_missed=len(inspection.failures) + sum(bool(item.format_name) for item in inspection.left_out),
        weights=sum(len(trajectory.layers) for trajectory in trajectories),
        weights_missed=sum(item.reason.is_missed for trajectory in trajectories for item in trajectory.skipped),
    )
