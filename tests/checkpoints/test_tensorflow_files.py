"""Keras and TensorFlow files: what the libraries themselves wrote, and what their formats say, with the axes turned."""

from __future__ import annotations

import io
import json
import struct
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from spectral_doctor.checkpoints.formats import Format
from spectral_doctor.checkpoints.formats.hdf5 import DamagedHdf5, Hdf5
from spectral_doctor.checkpoints.formats.keras import DamagedKeras, KerasArchive
from spectral_doctor.checkpoints.formats.sorted_table import crc32c
from spectral_doctor.checkpoints.formats.tensorflow import DamagedTensorFlow, TensorFlowCheckpoint, TensorFlowData
from spectral_doctor.checkpoints.stores import LocalFile
from spectral_doctor.elements import Values
from spectral_doctor.errors import UnreadableCheckpoint, UnsafeCheckpoint, UnsupportedCheckpoint
from spectral_doctor.records import Certainty, Form, Kind
from spectral_doctor.state_dicts.matrices import collect_layers
from spectral_doctor.state_dicts.networks import find_discriminators, find_generator
from tests.checkpoints.foreign import (
    FOREIGN,
    damaged,
    flat,
    flattened,
    image_and_answer,
    opened,
    survives,
    tensors_of,
)

REAL: list[tuple[Format, str]] = [
    (Hdf5(), "discriminator_20.h5"),
    (KerasArchive(), "discriminator_20.keras"),
    (TensorFlowCheckpoint(), "ckpt-20.index"),
]


@pytest.mark.parametrize(("item", "name"), REAL)
def test_the_weights_of_keras_answer_in_pytorch_as_they_do_in_keras(item: Format, name: str) -> None:
    """The whole network, run by PyTorch with the weights as they are read, gives Keras's own answer."""
    tensors = tensors_of(item, FOREIGN / name)

    def of(layer: str, leaf: str) -> Tensor:
        (found,) = [value for key, value in tensors.items() if f".{layer}." in key and key.endswith(f".{leaf}")]
        return found

    image, answer = image_and_answer("tensorflow.npz")
    tensors = {key: value for key, value in tensors.items() if key.startswith("discriminator.")}
    hidden = functional.conv2d(image, of("spectral_normalization", "weight"), of("spectral_normalization", "bias"))
    hidden = functional.conv_transpose2d(hidden, of("conv2d_transpose", "weight"), of("conv2d_transpose", "bias"))
    hidden = functional.conv2d(hidden, of("depthwise_conv2d", "weight"), groups=6)
    hidden = functional.conv2d(hidden, of("separable_conv2d", "depthwise.weight"), groups=12)
    hidden = functional.conv2d(hidden, of("separable_conv2d", "pointwise.weight"))
    given = functional.linear(flattened(hidden), of("dense", "weight"), of("dense", "bias"))
    torch.testing.assert_close(given, answer, rtol=1e-5, atol=1e-6)
    # The negative: with two axes of one kernel exchanged the answer is another.
    turned = of("dense", "weight").reshape(4, 4, 3).permute(1, 0, 2).reshape(1, -1)
    assert not torch.allclose(functional.linear(flattened(hidden), turned, of("dense", "bias")), answer, atol=1e-3)


@pytest.mark.parametrize(("item", "name"), REAL)
def test_the_discriminator_is_found_with_its_layers_forms_and_kinds(item: Format, name: str) -> None:
    """Names say what it is; what is spectrally normalised, transposed or a plain layer is told."""
    tree = opened(item, FOREIGN / name).tree
    (found,), _ = find_discriminators(tree, FOREIGN / "model_20.x")
    assert (found.name, found.certainty) == ("discriminator", Certainty.CONFIRMED)
    layers, skipped = collect_layers(found.tensors)
    assert skipped == ()
    told = [(layer.kind, layer.form, layer.matrix_shape) for layer in layers]
    expected = [
        (Kind.CONVOLUTION, Form.SPECTRAL_NORM, (4, 27)),
        (Kind.TRANSPOSED, Form.PLAIN, (6, 16)),
        (Kind.CONVOLUTION, Form.PLAIN, (12, 4)),
        (Kind.CONVOLUTION, Form.PLAIN, (12, 4)),
        (Kind.CONVOLUTION, Form.PLAIN, (3, 12)),
        (Kind.LINEAR, Form.PLAIN, (1, 48)),
    ]
    # A bare HDF5 file has no order of layers that could be read safely.
    assert sorted(map(str, told)) == sorted(map(str, expected)) if isinstance(item, Hdf5) else told == expected


