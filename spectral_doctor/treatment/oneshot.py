"""Treatment of a file: the discriminator's weights compensated, everything else as it was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spectral_doctor.checkpoints.formats import Tree
from spectral_doctor.checkpoints.opening import open_path
from spectral_doctor.checkpoints.rewriting import rewrite_checkpoint
from spectral_doctor.compensation import Compensation, DynamicCompensation, StaticCompensation
from spectral_doctor.diagnosis.records import Diagnosis
from spectral_doctor.errors import (
    CompensationError,
    UnknownDiscriminator,
    UsageError,
    listed,
    printable,
)
from spectral_doctor.inspection import inspect_paths
from spectral_doctor.records import CheckpointRef, Spectrum
from spectral_doctor.state_dicts.compensating import project
from spectral_doctor.state_dicts.matrices import LayerWeight
from spectral_doctor.state_dicts.networks import find_discriminators, tensor_keys
from spectral_doctor.state_dicts.optimizers import reset_discriminator_optimizer
from spectral_doctor.treatment.envelopes import series_envelope
from spectral_doctor.treatment.records import DiscriminatorChange, Dose, Envelope, Rewrite, TreatmentResult


def rewrite(wish: Rewrite) -> TreatmentResult:
    """Diagnose the series, choose its checkpoint, and write it with its discriminators' weights compensated.

    An output that is a folder gets a file of the checkpoint's name. Raises `UsageError`, and what reading and
    rewriting raise.
    """
    diagnoses = inspect_paths(wish.paths, discriminator=wish.discriminator).diagnoses
    path = chosen_file(diagnoses, wish.from_step)
    return treat_file(
        diagnoses,
        path,
        None if wish.output is None else _target(wish.output, path.name),
        wish.dose,
        discriminator=wish.discriminator,
        reset_optimizer=wish.reset_optimizer,
    )


def _target(output: Path, name: str) -> Path:
    if output.is_dir():
        return output / name
    if not output.parent.is_dir():
        raise UsageError(f"{printable(output.parent)}: no such folder.")
    return output


def treat_file(
    diagnoses: Sequence[Diagnosis],
    path: Path,
    output: Path | None,
    dose: Dose,
    *,
    discriminator: str | None = None,
    reset_optimizer: bool = False,
) -> TreatmentResult:
    """Write `path` to `output` with the weights of every discriminator in it compensated; None: a dry run.

    `diagnoses` are those of the series that the file belongs to, whose spectra give the envelope of dynamic
    compensation. The copy has the same format, keys, shapes and types. Raises `UsageError` where the output
    is the input, and what reading and rewriting raise.
    """
    if output is not None and output.exists() and output.samefile(path):
        raise UsageError(f"{printable(output)}: the output is the input, which is never overwritten.")
    done: list[DiscriminatorChange] = []

    def edit(tree: Tree) -> None:
        done.extend(_treat_tree(tree, path, diagnoses, dose, discriminator, dry_run=output is None))
        if reset_optimizer and output is not None:
            reset_discriminator_optimizer(tree, path)

    if output is None:
        edit(open_path(path).tree)
    else:
        rewrite_checkpoint(path, output, edit)
    return TreatmentResult(path, output, tuple(done))


def chosen_file(diagnoses: Sequence[Diagnosis], step: int | None) -> Path:
    """The file that a one-shot treatment rewrites: the latest of the series, or that of a step.

    Raises `UsageError` where the series do not end in one file, or have no checkpoint of that step.
    """
    steps = sorted({number for diagnosis in diagnoses for number in diagnosis.trajectory.steps})
    files: set[CheckpointRef] = set()
    for diagnosis in diagnoses:
        trajectory = diagnosis.trajectory
        if step is None:
            files.add(trajectory.checkpoints[-1])
        elif step in trajectory.steps:
            files.add(trajectory.checkpoints[trajectory.steps.index(step)])
    if not files:
        raise UsageError(f"--from {step}: no checkpoint of that step; there are {listed(steps, 40)}.")
    if len(files) > 1:
        names = listed(sorted(map(str, files)))
        raise UsageError(f"the paths end in {len(files)} files ({names}); name those of one run.")
    location = files.pop().location
    if not isinstance(location, Path):
        raise UsageError(f"{printable(location)}: only files of this disk are rewritten; fetch it first.")
    return location


def _treat_tree(
    tree: Tree,
    path: Path,
    diagnoses: Sequence[Diagnosis],
    dose: Dose,
    key: str | None,
    *,
    dry_run: bool,
) -> list[DiscriminatorChange]:
    found, _ = find_discriminators(tree, path, key=key)
    if not found and key is not None:
        raise UnknownDiscriminator(key, tensor_keys(tree))
    results = []
    for item in found:
        envelope, source = _envelope_for(item.name, diagnoses, path, dose)
        changes, untouched = project(item.tensors, _Chooser(dose, envelope), exclude=dose.exclude, dry_run=dry_run)
        results.append(DiscriminatorChange(item.name, changes, untouched, source))
    return results


def _envelope_for(name: str, diagnoses: Sequence[Diagnosis], path: Path, dose: Dose) -> tuple[Envelope, str]:
    if dose.mode != "dynamic":
        return {}, ""
    for diagnosis in diagnoses:
        trajectory = diagnosis.trajectory
        held = [index for index, ref in enumerate(trajectory.checkpoints) if ref.is_present and ref.location == path]
        if trajectory.series.name == name and held:
            return series_envelope(diagnosis, held[-1], dose.envelope)
    raise UsageError(f"{printable(path)}: no series of '{printable(name)}' holds it, so there is no envelope.")


class _Chooser:
    """The compensation of a layer; σ_1 is held unless the dose says that it becomes 1."""

    def __init__(self, dose: Dose, envelope: Envelope) -> None:
        self.dose, self.envelope = dose, envelope

    def __call__(self, weight: LayerWeight, present: Spectrum) -> Compensation:
        scale = 1.0 if self.dose.scale == "one" else None
        if self.dose.mode == "static":
            return StaticCompensation(self.dose.fraction, scale)
        if weight.name not in self.envelope:
            raise CompensationError(f"no envelope for '{weight.name}', whose spectrum is not known")
        return DynamicCompensation(tuple(map(max, self.envelope[weight.name], present.relative)), scale)
