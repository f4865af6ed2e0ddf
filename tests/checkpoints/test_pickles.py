"""Pickles, followed and never obeyed: what comes out is what pickle would have made, as far as it is understood."""

from __future__ import annotations

import collections
import io
import pickle
import random
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dill
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spectral_doctor.checkpoints.pickle.descriptions import MalformedPickle
from spectral_doctor.checkpoints.pickle.machine import MOST_INSTRUCTIONS, Machine
from spectral_doctor.checkpoints.pickle.objects import MOST_PARTS, Reader
from spectral_doctor.checkpoints.stores import InMemory, LocalFile
from spectral_doctor.errors import CheckpointError, DoctorError, NoDiscriminator, UnreadableCheckpoint, UnsafeCheckpoint
from spectral_doctor.state_dicts.loading import load_checkpoint
from tests import hostile, stylegan
from tests.reading import as_tensor, read_tree

PROTOCOLS = range(6)


def read(content: bytes) -> Any:
    """What the reader makes of a pickle."""
    source = InMemory(LocalFile(Path(__file__)), content)
    return Reader(source).value(Machine().run(io.BytesIO(content), len(content)))


def as_tree(value: Any) -> Any:
    """The oracle: what was loaded, as mappings with text keys; a sequence of plain values alone is None."""
    if isinstance(value, dict):
        return {str(key): as_tree(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        if not any(isinstance(item, dict | list | tuple) for item in value):
            return None
        return {str(index): as_tree(item) for index, item in enumerate(value)}
    return value


def plain_value(source: random.Random, depth: int = 0) -> object:
    """A value of containers, numbers and text, as training scripts keep them."""
    kind = source.random()
    if depth < 4 and kind < 0.5:
        members = [plain_value(source, depth + 1) for _ in range(source.randint(0, 5))]
        if kind < 0.15:
            return members
        if kind < 0.25:
            return tuple(members)
        keys = source.sample(["a", "b.c", "ü", 3, -7, "step", "x" * 300], len(members))
        pairs = zip(keys, members, strict=True)
        return collections.OrderedDict(pairs) if kind < 0.3 else dict(pairs)
    numbers = [0, 1, -1, 255, 256, 70000, -(2**31), 2**40, 2**70, 0.5, -1e300, True, False, None, "", "text", "\n\\ 漢"]
    return source.choice(numbers)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_values_come_out_as_pickle_gives_them(protocol: int) -> None:
    """Random nested values, every protocol; the oracle is pickle itself."""
    source = random.Random(protocol)
    for _ in range(60):
        content = pickle.dumps({"value": plain_value(source)}, protocol=protocol)
        expected = as_tree(pickle.loads(content))
        assert read(content) == expected


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(3, 4),
        torch.randn(4, 6).t()[1:, ::2],
        torch.randn(3, 4, dtype=torch.float64),
        torch.randn(5).half(),
        torch.randn(2, 2).bfloat16(),
        torch.arange(6).reshape(2, 3),
        torch.tensor([True, False]),
        torch.tensor(2.5),
        torch.empty(0, 3),
        torch.randn(2, dtype=torch.complex64),
        torch.arange(4).to(torch.uint16),
        nn.Parameter(torch.randn(2, 3)),
    ],
    ids=lambda tensor: f"{tensor.dtype}{tuple(tensor.shape)}",
)
def test_tensors_come_out_bit_for_bit(tensor: Tensor, protocol: int) -> None:
    """Every type, strides and offsets, parameters; as PyTorch itself pickles them."""
    found = read(pickle.dumps({"w": tensor}, protocol=protocol))["w"]
    assert found.element.name == str(tensor.dtype).removeprefix("torch.")
    assert torch.equal(as_tensor(found), tensor.detach())


def test_tensors_that_share_their_storage_still_do() -> None:
    """A weight under two names is one weight, and is counted once."""
    weight = torch.randn(4, 4)
    found = read(pickle.dumps({"a": weight, "b": weight}))
    assert found["a"].memory == found["b"].memory
    apart = read(pickle.dumps({"a": weight, "b": weight.clone()}))
    assert apart["a"].memory != apart["b"].memory


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "i1", "i8", "u1", "c8", "?"])
def test_numpy_arrays_and_numbers_come_out(dtype: str, protocol: int) -> None:
    """Both byte orders, both memory orders."""
    array = np.arange(6).reshape(2, 3).astype(dtype)
    content = pickle.dumps({"a": array, "f": np.asfortranarray(array), "n": np.float64(2.5)}, protocol=protocol)
    found = read(content)
    np.testing.assert_array_equal(found["a"].read(), array)
    np.testing.assert_array_equal(found["f"].read(), array)
    assert found["n"] == 2.5


