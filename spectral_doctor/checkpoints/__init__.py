"""The only rooms that open weight files: formats, layouts, weight forms, steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spectral_doctor.checkpoints.layouts import FoundDiscriminator, find_discriminators, tensor_keys
from spectral_doctor.checkpoints.names import run_folder, run_name, step_clues
from spectral_doctor.checkpoints.reading import read_tree
from spectral_doctor.checkpoints.records import Checkpoint, Discriminator, LeftOut
from spectral_doctor.checkpoints.weights import collect_layers
from spectral_doctor.errors import NoDiscriminator, UnknownDiscriminator

__all__ = ["load_checkpoint"]


def load_checkpoint(path: Path | str, *, discriminator: str | None = None, exclude: Sequence[str] = ()) -> Checkpoint:
    """Read one checkpoint file and find its discriminators with their weight matrices and step clues.

    `discriminator` names the key that holds the discriminator where the names in the file do not tell;
    `exclude` holds globs over layer names. No code in the file is run and no tensor is copied.

    Raises `UnreadableCheckpoint`, `UnsafeCheckpoint`, `UnsupportedCheckpoint`, `GeneratorOnly`,
    `NoDiscriminator` or `UnknownDiscriminator`.
    """
    path = Path(path)
    file_format, tree, refused = read_tree(path)
    found, left_out = find_discriminators(tree, path, key=discriminator)
    if not found and discriminator is not None:
        raise UnknownDiscriminator(discriminator, tensor_keys(tree))
    discriminators = tuple(_with_layers(item, exclude) for item in found)
    if not any(item.layers or item.skipped for item in discriminators):
        raise NoDiscriminator(path, tensor_keys(tree))
    return Checkpoint(
        path=path,
        format_name=file_format.value,
        run_folder=run_folder(path),
        run_name=run_name(path),
        modified=path.stat().st_mtime,
        step_clues=step_clues(path, tree),
        discriminators=discriminators,
        left_out=(*left_out, *(LeftOut(item.name, item.reason) for item in refused)),
    )


def _with_layers(found: FoundDiscriminator, exclude: Sequence[str]) -> Discriminator:
    layers, skipped = collect_layers(found.tensors, exclude=exclude)
    return Discriminator(found.name, found.certainty, found.why, layers, skipped)
