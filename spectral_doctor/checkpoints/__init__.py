"""The only rooms that open weight files: formats, layouts, weight forms, steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from spectral_doctor.checkpoints.layouts import FoundDiscriminator, find_discriminators, tensor_keys
from spectral_doctor.checkpoints.names import run_folder, run_name, step_clues
from spectral_doctor.checkpoints.opening import open_checkpoint
from spectral_doctor.checkpoints.places import RemotePath, is_remote
from spectral_doctor.checkpoints.records import Checkpoint, Discriminator, LeftOut
from spectral_doctor.checkpoints.weights import collect_layers
from spectral_doctor.errors import NoDiscriminator, UnknownDiscriminator

__all__ = ["load_checkpoint"]


def load_checkpoint(
    path: Path | RemotePath | str, *, discriminator: str | None = None, exclude: Sequence[str] = ()
) -> Checkpoint:
    """Read one checkpoint file and find its discriminators with their weight matrices and step clues.

    A folder of torch.distributed.checkpoint is one checkpoint too; a text such as `s3://bucket/D.safetensors` is
    read from there. `discriminator` names the key that holds the discriminator where the names in the file do not tell;
    `exclude` holds globs over layer names. No code in the file is run and no tensor is copied.

    Raises `UnreadableCheckpoint`, `UnsafeCheckpoint`, `UnsupportedCheckpoint`, `GeneratorOnly`,
    `NoDiscriminator` or `UnknownDiscriminator`.
    """
    if isinstance(path, str):
        path = RemotePath(path) if is_remote(path) else Path(path)
    opened = open_checkpoint(path)
    tree = opened.tree
    found, left_out = find_discriminators(tree, path, key=discriminator)
    if not found and discriminator is not None:
        raise UnknownDiscriminator(discriminator, tensor_keys(tree))
    discriminators = tuple(_with_layers(item, exclude, opened.fetch) for item in found)
    if not any(item.layers or item.skipped for item in discriminators):
        raise NoDiscriminator(str(path), tensor_keys(tree))
    return Checkpoint(
        path=path,
        format_name=opened.format_name,
        run_folder=run_folder(path),
        run_name=run_name(path),
        modified=opened.modified,
        step_clues=step_clues(path, tree),
        discriminators=discriminators,
        left_out=(*left_out, *(LeftOut(item.name, item.reason) for item in opened.left_out)),
    )


def _with_layers(found: FoundDiscriminator, exclude: Sequence[str], fetch: Callable[[Tensor], Tensor]) -> Discriminator:
    tensors = {name: fetch(tensor) for name, tensor in found.tensors.items()}
    layers, skipped = collect_layers(tensors, exclude=exclude)
    return Discriminator(found.name, found.certainty, found.why, layers, skipped)
