"""Inspections that the tests of the gate and of its reports share, independent of what thresholds are in force."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spectral_doctor.diagnosis.records import (
    Advice,
    Diagnosis,
    Finding,
    FindingKind,
    LayerState,
    ModesEstimate,
    ModesStatement,
    SpectrumState,
    Tier,
)
from spectral_doctor.diagnosis.reference import Range
from spectral_doctor.inspection import Inspection
from spectral_doctor.records import CheckpointRef, Failure, SeriesId, SkippedLayer, SkipReason
from tests.builders import layer_over_steps, series
from tests.diagnosis.judging import judged

SPECTRUM = (
    "The spectrum is COLLAPSED since step 300: 1 of 2 judged layers below the reference range; the best plateau, in "
    "body.c1, is 0.40, down from 0.98 at 100."
)
WHY = "the last sound spectrum before step 300"
UNDECIDED = ModesEstimate(ModesStatement.NOT_KNOWN, None, Tier.DISCRIMINATOR, (), "it is not asked here")
TORN = Failure("run/netD_500.pth", "cannot be read: a zip file without its end.")
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
    found = judged(*trajectory.layers[:2], head)
    trajectory = replace(trajectory, layers=(*trajectory.layers[:2], head))
    words = {299: SpectrumState.SOUND, 400: SpectrumState.COLLAPSED}
    states = (
        replace(
            state,
            spectrum=next(word for last, word in words.items() if state.step <= last),
            best_plateau=plateau,
            best_layer="body.c1",
        )
        for state, plateau in zip(found.states, LAYERS["body.c1"][0], strict=True)
    )
    return replace(
        found,
        trajectory=trajectory,
        spectrum=SpectrumState.COLLAPSED,
        modes=UNDECIDED,
        summary=f"{SPECTRUM} Whether modes are lost is not known: it is not asked here.",
        onset=300,
        onset_after=200,
        last_healthy=200,
        advice=Advice(CheckpointRef(Path("run/netD_200.pth")), 200, WHY),
        states=tuple(states),
        layers=tuple(
            replace(
                finding,
                trajectory=layer,
                state=state,
                reason="" if state else "unchanged",
                plateau=tuple(plateaus),
                deficit=0.25,
                reference=Range(0.6, 1.0, 100, 20, wide=False),
            )
            for finding, layer, (plateaus, state) in zip(found.layers, trajectory.layers, LAYERS.values(), strict=True)
        ),
        findings=(
            Finding(FindingKind.NON_FINITE, ("body.c2",), 400, True, "1 value is NaN"),
            Finding(FindingKind.UNCHANGED, ("head",), 200, True, "'head' has not changed since step 200"),
        ),
        events=(),
    )


def said(
    spectrum: SpectrumState = SpectrumState.SOUND,
    modes: ModesStatement = ModesStatement.NOT_KNOWN,
    name: str = "netD",
) -> Diagnosis:
    """A series of one layer with those two statements and nothing else wrong; no checkpoint to go back to."""
    found = judged(layer_over_steps("body.c1", [0.97, 0.98]))
    estimate = UNDECIDED
    if modes is not ModesStatement.NOT_KNOWN:
        estimate = ModesEstimate(modes, 0.5, Tier.SAMPLES, (), "")
    return replace(
        found,
        trajectory=replace(found.trajectory, series=SeriesId(name)),
        spectrum=spectrum,
        modes=estimate,
        states=(*found.states[:-1], replace(found.states[-1], spectrum=spectrum, modes=modes)),
        summary="As it is.",
        findings=(),
        onset=None,
        advice=Advice(None, None, "nothing to go back to"),
    )


def inspection_of(*diagnoses: Diagnosis, failures: tuple[Failure, ...] = ()) -> Inspection:
    """The inspection that gave those diagnoses."""
    return Inspection(diagnoses, (), failures)
