"""Writing a checkpoint again with some tensors changed, in the format and layout it was read in.

A PyTorch file is copied and its tensors changed in place through a shared memory map, so everything else in it,
objects of classes that are never loaded here included, keeps its bytes.
"""

from __future__ import annotations

import io
import os
import shutil
import struct
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from mmap import MAP_SHARED
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor
from torch.serialization import safe_globals, set_default_mmap_options

from spectral_doctor.checkpoints.formats import Format
from spectral_doctor.checkpoints.placeholders import PLACEHOLDERS, Placeholder
from spectral_doctor.checkpoints.reading import as_tree, read_tree
from spectral_doctor.checkpoints.writing import replace_with, write_atomically
from spectral_doctor.errors import UnsupportedCheckpoint, UnwritableCheckpoint

Edit = Callable[[Mapping[str, object]], None]

_REMEDIES = {
    Format.PICKLE: (
        "Its objects would have to be made first, which runs the code in it. "
        "Where it was made, torch.save the state_dict of each network, and treat that file."
    ),
    Format.DCP_METADATA: (
        "Convert it where it was made, and treat that file: "
        "python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE.pt."
    ),
}


def rewrite_checkpoint(path: Path, output: Path, edit: Edit) -> None:
    """Write `path` to `output` with the tensors that `edit` changes in place; the input is only read.

    `edit` gets the tree that `read_tree` returns. The output is there wholly or not at all. Raises what
    `read_tree` raises, `UnsupportedCheckpoint` or `UnwritableCheckpoint` for a form that cannot be rewritten, and
    `OSError`.
    """
    file_format, tree, _ = read_tree(path)
    match file_format:
        case Format.TORCH_ZIP:
            del tree
            _rewrite_torch(path, output, edit)
        case Format.TORCH_LEGACY:
            _rewrite_legacy(path, output, edit)
        case Format.SAFETENSORS:
            edit(tree)
            write_atomically(output, _safetensors(tree, _metadata(path)))
        case Format.NPZ:
            before = {key: tensor.clone() for key, tensor in tree.items() if isinstance(tensor, Tensor)}
            edit(tree)
            _rewrite_npz(path, output, before, tree)
        case Format.PICKLE | Format.DCP_METADATA:
            raise UnwritableCheckpoint(path, f"a {file_format.value}", _REMEDIES[file_format])
        case _:
            raise UnsupportedCheckpoint(
                path, f"a {file_format.value}", "Rewriting takes one file; join the shards into one first."
            )


def _rewrite_torch(path: Path, output: Path, edit: Edit) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{output.name}.", suffix=".pt.tmp", dir=output.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        shutil.copyfile(path, temporary)
        with safe_globals(list(PLACEHOLDERS)), set_default_mmap_options(MAP_SHARED), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = torch.load(temporary, map_location="cpu", weights_only=True, mmap=True)
        edit(as_tree(loaded))
        del loaded
        _mend_checksums(temporary)
        replace_with(temporary, output)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _mend_checksums(path: Path) -> None:
    """Bring the CRC of every member of an uncompressed zip up to its bytes, in both places it stands."""
    with zipfile.ZipFile(path) as archive:
        members, directory = archive.infolist(), archive.start_dir
    with path.open("r+b") as file:
        for member in members:
            entry = directory
            file.seek(entry)
            fixed = file.read(46)
            name, extra, comment = struct.unpack("<HHH", fixed[28:34])
            directory = entry + 46 + name + extra + comment
            file.seek(member.header_offset)
            header = file.read(30)
            start = member.header_offset + 30 + sum(struct.unpack("<HH", header[26:30]))
            checksum = struct.pack("<I", _checksum(file, start, member.file_size))
            if checksum == fixed[16:20]:
                continue
            file.seek(entry + 16)
            file.write(checksum)
            file.seek(member.header_offset + 14)
            if not header[6] & 8:
                file.write(checksum)
                continue
            file.seek(start + member.file_size)
            signed = file.read(4) == b"PK\x07\x08"
            file.seek(start + member.file_size + 4 * signed)
            file.write(checksum)


def _checksum(file: io.BufferedRandom, start: int, size: int) -> int:
    file.seek(start)
    checksum = 0
    while size:
        block = file.read(min(size, 2**20))
        checksum, size = zlib.crc32(block, checksum), size - len(block)
    return checksum


def _rewrite_legacy(path: Path, output: Path, edit: Edit) -> None:
    with safe_globals(list(PLACEHOLDERS)), path.open("rb") as file:
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    if _holds_placeholder(loaded):
        raise UnsupportedCheckpoint(
            path,
            "a PyTorch file (legacy) with objects beside its tensors",
            "Load it where it was made and save it again with torch.save.",
        )
    edit(as_tree(loaded))
    buffer = io.BytesIO()
    torch.save(loaded, buffer, _use_new_zipfile_serialization=False)
    write_atomically(output, buffer.getvalue())


def _holds_placeholder(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(_holds_placeholder(item) for pair in value.items() for item in pair)
    if isinstance(value, list | tuple):
        return any(_holds_placeholder(item) for item in value)
    return isinstance(value, Placeholder)


def _metadata(path: Path) -> dict[str, str] | None:
    with safe_open(path, framework="pt") as file:
        metadata: dict[str, str] | None = file.metadata()
    return metadata


def _safetensors(tree: Mapping[str, object], metadata: dict[str, str] | None) -> bytes:
    return save({key: value for key, value in tree.items() if isinstance(value, Tensor)}, metadata)


def _rewrite_npz(path: Path, output: Path, before: Mapping[str, Tensor], tree: Mapping[str, object]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(buffer, "w") as target:
        for member in source.infolist():
            content = source.read(member)
            name = member.filename.removesuffix(".npy").replace("/", ".")
            tensor = tree.get(name)
            if isinstance(tensor, Tensor) and not torch.equal(tensor, before[name]):
                old = np.load(io.BytesIO(content), allow_pickle=False)
                new = io.BytesIO()
                np.lib.format.write_array(new, tensor.numpy().astype(old.dtype).reshape(old.shape))
                content = new.getvalue()
            target.writestr(member, content, compress_type=member.compress_type)
    write_atomically(output, buffer.getvalue())
