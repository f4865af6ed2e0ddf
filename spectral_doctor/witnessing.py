"""Asking the generator beside every discriminator: its spectra and its samples, checkpoint by checkpoint."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from spectral_doctor.checkpoints.discovery import find_candidates
from spectral_doctor.diagnosis.formulas import FORMULAS
from spectral_doctor.diagnosis.model import estimate_alone
from spectral_doctor.diagnosis.records import Diagnosis, ModesEstimate, Thresholds
from spectral_doctor.diagnosis.rules import diagnose
from spectral_doctor.diagnosis.witness import Witness, witness_of
from spectral_doctor.errors import DoctorError
from spectral_doctor.generators.evidence import witness
from spectral_doctor.generators.exact import by_recipe
from spectral_doctor.generators.finding import generators_of, spectra_of_generator
from spectral_doctor.generators.records import Floats, GeneratorNetwork, NotRebuilt, Rebuilt, SampleEvidence
from spectral_doctor.inspection import Inspection, Progress
from spectral_doctor.records import CheckpointRef

# Of a longer series so many checkpoints are asked, evenly spread, the first and the last among them.
MOST_ASKED = 40


@dataclass(frozen=True)
class Question:
    """How generators are asked: by what they are built, where a file does not tell, and with which real data."""

    build: Callable[[GeneratorNetwork], Rebuilt | NotRebuilt] | None = None
    real: Callable[[tuple[int, ...]], Floats] | None = None


@dataclass(frozen=True, eq=False)
class Testimony:
    """What one generator showed at one checkpoint, beside the numbers that the statement about modes takes."""

    step: int
    witness: Witness
    evidence: SampleEvidence | None


@dataclass(frozen=True, eq=False)
class Heard:
    """An inspection whose statements rest on the generators too, and their testimonies by series."""

    inspection: Inspection
    testimonies: dict[str, tuple[Testimony, ...]] = field(default_factory=dict)


def heard(inspection: Inspection, question: Question, progress: Progress | None = None) -> Heard:
    """Ask the generator beside every discriminator and make the statements anew; what cannot be asked stays as it was.

    Imports PyTorch. Nothing of a checkpoint is run: a generator is rebuilt from its tensors, or by `question.build`.
    """
    diagnoses, testimonies = [], {}
    for diagnosis in inspection.diagnoses:
        told = tuple(_testimonies(diagnosis, question, progress))
        if told:
            testimonies[diagnosis.trajectory.discriminator] = told
            diagnosis = diagnose(
                diagnosis.trajectory,
                diagnosis.thresholds,
                witnesses={item.step: item.witness for item in told},
                curves=diagnosis.curves,
            )
        diagnoses.append(diagnosis)
    return Heard(replace(inspection, diagnoses=tuple(diagnoses)), testimonies)


def _testimonies(diagnosis: Diagnosis, question: Question, progress: Progress | None) -> list[Testimony]:
    trajectory = diagnosis.trajectory
    found: list[Testimony] = []
    chosen = _evenly(len(trajectory.steps))
    for done, index in enumerate(chosen):
        checkpoint = trajectory.checkpoints[index]
        if progress is not None:
            progress(done, len(chosen), checkpoint.name)
        if checkpoint.is_present:
            testimony = _testimony(trajectory.steps[index], checkpoint, question)
            found += [testimony] if testimony is not None else []
    return found


def _testimony(step: int, checkpoint: CheckpointRef, question: Question) -> Testimony | None:
    """What the generator of one checkpoint shows; None where there is none, or its file cannot be read."""
    try:
        networks = generators_of(checkpoint.location)
        if not networks:
            return None
        network = networks[0]
        ratio = _mean_ratio(network)
    except DoctorError:
        return None
    made = _made(network, question)
    shown = made if isinstance(made, NotRebuilt) else witness(made, real=question.real)
    if isinstance(shown, NotRebuilt):
        return Testimony(step, witness_of(ratio, None, why=shown.reason), None)
    told = replace(witness_of(ratio, shown.spread, shown.samples, shown.why), constant=shown.constant)
    return Testimony(step, told, shown)


def _made(network: GeneratorNetwork, question: Question) -> Rebuilt | NotRebuilt:
    from spectral_doctor.generators.rebuild import rebuilt

    if question.build is not None:
        return question.build(network)
    made = by_recipe(network)
    return rebuilt(network.arrays) if isinstance(made, NotRebuilt) else made


def _mean_ratio(network: GeneratorNetwork) -> float | None:
    """The mean σ_2/σ_1 of the generator's layers."""
    ratios = [
        item.spectrum.ratio(2)
        for item in spectra_of_generator(network)
        if item.spectrum is not None and item.spectrum.size > 1 and item.spectrum.sigma_max > 0.0
    ]
    return statistics.fmean(ratios) if ratios else None


def _evenly(count: int) -> list[int]:
    if count <= MOST_ASKED:
        return list(range(count))
    return sorted({round(place * (count - 1) / (MOST_ASKED - 1)) for place in range(MOST_ASKED)})


@dataclass(frozen=True, eq=False)
class LoneGenerator:
    """A generator without a discriminator beside it: where it lies, the statement, and what its samples showed."""

    location: str
    modes: ModesEstimate
    witness: Witness
    evidence: SampleEvidence | None


def alone(
    paths: Sequence[Path | str], question: Question, thresholds: Thresholds | None = None
) -> tuple[LoneGenerator, ...]:
    """Ask the generators of checkpoints in which no discriminator was found, one statement a file; imports PyTorch."""
    found = []
    for candidate in find_candidates(paths).checkpoints:
        told = _testimony(0, candidate.ref, question)
        if told is not None:
            modes = estimate_alone(FORMULAS, told.witness, thresholds or Thresholds())
            found.append(LoneGenerator(str(candidate.ref), modes, told.witness, told.evidence))
    return tuple(found)