def test_a_checkpoint_of_tensorflow_holds_both_networks_a_step_and_an_optimizer() -> None:
    """Kernels that are stored under the optimizer's list alone are found through the graph of objects."""
    item, path = TensorFlowCheckpoint(), FOREIGN / "ckpt-20.index"
    assert item.members(LocalFile(path)) == ("ckpt-20.data-00000-of-00001",)
    tree = opened(item, path).tree
    assert (tree["step"], opened(item, path).left_out) == (20, ())
    generator = find_generator(tree)
    assert generator is not None
    assert [array.shape for array in generator.values()] == [(5, 2), (5,)]
    optimizer = tree["discriminator_optimizer"]
    assert isinstance(optimizer, Mapping)
    assert optimizer["_iterations"] == 0
    data = LocalFile(FOREIGN / "ckpt-20.data-00000-of-00001")
    assert TensorFlowData().accept(data)
    with pytest.raises(UnreadableCheckpoint, match=r"a part of a checkpoint\. Name 'ckpt-20\.index' beside it\.$"):
        TensorFlowData().open(data)


def varint(number: int) -> bytes:
    """A whole number, seven bits a byte."""
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def block(entries: Sequence[tuple[bytes, bytes]], kind: int = 0) -> bytes:
    """A block of a sorted table, every key in full but for what the one before shares."""
    content, before = b"", b""
    for key, value in entries:
        shared = next((n for n in range(min(len(key), len(before))) if key[n] != before[n]), min(len(key), len(before)))
        content += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    content += struct.pack("<II", 0, 1) + bytes([kind])
    checksum = crc32c(content)
    return content + struct.pack("<I", ((checksum >> 15 | checksum << 17 & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF)


TYPES = {"float32": 1, "int32": 3, "int64": 9, "uint16": 14, "float16": 19}


def write_bundle(folder: Path, tensors: Mapping[str, Values], *, kind: int = 0, shards: int = 1) -> Path:
    """A checkpoint as TensorFlow lays it out; `uint16` values stand for bfloat16."""
    data = [b""] * shards
    entries = [(b"", b"\x08" + varint(shards))]
    for place, key in enumerate(sorted(tensors)):
        values = tensors[key]
        sizes = list(map(varint, values.shape))
        dimensions = b"".join(b"\x12" + varint(len(size) + 1) + b"\x08" + size for size in sizes)
        written = b"\x08" + varint(TYPES[values.dtype.name]) + b"\x12" + varint(len(dimensions)) + dimensions
        written += b"\x18" + varint(place % shards) + b"\x20" + varint(len(data[place % shards]))
        entries.append((key.encode(), written + b"\x28" + varint(values.nbytes)))
        data[place % shards] += values.tobytes()
    first = block(entries, kind)
    index = block([(entries[-1][0], varint(0) + varint(len(first) - 5))])
    handle = varint(len(first)) + varint(len(index) - 5)
    footer = (b"\0\0" + handle).ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")
    (folder / "model.ckpt-300.index").write_bytes(first + index + footer)
    for number, content in enumerate(data):
        (folder / f"model.ckpt-300.data-{number:05d}-of-{shards:05d}").write_bytes(content)
    return folder / "model.ckpt-300.index"


KERNEL = np.arange(2 * 2 * 3 * 5, dtype=np.float32).reshape(2, 2, 3, 5)


def test_a_checkpoint_of_tensorflow_1_is_read_by_its_names(tmp_path: Path) -> None:
    """Raw kernels beside their vector `u`, slots, averages, bfloat16 and two data files."""
    slots = {f"discriminator/conv/w/{name}": KERNEL for name in ("Adam", "Adam_1", "ExponentialMovingAverage")}
    path = write_bundle(
        tmp_path,
        {
            "discriminator/conv/w": KERNEL,
            "discriminator/conv/u": np.ones((1, 5), dtype=np.float32),
            "discriminator/conv/biases": np.zeros(5, dtype=np.float32),
            "discriminator/last/kernel": np.array([[0x3F80], [0xC000]], dtype=np.uint16),
            "global_step": np.array(300, dtype=np.int64),
            **slots,
        },
        shards=2,
    )
    tree = opened(TensorFlowCheckpoint(), path).tree
    values = flat(tree)
    assert tree["global_step"] == 300
    expected = KERNEL.transpose(3, 2, 0, 1)
    np.testing.assert_array_equal(values["discriminator.conv.weight_orig"].read(), expected)
    assert values["discriminator.conv.weight_u"].shape == (5,)
    np.testing.assert_array_equal(values["discriminator.last.weight"].read(), [[1.0, -2.0]])
    assert sorted(key for key in values if not key.startswith("discriminator.")) == [
        "ema.discriminator.conv.weight",
        "global_step",
        "optimizer_slots.discriminator.conv.w.Adam",
        "optimizer_slots.discriminator.conv.w.Adam_1",
    ]
    (found,), _ = find_discriminators(tree, path)
    layers, _ = collect_layers(found.tensors)
    assert [(layer.layer, layer.form) for layer in layers] == [("conv", Form.SPECTRAL_NORM), ("last", Form.PLAIN)]


def test_a_checkpoint_with_slots_of_tensorflow_2_without_a_graph(tmp_path: Path) -> None:
    """`.ATTRIBUTES` and `.OPTIMIZER_SLOT` are taken out of the names."""
    ending = "/.ATTRIBUTES/VARIABLE_VALUE"
    slot = f"discriminator/conv1/kernel/.OPTIMIZER_SLOT/discriminator_optimizer/m{ending}"
    path = write_bundle(tmp_path, {f"discriminator/conv1/kernel{ending}": KERNEL, slot: KERNEL})
    values = flat(opened(TensorFlowCheckpoint(), path).tree)
    assert list(values) == [
        "discriminator.conv1.weight",
        "optimizer_slots of discriminator_optimizer.discriminator.conv1.kernel.m",
    ]


DATA = "model.ckpt-300.data-00000-of-00001"
ZEROS = bytes(48) + bytes.fromhex("57fb808b247547db")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda path: (path.parent / DATA).unlink(), f"its data file '{DATA}' is missing"),
        (
            lambda path: (path.parent / DATA).write_bytes(b"abc"),
            f"'d/kernel' does not lie in '{DATA}', which is cut short or of another checkpoint",
        ),
        (lambda path: path.write_bytes(b"\x01" + path.read_bytes()[1:]), "its table is damaged: a checksum is wrong"),
        (
            lambda path: write_bundle(path.parent, {"d/kernel": KERNEL}, kind=1),
            "its table is compressed with Snappy, which TensorFlow itself never does",
        ),
        (lambda path: path.write_bytes(ZEROS), "its table has a block that lies outside the file"),
    ],
)
def test_a_damaged_checkpoint_says_what_is_wrong(
    tmp_path: Path, spoil: Callable[[Path], object], sentence: str
) -> None:
    """One sentence each, from the format that reads or from the one that stands for damage."""
    path = write_bundle(tmp_path, {"d/kernel": KERNEL})
    spoil(path)
    source = LocalFile(path)
    item = next(item for item in (TensorFlowCheckpoint(), DamagedTensorFlow()) if item.accept(source))
    with pytest.raises(UnreadableCheckpoint) as caught:
        item.open(source)
    assert sentence in str(caught.value)


