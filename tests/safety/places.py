"""Where a payload can stand in a file: each place writes a file around it, and loads it as its users do.

A place that is a pickle is written by the library whose format it is, with a text that stands for the payload; the
instruction that pushes that text is then replaced by the payload's instructions.
"""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tarfile
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests import hostile, stylegan
from tests.builders import small_discriminator

MARK = "here the payload goes"


@dataclass(frozen=True)
class Place:
    """A place: `write` puts a payload there and returns what is to be examined, `load` is what a careless reader does.

    `shows` says that a whole discriminator stands beside the payload and is reported for all that.
    """

    write: Callable[[Path, bytes], Path]
    load: Callable[[Path], object]
    shows: bool = False


def replaced(content: bytes, payload: bytes) -> bytes:
    """A pickle with the payload's instructions in the place of the mark."""
    pushed = b"X" + struct.pack("<I", len(MARK)) + MARK.encode()
    short = b"\x8c" + struct.pack("<B", len(MARK)) + MARK.encode()
    found = pushed if pushed in content else short
    assert content.count(found) == 1
    before, _, after = content.partition(found)
    # From protocol 4 on a name may have dots.
    start, _, begun = before.rpartition(b"\x80\x02")
    return (start + b"\x80\x04" + begun if start or begun != before else before) + payload + after


def zipped(path: Path, content: object, payload: bytes) -> Path:
    """A torch zip whose pickle has the payload in the place of the mark."""
    saved = io.BytesIO()
    torch.save(content, saved)
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(path, "w") as target:
        for member in source.infolist():
            held = source.read(member)
            is_pickle = member.filename.endswith("data.pkl")
            target.writestr(member.filename, replaced(held, payload) if is_pickle else held)
    return path


def load_torch(path: Path | io.BytesIO) -> object:
    """`torch.load` as it was before its list of what is harmless."""
    return torch.load(path, weights_only=False)


def load_pickle(path: Path) -> Any:
    """`pickle.load`."""
    with path.open("rb") as file:
        return pickle.load(file)


def _network() -> dict[str, torch.Tensor]:
    return small_discriminator()


def _optimizer(path: Path, payload: bytes) -> Path:
    content = {"discriminator": _network(), "optimizer": {"state": {0: {"exp_avg": MARK}}, "param_groups": []}}
    return zipped(path / "D.pt", content, payload)


def _hyper_parameters(path: Path, payload: bytes) -> Path:
    state = {f"discriminator.{key}": value for key, value in _network().items()}
    return zipped(path / "last.ckpt", {"state_dict": state, "hyper_parameters": {"lr": MARK}, "epoch": 1}, payload)


def _callback(path: Path, payload: bytes) -> Path:
    state = {f"discriminator.{key}": value for key, value in _network().items()}
    return zipped(path / "last.ckpt", {"state_dict": state, "callbacks": {MARK: 1}, "epoch": 1}, payload)


def _step(path: Path, payload: bytes) -> Path:
    return zipped(path / "D.pth", {"discriminator": _network(), "step": MARK}, payload)


def _legacy(path: Path, payload: bytes) -> Path:
    saved = io.BytesIO()
    torch.save({"discriminator": _network(), "optimizer": MARK}, saved, _use_new_zipfile_serialization=False)
    (path / "D.pth").write_bytes(replaced(saved.getvalue(), payload))
    return path / "D.pth"


def _legacy_stream(path: Path, payload: bytes) -> Path:
    """The third pickle of a legacy file, which describes the system and is loaded before the object."""
    saved = io.BytesIO()
    torch.save({"discriminator": _network()}, saved, _use_new_zipfile_serialization=False)
    content = saved.getvalue()
    stream = io.BytesIO(content)
    places = [stream.tell()]
    for _ in range(3):
        pickle.load(stream)
        places.append(stream.tell())
    (path / "D.pth").write_bytes(content[: places[2]] + hostile.alone(payload) + content[places[3] :])
    return path / "D.pth"


def _tar(path: Path, payload: bytes) -> Path:
    """The tar of PyTorch 0.1, whose storages, tensors and objects are pickles of their own."""
    none = pickle.dumps(0, 2)
    parts = {"sys_info": pickle.dumps({}, 2), "storages": none + pickle.dumps([], 2), "tensors": none}
    with tarfile.open(path / "D.pth", "w") as archive:
        for name, content in {**parts, "pickle": hostile.alone(payload)}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path / "D.pth"


