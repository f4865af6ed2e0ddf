"""Every reader of the tool, with a small good file of its kind, how that is changed, and how it is read."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import sqlite3
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from typer.testing import CliRunner

import spectral_doctor
from spectral_doctor.cli import app
from spectral_doctor.trajectory.cache import FILE, VARIABLE
from tests import stylegan
from tests.checkpoints.foreign import FOREIGN
from tests.safety.good import Discriminator
from tests.safety.mutation import (
    Mutate,
    change_bytes,
    change_headed,
    change_json,
    change_lines,
    change_pickle,
    change_table,
    change_text,
    either,
    in_zip,
)

GOOD = "good/netD_1.safetensors"


@dataclass(frozen=True)
class Reader:
    """A reader: the good files by their names, which of them are changed and how, and the command that reads them."""

    files: Mapping[str, bytes]
    changed: tuple[str, ...]
    change: Mutate
    command: tuple[str, ...]
    environment: Mapping[str, str] | None = None

    def written(self, folder: Path, source: random.Random) -> None:
        """Write the files, one of them changed."""
        chosen = source.choice(self.changed)
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.change(source, content) if name == chosen else content)
            # Written long ago, so that nothing waits for more of it.
            os.utime(path, (1e9, 1e9))


def network() -> dict[str, torch.Tensor]:
    """A discriminator of three small layers."""
    random_ = torch.Generator().manual_seed(0)
    return {
        "conv1.weight": torch.randn(4, 3, 3, 3, generator=random_),
        "conv2.weight_orig": torch.randn(4, 4, 3, 3, generator=random_),
        "conv2.weight_u": torch.randn(4, generator=random_),
        "conv2.weight_v": torch.randn(36, generator=random_),
        "head.weight": torch.randn(1, 4, generator=random_),
    }


def _torch(content: object, legacy: bool = False) -> bytes:
    target = io.BytesIO()
    torch.save(content, target, _use_new_zipfile_serialization=not legacy)
    return target.getvalue()


def _checkpoints() -> dict[str, Reader]:
    state = {"discriminator": network(), "epoch": 3, "optimizer": {"state": {0: {"step": 1}}, "param_groups": []}}
    arrays = {key: value.numpy() for key, value in network().items()}
    pickled, zipped = either(change_bytes, change_pickle), in_zip(pkl=change_pickle)
    safetensors = save(network())
    index = {"weight_map": dict.fromkeys(network(), "netD-1.safetensors"), "metadata": {"total_size": 1}}
    single: dict[str, tuple[str, bytes, Mutate]] = {
        "torch zip": ("netD_3.pt", _torch(state), either(change_bytes, zipped, zipped)),
        "torch zip of a module": ("netD_3.pt", _torch(Discriminator()), either(change_bytes, zipped, zipped)),
        "torch zip, sparse": ("netD_3.pt", _torch({"a.weight": torch.eye(8).to_sparse()}), zipped),
        "torch legacy": ("netD_3.pth", _torch(state, legacy=True), pickled),
        "torch tar": ("netD_3.pth", torch_tar(), change_bytes),
        "safetensors": ("netD_3.safetensors", safetensors, either(change_bytes, change_headed, change_headed)),
        "npz": ("netD_3.npz", _npz(arrays, np.savez), either(change_bytes, in_zip(npy=change_bytes))),
        "npz, compressed": ("netD_3.npz", _npz(arrays, np.savez_compressed), in_zip(npy=change_bytes)),
        "HDF5": ("netD_3.h5", (FOREIGN / "discriminator_20.h5").read_bytes(), change_bytes),
        "Keras": (
            "netD_3.keras",
            (FOREIGN / "discriminator_20.keras").read_bytes(),
            either(change_bytes, in_zip(json=change_json, h5=change_bytes)),
        ),
        "ONNX": ("netD_3.onnx", (FOREIGN / "discriminator_20.onnx").read_bytes(), change_bytes),
        "flax": ("netD_3.msgpack", (FOREIGN / "flax_20.msgpack").read_bytes(), change_bytes),
    }
    for protocol in (0, 2, 4, 5):
        content = pickle.dumps({"D": arrays, "step": 3}, protocol=protocol)
        single[f"pickle {protocol}"] = ("netD_3.pkl", content, pickled)
    single["StyleGAN"] = ("network-snapshot-3.pkl", _snapshot(), pickled)
    read = ("inspect", "--no-cache", "--explain", ".")
    found = {title: Reader({name: content}, (name,), change, read) for title, (name, content, change) in single.items()}
    table = either(change_bytes, change_table, change_table)
    names = ("ckpt-20.index", "ckpt-20.data-00000-of-00001")
    found["TensorFlow"] = Reader({name: (FOREIGN / name).read_bytes() for name in names}, names[:1], table, read)
    shards = {"netD.safetensors.index.json": json.dumps(index).encode(), "netD-1.safetensors": safetensors}
    found["shards"] = Reader(shards, tuple(shards)[:1], change_json, read)
    distributed = distributed_files()
    found["torch.distributed"] = Reader(distributed, ("run/.metadata",), pickled, read)
    found["a shard of torch.distributed"] = Reader(
        distributed, tuple(name for name in distributed if name.endswith(".distcp")), change_bytes, read
    )
    return found


def _npz(arrays: Mapping[str, np.ndarray], writing: Callable[..., None]) -> bytes:
    target = io.BytesIO()
    writing(target, **arrays)
    return target.getvalue()


def _snapshot() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return stylegan.snapshot(Path(folder) / "a.pkl", stylegan.Discriminator(4)).read_bytes()


def torch_tar() -> bytes:
    """A discriminator of one layer as PyTorch 0.1 saved it."""
    import struct

    from tests.safety.names import name

    values = torch.ones(4, 8).numpy().tobytes()
    storages = (
        pickle.dumps(1, 2)
        + b"\x80\x02(X\x01\0\0\x001X\x03\0\0\0cpu"
        + name("torch", "FloatStorage")
        + b"t."
        + struct.pack("<q", 32)
        + values
        + pickle.dumps([], 2)
    )
    tensors = (
        pickle.dumps(1, 2)
        + b"\x80\x02(X\x01\0\0\x001X\x01\0\0\x001"
        + name("torch", "FloatTensor")
        + b"t."
        + struct.pack("<ii2q2qq", 2, 0, 4, 8, 8, 1, 0)
    )
    described = b"\x80\x02}(X\x08\0\0\0a.weightX\x01\0\0\x001QX\x08\0\0\0b.weightX\x01\0\0\x001Qu."
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        parts = {"sys_info": pickle.dumps({}, 2), "storages": storages, "tensors": tensors, "pickle": described}
        for title, content in parts.items():
            member = tarfile.TarInfo(title)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


def distributed_files() -> dict[str, bytes]:
    """A torch.distributed checkpoint in a folder `run`."""
    from torch.distributed.checkpoint.state_dict_saver import save as save_distributed

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save_distributed({"netD": network(), "step": 3}, checkpoint_id=folder)
        return {f"run/{path.name}": path.read_bytes() for path in Path(folder).iterdir()}


def _said(*arguments: str) -> bytes:
    """What the tool prints about a good file."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code in (0, 1), result.output
    return result.stdout.encode()