def test_castagnoli_is_the_checksum_that_it_should_be() -> None:
    """The check value of RFC 3720, B.4: 32 bytes of zeros."""
    assert (crc32c(bytes(32)), crc32c(b"123456789")) == (0x8A9136AA, 0xE3069283)


def write_h5(path: Path, content: Mapping[str, Any]) -> Path:
    """An HDF5 file of datasets by their paths."""
    with h5py.File(path, "w") as file:
        for name, values in content.items():
            file[name] = values
    return path


def test_weights_of_keras_2_with_a_wrapper_of_tensorflow_addons(tmp_path: Path) -> None:
    """Names twice, `:0` behind them, and the vector `sn_u` beside the wrapped layer."""
    group = "spectral_normalization_2/spectral_normalization_2"
    path = write_h5(
        tmp_path / "discriminator.h5",
        {
            f"{group}/sn_u:0": np.ones((1, 5), dtype=np.float32),
            f"{group}/kernel:0": KERNEL,
            f"{group}/bias:0": np.zeros(5, dtype=np.float32),
            "embedding/embedding/embeddings:0": np.ones((7, 3), dtype=np.float32),
            "lstm/lstm/lstm_cell/kernel:0": np.ones((3, 8), dtype=np.float32),
            "lstm/lstm/lstm_cell/recurrent_kernel:0": np.ones((2, 8), dtype=np.float32),
        },
    )
    tree = opened(Hdf5(), path).tree
    (found,), _ = find_discriminators(tree, path)
    layers, skipped = collect_layers(found.tensors)
    assert skipped == ()
    assert {(layer.name, layer.kind, layer.form, layer.matrix_shape) for layer in layers} >= {
        ("spectral_normalization_2", Kind.CONVOLUTION, Form.SPECTRAL_NORM, (5, 12)),
        ("embedding", Kind.EMBEDDING, Form.PLAIN, (7, 3)),
    }
    assert {layer.kind for layer in layers if layer.layer.startswith("lstm")} == {Kind.RECURRENT}
    np.testing.assert_array_equal(flat(tree)["spectral_normalization_2.weight"].read(), KERNEL.transpose(3, 2, 0, 1))


