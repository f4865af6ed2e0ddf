"""From one checkpoint to the weight matrices of its discriminators."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from spectral_doctor.checkpoints.limits import Deadline, Limits, current
from spectral_doctor.checkpoints.opening import Candidate, candidate_at, open_candidate
from spectral_doctor.checkpoints.steps import step_clues
from spectral_doctor.errors import NoDiscriminator, UnknownDiscriminator
from spectral_doctor.records import Certainty, CheckpointRef, LeftOut, Location, SkippedLayer, SkipReason, StepClue
from spectral_doctor.state_dicts.matrices import LayerWeight, collect_layers
from spectral_doctor.state_dicts.networks import find_discriminators, tensor_keys
from spectral_doctor.state_dicts.parts import leaves_of


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
    """What was found in one checkpoint; `modified` is in seconds since the epoch, `step_clues` are its own keys'.

    `deadline` is until when its matrices may be measured.
    """

    ref: CheckpointRef
    format_name: str
    modified: float
    step_clues: tuple[StepClue, ...]
    discriminators: tuple[Discriminator, ...]
    left_out: tuple[LeftOut, ...]
    deadline: Deadline


def load_checkpoint(
    checkpoint: Candidate | Location | str, *, discriminator: str | None = None, exclude: Sequence[str] = ()
) -> Checkpoint:
    """Open one checkpoint and find its discriminators with their weight matrices and step clues.

    A folder of torch.distributed.checkpoint is one checkpoint too; a text such as `s3://bucket/D.safetensors` is
    read from there. `discriminator` names the key that holds the discriminator where the names in the file do not
    tell; `exclude` holds globs over layer names. No code in the file is run, and no value is read before a layer's
    `read`. A file that goes beyond the `Limits` of the environment is refused, a matrix that does is skipped.

    Raises `UnreadableCheckpoint`, `UnsafeCheckpoint`, `UnsupportedCheckpoint`, `GeneratorOnly`,
    `NoDiscriminator` or `UnknownDiscriminator`.
    """
    candidate = checkpoint if isinstance(checkpoint, Candidate) else candidate_at(checkpoint)
    limits = current()
    deadline = limits.deadline(candidate.ref)
    limits.check_bytes(candidate.ref, _bytes_of(candidate))
    opened = open_candidate(candidate)
    limits.check_names(candidate.ref, (leaf.key for leaf in leaves_of(opened.tree)))
    found, left_out = find_discriminators(opened.tree, candidate.ref.location, key=discriminator)
    if not found and discriminator is not None:
        raise UnknownDiscriminator(discriminator, tensor_keys(opened.tree))
    discriminators = tuple(
        Discriminator(
            item.name, item.certainty, item.why, *_within(limits, *collect_layers(item.tensors, exclude=exclude))
        )
        for item in found
    )
    deadline.check()
    if not any(item.layers or item.skipped for item in discriminators):
        raise NoDiscriminator(str(candidate.ref), tensor_keys(opened.tree))
    return Checkpoint(
        ref=candidate.ref,
        format_name=opened.format_name,
        modified=opened.modified,
        step_clues=step_clues(opened.tree),
        discriminators=discriminators,
        left_out=(*left_out, *opened.left_out),
        deadline=deadline,
    )


def _bytes_of(candidate: Candidate) -> int:
    """The bytes of a checkpoint's file, and of those beside it that its index names."""
    source = candidate.source
    return source.size + sum(source.beside.size(name) or 0 for name in candidate.format.members(source))


def _within(
    limits: Limits, layers: Sequence[LayerWeight], skipped: Sequence[SkippedLayer]
) -> tuple[tuple[LayerWeight, ...], tuple[SkippedLayer, ...]]:
    """The layers whose matrices are within the limit; the others join what is skipped."""
    large = [layer for layer in layers if math.prod(layer.matrix_shape) > limits.matrix]
    if not large:
        return tuple(layers), tuple(skipped)
    told = f"a matrix of more values than the limit 'matrix' of {limits.matrix:.15g}"
    over = (SkippedLayer(layer.name, SkipReason.NO_SPECTRUM, told) for layer in large)
    return tuple(layer for layer in layers if layer not in large), (*skipped, *over)
