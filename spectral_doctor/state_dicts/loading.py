"""From one checkpoint to the weight matrices of its discriminators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spectral_doctor.checkpoints.opening import Candidate, candidate_at, open_candidate
from spectral_doctor.checkpoints.steps import step_clues
from spectral_doctor.errors import NoDiscriminator, UnknownDiscriminator
from spectral_doctor.records import Certainty, CheckpointRef, LeftOut, Location, SkippedLayer, StepClue
from spectral_doctor.state_dicts.matrices import LayerWeight, collect_layers
from spectral_doctor.state_dicts.networks import find_discriminators, tensor_keys


@dataclass(frozen=True, eq=False)
class Discriminator:
    """One discriminator of a checkpoint: its weights, and the reason it was taken for one."""

    name: str
    certainty: Certainty
    why: str
    layers: tuple[LayerWeight, ...]
    skipped: tuple[SkippedLayer, ...]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What was found in one checkpoint; `modified` is in seconds since the epoch, `step_clues` are its own keys'."""

    ref: CheckpointRef
    format_name: str
    modified: float
    step_clues: tuple[StepClue, ...]
    discriminators: tuple[Discriminator, ...]
    left_out: tuple[LeftOut, ...]


def load_checkpoint(
    checkpoint: Candidate | Location | str, *, discriminator: str | None = None, exclude: Sequence[str] = ()
) -> Checkpoint:
    """Open one checkpoint and find its discriminators with their weight matrices and step clues.

    A folder of torch.distributed.checkpoint is one checkpoint too; a text such as `s3://bucket/D.safetensors` is
    read from there. `discriminator` names the key that holds the discriminator where the names in the file do not
    tell; `exclude` holds globs over layer names. No code in the file is run, and no value is read before a layer's
    `read`.

    Raises `UnreadableCheckpoint`, `UnsafeCheckpoint`, `UnsupportedCheckpoint`, `GeneratorOnly`,
    `NoDiscriminator` or `UnknownDiscriminator`.
    """
    candidate = checkpoint if isinstance(checkpoint, Candidate) else candidate_at(checkpoint)
    opened = open_candidate(candidate)
    found, left_out = find_discriminators(opened.tree, candidate.ref.location, key=discriminator)
    if not found and discriminator is not None:
        raise UnknownDiscriminator(discriminator, tensor_keys(opened.tree))
    discriminators = tuple(
        Discriminator(item.name, item.certainty, item.why, *collect_layers(item.tensors, exclude=exclude))
        for item in found
    )
    if not any(item.layers or item.skipped for item in discriminators):
        raise NoDiscriminator(str(candidate.ref), tensor_keys(opened.tree))
    return Checkpoint(
        ref=candidate.ref,
        format_name=opened.format_name,
        modified=opened.modified,
        step_clues=step_clues(opened.tree),
        discriminators=discriminators,
        left_out=(*left_out, *opened.left_out),
    )