def test_variables_of_keras_3_have_the_names_that_their_numbers_stand_for(tmp_path: Path) -> None:
    """By the class of the layer and the shapes."""
    shapes: dict[str, list[tuple[int, ...]]] = {
        "disc/layers/conv2d/vars": [(3, 3, 2, 4), (4,)],
        "disc/layers/batch_normalization/vars": [(4,), (4,), (4,), (4,)],
        "disc/conv_out/vars": [(4, 1), (1,)],
        "disc/embedding/vars": [(10, 4)],
        "disc/att/query_dense/vars": [(4, 2, 3), (2, 3)],
        "disc/att/output_dense/vars": [(2, 3, 4), (4,)],
        "disc/spectral_normalization/vars": [(5, 4, 6), (1, 6)],
        "disc/spectral_normalization/layer/vars": [(5, 4, 6), (6,)],
    }
    path = tmp_path / "model.weights.h5"
    with h5py.File(path, "w") as file:
        for group, sizes in shapes.items():
            for number, size in enumerate(sizes):
                file[f"{group}/{number}"] = np.ones(size, dtype=np.float32)
    found = {key: array.shape for key, array in flat(opened(Hdf5(), path).tree).items()}
    assert {key: shape for key, shape in found.items() if "batch" not in key} == {
        "disc.conv2d.weight": (4, 2, 3, 3),
        "disc.conv2d.bias": (4,),
        "disc.conv_out.weight": (1, 4),
        "disc.conv_out.bias": (1,),
        "disc.embedding.weight": (10, 4),
        "disc.att.query_dense.weight": (6, 4),
        "disc.att.query_dense.bias": (6,),
        "disc.att.output_dense.weight": (4, 6),
        "disc.att.output_dense.bias": (4,),
        "disc.spectral_normalization.layer.weight": (6, 4, 5),
        "disc.spectral_normalization.layer.bias": (6,),
        "disc.spectral_normalization.layer.weight_u": (6,),
    }
    leaves = ("gamma", "beta", "moving_mean", "moving_variance")
    assert [key for key in found if "batch" in key] == [f"disc.batch_normalization.{leaf}" for leaf in leaves]


