"""Files that would harm a careless reader: each, when loaded with pickle, writes a canary."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from pathlib import Path

import torch


class Canary:
    """An object whose unpickling writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.write_text, (self.target, "executed")


def torch_zip(path: Path, canary: Path) -> Path:
    """A torch zip whose pickle runs code."""
    torch.save({"netD": {"weight": torch.zeros(2, 2)}, "extra": Canary(canary)}, path)
    return path


def torch_legacy(path: Path, canary: Path) -> Path:
    """A legacy torch file whose pickle runs code."""
    torch.save(
        {"netD": {"weight": torch.zeros(2, 2)}, "extra": Canary(canary)}, path, _use_new_zipfile_serialization=False
    )
    return path


def plain_pickle(path: Path, canary: Path, protocol: int = 4) -> Path:
    """A bare pickle, as StyleGAN's .pkl files are."""
    path.write_bytes(pickle.dumps({"D": Canary(canary)}, protocol=protocol))
    return path


def npz_with_pickle(path: Path, canary: Path) -> Path:
    """A NumPy archive with an object array that runs code."""
    buffer = io.BytesIO()
    buffer.write(b"\x93NUMPY\x01\x00")
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }"
    header += b" " * (118 - len(header) - 1) + b"\n"
    buffer.write(struct.pack("<H", len(header)) + header + pickle.dumps(Canary(canary)))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("extra.npy", buffer.getvalue())
    return path


def compressed_torch(path: Path, content: object) -> Path:
    """A torch file whose members are deflated: a thousand times larger once open."""
    plain = path.with_suffix(".plain")
    torch.save(content, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    plain.unlink()
    return path
