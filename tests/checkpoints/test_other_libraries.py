"""flax and ONNX files: what the libraries themselves wrote, and what their formats say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
import torch
from torch.nn import functional

from spectral_doctor.checkpoints.formats import Format
from spectral_doctor.checkpoints.formats.flax_msgpack import DamagedFlax, FlaxMsgpack
from spectral_doctor.checkpoints.formats.onnx import Onnx
from spectral_doctor.checkpoints.stores import LocalFile
from spectral_doctor.elements import Values
from spectral_doctor.errors import UnreadableCheckpoint
from spectral_doctor.records import Form
from spectral_doctor.state_dicts.matrices import collect_layers
from spectral_doctor.state_dicts.networks import find_discriminators
from tests.checkpoints.foreign import (
    FOREIGN,
    damaged,
    flat,
    flattened,
    image_and_answer,
    normalised,
    opened,
    survives,
    tensors_of,
)

FLAX, ONNX = FOREIGN / "flax_20.msgpack", FOREIGN / "discriminator_20.onnx"


def test_the_weights_of_flax_answer_in_pytorch_as_they_do_in_flax() -> None:
    """The whole network gives flax's answer; flax divides its raw kernel by σ, and turns no transposed window round."""
    of = tensors_of(FlaxMsgpack(), FLAX)
    inside = "discriminator.params"
    image, answer = image_and_answer("flax.npz")
    kernel, vector = of[f"{inside}.Conv_0.weight_orig"], of[f"{inside}.Conv_0.weight_u"]
    # flax takes one more step of the power iteration before it divides.
    other = functional.normalize(vector @ kernel.flatten(1), dim=0)
    kernel = kernel / (kernel.flatten(1) @ other).norm()
    hidden = functional.conv2d(image, kernel, of[f"{inside}.Conv_0.bias"])
    hidden = functional.conv_transpose2d(hidden, of[f"{inside}.ConvTranspose_0.weight"].flip(2, 3))
    mean, variance = (of[f"{inside}.BatchNorm_0.{leaf}"] for leaf in ("mean", "var"))
    scale, bias = (of[f"{inside}.BatchNorm_0.{leaf}"] for leaf in ("scale", "bias"))
    hidden = normalised(hidden, mean, variance, scale, bias, 1e-5)
    given = functional.linear(flattened(hidden), of[f"{inside}.Dense_0.weight"], of[f"{inside}.Dense_0.bias"])
    torch.testing.assert_close(given, answer, rtol=1e-4, atol=1e-5)


def test_what_flax_says_of_sigma_is_the_spectrum_of_the_matrix_that_is_read() -> None:
    """σ = uᵀWv ≤ |uᵀW| ≤ σ1 for the vector that is read beside the weight."""
    contents = opened(FlaxMsgpack(), FLAX)
    (found,), _ = find_discriminators(contents.tree, FLAX)
    layers, skipped = collect_layers(found.tensors)
    assert skipped == ()
    assert [(layer.layer, layer.form, layer.matrix_shape) for layer in layers] == [
        ("Conv_0", Form.SPECTRAL_NORM, (4, 27)),
        ("ConvTranspose_0", Form.PLAIN, (5, 16)),
        ("Dense_0", Form.PLAIN, (1, 180)),
    ]
    sigma = flat(contents.tree)["discriminator.params.Conv_0.sigma"]
    vector = flat(contents.tree)["discriminator.params.Conv_0.weight_u"].read()
    rounding = 1 + 100 * np.finfo(np.float32).eps
    along = np.linalg.norm(layers[0].read().T @ vector)
    assert sigma <= along * rounding
    assert along <= np.linalg.svd(layers[0].read(), compute_uv=False)[0] * rounding
    assert sigma > along / 2


def test_the_rest_of_a_flax_state_comes_with_it() -> None:
    """The step, bfloat16, and an optimizer that is no network."""
    tree = opened(FlaxMsgpack(), FLAX).tree
    values = flat(tree)
    assert tree["step"] == 20
    kernel = values["generator.params.Dense_0.weight"]
    assert (kernel.element.name, kernel.shape) == ("bfloat16", (3, 2))
    np.testing.assert_array_equal(kernel.read(), np.ones((3, 2)))
    assert values["discriminator_opt_state.0.mu.Dense_0.kernel"].shape == (180, 1)


def ndarray(values: Values, name: str = "") -> msgpack.ExtType:
    """An array as flax packs it, by the msgpack library."""
    return msgpack.ExtType(1, msgpack.packb((values.shape, name or values.dtype.name, values.tobytes())))


def write(path: Path, content: Mapping[str, Any]) -> Path:
    """A msgpack file."""
    path.write_bytes(msgpack.packb(content))
    return path