def test_the_order_of_layers_is_read_from_texts_of_a_fixed_length_alone(tmp_path: Path) -> None:
    """As Keras 2 stores it; a damaged heap of texts of any length ends the process inside libhdf5."""
    path = write_h5(tmp_path / "D.h5", {"a/a/kernel:0": KERNEL, "z/z/kernel:0": KERNEL})
    for names, expected in ((np.array([b"z", b"a"]), ["z.weight", "a.weight"]), (["z", "a"], ["a.weight", "z.weight"])):
        with h5py.File(path, "a") as file:
            file.attrs.pop("layer_names", None)
            file.attrs["layer_names"] = names
        assert list(flat(opened(Hdf5(), path).tree)) == expected


def test_datasets_in_chunks_are_read_and_what_lies_elsewhere_is_not(tmp_path: Path) -> None:
    """Links out, soft links, loops, references and virtual datasets are left out by name; no other file is opened."""
    write_h5(tmp_path / "other.h5", {"kernel": KERNEL})
    path = tmp_path / "D.h5"
    layout = h5py.VirtualLayout(shape=KERNEL.shape, dtype="f4")
    layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "kernel", shape=KERNEL.shape)
    with h5py.File(path, "w") as file:
        file.create_dataset("conv/kernel", data=KERNEL, chunks=(1, 1, 3, 5), compression="gzip")
        file.create_dataset("half/kernel", data=KERNEL.astype(np.float16))
        file["conv/loop"] = file["conv"]
        file["out"] = h5py.ExternalLink("other.h5", "kernel")
        file["soft"] = h5py.SoftLink("/conv/kernel")
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("outside", (5,), "f4", external=[(str(tmp_path / "raw.bin"), 0, 20)])
        file["reference"] = file["conv"].ref
        file["text"] = "a text"
        file["step"] = 40
        file.create_dataset("bomb", (2**20, 2**14), "f4", chunks=(1024, 1024))
    (tmp_path / "other.h5").unlink()
    contents = opened(Hdf5(), path)
    values = flat(contents.tree)
    np.testing.assert_array_equal(values["conv.weight"].read(), KERNEL.transpose(3, 2, 0, 1))
    assert (values["half.weight"].element.name, values["step"]) == ("float16", 40)
    assert sorted(values) == ["conv.weight", "half.weight", "step"]
    left_out = {item.name: item.reason for item in contents.left_out}
    assert left_out.keys() == {"conv.loop", "out", "soft", "virtual", "outside", "bomb"}
    assert left_out["virtual"] == "values that lie in another file, which is not followed"
    assert left_out["bomb"] == "its 0 bytes would expand to 68719476736"


def test_without_h5py_the_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, and no import error."""
    path = write_h5(tmp_path / "D.h5", {"conv/kernel": KERNEL})
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UnsupportedCheckpoint) as caught:
        opened(Hdf5(), path)
    assert str(caught.value) == (
        f"{path}: an HDF5 file, which this version does not open. "
        "Reading it needs h5py: pip install 'spectral-doctor[tensorflow-files]'."
    )


def write_keras(path: Path, weights: bytes, config: object, *, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """A Keras 3 archive."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.3.3"}')
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", weights)
    return path


