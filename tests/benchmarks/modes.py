"""The second corpus as the diagnosis sees it: every run's series, its checkpoints' truth, its generator's witness."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spectral_doctor.diagnosis.evidence import evidence_at, panel_of
from spectral_doctor.diagnosis.model import MUTE, OF_TIER, values_of
from spectral_doctor.diagnosis.records import Thresholds, Tier
from spectral_doctor.diagnosis.states import standings
from spectral_doctor.diagnosis.witness import Witness, in_series, witness_of
from spectral_doctor.evaluation import Course, Evaluation, Outcome, course, outcomes
from spectral_doctor.records import Certainty, CheckpointRef, LayerIdentity, SeriesId, Spectrum
from spectral_doctor.trajectory.records import LayerTrajectory, SpectralTrajectory
from tests.benchmarks.corpus_file import read_corpus

LOST = (Outcome.MODES_LOST, Outcome.CONSTANT)


@dataclass(frozen=True)
class ModesRun:
    """A run of the corpus: its discriminator's series, its truth, and what its generator testified, by step."""

    number: int
    recipe: str
    normalised: bool
    trajectory: SpectralTrajectory
    outcomes: tuple[Outcome, ...]
    course: Course
    witnesses: Mapping[int, Witness]


@dataclass(frozen=True)
class Row:
    """One checkpoint that counts: the evidence of every tier, the widest judged rank, and whether modes are lost.

    `lost` is None where the samples are neither healthy nor lost.
    """

    run: int
    index: int
    lost: bool | None
    outcome: Outcome
    last: bool
    rank: int
    values: Mapping[Tier, Mapping[str, float]]

    def complete(self, tier: Tier) -> bool:
        """Whether every number of a tier was measured; samples that are not finite have none."""
        return not any(math.isnan(self.values[tier][name]) for name in OF_TIER[tier])


def read_modes_runs(path: Path) -> list[ModesRun]:
    """Every run of a packed corpus."""
    return [_run(raw) for raw in read_corpus(path)]


def rows_of(run: ModesRun) -> Iterator[Row]:
    """The checkpoints whose discriminator is no mute one, from the first trained one on."""
    thresholds = Thresholds()
    panel = panel_of(run.trajectory, thresholds)
    widest = max((layer.identity.rank for layer in panel.layers), default=0)
    for index, standing in enumerate(standings(run.trajectory, panel, thresholds)):
        step = run.trajectory.steps[index]
        evidence = evidence_at(run.trajectory, panel, index, standing.least, thresholds)
        if evidence is None or standing.state in MUTE:
            continue
        outcome, witness = run.outcomes[index], run.witnesses[step]
        lost = True if outcome in LOST else False if outcome is Outcome.HEALTHY else None
        values = {tier: _numbers(values_of(evidence, witness, tier)) for tier in OF_TIER}
        last = index == len(run.outcomes) - 1
        yield Row(run.number, index, lost, outcome, last, widest, values)


def _numbers(values: Mapping[str, float | None]) -> dict[str, float]:
    """What was not measured as NaN."""
    return {name: math.nan if value is None else value for name, value in values.items()}


def _run(raw: Mapping[str, Any]) -> ModesRun:
    evaluations = [Evaluation.read(item["evaluation"]) for item in raw["checkpoints"]]
    steps = tuple(int(item["step"]) for item in raw["checkpoints"])
    found = outcomes(evaluations, steps)
    told = {
        step: _witness(evaluation, item["spectra"]["generator"])
        for step, evaluation, item in zip(steps, evaluations, raw["checkpoints"], strict=True)
    }
    witnesses = in_series(told)
    return ModesRun(
        raw["run"],
        raw["recipe"],
        bool(raw["settings"]["spectral_norm"]),
        _series(raw, steps),
        found,
        course(found),
        witnesses,
    )


def _witness(evaluation: Evaluation, spectra: Mapping[str, Any]) -> Witness:
    ratios = [layer[1][1] / 1000 for layer in spectra.values() if layer is not None and len(layer[1]) > 1]
    ratio = statistics.fmean(ratios) if ratios else None
    return witness_of(ratio, evaluation.spread, evaluation.samples)


def _series(raw: Mapping[str, Any], steps: tuple[int, ...]) -> SpectralTrajectory:
    layers = []
    for name, (kind, form, rows, columns) in raw["layers"]["discriminator"].items():
        stored = [item["spectra"]["discriminator"].get(name) for item in raw["checkpoints"]]
        identity = LayerIdentity(name, kind, form, (rows, columns), (rows, columns))
        spectra = tuple(map(_spectrum, stored))
        layers.append(LayerTrajectory(identity, spectra, tuple(int(item is None) for item in spectra)))
    refs = tuple(CheckpointRef(Path(f"run-{raw['run']}/{step}")) for step in steps)
    return SpectralTrajectory(
        SeriesId(f"run-{raw['run']}"),
        Certainty.CONFIRMED,
        "the corpus",
        steps,
        "step",
        "the corpus",
        refs,
        tuple(layers),
    )


def _spectrum(stored: Any) -> Spectrum | None:
    if stored is None:
        return None
    sigma, thousandths = stored
    return Spectrum(tuple(sigma * value / 1000 for value in thousandths))