def test_every_length_and_kind_of_msgpack_is_followed(tmp_path: Path) -> None:
    """Against the msgpack library: short and long texts, maps and lists, numbers of every size, pieces, odd types."""
    kernel = np.arange(12, dtype=np.float32).reshape(3, 4)
    numbers = [0, 127, 128, 2**15, 2**31, 2**40, -1, -32, -33, -(2**15), -(2**31), -(2**40), 1.5]
    pieces = {
        "__msgpack_chunked_array__": True,
        "shape": {"0": 3, "1": 4},
        "chunks": {"0": ndarray(kernel.reshape(-1)[:7]), "1": ndarray(kernel.reshape(-1)[7:])},
    }
    path = write(
        tmp_path / "D.msgpack",
        {
            "params": {"Dense_0": {"kernel": ndarray(kernel)}, "Dense_1": {"kernel": pieces}},
            "numbers": numbers,
            "many": {f"key_{number:03d}": number for number in range(300)},
            "long": "x" * 300,
            "bytes": b"y" * 70_000,
            "nothing": None,
            "yes": True,
            "complex": msgpack.ExtType(2, msgpack.packb((1.0, 2.0))),
            "fixed": msgpack.ExtType(5, b"abcd"),
            "strange": ndarray(np.zeros(3, dtype=np.uint8), "int4"),
        },
    )
    contents = opened(FlaxMsgpack(), path)
    values = flat(contents.tree)
    for layer in ("Dense_0", "Dense_1"):
        np.testing.assert_array_equal(values[f"params.{layer}.weight"].read(), kernel.T)
    assert [values[f"numbers.{place}"] for place in range(len(numbers))] == numbers
    assert (values["many.key_299"], values["long"], values["yes"]) == (299, "x" * 300, True)
    assert [(item.name, item.reason) for item in contents.left_out] == [("strange", "int4 values are not read")]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"a": ndarray(np.zeros(3, dtype=np.float32), "float64")}, "an array of shape (3,) with 12 bytes"),
        ({"a": msgpack.ExtType(1, msgpack.packb((3, "float32")))}, "an array without a shape, a type and values"),
        ({"a": 1}, "it holds no arrays"),
        ([1, 2], "it is no msgpack mapping"),
    ],
)
def test_msgpack_that_is_no_flax_file_is_not_taken_for_one(tmp_path: Path, content: Any, sentence: str) -> None:
    """And the reason is known."""
    path = write(tmp_path / "a.msgpack", content)
    assert not FlaxMsgpack().accept(LocalFile(path))
    with pytest.raises(UnreadableCheckpoint) as caught:
        FlaxMsgpack().open(LocalFile(path))
    assert str(caught.value) == f"{path}: cannot be read: {sentence}."


def test_depth_is_bounded(tmp_path: Path) -> None:
    """A mapping within a mapping a thousand times is no checkpoint, and no recursion error."""
    path = tmp_path / "a.msgpack"
    path.write_bytes(b"\x81\xa1a" * 1000 + b"\xc0")
    assert not FlaxMsgpack().accept(LocalFile(path))


def test_a_flax_file_cut_short_is_named(tmp_path: Path) -> None:
    """It is damage, and said to be flax's."""
    path = tmp_path / "D.msgpack"
    path.write_bytes(FLAX.read_bytes()[:2000])
    source = LocalFile(path)
    assert not FlaxMsgpack().accept(source)
    assert DamagedFlax().accept(source)
    with pytest.raises(UnreadableCheckpoint, match=r"a flax file: it ends before its (values do|outline does)\.$"):
        DamagedFlax().open(source)


def test_the_initialisers_of_onnx_are_read_under_their_names() -> None:
    """Raw bytes and packed floats; what is stored one number at a time is left out and said so."""
    contents = opened(Onnx(), ONNX)
    values = flat(contents.tree)
    kernel = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)
    np.testing.assert_array_equal(values["discriminator.conv.weight"].read(), kernel)
    np.testing.assert_array_equal(values["discriminator.conv.bias"].read(), np.array([0.5, -1.5], dtype=np.float32))
    assert [(item.name, item.reason) for item in contents.left_out] == [
        ("discriminator.last.weight", "bfloat16 values that are stored one by one are not read"),
        ("shape", "int64 values that are stored one by one are not read"),
    ]
    (found,), _ = find_discriminators(contents.tree, ONNX)
    layers, _ = collect_layers(found.tensors)
    assert [(layer.layer, layer.matrix_shape) for layer in layers] == [("conv", (2, 12))]


def test_values_of_onnx_in_another_file_are_left_out(tmp_path: Path) -> None:
    """The other file is not opened."""
    tensor = b"\x08\x02\x10\x01\x42\x01w" + b"\x6a\x0a" + b"\x0a\x08location" + b"\x70\x01"
    graph = b"\x2a" + bytes([len(tensor)]) + tensor
    path = tmp_path / "a.onnx"
    path.write_bytes(b"\x08\x08\x3a" + bytes([len(graph)]) + graph + b"\x42\x00")
    contents = opened(Onnx(), path)
    assert contents.tree == {}
    assert [(item.name, item.reason) for item in contents.left_out] == [
        ("w", "its values lie in another file, which is not read")
    ]


@pytest.mark.parametrize(("formats", "path"), [((FlaxMsgpack(), DamagedFlax()), FLAX), ((Onnx(),), ONNX)])
def test_damage_of_every_kind_ends_in_a_sentence(tmp_path: Path, formats: tuple[Format, ...], path: Path) -> None:
    """Cut at every byte, changed at many: the doctor's own errors or a file that can be read, nothing else."""
    content = path.read_bytes()
    assert survives(formats, tmp_path / path.name, content)
    read = [survives(formats, tmp_path / path.name, spoilt) for spoilt in damaged(content, len(content), 500)]
    assert not all(read)
