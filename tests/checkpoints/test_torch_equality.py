"""Every kind of tensor that torch.save writes is read bit for bit as torch.load reads it; the oracle is torch."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spectral_doctor.arrays import Absent, Array
from spectral_doctor.checkpoints.opening import open_path
from spectral_doctor.errors import CheckpointError, WeightError
from tests.benchmarks.equality import differences


def quantised(axis: int | None) -> Tensor:
    """A quantised tensor, with one scale or one a channel."""
    values = torch.randn(4, 6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if axis is None:
            return torch.quantize_per_tensor(values, 0.1, 3, torch.quint8)
        size = values.shape[axis]
        scales, zeros = torch.rand(size) + 0.1, torch.randint(0, 5, (size,))
        return torch.quantize_per_channel(values, scales, zeros, axis, torch.qint8)


def compressed(convert: Callable[[Tensor], Tensor]) -> Tensor:
    """A sparse tensor in a compressed layout, whose constructor warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return convert(torch.eye(4, 5) * 3)


WHOLE = torch.randn(6, 8)
TENSORS: dict[str, Callable[[], object]] = {
    **{
        str(dtype).removeprefix("torch."): partial((torch.randn(5, 7) * 3).to, dtype)
        for dtype in (
            torch.float64,
            torch.float32,
            torch.float16,
            torch.bfloat16,
            torch.float8_e4m3fn,
            torch.float8_e5m2,
            torch.float8_e4m3fnuz,
            torch.float8_e5m2fnuz,
            torch.complex64,
            torch.complex128,
            torch.int64,
            torch.int32,
            torch.int16,
            torch.int8,
            torch.uint8,
            torch.bool,
        )
    },
    "uint16": lambda: torch.arange(6).to(torch.uint16),
    "uint32": lambda: torch.arange(6).to(torch.uint32),
    "every bfloat16": lambda: torch.arange(-(2**15), 2**15).to(torch.int16).view(torch.bfloat16),
    "every float8_e4m3fn": lambda: torch.arange(256).to(torch.uint8).view(torch.float8_e4m3fn),
    "every float8_e5m2": lambda: torch.arange(256).to(torch.uint8).view(torch.float8_e5m2),
    "every float8_e4m3fnuz": lambda: torch.arange(256).to(torch.uint8).view(torch.float8_e4m3fnuz),
    "every float8_e5m2fnuz": lambda: torch.arange(256).to(torch.uint8).view(torch.float8_e5m2fnuz),
    "a view with strides": lambda: WHOLE.t()[1:, ::2],
    "expanded": lambda: torch.randn(1, 4).expand(3, 4),
    "no axes": lambda: torch.tensor(2.5),
    "empty": lambda: torch.empty(0, 3),
    "a parameter": lambda: nn.Parameter(torch.randn(2, 3)),
    "quantised": lambda: quantised(None),
    "quantised by channel": lambda: quantised(1),
    "sparse": lambda: torch.eye(4, 5).to_sparse(),
    "sparse, repeated indices": lambda: torch.sparse_coo_tensor(
        torch.tensor([[0, 0, 1], [1, 1, 2]]), torch.tensor([1.0, 2.0, 3.0]), (3, 4), check_invariants=True
    ),
    "sparse rows": lambda: compressed(Tensor.to_sparse_csr),
    "sparse columns": lambda: compressed(Tensor.to_sparse_csc),
    "conjugate": lambda: torch.randn(3, 4, dtype=torch.complex64).conj(),
    "negative": lambda: torch.imag(torch.randn(3, 4, dtype=torch.complex64).conj()),
    "a whole module": lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.LSTM(3, 4)),
    "shared": lambda: {"a": WHOLE, "b": WHOLE, "row": WHOLE[2]},
    "in lists": lambda: [torch.ones(2), {"deep": (torch.zeros(3), 5)}],
    "under spectral norm": lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(4, 3)).state_dict(),
}


# The legacy format cannot hold types that came after it: torch.save itself fails on them.
_LATER = ("float8", "uint16", "uint32")
SAVED = [(name, False) for name in TENSORS] + [(name, True) for name in TENSORS if not any(map(name.count, _LATER))]


@pytest.mark.parametrize(("name", "legacy"), SAVED)
def test_a_tensor_is_read_as_torch_reads_it(tmp_path: Path, name: str, legacy: bool) -> None:
    """Type, shape and every bit, NaN included."""
    path = tmp_path / "a.pt"
    content = {"D": TENSORS[name](), "step": 5}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    assert differences(path) == []