NETWORKS: list[tuple[type[nn.Module], list[str], str]] = [
    (stylegan.Discriminator, ["D"], ""),
    (stylegan.StagedDiscriminator, ["D"], ""),
    (stylegan.Projected, ["D.discriminator.mini_discs.0", "D.discriminator.mini_discs.1"], "D.feature_network"),
    (stylegan.Transformed, ["D.heads.0", "D.heads.1"], "D.dino"),
]


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize(("network", "names", "frozen"), NETWORKS)
def test_a_snapshot_holds_the_discriminator_that_was_saved(
    tmp_path: Path, network: type[nn.Module], names: list[str], frozen: str, protocol: int
) -> None:
    """The tensors are those of its own state dict; members apart; frozen features and the generators left out."""
    discriminator = network()
    path = stylegan.snapshot(tmp_path / "network-snapshot-000200.pkl", discriminator, protocol=protocol)
    tree: Any = read_tree(path)[1]
    expected = stylegan.weights(discriminator)
    assert tree["D"].keys() == expected.keys()
    assert all(torch.equal(tree["D"][key], value) for key, value in expected.items())
    checkpoint = load_checkpoint(path)
    assert [item.name for item in checkpoint.discriminators] == names
    left_out = {item.name for item in checkpoint.left_out}
    assert {"G", "G_ema"} <= left_out
    assert not frozen or frozen in left_out


def test_dill_is_a_pickle_too(tmp_path: Path) -> None:
    """StyleGAN-T saves with dill."""
    discriminator = stylegan.Transformed()
    path = tmp_path / "network-snapshot-000100.pkl"
    with stylegan.named_as_in_the_files():
        path.write_bytes(dill.dumps({"G": stylegan.Generator(), "D": discriminator, "f": lambda: 1}))
    checkpoint = load_checkpoint(path)
    assert [item.name for item in checkpoint.discriminators] == ["D.heads.0", "D.heads.1"]
    weight = stylegan.weights(discriminator)["heads.0.0.weight_orig"]
    assert torch.equal(torch.from_numpy(np.array(checkpoint.discriminators[0].layers[0].read())), weight.flatten(1))
    (note,) = [item.reason for item in checkpoint.left_out if item.name == "(objects)"]
    assert note.startswith("described and never made: 'dill._dill._create_code'")


def test_a_plain_module_and_a_plain_state_dict_are_read(tmp_path: Path) -> None:
    """`pickle.dump(D)` and `pickle.dump(D.state_dict())`, and a trainer that holds D."""
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 1, 3))
    expected = {key: value for key, value in network.state_dict().items() if value.ndim > 1}
    for number, content in enumerate((network, network.state_dict(), {"D": network})):
        path = tmp_path / f"netD_{number}.pkl"
        path.write_bytes(pickle.dumps(content))
        (found,) = load_checkpoint(path).discriminators
        assert len(found.layers) == len(expected)
        for layer, weight in zip(found.layers, expected.values(), strict=True):
            assert torch.equal(torch.from_numpy(np.array(layer.read())), weight.flatten(1))


def test_reading_a_snapshot_imports_nothing_and_asks_torch_to_load_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the modules that it names, nor torch's own loader, are touched."""
    network = stylegan.network_fragment(stylegan.Discriminator())
    path = tmp_path / "network-snapshot-000001.pkl"
    path.write_bytes(hostile.beside(b"cantigravity\ngeohash\n", network))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("torch.load was called")

    monkeypatch.setattr(torch, "load", refuse)
    load_checkpoint(path)
    before = set(sys.modules)
    load_checkpoint(path)
    assert set(sys.modules) == before
    assert not {"antigravity", "torch_utils", "dnnlib"} & before


def laughs(depth: int = 40) -> bytes:
    """A dict whose every level holds the one below twice: 2 to the power of its depth in a few hundred bytes."""
    content = b"\x80\x04}q\x00"
    for level in range(1, depth + 1):
        content += (
            b"}(X\x01\0\0\0ah" + bytes([level - 1]) + b"X\x01\0\0\0bh" + bytes([level - 1]) + b"uq" + bytes([level])
        )
    return content + b"."