def _others() -> dict[str, Reader]:
    """The files that the tool writes itself or is given beside checkpoints."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        good = folder / GOOD
        good.parent.mkdir()
        good.write_bytes(save(network()))
        history = _said("inspect", "--no-cache", "--format", "json", str(good))
        _said("watch", str(good.parent), "--once", "--no-cache", "--history", str(folder / "watched.json"))
        watched = (folder / "watched.json").read_bytes()
        _said("check", str(good), "--baseline", str(folder / "baseline.json"), "--update-baseline")
        baseline = (folder / "baseline.json").read_bytes()
        _said("inspect", str(good), "--rows", str(folder / "rows.jsonl"))
        rows = (folder / "rows.jsonl").read_bytes()
    reference = (Path(spectral_doctor.__file__).parent / "diagnosis" / "reference.json").read_bytes()
    content = {GOOD: save(network())}
    metric = b'{"results": {"fid50k": 3.5}, "metric": "fid50k", "snapshot_pkl": "network-snapshot-000003.pkl"}\n'
    check = ("check", GOOD, "--no-cache", "--format", "json")
    return {
        "history": Reader({"history.json": history}, ("history.json",), change_json, ("inspect", "history.json")),
        "watched history": Reader(
            {**content, "watched.json": watched},
            ("watched.json",),
            change_json,
            ("watch", "good", "--once", "--no-cache", "--history", "watched.json"),
        ),
        "baseline": Reader(
            {**content, "baseline.json": baseline},
            ("baseline.json",),
            change_json,
            (*check, "--baseline", "baseline.json"),
        ),
        "settings": Reader(
            {**content, "own.toml": SETTINGS}, ("own.toml",), change_text, (*check, "--config", "own.toml")
        ),
        "pyproject": Reader(
            {**content, "pyproject.toml": PROJECT},
            ("pyproject.toml",),
            change_text,
            check,
        ),
        "rows": Reader({"rows.jsonl": rows}, ("rows.jsonl",), change_lines, ("merge", "rows.jsonl")),
        "rows gone on from": Reader(
            {**content, "rows.jsonl": rows}, ("rows.jsonl",), change_lines, ("inspect", GOOD, "--rows", "rows.jsonl")
        ),
        "reference": Reader(
            {**content, "reference.json": reference},
            ("reference.json",),
            change_json,
            ("inspect", GOOD, "--no-cache", "--reference", "reference.json"),
        ),
        "metrics": Reader(
            {"network-snapshot-000003.pkl": _snapshot(), "metric-fid50k.jsonl": metric},
            ("metric-fid50k.jsonl",),
            change_lines,
            ("inspect", "--no-cache", "network-snapshot-000003.pkl"),
        ),
        "cache": Reader(
            {**content, f"cache/{FILE}": _cache()},
            (f"cache/{FILE}",),
            either(change_bytes, change_cache),
            ("inspect", GOOD),
            {VARIABLE: "cache"},
        ),
    }


SETTINGS = b"""fail-on = "declining"
fail-on-coverage = 90
select = ["SD1", "SD2"]
ignore = ["SD203"]
exclude = ["tail*"]
exit-zero = true

