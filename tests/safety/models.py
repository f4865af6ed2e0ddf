"""Models that bring code of their own: what Keras, HDF5 and TensorFlow files can hold beside their weights.

The code is a marshalled function, as a Lambda layer has it. `load` does what a loader does that trusts the file: it
takes the code out of the place where it stands and calls it.
"""

from __future__ import annotations

import base64
import io
import json
import marshal
import pickle
import types
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from spectral_doctor.checkpoints.formats.sorted_table import crc32c, masked
from tests import hostile
from tests.builders import small_discriminator
from tests.safety.names import source_of

_WEIGHTS = ("conv1.weight", "conv2.weight", "head.weight")


@dataclass(frozen=True)
class Model:
    """A file with code in it: `write` makes it, given what the code is to write; `load` runs it; see `Place`."""

    write: Callable[[Path, Path], Path]
    load: Callable[[Path], object]
    shows: bool = False


def _code(canary: Path) -> str:
    return base64.b64encode(marshal.dumps(compile(source_of(canary), "canary", "exec"))).decode()


def _called(code: str) -> object:
    return types.FunctionType(marshal.loads(base64.b64decode(code)), {})()


def _config(canary: Path) -> dict[str, Any]:
    """A model's settings with a Lambda layer, whose function is a marshalled one, as Keras 2 and 3 write it."""
    function = {"class_name": "__lambda__", "config": {"code": _code(canary), "defaults": None, "closure": None}}
    layers = [
        {"class_name": "Conv2D", "config": {"name": "conv2d", "filters": 16}},
        {"class_name": "Lambda", "config": {"name": "lambda", "function": function, "function_type": "lambda"}},
    ]
    return {"class_name": "Sequential", "config": {"name": "discriminator", "layers": layers}}


def _run_config(config: Any) -> object:
    return _called(config["config"]["layers"][1]["config"]["function"]["config"]["code"])


def _put_weights(group: h5py.Group) -> None:
    """Three kernels in Keras' order of axes."""
    for name in _WEIGHTS:
        values = small_discriminator()[name].numpy()
        turned = np.moveaxis(values, (0, 1), (-1, -2)) if values.ndim == 4 else values.T
        layer = name.partition(".")[0]
        group.create_dataset(f"discriminator/{layer}/kernel:0", data=turned)


def _keras_2(path: Path, canary: Path) -> Path:
    with h5py.File(path / "discriminator.h5", "w") as file:
        file.attrs["model_config"] = np.bytes_(json.dumps(_config(canary)))
        _put_weights(file.create_group("model_weights"))
    return path / "discriminator.h5"


def _load_keras_2(path: Path) -> object:
    with h5py.File(path) as file:
        return _run_config(json.loads(bytes(file.attrs["model_config"])))