def wide_laughs() -> bytes:
    """Ten levels of lists, each ten times the one below."""
    content = b"\x80\x04]q\x00"
    for level in range(1, 11):
        content += b"](" + (b"h" + bytes([level - 1])) * 10 + b"eq" + bytes([level])
    return content + b"."


def nested_modules() -> bytes:
    """Modules that hold each other twice, forty levels deep."""
    content = b"\x80\x04}q\x00"
    for level in range(1, 41):
        below = b"h" + bytes([level - 1])
        inner = b"}(X\x01\0\0\0a" + below + b"X\x01\0\0\0b" + below + b"u"
        content += b"cm\nM\n)\x81}X\x08\0\0\0_modules" + inner + b"sbq" + bytes([level])
    return content + b"."


def repeated_array(raw: bytes, taken: bytes) -> bytes:
    """One megabyte of values that two thousand arrays claim."""
    shape = b"cnumpy\ndtype\nX\x02\0\0\0f4\x85RJ\0\0\x04\0\x85X\x01\0\0\0CtR"
    return b"\x80\x04" + raw + b"q\x010](" + (b"cnumpy._core.numeric\n_frombuffer\n(" + taken + shape) * 2000 + b"e."


AS_BYTES = b"B" + struct.pack("<I", 2**20) + bytes(2**20)
AS_TEXT = b"X" + struct.pack("<I", 2**20) + bytes(2**20)


