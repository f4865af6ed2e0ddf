"""A reference that the tests of the definition hold layers against, whatever the shipped one says."""

from __future__ import annotations

from collections.abc import Sequence

from spectral_doctor.diagnosis.records import Diagnosis, Thresholds
from spectral_doctor.diagnosis.reference import Place, Range, Reference
from spectral_doctor.diagnosis.rules import diagnose
from spectral_doctor.records import LayerIdentity
from spectral_doctor.trajectory.records import LayerTrajectory
from tests.builders import layer_over_steps, series


class FixedReference(Reference):
    """Healthy from 0.6 on, whatever the layer."""

    def range_of(self, identity: LayerIdentity, place: Place, k: int) -> Range:
        """The one range."""
        return Range(0.6, 1.0, 100, 20, wide=False)


FIXED = FixedReference()


def judged(*layers: LayerTrajectory, thresholds: Thresholds | None = None) -> Diagnosis:
    """The diagnosis of a series of these layers against the fixed reference."""
    return diagnose(series(*layers), thresholds, reference=FIXED)


def states_of(*plateaus: Sequence[float | None], form: str = "spectral norm", rank: int = 64) -> list[str]:
    """The state of the spectrum at every checkpoint of layers with these plateaus."""
    layers = [layer_over_steps(f"conv{index}", row, form=form, rank=rank) for index, row in enumerate(plateaus)]
    return [state.spectrum.value for state in judged(*layers).states]