def _array(payload: bytes) -> bytes:
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }"
    header += b" " * (118 - len(header) - 1) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + hostile.alone(payload)


def _npz(path: Path, payload: bytes) -> Path:
    arrays: dict[str, Any] = {f"discriminator.{key}": value.numpy() for key, value in _network().items()}
    np.savez(path / "D.npz", **arrays)
    with zipfile.ZipFile(path / "D.npz", "a") as archive:
        archive.writestr("settings.npy", _array(payload))
    return path / "D.npz"


def _npz_in_zip(path: Path, payload: bytes) -> Path:
    """A NumPy archive within a zip, which scanners of one level pass over."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("settings.npy", _array(payload))
    with zipfile.ZipFile(path / "D.zip", "w") as archive:
        archive.writestr("D.npz", inner.getvalue())
    return path / "D.zip"


def _load_npz_in_zip(path: Path) -> object:
    with zipfile.ZipFile(path) as archive:
        return np.load(io.BytesIO(archive.read("D.npz")), allow_pickle=True)["settings"]


def _exported(path: Path, payload: bytes) -> Path:
    """`.pt2`, what `torch.export.save` writes: a zip with sample inputs that are a torch file of their own."""
    inner = zipped(path / "inner", {"inputs": MARK}, payload)
    with zipfile.ZipFile(path / "D.pt2", "w") as archive:
        archive.writestr("D/archive_format", "pt2")
        archive.writestr("D/models/model.json", "{}")
        archive.writestr("D/data/sample_inputs/model.pt", inner.read_bytes())
    inner.unlink()
    return path / "D.pt2"


def _load_exported(path: Path) -> object:
    with zipfile.ZipFile(path) as archive:
        return load_torch(io.BytesIO(archive.read("D/data/sample_inputs/model.pt")))


@cache
def _distributed() -> dict[str, bytes]:
    """The files of a torch.distributed checkpoint by their names."""
    from torch.distributed.checkpoint.state_dict_saver import save

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # PyTorch says that one process alone is no group.
        warnings.simplefilter("ignore")
        save({"D": {"weight": torch.ones(8, 8)}, "step": "x"}, checkpoint_id=folder)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _shard(path: Path, payload: bytes) -> Path:
    """A value of a torch.distributed checkpoint that names a step: a torch file of its own in a shard."""
    folder, files = path / "run", _distributed()
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    metadata = pickle.loads(files[".metadata"])
    place = next(place for index, place in metadata.storage_data.items() if index.fqn == "step")
    value = zipped(path / "inner", MARK, payload).read_bytes()
    (path / "inner").unlink()
    place.offset, place.length = len(files[place.relative_path]), len(value)
    with (folder / place.relative_path).open("ab") as file:
        file.write(value)
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))
    return folder


def _load_shard(path: Path) -> object:
    metadata = load_pickle(path / ".metadata")
    place = next(value for key, value in metadata.storage_data.items() if key.fqn == "step")
    content = (path / place.relative_path).read_bytes()[place.offset : place.offset + place.length]
    return load_torch(io.BytesIO(content))


def _patched(path: Path, payload: bytes, patch: Callable[[bytearray, int, int], None]) -> Path:
    """A torch file whose directory entry of the pickle is changed; `patch` gets where its two headers begin."""
    file = _optimizer(path, payload)
    content = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        member = next(item for item in archive.infolist() if item.filename.endswith("data.pkl"))
    entry = content.index(b"PK\x01\x02")
    while content[entry + 46 :].find(member.filename.encode()) != 0:
        entry = content.index(b"PK\x01\x02", entry + 4)
    patch(content, member.header_offset, entry)
    file.write_bytes(content)
    return file


def _bad_checksum(path: Path, payload: bytes) -> Path:
    def patch(content: bytearray, header: int, entry: int) -> None:
        content[header + 14] ^= 0xFF
        content[entry + 16] ^= 0xFF

    return _patched(path, payload, patch)


def _flagged(path: Path, payload: bytes) -> Path:
    """The bit that says a member is encrypted, which PyTorch's reader does not look at in the local header."""

    def patch(content: bytearray, header: int, entry: int) -> None:
        content[header + 6] |= 1

    return _patched(path, payload, patch)


def _misnamed(path: Path, payload: bytes) -> Path:
    """The local header gives the member another name than the directory."""

    def patch(content: bytearray, header: int, entry: int) -> None:
        content[header + 30] ^= 1

    return _patched(path, payload, patch)