def test_a_compressed_keras_file_is_read_in_the_order_of_its_settings(tmp_path: Path) -> None:
    """The settings name the layers' order; a Lambda layer in them is text."""
    inner = io.BytesIO()
    with h5py.File(inner, "w") as file:
        file["layers/conv2d/vars/0"] = KERNEL
        file["layers/dense/vars/0"] = KERNEL[0, 0]
    code = {"class_name": "Lambda", "config": {"name": "run", "function": {"class_name": "__lambda__", "config": {}}}}
    layers = [
        code,
        {"class_name": "Dense", "config": {"name": "first"}},
        {"class_name": "Conv2D", "config": {"name": "last"}},
    ]
    path = write_keras(
        tmp_path / "D.keras", inner.getvalue(), {"class_name": "Sequential", "config": {"layers": layers}}
    )
    assert list(flat(opened(KerasArchive(), path).tree)) == ["first.weight", "last.weight"]


def test_files_that_only_begin_like_a_known_one_are_named(tmp_path: Path) -> None:
    """A signature over zeros has its format's name, so that a folder can count it, and a sentence."""
    (tmp_path / "D.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(200))
    write_keras(tmp_path / "D.keras", b"\x89HDF\r\n\x1a\n" + bytes(200), {})
    for name, right, stand_in in (("D.h5", Hdf5(), DamagedHdf5()), ("D.keras", KerasArchive(), DamagedKeras())):
        source = LocalFile(tmp_path / name)
        assert not right.accept(source)
        assert stand_in.accept(source)
        assert stand_in.name == right.name
        with pytest.raises(UnreadableCheckpoint, match="damaged"):
            stand_in.open(source)


def test_a_keras_file_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    """A member that expands a thousandfold is not unpacked."""
    path = tmp_path / "D.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("config.json", "{}")
        with archive.open("model.weights.h5", "w", force_zip64=True) as member:
            member.write(b"\x89HDF\r\n\x1a\n")
            for _ in range(300):
                member.write(bytes(2**20))
    source = LocalFile(path)
    assert not KerasArchive().accept(source)
    with pytest.raises(UnsafeCheckpoint, match="expands"):
        DamagedKeras().open(source)


@pytest.mark.parametrize(
    ("formats", "name", "cuts", "flips"),
    [
        ((Hdf5(), DamagedHdf5()), "discriminator_20.h5", 150, 500),
        ((KerasArchive(), DamagedKeras()), "discriminator_20.keras", 80, 150),
        ((TensorFlowCheckpoint(), DamagedTensorFlow()), "ckpt-20.index", 400, 400),
    ],
)
def test_damage_of_every_kind_ends_in_a_sentence(
    tmp_path: Path, formats: tuple[Format, ...], name: str, cuts: int, flips: int
) -> None:
    """Cut anywhere, changed anywhere: the doctor's own errors or a file that can be read, nothing else."""
    (tmp_path / "ckpt-20.data-00000-of-00001").write_bytes((FOREIGN / "ckpt-20.data-00000-of-00001").read_bytes())
    content = (FOREIGN / name).read_bytes()
    assert survives(formats, tmp_path / name, content)
    read = [survives(formats, tmp_path / name, spoilt) for spoilt in damaged(content, cuts, flips)]
    assert not all(read)


def test_damage_to_the_data_of_a_checkpoint_is_harmless(tmp_path: Path) -> None:
    """Its graph of objects lies there as well, and is only a help."""
    index = FOREIGN / "ckpt-20.index"
    (tmp_path / index.name).write_bytes(index.read_bytes())
    data = (FOREIGN / "ckpt-20.data-00000-of-00001").read_bytes()
    for spoilt in damaged(data, 30, 200):
        (tmp_path / "ckpt-20.data-00000-of-00001").write_bytes(spoilt)
        if len(spoilt) == len(data):
            opened(TensorFlowCheckpoint(), tmp_path / index.name)
        else:
            with pytest.raises(UnreadableCheckpoint, match="which is cut short or of another checkpoint"):
                opened(TensorFlowCheckpoint(), tmp_path / index.name)
