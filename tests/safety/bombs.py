"""Small files that claim much: each takes a careless reader's memory, time or stack."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import torch
from safetensors.torch import save

from tests.builders import small_discriminator
from tests.safety.models import bundle, sorted_table, varint
from tests.safety.names import name, text

KEYS = 1_000_000


def _pickle(path: Path, content: bytes) -> Path:
    (path / "D.pkl").write_bytes(content)
    return path / "D.pkl"


def laughs(path: Path) -> Path:
    """Lists of two references to one list, sixty deep: 2^60 parts in 300 bytes."""
    body = b"](K\x01e\x94" + b"".join(b"0](h" + bytes([n]) + b"h" + bytes([n]) + b"e\x94" for n in range(60))
    return _pickle(path, b"\x80\x04" + body + b".")


def nested(path: Path) -> Path:
    """A list in a list, a hundred thousand times."""
    return _pickle(path, b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".")


def within_itself(path: Path) -> Path:
    """A dict that is its own value."""
    return _pickle(path, b"\x80\x04}\x94" + text("D") + b"h\x00s.")


def long_number(path: Path) -> Path:
    """A whole number of two gigabytes."""
    return _pickle(path, b"\x80\x04\x8b\xff\xff\xff\x7f" + b"\x01" * 100 + b".")


def long_text(path: Path) -> Path:
    """A text of eight exabytes."""
    return _pickle(path, b"\x80\x04\x8d" + struct.pack("<Q", 2**63 - 1) + b"a.")


def many_keys(path: Path) -> Path:
    """A dict of a million keys."""
    return _pickle(path, pickle.dumps(dict.fromkeys(map(str, range(KEYS)), 1.0), protocol=4))


def many_instructions(path: Path) -> Path:
    """Six million instructions that come to nothing."""
    return _pickle(path, b"\x80\x04" + b"N0" * 3_000_000 + b"N.")


def many_members(path: Path) -> Path:
    """A zip whose directory lists a member half a million times."""
    with zipfile.ZipFile(path / "D.npz", "w") as archive:
        archive.writestr("a.npy", b"")
    content = (path / "D.npz").read_bytes()
    start, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    entry, count = content[start:end], 500_000
    tail = content[end : end + 8] + struct.pack("<HHII", 0xFFFF, 0xFFFF, count * len(entry), start) + b"\0\0"
    (path / "D.npz").write_bytes(content[:start] + entry * count + tail)
    return path / "D.npz"


def overlapping(path: Path) -> Path:
    """A zip in which a thousand members are one and the same bytes."""
    values = np.zeros((64, 64), dtype=np.float32)
    saved = io.BytesIO()
    np.save(saved, values)
    with zipfile.ZipFile(path / "D.npz", "w") as archive:
        archive.writestr("netD.0000.weight.npy", saved.getvalue())
    content = (path / "D.npz").read_bytes()
    start, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    entries = b"".join(content[start:end].replace(b"0000", f"{n:04d}".encode()) for n in range(1000))
    tail = content[end : end + 8] + struct.pack("<HHII", 1000, 1000, len(entries), start) + b"\0\0"
    (path / "D.npz").write_bytes(content[:start] + entries + tail)
    return path / "D.npz"


def deflated(path: Path) -> Path:
    """Three hundred megabytes of zeros in three hundred kilobytes."""
    header = io.BytesIO()
    np.save(header, np.zeros(0, dtype=np.float32))
    with zipfile.ZipFile(path / "D.npz", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as member:
        member.write(header.getvalue().replace(b"(0,)", b"(7,)"))
        for _ in range(300):
            member.write(bytes(2**20))
    return path / "D.npz"


def quine(path: Path) -> Path:
    """A zip that holds itself, a hundred levels deep."""
    content = b""
    for _ in range(100):
        saved = io.BytesIO()
        with zipfile.ZipFile(saved, "w") as archive:
            archive.writestr("D.zip", content)
        content = saved.getvalue()
    (path / "D.zip").write_bytes(content)
    return path / "D.zip"


def traversing(path: Path) -> Path:
    """A torch zip with members that lie above it."""
    saved = io.BytesIO()
    torch.save({"D": small_discriminator()}, saved)
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(path / "D.pt", "w") as target:
        for item in source.namelist():
            target.writestr(item, source.read(item))
        target.writestr("../../../../tmp/escaped", b"escaped")
        target.writestr("/etc/escaped", b"escaped")
    return path / "D.pt"


def _viewed(path: Path, sizes: tuple[int, int], steps: tuple[int, int]) -> Path:
    """A torch zip with one value, and a view of it of any shape."""
    saved = io.BytesIO()
    torch.save({"netD": {"a.weight": torch.ones(1)}}, saved)
    before = b"K\x01\x85q" if b"K\x01\x85q" in saved.getvalue() else b"K\x01\x85"
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(path / "D.pt", "w") as target:
        for item in source.namelist():
            content = source.read(item)
            if item.endswith("data.pkl"):
                first = content.index(before)
                second = content.index(before, first + 1)
                parts = [_pair(sizes), _pair(steps)]
                content = content[:first] + parts[0] + content[first + 3 : second] + parts[1] + content[second + 3 :]
            target.writestr(item, content)
    return path / "D.pt"


def _pair(values: tuple[int, int]) -> bytes:
    return b"".join(b"\x8a\x08" + struct.pack("<q", value) for value in values) + b"\x86"


def repeated(path: Path) -> Path:
    """One value as a matrix of 2^40."""
    return _viewed(path, (2**20, 2**20), (0, 0))


def backwards(path: Path) -> Path:
    """A view that runs from the end of its storage to before its beginning."""
    return _viewed(path, (64, 64), (-1, -64))


def overflowing(path: Path) -> Path:
    """A shape whose product of 64 bits is small again."""
    return _viewed(path, (2**33, 2**33), (0, 0))


def _header(path: Path, header: bytes, length: int | None = None, values: bytes = b"") -> Path:
    content = struct.pack("<Q", len(header) if length is None else length) + header + values
    (path / "D.safetensors").write_bytes(content)
    return path / "D.safetensors"


def endless_header(path: Path) -> Path:
    """A safetensors header of eight exabytes."""
    return _header(path, b"{}", 2**63 - 1)


def nested_header(path: Path) -> Path:
    """A safetensors header of a hundred thousand brackets."""
    return _header(path, b'{"a":' * 50_000 + b"1" + b"}" * 50_000)


def many_tensors(path: Path) -> Path:
    """A safetensors header with two hundred thousand tensors of no values."""
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    return _header(path, json.dumps({f"netD.{n}.weight": entry for n in range(200_000)}).encode())


def overlapping_tensors(path: Path) -> Path:
    """A safetensors file in which a thousand tensors are one and the same bytes."""
    entry = {"dtype": "F32", "shape": [64, 64], "data_offsets": [0, 16384]}
    header = json.dumps({f"netD.{n}.weight": entry for n in range(1000)}).encode()
    return _header(path, header, values=bytes(16384))


def absurd_shape(path: Path) -> Path:
    """A safetensors file with a shape of 2^60 values."""
    entry = {"dtype": "F32", "shape": [2**30, 2**30], "data_offsets": [0, 2**62]}
    return _header(path, json.dumps({"netD.weight": entry}).encode(), values=bytes(100))


def empty_shape(path: Path) -> Path:
    """Shapes of no values whose other sizes are absurd."""
    entry = {"dtype": "F32", "shape": [2**60, 0, 2**60], "data_offsets": [0, 0]}
    return _header(path, json.dumps({"netD.weight": entry}).encode())


def long_name(path: Path) -> Path:
    """A tensor whose name has a million characters."""
    (path / "D.safetensors").write_bytes(save({f"netD.{'x' * 1_000_000}.weight": torch.ones(8, 8)}))
    return path / "D.safetensors"


def absurd_array(path: Path) -> Path:
    """A NumPy array of 2^60 values in no bytes."""
    saved = io.BytesIO()
    np.save(saved, np.zeros((8, 8), dtype=np.float32))
    content = saved.getvalue()
    header = content[10:128].replace(b"(8, 8)", b"(1073741824, 1073741824)").rstrip().ljust(117) + b"\n"
    content = content[:10] + header + content[128:]
    with zipfile.ZipFile(path / "D.npz", "w") as archive:
        archive.writestr("netD.weight.npy", content)
    return path / "D.npz"


def unwritten(path: Path) -> Path:
    """An HDF5 dataset of 2^40 values of which none was written."""
    with h5py.File(path / "D.h5", "w") as file:
        file.create_dataset("netD/dense/kernel:0", shape=(2**20, 2**20), dtype="f4", chunks=(1024, 1024))
    return path / "D.h5"


def looped(path: Path) -> Path:
    """HDF5 groups that hold each other."""
    with h5py.File(path / "D.h5", "w") as file:
        inner = file.create_group("netD/a")
        for number in range(50):
            inner[f"b{number}"] = file["netD"]
        inner["c"] = h5py.SoftLink("/netD")
    return path / "D.h5"


def elsewhere(path: Path) -> Path:
    """An HDF5 dataset whose values are those of /etc/passwd."""
    with h5py.File(path / "D.h5", "w") as file:
        file.create_dataset("netD/dense/kernel:0", shape=(16, 16), dtype="u1", external=[("/etc/passwd", 0, 256)])
    return path / "D.h5"


def many_entries(path: Path) -> Path:
    """A msgpack mapping of four billion entries."""
    (path / "D.msgpack").write_bytes(b"\xdf\xff\xff\xff\xff\xa1a\xa1b")
    return path / "D.msgpack"


def deep_entries(path: Path) -> Path:
    """A msgpack mapping in a mapping, ten thousand times."""
    (path / "D.msgpack").write_bytes(b"\x81\xa1a" * 10_000 + b"\xa7float32")
    return path / "D.msgpack"


def absurd_bundle(path: Path) -> Path:
    """A TensorFlow index with a tensor of 2^62 values."""
    file = bundle(path, b"")
    shape = b"\x12\x0a\x08" + varint(2**62)
    entry = b"\x08\x01\x12" + varint(len(shape)) + shape + b"\x28" + varint(2**63 - 1)
    file.write_bytes(sorted_table([(b"", b"\x08\x01"), (b"discriminator/kernel", entry)]))
    return file


def many_shards(path: Path) -> Path:
    """A TensorFlow index that speaks of four billion data files."""
    (path / "D.index").write_bytes(sorted_table([(b"", b"\x08" + varint(2**32 - 1)), (b"a", b"")]))
    return path / "D.index"


def long_index(path: Path) -> Path:
    """An index of half a million tensors in shards that are not there."""
    names = {f"netD.{n}.weight": f"shard-{n % 1000}.safetensors" for n in range(500_000)}
    (path / "D.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    return path / "D.safetensors.index.json"


def long_member(path: Path) -> Path:
    """A tar whose first member is a name of eight gigabytes."""
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 2**33 - 1
    (path / "D.pth").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    return path / "D.pth"


def not_a_number(path: Path) -> Path:
    """Nothing but NaN, infinity and the smallest and largest numbers."""
    values = (float("nan"), float("inf"), -float("inf"), 1e-45, 3e38, 0.0)
    layers = {f"conv{n}.weight": torch.full((16, 16, 3, 3), value) for n, value in enumerate(values)}
    torch.save({"netD": layers}, path / "D.pt")
    return path / "D.pt"


def claims_a_reduce(path: Path) -> Path:
    """A quantised tensor with a scale for each of 2^40 rows."""
    content = b"\x80\x04}" + text("netD") + b"}" + text("w") + name("torch._utils", "_rebuild_qtensor")
    return _pickle(path, content + b"(NK\x00K\x08K\x08\x86K\x01K\x01\x86(NNNttRss.")


BOMBS: dict[str, Callable[[Path], Path]] = {
    item.__name__: item
    for item in (
        *(laughs, nested, within_itself, long_number, long_text, many_keys, many_instructions, claims_a_reduce),
        *(many_members, overlapping, deflated, quine, traversing, repeated, backwards, overflowing),
        *(endless_header, nested_header, many_tensors, overlapping_tensors, absurd_shape, empty_shape, long_name),
        *(absurd_array, unwritten, looped, elsewhere, many_entries, deep_entries, absurd_bundle, many_shards),
        *(long_index, long_member, not_a_number),
    )
}