BOMBS: dict[str, tuple[Callable[[], bytes], type[DoctorError], str]] = {
    # Nesting ends at a fixed depth before the parts run out: nothing is left to examine.
    "a billion laughs, deep": (laughs, NoDiscriminator, "no discriminator recognised"),
    "a billion laughs, wide": (wide_laughs, UnsafeCheckpoint, f"it describes more than {MOST_PARTS} parts"),
    "a billion modules": (nested_modules, UnsafeCheckpoint, f"it describes more than {MOST_PARTS} parts"),
    # Two thousand views of the same bytes: nothing is copied, and no name says that they are a discriminator.
    "an array repeated": (lambda: repeated_array(AS_BYTES, b"h\x01"), NoDiscriminator, "no discriminator recognised"),
    "an array repeated, as protocol 2 spells it": (
        lambda: repeated_array(AS_TEXT, b"c_codecs\nencode\nh\x01X\x06\0\0\0latin1\x86R"),
        UnsafeCheckpoint,
        "its arrays hold more bytes than the file",
    ),
    "a flood of instructions": (
        lambda: b"\x80\x04" + b"N0" * (MOST_INSTRUCTIONS // 2 + 1) + b"N.",
        UnsafeCheckpoint,
        f"it has more than {MOST_INSTRUCTIONS} instructions",
    ),
    "a long number that is not there": (
        lambda: b"\x80\x04\x8b\xff\xff\xff\x7f.",
        UnreadableCheckpoint,
        "whose instructions cannot be followed",
    ),
    "a text that is not there": (
        lambda: b"\x80\x04\x8d" + b"\xff" * 7 + b"\x0f.",
        UnreadableCheckpoint,
        "whose instructions cannot be followed",
    ),
    "a hundred thousand digits": (
        lambda: b"\x80\x02I" + b"9" * 100_000 + b"\n.",
        UnreadableCheckpoint,
        "whose instructions cannot be followed",
    ),
    "names as long as the file": (
        lambda: b"\x80\x04X\x00\x02\0\0" + b"a" * 512 + b"X\x01\0\0\0b\x93.",
        UnsafeCheckpoint,
        "it holds a name of more than 500 characters",
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_ends_in_one_sentence_and_soon(tmp_path: Path, name: str) -> None:
    """Little files that would take all memory or all time."""
    build, kind, sentence = BOMBS[name]
    path = tmp_path / "D.pkl"
    path.write_bytes(build())
    start = time.monotonic()
    with pytest.raises(kind, match=sentence):
        load_checkpoint(path)
    assert time.monotonic() - start < 60


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04" + b"(" * 200_000 + b"t" * 200_000 + b".",
        b"\x80\x04N" + b"\x85" * 200_000 + b".",
        b"\x80\x04]q\x00h\x00a.",
        b"\x80\x04}q\x00X\x01\0\0\0ah\x00s.",
    ],
    ids=["tuples of tuples", "one in one", "a list in itself", "a dict in itself"],
)
def test_nesting_without_end_ends(content: bytes) -> None:
    """Depth costs neither the stack nor for ever."""
    read(content)


def test_a_tensor_cannot_reach_beyond_its_storage() -> None:
    """Sizes, strides and offsets are checked against the values that are there."""
    whole = pickle.dumps(torch.zeros(6), protocol=2)
    assert torch.equal(as_tensor(read(whole)), torch.zeros(6))
    # K\x06\x85 is the size (6,): one more is beyond the end.
    assert whole.count(b"K\x06\x85") == 1
    with pytest.raises(MalformedPickle, match=r"a tensor of shape \(7,\) that reaches beyond the 6 values"):
        read(whole.replace(b"K\x06\x85", b"K\x07\x85"))


@pytest.mark.parametrize("shape", [(0, 2**61, 2**61), (1, 0, 2**61, 2**61)])
def test_a_shape_that_cannot_be_is_malformed(shape: tuple[int, ...]) -> None:
    """Nothing in it, and still too large for a tensor or an array."""
    size = stylegan.plain_fragment(shape)
    flat = stylegan.plain_fragment(torch.zeros(2))
    tensor = flat.replace(b"K\x02\x85", size, 1)
    assert tensor != flat
    with pytest.raises(MalformedPickle):
        read(b"\x80\x04}X\x01\0\0\0w" + tensor + b"s.")
    start = b"cnumpy.core.numeric\n_frombuffer\n(C\x00cnumpy\ndtype\nX\x02\0\0\0f4\x85R"
    with pytest.raises(MalformedPickle):
        read(b"\x80\x04}X\x01\0\0\0w" + start + size + b"X\x01\0\0\0CtRs.")


def test_a_parameter_in_a_parameter_without_end_is_malformed() -> None:
    """Depth that the table itself would follow."""
    content = b"\x80\x04N" + b"q\x000ctorch._utils\n_rebuild_parameter\nh\x00\x85R" * 5000 + b"q\x00]h\x00a."
    with pytest.raises(MalformedPickle, match=r"'torch\._utils\._rebuild_parameter' describes what cannot be"):
        read(content)


REFUSED = {
    b"\x80\x04N\x82\xc8.": "it refers to something outside the file, by an extension code",
    b"\x80\x04Pkey\n.": "it refers to something outside the file, by a persistent id",
    b"\x80\x04NQ.": "it refers to something outside the file, by a persistent id",
    b"\x80\x05\x97.": "it refers to something outside the file, by a buffer kept elsewhere",
    b"\x80\x04cbuiltins\nprint\n}b.": "it changes 'builtins.print' itself",
}


@pytest.mark.parametrize(("content", "sentence"), REFUSED.items())
def test_what_lies_outside_the_file_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    """To the letter, with the way out."""
    path = tmp_path / "a.pkl"
    path.write_bytes(content)
    with pytest.raises(UnsafeCheckpoint) as caught:
        read_tree(path)
    assert str(caught.value) == (
        f"{path}: refused: {sentence}. Only tensors and plain values are read. In the environment that wrote it, "
        "save the weights alone: torch.save(discriminator.state_dict(), 'D.pt')."
    )


MALFORMED = [
    b".",
    b"0.",
    b"N",
    b"a.",
    b"NNs.",
    b"(Nd.",
    b"}(Nu.",
    b"R.",
    b"NNR.",
    b"h\x05.",
    b"\xff.",
    b"t.",
    b"NNb.",
    b"e.",
]


@pytest.mark.parametrize("content", MALFORMED)
def test_instructions_without_sense_are_unreadable(tmp_path: Path, content: bytes) -> None:
    """Empty stacks, values that were never remembered, keys without values."""
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x04" + content)
    with pytest.raises(UnreadableCheckpoint, match="a Python pickle whose instructions cannot be followed: "):
        read_tree(path)


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_snapshot_ends_in_values_or_a_sentence(tmp_path: Path, seed: int) -> None:
    """A few bytes overwritten, or the end missing."""
    source = random.Random(seed)
    path = stylegan.snapshot(tmp_path / "network-snapshot-000001.pkl", stylegan.Discriminator(8), protocol=seed % 4 + 2)
    content = bytearray(path.read_bytes())
    for _ in range(source.randint(1, 6)):
        content[source.randrange(len(content) if source.random() < 0.5 else 3000)] = source.randrange(256)
    path.write_bytes(content[: source.randrange(len(content))] if source.random() < 0.2 else content)
    try:
        read_tree(path)
    except CheckpointError:
        return
