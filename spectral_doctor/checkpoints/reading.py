"""Opening weight files without running anything that is in them."""

from __future__ import annotations

import json
import mmap
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from spectral_doctor.checkpoints.archives import check_archive
from spectral_doctor.checkpoints.distributed import DistributedCheckpoint, LocalStore
from spectral_doctor.checkpoints.formats import Format, sniff
from spectral_doctor.checkpoints.pickle.machine import Machine, MalformedPickle, RefusedPickle
from spectral_doctor.checkpoints.pickle.objects import DEEPEST_NESTING, MOST_PARTS, ORDINARY, Reader, scanning_cost
from spectral_doctor.checkpoints.placeholders import PLACEHOLDERS
from spectral_doctor.errors import (
    CheckpointError,
    UnreadableCheckpoint,
    UnsafeCheckpoint,
    UnsupportedCheckpoint,
    listed,
)
from spectral_doctor.records import LeftOut, RemotePath

_RESAVE = (
    "Only tensors and plain values are loaded. In the environment that wrote it, save the weights alone: "
    "torch.save(discriminator.state_dict(), 'D.pt')."
)
_CLOSED = {
    Format.TORCHSCRIPT: "It holds compiled code; save the module's state_dict instead.",
    Format.TORCH_PACKAGE: "It holds source code; the weights.pth beside it, if there is one, can be examined.",
    Format.TAR: "Unpack it and name the weight file that is inside.",
    Format.HDF5: "Export the discriminator's arrays with numpy.savez.",
}


def read_tree(path: Path) -> tuple[Format, Mapping[str, object], tuple[LeftOut, ...]]:
    """Load one checkpoint as nested mappings whose leaves are tensors or plain values.

    Returns the format, the tree, and what in the file was not loaded. Torch files are opened with
    `weights_only=True` (memory-mapped where the format allows); nothing is ever retried without it.

    Raises `UnreadableCheckpoint` (torn, empty, not a checkpoint), `UnsafeCheckpoint` (asks for more than
    tensors and plain values, or expands beyond reason) or `UnsupportedCheckpoint` (a format not opened).
    """
    file_format = sniff(path)
    match file_format:
        case Format.TORCH_ZIP:
            check_archive(path, path, stored_only=True)
            return file_format, _read_torch(path, mmap=True), ()
        case Format.TORCH_LEGACY:
            return file_format, _read_torch(path, mmap=False), ()
        case Format.SAFETENSORS:
            return file_format, _read_safetensors(path), ()
        case Format.SAFETENSORS_INDEX:
            return file_format, _read_sharded(path), ()
        case Format.NPZ:
            check_archive(path, path, stored_only=False)
            return file_format, *_read_npz(path)
        case Format.PICKLE:
            return file_format, *_read_pickle(path)
        case Format.DCP_METADATA:
            opened = open_distributed(path)
            return file_format, _fetched(opened.tree, opened), ()
    raise not_a_checkpoint(path, file_format)


def open_distributed(path: Path) -> DistributedCheckpoint:
    """Open a folder of torch.distributed.checkpoint, named by itself or by its `.metadata`."""
    folder = path if path.is_dir() else path.parent
    return DistributedCheckpoint(folder, LocalStore(folder))


def _fetched(tree: Mapping[str, object], opened: DistributedCheckpoint) -> dict[str, object]:
    return {
        key: _fetched(value, opened)
        if isinstance(value, Mapping)
        else opened.fetch(value)
        if isinstance(value, Tensor)
        else value
        for key, value in tree.items()
    }


def not_a_checkpoint(path: Path | RemotePath, file_format: Format) -> CheckpointError:
    """Return the error that says why a file of this format is not read, and the way out."""
    if file_format in _CLOSED:
        article = "an" if file_format.value[0] in "aeiouH" else "a"
        return UnsupportedCheckpoint(str(path), f"{article} {file_format.value}", _CLOSED[file_format])
    if file_format is Format.EMPTY:
        return UnreadableCheckpoint(str(path), "the file is empty (0 bytes)")
    return UnreadableCheckpoint(
        str(path),
        f"it is a {file_format.value}, not a checkpoint",
        "Expected a PyTorch, safetensors or NumPy (.npz) file.",
    )


def _read_torch(path: Path, *, mmap: bool) -> Mapping[str, object]:
    try:
        with safe_globals(list(PLACEHOLDERS)), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # torch.load goes by the name where it ends in .safetensors; an open file has none.
            with path.open("rb") as file:
                by_name = mmap and path.suffix != ".safetensors"
                loaded = torch.load(path if by_name else file, map_location="cpu", weights_only=True, mmap=by_name)
    except pickle.UnpicklingError as error:
        raise UnsafeCheckpoint(path, _refused_names(path, str(error)), _RESAVE) from error
    except MemoryError:
        raise
    except Exception as error:  # a damaged pickle can raise anything on its way through torch's reader
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnreadableCheckpoint(path, f"torch.load says: {reason}") from error
    try:
        return as_tree(loaded)
    except RefusedPickle as error:
        raise UnsafeCheckpoint(path, str(error), _RESAVE) from error