def _keras_3(path: Path, canary: Path, config: dict[str, Any] | None = None, extra: bytes = b"") -> Path:
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        _put_weights(file)
    with zipfile.ZipFile(path / "discriminator.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(config or _config(canary)))
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", weights.getvalue())
        if extra:
            archive.writestr("assets/settings.pkl", extra)
    return path / "discriminator.keras"


def _load_keras_3(path: Path) -> object:
    with zipfile.ZipFile(path) as archive:
        return _run_config(json.loads(archive.read("config.json")))


def _keras_named(path: Path, canary: Path) -> Path:
    """Settings that name a function of any module, as CVE-2025-1550 did, with what it is given beside it."""
    named = {"module": "builtins", "class_name": "exec", "inbound_nodes": [{"args": [source_of(canary)]}]}
    return _keras_3(path, canary, {"class_name": "Functional", "config": {"name": "d", "layers": [named]}})


def _load_keras_named(path: Path) -> object:
    with zipfile.ZipFile(path) as archive:
        (layer,) = json.loads(archive.read("config.json"))["config"]["layers"]
    module = __import__(layer["module"])
    return getattr(module, layer["class_name"])(*layer["inbound_nodes"][0]["args"])


def _keras_assets(path: Path, canary: Path) -> Path:
    return _keras_3(path, canary, {"class_name": "Sequential"}, pickle.dumps(hostile.Canary(canary)))


def _load_keras_assets(path: Path) -> object:
    with zipfile.ZipFile(path) as archive:
        return pickle.loads(archive.read("assets/settings.pkl"))


def _h5_attribute(path: Path, canary: Path) -> Path:
    """A pickle in an attribute, where some libraries keep their settings."""
    with h5py.File(path / "D.h5", "w") as file:
        _put_weights(file)
        file.attrs["settings"] = np.void(pickle.dumps(hostile.Canary(canary)))
    return path / "D.h5"


def _load_h5_attribute(path: Path) -> object:
    with h5py.File(path) as file:
        return pickle.loads(file.attrs["settings"].tobytes())


def _h5_reference(path: Path, canary: Path) -> Path:
    """A pickle in a dataset of bytes to which an object reference leads."""
    with h5py.File(path / "D.h5", "w") as file:
        _put_weights(file)
        held = file.create_dataset("optimizer/settings", data=np.frombuffer(pickle.dumps(hostile.Canary(canary)), "u1"))
        file.create_dataset("D/reference", data=held.ref, dtype=h5py.ref_dtype)
    return path / "D.h5"


def _load_h5_reference(path: Path) -> object:
    with h5py.File(path) as file:
        return pickle.loads(file[file["D/reference"][()]][()].tobytes())


def _h5_external(path: Path, canary: Path) -> Path:
    """A link to another file, whose dataset is a pickle."""
    (path / "elsewhere").mkdir()
    with h5py.File(path / "elsewhere" / "other.h5", "w") as file:
        file.create_dataset("settings", data=np.frombuffer(pickle.dumps(hostile.Canary(canary)), "u1"))
    with h5py.File(path / "D.h5", "w") as file:
        _put_weights(file)
        file["settings"] = h5py.ExternalLink(str(path / "elsewhere" / "other.h5"), "settings")
    return path / "D.h5"


def _load_h5_external(path: Path) -> object:
    with h5py.File(path) as file:
        return pickle.loads(file["settings"][()].tobytes())


def varint(value: int) -> bytes:
    """A whole number as protocol buffers write it."""
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(parts) + bytes([value])


def _block(entries: list[tuple[bytes, bytes]]) -> bytes:
    body = b"".join(b"\0" + varint(len(key)) + varint(len(value)) + key + value for key, value in entries)
    block = body + b"\0\0\0\0" + b"\1\0\0\0"
    return block


def sorted_table(entries: list[tuple[bytes, bytes]]) -> bytes:
    """A table of one block, as TensorFlow keeps the index of a checkpoint."""
    content, handles = b"", []
    for block in (_block(entries), _block([])):
        handles.append(varint(len(content)) + varint(len(block)))
        content += block + b"\0" + masked(crc32c(block + b"\0")).to_bytes(4, "little")
    index = _block([(entries[-1][0] + b"\xff", handles[0])])
    handles.append(varint(len(content)) + varint(len(index)))
    content += index + b"\0" + masked(crc32c(index + b"\0")).to_bytes(4, "little")
    footer = (handles[1] + handles[2]).ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")
    return content + footer


def _bundle_entry(kind: int, sizes: tuple[int, ...], offset: int, length: int) -> bytes:
    shape = b"".join(b"\x12" + varint(len(part)) + part for part in (b"\x08" + varint(size) for size in sizes))
    return (
        b"\x08"
        + varint(kind)
        + b"\x12"
        + varint(len(shape))
        + shape
        + b"\x20"
        + varint(offset)
        + b"\x28"
        + varint(length)
    )


def bundle(path: Path, texts: bytes) -> Path:
    """A TensorFlow checkpoint: one kernel of a discriminator, and a text beside it."""
    kernel = np.moveaxis(small_discriminator()["conv2.weight"].numpy(), (0, 1), (-1, -2)).tobytes()
    entries = [
        (b"", b"\x08\x01"),
        (b"discriminator/conv/kernel", _bundle_entry(1, (3, 3, 16, 16), 0, len(kernel))),
        (b"discriminator/settings", _bundle_entry(7, (), len(kernel), len(texts))),
    ]
    (path / "D.index").write_bytes(sorted_table(entries))
    (path / "D.data-00000-of-00001").write_bytes(kernel + texts)
    return path / "D.index"


def _tensorflow(path: Path, canary: Path) -> Path:
    """A tensor of text that is a pickle, as `tf.py_function` keeps what it calls."""
    return bundle(path, pickle.dumps(hostile.Canary(canary)))


def _load_tensorflow(path: Path) -> object:
    content = path.with_name("D.data-00000-of-00001").read_bytes()
    return pickle.loads(content[16 * 16 * 9 * 4 :])


MODELS: dict[str, Model] = {
    "a Lambda layer in HDF5": Model(_keras_2, _load_keras_2, shows=True),
    "a Lambda layer in .keras": Model(_keras_3, _load_keras_3, shows=True),
    "a function named in .keras": Model(_keras_named, _load_keras_named, shows=True),
    "a pickle in .keras' assets": Model(_keras_assets, _load_keras_assets, shows=True),
    "an attribute in HDF5": Model(_h5_attribute, _load_h5_attribute, shows=True),
    "behind an object reference in HDF5": Model(_h5_reference, _load_h5_reference, shows=True),
    "behind an external link in HDF5": Model(_h5_external, _load_h5_external, shows=True),
    "a text of a TensorFlow bundle": Model(_tensorflow, _load_tensorflow, shows=True),
}
