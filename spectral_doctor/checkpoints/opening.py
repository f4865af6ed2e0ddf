"""Opening a checkpoint wherever it lies, with no more of it read than its discriminators need where that can be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from spectral_doctor.checkpoints.distributed import METADATA, DistributedCheckpoint
from spectral_doctor.checkpoints.formats import Format, sniff
from spectral_doctor.checkpoints.places import RemotePath
from spectral_doctor.checkpoints.reading import open_distributed, read_tree
from spectral_doctor.checkpoints.records import LeftOut
from spectral_doctor.checkpoints.remote import RemoteSafetensors, RemoteStore, on_this_disk, open_sharded


@dataclass(frozen=True, eq=False)
class OpenedCheckpoint:
    """A checkpoint's tree, in which tensors may be shapes alone until `fetch` brings their values."""

    format_name: str
    modified: float
    tree: Mapping[str, object]
    left_out: tuple[LeftOut, ...] = ()
    fetch: Callable[[Tensor], Tensor] = lambda tensor: tensor


def open_checkpoint(path: Path | RemotePath) -> OpenedCheckpoint:
    """Open a file, or a folder that is one checkpoint, here or elsewhere.

    Raises what `read_tree` raises, and `UsageError` where a remote place needs a package that is not there.
    """
    if isinstance(path, RemotePath):
        return _open_remote(path)
    if sniff(path) is Format.DCP_METADATA:
        opened = open_distributed(path)
        return OpenedCheckpoint(Format.DCP_METADATA.value, path.stat().st_mtime, opened.tree, (), opened.fetch)
    file_format, tree, refused = read_tree(path)
    return OpenedCheckpoint(file_format.value, path.stat().st_mtime, tree, refused)


def _open_remote(path: RemotePath) -> OpenedCheckpoint:
    if path.is_folder:
        folder = RemoteStore(path)
        distributed = DistributedCheckpoint(str(path), folder)
        modified = folder.modified(METADATA)
        return OpenedCheckpoint(Format.DCP_METADATA.value, modified, distributed.tree, (), distributed.fetch)
    store = RemoteStore(path.parent)
    file_format, modified = store.sniff(path.name), store.modified(path.name)
    if file_format is Format.SAFETENSORS:
        single = RemoteSafetensors(path, store, (path.name,))
        return OpenedCheckpoint(file_format.value, modified, single.tree, (), single.fetch)
    if file_format is Format.SAFETENSORS_INDEX:
        sharded = open_sharded(path, store)
        return OpenedCheckpoint(file_format.value, modified, sharded.tree, (), sharded.fetch)
    with on_this_disk(path, store) as (copy, size):
        file_format, tree, refused = read_tree(copy)
    whole = LeftOut("reading in part", f"a {file_format.value} is fetched whole ({_in_units(size)})")
    return OpenedCheckpoint(file_format.value, modified, tree, (*refused, whole))


def _in_units(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"
