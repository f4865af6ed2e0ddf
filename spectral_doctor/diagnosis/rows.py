"""A diagnosis as plain rows: one for all of it, one a layer and checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from spectral_doctor.errors import printable

if TYPE_CHECKING:
    from spectral_doctor.diagnosis.records import Diagnosis, LayerFinding
    from spectral_doctor.tables import Cell


def summary_line(diagnosis: Diagnosis) -> str:
    """`netD: COLLAPSED spectrum · modes NOT KNOWN, 8 checkpoints, step 0–700`."""
    trajectory = diagnosis.trajectory
    steps, unit = trajectory.steps, trajectory.step_unit
    when = f"{unit} {steps[0]}" if len(steps) == 1 else f"{len(steps)} checkpoints, {unit} {steps[0]}–{steps[-1]}"
    return f"{printable(trajectory.discriminator)}: {diagnosis.words}, {when}"


def summary_row(diagnosis: Diagnosis) -> dict[str, Cell]:
    """Both statements, since when, where to go back to, and the best plateau."""
    trajectory = diagnosis.trajectory
    return {
        "discriminator": trajectory.discriminator,
        "spectrum": diagnosis.spectrum.value,
        "modes": diagnosis.modes.statement.value,
        "probability": diagnosis.probability,
        "since": diagnosis.onset,
        f"last {trajectory.step_unit}": trajectory.steps[-1],
        "best plateau": diagnosis.states[-1].best_plateau,
        "resume from": None if diagnosis.resume_from is None else str(diagnosis.resume_from),
    }


def layer_rows(diagnosis: Diagnosis) -> Iterator[dict[str, Cell]]:
    """Every layer at every checkpoint, in network order within a checkpoint."""
    for index, state in enumerate(diagnosis.states):
        for finding in diagnosis.layers:
            yield {
                "discriminator": diagnosis.trajectory.discriminator,
                "step": state.step,
                "step_unit": diagnosis.trajectory.step_unit,
                "checkpoint": str(state.checkpoint),
                "spectrum": state.spectrum.value,
                "modes": state.modes.value,
                **_layer(finding, index),
            }


def _layer(finding: LayerFinding, index: int) -> dict[str, Cell]:
    layer, identity, reference = finding.trajectory, finding.trajectory.identity, finding.reference
    spectrum = layer.spectra[index]
    return {
        "layer": finding.layer,
        "kind": identity.kind,
        "form": identity.form,
        "rows": identity.matrix_shape[0],
        "columns": identity.matrix_shape[1],
        "sigma_1": None if spectrum is None else spectrum.sigma_max,
        "k": finding.plateau_index,
        "plateau": finding.plateau[index],
        "stable_rank": None if spectrum is None else spectrum.stable_rank,
        "effective_rank": None if spectrum is None else spectrum.effective_rank,
        "deficit": layer.deficit(index),
        "layer_is": finding.reason if finding.state is None else finding.state.value,
        "healthy_low": None if reference is None else reference.low,
        "healthy_high": None if reference is None else reference.high,
    }