def _compressed(path: Path, payload: bytes) -> Path:
    file = _optimizer(path, payload)
    (path / "D.pt.gz").write_bytes(gzip.compress(file.read_bytes(), mtime=0))
    file.unlink()
    return path / "D.pt.gz"


def _load_compressed(path: Path) -> object:
    return load_torch(io.BytesIO(gzip.decompress(path.read_bytes())))


def seven_zip(name: str, content: bytes) -> bytes:
    """A 7z archive of one file that is stored and not compressed (7-zip.org, 7zFormat.txt)."""

    def number(value: int) -> bytes:
        return b"\xff" + struct.pack("<Q", value)

    title = b"\x00" + name.encode("utf-16-le") + b"\0\0"
    packed = b"\x06" + number(0) + number(1) + b"\x09" + number(len(content)) + b"\x00"
    folder = b"\x07\x0b" + number(1) + b"\x00" + number(1) + b"\x01\x00" + b"\x0c" + number(len(content))
    checked = b"\x0a\x01" + struct.pack("<I", zlib.crc32(content)) + b"\x00"
    files = b"\x05" + number(1) + b"\x11" + number(len(title)) + title + b"\x00"
    header = b"\x01\x04" + packed + folder + checked + b"\x00" + files + b"\x00"
    start = struct.pack("<QQI", len(content), len(header), zlib.crc32(header))
    return b"7z\xbc\xaf\x27\x1c\0\4" + struct.pack("<I", zlib.crc32(start)) + start + content + header


def _in_seven_zip(path: Path, payload: bytes) -> Path:
    (path / "D.7z").write_bytes(seven_zip("D.pkl", hostile.alone(payload)))
    return path / "D.7z"


def _load_seven_zip(path: Path) -> object:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[12:20])
    return pickle.loads(content[32 : 32 + length])


def _under_another_name(path: Path, payload: bytes) -> Path:
    return _optimizer(path, payload).rename(path / "notes.txt")


def _alone(path: Path, payload: bytes) -> Path:
    (path / "D.pkl").write_bytes(hostile.alone(payload))
    return path / "D.pkl"


@cache
def _persistent() -> bytes:
    return stylegan.network_fragment(stylegan.Discriminator())


def _snapshot(path: Path, payload: bytes) -> Path:
    (path / "network-snapshot.pkl").write_bytes(hostile.beside(payload, _persistent()))
    return path / "network-snapshot.pkl"


def _metadata(wrap: Callable[[bytes], bytes]) -> Callable[[Path, bytes], Path]:
    def write(path: Path, payload: bytes) -> Path:
        (path / ".metadata").write_bytes(wrap(payload))
        return path / ".metadata"

    return write


def _load_array(path: Path) -> Any:
    return np.load(path, allow_pickle=True)["settings"]


PLACES: dict[str, Place] = {
    "a pickle alone": Place(_alone, load_pickle),
    "a StyleGAN snapshot": Place(_snapshot, load_pickle, shows=True),
    "as .metadata": Place(_metadata(hostile.alone), load_pickle),
    "in .metadata": Place(_metadata(hostile.inside_metadata), load_pickle),
    "an optimizer's state": Place(_optimizer, load_torch, shows=True),
    "Lightning's hyper-parameters": Place(_hyper_parameters, load_torch, shows=True),
    "a key of Lightning's callbacks": Place(_callback, load_torch, shows=True),
    "a step": Place(_step, load_torch, shows=True),
    "a legacy file's object": Place(_legacy, load_torch, shows=True),
    "a legacy file's third stream": Place(_legacy_stream, load_torch, shows=True),
    "the tar of PyTorch 0.1": Place(_tar, load_torch),
    "an array of a NumPy archive": Place(_npz, _load_array, shows=True),
    "a NumPy archive in a zip": Place(_npz_in_zip, _load_npz_in_zip),
    "a sample of a .pt2": Place(_exported, _load_exported),
    "a shard of torch.distributed": Place(_shard, _load_shard),
    "under a wrong checksum": Place(_bad_checksum, load_torch, shows=True),
    "under a flag of encryption": Place(_flagged, load_torch, shows=True),
    "under two names": Place(_misnamed, load_torch, shows=True),
    "under another ending": Place(_under_another_name, load_torch, shows=True),
    "in gzip": Place(_compressed, _load_compressed),
    "in 7z": Place(_in_seven_zip, _load_seven_zip),
}
