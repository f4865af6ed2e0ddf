"""Inspections that the tests of the gate and of its reports share, independent of what thresholds are in force."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spectral_doctor.diagnosis.records import (
    Advice,
    Argument,
    Diagnosis,
    Finding,
    FindingKind,
    LayerFinding,
    LayerState,
    ModesEstimate,
    ModesStatement,
    SpectrumState,
    Thresholds,
    Tier,
)
from spectral_doctor.diagnosis.reference import Range
from spectral_doctor.diagnosis.rules import diagnose
from spectral_doctor.inspection import Inspection
from spectral_doctor.records import CheckpointRef, Failure, SeriesId, SkippedLayer, SkipReason
from tests.builders import layer_over_steps, series

SPECTRUM = (
    "The spectrum is COLLAPSED since step 300: 1 of 2 judged layers below the reference range; the best plateau, in "
    "head, is 0.90, down from 0.98 at 100."
)
MODES = "Whether modes are lost is not known: spectra alone do not decide it (probability 0.50)."
RANGE = Range(0.6, 1.0, 100, 20, wide=False)
NOT_KNOWN = ModesEstimate(ModesStatement.NOT_KNOWN, 0.5, Tier.DISCRIMINATOR, (), "spectra alone do not decide it")
LOST = ModesEstimate(ModesStatement.LOST, 0.93, Tier.SAMPLES, (Argument("ratio", 0.5, 1.0, "the ratio is 0.50"),), "")
IN_DOUBT = ModesEstimate(ModesStatement.IN_DOUBT, 0.5, Tier.SAMPLES, (), "")
TORN = Failure("run/netD_500.pth", "cannot be read: a zip file without its end.")
STATES = (*(SpectrumState.SOUND,) * 3, *(SpectrumState.COLLAPSED,) * 2)
LAYERS: dict[str, tuple[list[float | None], LayerState | None]] = {
    "body.c1": ([0.97, 0.98, 0.96, 0.70, 0.40], LayerState.FALLEN),
    "body.c2": ([0.95, 0.97, 0.95, 0.90, None], LayerState.NON_FINITE),
    "head": ([0.90, 0.90, 0.90, 0.90, 0.90], None),
}


def collapsed(name: str = "netD") -> Diagnosis:
    """A collapse from step 300 on, a layer with NaN at the last step, one that does not train, one tensor skipped."""
    trajectory = replace(
        series(*(layer_over_steps(layer, plateaus) for layer, (plateaus, _) in LAYERS.items())),
        series=SeriesId(name),
        skipped=(
            SkippedLayer("odd.weight", SkipReason.NO_SPECTRUM, "a meta tensor"),
            SkippedLayer("body.c2", SkipReason.EXCLUDED),
        ),
    )
    head = replace(
        trajectory.layers[2], spectra=trajectory.layers[2].spectra[:3] + trajectory.layers[2].spectra[2:3] * 2
    )
    trajectory = replace(trajectory, layers=(*trajectory.layers[:2], head))
    found = diagnose(trajectory)
    return replace(
        found,
        thresholds=Thresholds(),
        spectrum=SpectrumState.COLLAPSED,
        modes=NOT_KNOWN,
        summary=f"{SPECTRUM} {MODES}",
        onset=300,
        last_healthy=200,
        onset_after=200,
        advice=Advice(CheckpointRef(Path("run/netD_200.pth")), 200, "the last sound spectrum before step 300"),
        states=tuple(replace(state, spectrum=spectrum) for state, spectrum in zip(found.states, STATES, strict=True)),
        events=(),
        layers=tuple(
            LayerFinding(layer, state, "" if state else "unchanged", 5, tuple(plateaus), 0.25, RANGE)
            for layer, (plateaus, state) in zip(trajectory.layers, LAYERS.values(), strict=True)
        ),
        findings=(
            Finding(FindingKind.NON_FINITE, ("body.c2",), 400, True, "1 value is NaN"),
            Finding(FindingKind.UNCHANGED, ("head",), 200, True, "'head' has not changed since step 200"),
        ),
    )


def with_state(state: SpectrumState, name: str = "netD", modes: ModesEstimate = NOT_KNOWN) -> Diagnosis:
    """A series of one layer with that state of the spectrum, that statement about modes, and nothing else wrong."""
    diagnosis = diagnose(replace(series(layer_over_steps("body.c1", [0.97, 0.98])), series=SeriesId(name)))
    advice = Advice(None, None, "none")
    states = tuple(replace(item, spectrum=state) for item in diagnosis.states)
    return replace(
        diagnosis, spectrum=state, modes=modes, findings=(), events=(), onset=None, advice=advice, states=states
    )


def inspection_of(*diagnoses: Diagnosis, failures: tuple[Failure, ...] = ()) -> Inspection:
    """The inspection that gave those diagnoses."""
    return Inspection(diagnoses, (), failures)