def _refused_names(path: Path, message: str) -> str:
    """Name the globals that were refused, without running them."""
    try:
        with safe_globals(list(PLACEHOLDERS)):
            names = get_unsafe_globals_in_checkpoint(path)
    except Exception:  # the file is hostile or legacy; torch's own message still names the first global
        names = []
    if not names:
        names = re.findall(r"(?:Unsupported (?:global|class)|GLOBAL):? (?:GLOBAL )?([\w.]+)", message)[:1]
    if names:
        return _as_code(sorted(set(names)))
    return "it contains instructions that plain tensors do not need"


def _as_code(names: Sequence[str]) -> str:
    return f"it contains {listed(names)}, which is code or an object of a class"


def _read_safetensors(path: Path) -> dict[str, object]:
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError, KeyError, AttributeError) as error:
        raise UnreadableCheckpoint(path, f"safetensors says: {error}") from error


def _read_sharded(path: Path) -> dict[str, object]:
    weight_map: dict[object, object] = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
    tensors: dict[str, object] = {}
    for shard in sorted({str(name) for name in weight_map.values()}):
        if Path(shard).name != shard or shard in ("", ".", ".."):
            raise UnsafeCheckpoint(
                path, f"its index points outside its folder, to '{shard}'", "Shards lie beside their index."
            )
        shard_path = path.parent / shard
        if not shard_path.is_file():
            raise UnreadableCheckpoint(path, f"its shard '{shard}' is missing")
        tensors.update(_read_safetensors(shard_path))
    missing = sorted(str(key) for key in weight_map if key not in tensors)
    if missing:
        raise UnreadableCheckpoint(path, f"no shard holds {listed(missing)}")
    return tensors


def _read_npz(path: Path) -> tuple[dict[str, object], tuple[LeftOut, ...]]:
    tensors: dict[str, object] = {}
    left_out: list[LeftOut] = []
    try:
        with np.load(path, allow_pickle=False) as archive:
            for key in archive.files:
                try:
                    array = archive[key]
                except ValueError:
                    left_out.append(LeftOut(key, "stored as a pickled object, which is not loaded"))
                    continue
                if array.dtype.kind in "biufc":
                    native = array.astype(array.dtype.newbyteorder("="), copy=False)
                    tensors[key.replace("/", ".")] = torch.from_numpy(np.array(native))
    except (zipfile.BadZipFile, OSError, EOFError, ValueError) as error:
        raise UnreadableCheckpoint(path, f"numpy says: {error}") from error
    return tensors, tuple(left_out)


def _read_pickle(path: Path) -> tuple[dict[str, object], tuple[LeftOut, ...]]:
    """Read what a pickle describes: no name in it is imported, nothing called, no source in it run."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            machine, reader = Machine(), Reader(len(content))
            root = machine.run(content)  # type: ignore[arg-type]  # a map reads as a file does
            value = reader.value(root)
    except MalformedPickle as error:
        raise UnreadableCheckpoint(path, f"a Python pickle whose instructions cannot be followed: {error}") from error
    except RefusedPickle as error:
        raise UnsafeCheckpoint(path, str(error), _RESAVE) from error
    tree = value if isinstance(value, dict) else {"tensor": value} if isinstance(value, Tensor) else {}
    unmade = sorted(name for name in machine.names - reader.made - ORDINARY if not name.startswith("torch.nn."))
    if unmade and not _holds_tensor(tree):
        raise UnsafeCheckpoint(path, _as_code(unmade), _RESAVE)
    return tree, (LeftOut("(objects)", f"described and never made: {listed(unmade)}"),) if unmade else ()


def _holds_tensor(tree: Mapping[str, object]) -> bool:
    return any(
        isinstance(value, Tensor) or (isinstance(value, dict) and _holds_tensor(value)) for value in tree.values()
    )


def as_tree(loaded: object) -> dict[str, object]:
    """What torch loaded as nested mappings with text keys; the tensors are the same objects.

    Lists of plain values are left out. Raises `RefusedPickle` where the parts repeat each other beyond reason.
    """
    node = _as_node(loaded, DEEPEST_NESTING, _Budget())
    if isinstance(node, dict):
        return node
    return {"tensor": loaded} if isinstance(loaded, Tensor) else {}


class _Budget:
    """How many parts may still be made: lists that hold each other describe a billion in a few hundred bytes."""

    def __init__(self) -> None:
        self._left = MOST_PARTS

    def spend(self, parts: int) -> None:
        self._left -= parts
        if self._left < 0:
            raise RefusedPickle(f"it describes more than {MOST_PARTS} parts, which repeat each other")


def _as_node(value: object, depth: int, budget: _Budget) -> object:
    """Turn mappings and sequences into mappings with text keys; a file that nests itself ends somewhere."""
    budget.spend(1)
    if depth == 0:
        return None
    if isinstance(value, Mapping):
        return {str(key): _as_node(child, depth - 1, budget) for key, child in value.items()}
    if isinstance(value, list | tuple):
        budget.spend(scanning_cost(value))
        if not any(isinstance(child, Mapping | list | tuple | Tensor) for child in value):
            return None
        return {str(index): _as_node(child, depth - 1, budget) for index, child in enumerate(value)}
    return value