[level]
SD202 = "fail"

[per-layer-ignore]
"head*" = ["SD203"]
"""

PROJECT = b"[tool.spectral-doctor]\n" + SETTINGS.replace(b"[", b"[tool.spectral-doctor.").replace(
    b"= [tool.spectral-doctor.", b"= ["
)


def _cache() -> bytes:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "netD_1.safetensors"
        path.write_bytes(save(network()))
        result = CliRunner().invoke(app, ["inspect", str(path)], env={VARIABLE: name})
        assert result.exit_code == 0
        return (Path(name) / FILE).read_bytes()


def change_cache(source: random.Random, content: bytes) -> bytes:
    """A row of a cache changed, and its checksum with it now and then."""
    from spectral_doctor.trajectory.cache import _sum

    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / FILE
        path.write_bytes(content)
        connection = sqlite3.connect(path)
        table, key = source.choice((("spectra", "digest"), ("seen", "state"), ("formats", "state")))
        rows = connection.execute(f"SELECT number, {key}, content FROM {table}").fetchall()
        if rows:
            number, digest, held = source.choice(rows)
            changed = change_json(source, held) if held[:1] == b"{" else change_bytes(source, held)
            checksum = _sum(digest, changed) if source.random() < 0.8 else b""
            connection.execute(f"UPDATE {table} SET content = ?, sum = ? WHERE number = ?", (changed, checksum, number))
        connection.commit()
        connection.close()
        return path.read_bytes()


def readers() -> dict[str, Reader]:
    """Every reader by its name."""
    return {**_checkpoints(), **_others()}


def is_zip(content: bytes) -> bool:
    """Whether bytes are a whole zip."""
    return zipfile.is_zipfile(io.BytesIO(content))
