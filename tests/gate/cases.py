"""Inspections that the tests of the gate and of its reports share, independent of what thresholds are in force."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spectral_doctor.diagnosis.records import Diagnosis, Finding, FindingKind, LayerFinding, Thresholds, Verdict
from spectral_doctor.diagnosis.rules import diagnose
from spectral_doctor.inspection import Inspection
from spectral_doctor.records import CheckpointRef, Failure, SeriesId, SkippedLayer, SkipReason
from tests.builders import layer_over_steps, series

SUMMARY = "Even the best layers have lost their plateau since step 300."
TORN = Failure("run/netD_500.pth", "cannot be read: a zip file without its end.")
LAYERS: dict[str, tuple[list[float | None], Verdict | None]] = {
    "body.c1": ([0.97, 0.98, 0.96, 0.70, 0.40], Verdict.COLLAPSED),
    "body.c2": ([0.95, 0.97, 0.95, 0.90, None], Verdict.NOT_ENOUGH_EVIDENCE),
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
    return replace(
        diagnose(trajectory),
        thresholds=Thresholds(),
        verdict=Verdict.COLLAPSED,
        summary=SUMMARY,
        onset=300,
        last_healthy=200,
        resume_from=CheckpointRef(Path("run/netD_200.pth")),
        layers=tuple(
            LayerFinding(layer, verdict, "" if verdict else "unchanged", 5, tuple(plateaus), 0.25)
            for layer, (plateaus, verdict) in zip(trajectory.layers, LAYERS.values(), strict=True)
        ),
        findings=(
            Finding(FindingKind.NON_FINITE, ("body.c2",), 400, True, "1 value is NaN"),
            Finding(FindingKind.UNCHANGED, ("head",), 200, True, "'head' has not changed since step 200"),
        ),
    )


def with_verdict(verdict: Verdict, name: str = "netD") -> Diagnosis:
    """A series of one layer with that verdict and nothing else wrong."""
    diagnosis = diagnose(replace(series(layer_over_steps("body.c1", [0.97, 0.98])), series=SeriesId(name)))
    return replace(diagnosis, verdict=verdict, summary="As it is.", findings=(), onset=None, resume_from=None)


def inspection_of(*diagnoses: Diagnosis, failures: tuple[Failure, ...] = ()) -> Inspection:
    """The inspection that gave those diagnoses."""
    return Inspection(diagnoses, (), failures)