def test_a_difference_would_be_noticed(tmp_path: Path) -> None:
    """The negative: one bit of one storage changed after torch has read it."""
    path = tmp_path / "a.pt"
    torch.save({"D": WHOLE}, path, _use_new_zipfile_serialization=False)
    loaded = torch.load(path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    assert differences(path, loaded) == ["D: other values"]


def test_a_big_endian_file_is_read(tmp_path: Path) -> None:
    """As a machine of the other byte order writes it."""
    path = tmp_path / "a.pt"
    torch.save({"D": WHOLE, "h": WHOLE.bfloat16()}, path)
    swapped = tmp_path / "b.pt"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(swapped, "w") as target:
        for member in source.infolist():
            content = source.read(member)
            if member.filename.endswith("byteorder"):
                content = b"big"
            elif "/data/" in member.filename:
                width = 4 if len(content) == WHOLE.numel() * 4 else 2
                content = np.frombuffer(content, f"<u{width}").astype(f">u{width}").tobytes()
            target.writestr(member.filename, content)
    assert differences(swapped) == []


def test_a_meta_tensor_has_a_shape_and_no_values(tmp_path: Path) -> None:
    """And says so when it is read."""
    path = tmp_path / "a.pt"
    torch.save({"D": torch.empty(3, 4, device="meta")}, path)
    array = open_path(path).tree["D"]
    assert isinstance(array, Absent)
    assert array.shape == (3, 4)
    with pytest.raises(WeightError, match="a meta tensor: the file holds its shape and no values"):
        array.read()


def test_numpy_arrays_in_a_torch_file_and_tensors_rebuilt_from_them(tmp_path: Path) -> None:
    """As saved from a TPU: a state dict of NumPy arrays, and XLA's tensors."""
    weight = np.random.default_rng(0).normal(size=(40, 50)).astype(np.float32)

    class OnDevice:
        """Pickles as a tensor of an XLA device does."""

        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return torch._utils._rebuild_device_tensor_from_numpy, (weight, torch.float32, "cpu", False)

    for legacy in (False, True):
        path = tmp_path / "a.pt"
        torch.save({"n": weight, "t": OnDevice()}, path, _use_new_zipfile_serialization=not legacy)
        tree = open_path(path).tree
        for name in ("n", "t"):
            array = tree[name]
            assert isinstance(array, Array)
            np.testing.assert_array_equal(array.read(), weight)


def test_views_of_one_storage_are_told_from_copies(tmp_path: Path) -> None:
    """Equal memory for equal views; else a weight under two names would count twice."""
    path = tmp_path / "a.pt"
    torch.save({"a": WHOLE, "b": WHOLE, "c": WHOLE.clone(), "row": WHOLE[0]}, path)
    tree: Any = open_path(path).tree
    assert tree["a"].memory == tree["b"].memory
    assert len({tree[name].memory for name in ("a", "c", "row")}) == 3


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_a_file_cut_anywhere_is_unreadable_or_equal(tmp_path: Path, legacy: bool) -> None:
    """Never a wrong value: what is read of a torn file is what the whole file holds."""
    buffer = io.BytesIO()
    torch.save(
        {"D": {"a": torch.randn(20, 20), "b": torch.randn(9)}}, buffer, _use_new_zipfile_serialization=not legacy
    )
    whole, loaded = buffer.getvalue(), torch.load(io.BytesIO(buffer.getvalue()))
    path = tmp_path / "a.pt"
    refused = 0
    for end in range(0, len(whole), 37):
        path.write_bytes(whole[:end])
        try:
            assert differences(path, loaded) == []
        except CheckpointError:
            refused += 1
    assert refused > len(whole) // 37 - 10


def test_the_tar_of_the_oldest_torch_is_read(tmp_path: Path) -> None:
    """Written here by hand as PyTorch 0.1 wrote it; torch.load, which still reads it, is the oracle."""
    weight = np.arange(12, dtype="<f4").reshape(3, 4)
    storages = pickle.dumps(1, 2) + pickle.dumps((7, "cpu", torch.FloatStorage), 2)
    storages += struct.pack("<q", 12) + weight.tobytes() + pickle.dumps([], 2)
    tensors = pickle.dumps(1, 2) + pickle.dumps((9, 7, torch.FloatTensor), 2)
    tensors += struct.pack("<i", 2) + bytes(4) + struct.pack("<2q", 3, 4) + struct.pack("<2q", 4, 1)
    tensors += struct.pack("<q", 0)
    root = b"\x80\x02}(X\x06\x00\x00\x00weightK\x09QX\x04\x00\x00\x00stepK\x05u."
    path = tmp_path / "D.pt"
    with tarfile.open(path, "w") as archive:
        for name, content in (
            ("sys_info", b"\x80\x02}."),
            ("pickle", root),
            ("tensors", tensors),
            ("storages", storages),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    tree: Any = open_path(path).tree
    np.testing.assert_array_equal(tree["weight"].read(), weight)
    assert tree["step"] == 5
