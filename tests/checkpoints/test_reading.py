"""Opening files: every format, and nothing in a file ever runs."""

from __future__ import annotations

import argparse
import collections
import io
import json
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from spectral_doctor.checkpoints.formats import format_of
from spectral_doctor.checkpoints.opening import open_path
from spectral_doctor.checkpoints.stores import LocalFile
from spectral_doctor.errors import CheckpointError, UnreadableCheckpoint, UnsafeCheckpoint, UnsupportedCheckpoint
from tests import hostile
from tests.builders import save
from tests.reading import read_tree

EXPECTED = "Expected a PyTorch, safetensors, NumPy (.npz), Keras, TensorFlow or flax file."
WEIGHT = torch.arange(6.0).reshape(2, 3)


def write_torch(path: Path) -> None:
    """A torch zip."""
    torch.save({"D": {"weight": WEIGHT}}, path)


def write_legacy(path: Path) -> None:
    """A torch file as before 1.6."""
    torch.save({"D": {"weight": WEIGHT}}, path, _use_new_zipfile_serialization=False)


def write_safetensors(path: Path) -> None:
    """A single safetensors file."""
    save_file({"D.weight": WEIGHT}, path)


def write_npz(path: Path) -> None:
    """A Chainer-like archive."""
    with path.open("wb") as file:
        np.savez(file, **{"D/weight": WEIGHT.numpy()})  # type: ignore[arg-type]


FORMATS = [
    (write_torch, "PyTorch file"),
    (write_legacy, "PyTorch file (legacy)"),
    (write_safetensors, "safetensors file"),
    (write_npz, "NumPy archive"),
]


def leaf(tree: object) -> Tensor:
    """The one tensor of a tree."""
    while isinstance(tree, dict):
        (tree,) = tree.values()
    assert isinstance(tree, Tensor)
    return tree


@pytest.mark.parametrize("name", ["D.pt", "D.pkl", "do_00001000", "D.txt", "D.safetensors"])
@pytest.mark.parametrize(("write", "expected"), FORMATS)
def test_content_decides_and_never_the_name(
    tmp_path: Path, write: Callable[[Path], None], expected: str, name: str
) -> None:
    """Every format is read under every ending, and under none."""
    path = tmp_path / name
    write(path)
    file_format, tree, refused = read_tree(path)
    assert (file_format, refused) == (expected, ())
    torch.testing.assert_close(leaf(tree), WEIGHT)


def test_sharded_safetensors_are_read_through_their_index(tmp_path: Path) -> None:
    """All shards together are one checkpoint."""
    save_file({"D.a": WEIGHT}, tmp_path / "model-00001-of-00002.safetensors")
    save_file({"D.b": WEIGHT + 1}, tmp_path / "model-00002-of-00002.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    shards = {"D.a": "model-00001-of-00002.safetensors", "D.b": "model-00002-of-00002.safetensors"}
    index.write_text(json.dumps({"weight_map": shards}))
    file_format, tree, _ = read_tree(index)
    assert file_format == "sharded checkpoint"
    assert sorted(tree) == ["D.a", "D.b"]
    index.write_text(json.dumps({"weight_map": {**shards, "D.c": "model-00003-of-00002.safetensors"}}))
    with pytest.raises(UnreadableCheckpoint, match=r"its shard 'model-00003-of-00002.safetensors' is missing\.$"):
        read_tree(index)
    index.write_text(json.dumps({"weight_map": {"D.a": "../elsewhere.safetensors"}}))
    with pytest.raises(UnsafeCheckpoint, match=r"its index points outside its folder, to '../elsewhere.safetensors'"):
        read_tree(index)


def test_value_holders_beside_the_weights_do_not_stop_the_reading(tmp_path: Path) -> None:
    """Namespaces, paths and NumPy numbers come in as inert placeholders; a NumPy step keeps its value."""
    content = {
        "D": {"weight": WEIGHT},
        "args": argparse.Namespace(lr=1e-4),
        "where": Path("/somewhere"),
        "step": np.int64(1200),
        "fid": np.float64(7.5),
        "history": np.arange(3),
    }
    _, tree, _ = read_tree(save(tmp_path, "a.pt", content))
    assert (tree["step"], tree["fid"]) == (1200, 7.5)
    assert not isinstance(tree["args"], argparse.Namespace)


HOSTILE: list[tuple[str, Callable[[Path, Path], Path], str]] = [
    ("a.pt", hostile.only_code_zip, "it contains '__builtin__.getattr'"),
    ("a.pth", hostile.only_code_legacy, "it contains '__builtin__.getattr'"),
    ("a.pkl", hostile.plain_pickle, "refused: it contains 'pathlib"),
    ("a.pkl", lambda path, canary: hostile.plain_pickle(path, canary, protocol=0), ""),
    ("a.pkl", lambda path, canary: hostile.plain_pickle(path, canary, protocol=2), "refused: it contains"),
    (".metadata", hostile.plain_pickle, "refused: in its .metadata, it contains 'pathlib"),
]


@pytest.mark.parametrize(("name", "write", "sentence"), HOSTILE)
def test_a_file_that_would_run_code_does_not(
    tmp_path: Path, name: str, write: Callable[[Path, Path], Path], sentence: str
) -> None:
    """The file is refused, and the canary is never written."""
    canary = tmp_path / "canary"
    path = write(tmp_path / name, canary)
    with pytest.raises(CheckpointError) as caught:
        read_tree(path)
    assert sentence in str(caught.value)
    assert not canary.exists()


def test_an_object_array_in_an_npz_is_left_out_and_not_unpickled(tmp_path: Path) -> None:
    """Chainer snapshots hold such arrays; their key is named."""
    canary = tmp_path / "canary"
    _, tree, refused = read_tree(hostile.npz_with_pickle(tmp_path / "a.npz", canary))
    assert tree == {}
    assert [(item.name, item.reason) for item in refused] == [
        ("extra", "stored as a pickled object, which is not read")
    ]
    assert not canary.exists()


@pytest.mark.parametrize("legacy", [False, True])
def test_a_whole_module_is_read_and_not_made(tmp_path: Path, legacy: bool) -> None:
    """`torch.save(model)` names its classes; its parameters and buffers come out under the names of its state dict."""
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    path = tmp_path / "netD.pt"
    torch.save({"D": network, "epoch": 3}, path, _use_new_zipfile_serialization=not legacy)
    _, tree, left_out = read_tree(path)
    assert (tree["epoch"], left_out) == (3, ())
    expected = network.state_dict()
    assert tree["D"].keys() == expected.keys()
    assert all(torch.equal(tree["D"][key], value) for key, value in expected.items())


@pytest.mark.parametrize("write", [hostile.torch_zip, hostile.torch_legacy])
def test_weights_beside_code_are_read_and_the_code_is_named(
    tmp_path: Path, write: Callable[[Path, Path], Path]
) -> None:
    """The weights come out, what stands beside them is said and never made; the negative: PyTorch would run it."""
    canary = tmp_path / "canary"
    path = write(tmp_path / "a.pt", canary)
    _, tree, left_out = read_tree(path)
    assert torch.equal(tree["netD"]["weight"], torch.zeros(2, 2))
    ((name, reason),) = [(item.name, item.reason) for item in left_out]
    assert (name, reason.startswith("described and never made: ")) == ("(objects)", True)
    assert "pathlib" in reason or "getattr" in reason
    assert not canary.exists()
    torch.load(path, weights_only=False)
    assert canary.exists()


def test_a_compressed_torch_file_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    """A deflated member can be a thousand times larger than the file."""
    path = hostile.compressed_torch(tmp_path / "a.pt", {"weight": torch.zeros(1000)})
    with pytest.raises(UnsafeCheckpoint, match=r"is compressed, which torch\.save never does"):
        read_tree(path)


def tar_file(path: Path) -> None:
    """A .nemo-like tar."""
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("model.ckpt")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))


@pytest.mark.parametrize(
    ("name", "write", "kind", "sentence"),
    [
        (
            "a.pt",
            lambda path: path.write_bytes(b""),
            UnreadableCheckpoint,
            "cannot be read: the file is empty (0 bytes).",
        ),
        (
            "a.pt",
            lambda path: path.write_text("hello\n"),
            UnreadableCheckpoint,
            f"cannot be read: it is a text file, not a checkpoint. {EXPECTED}",
        ),
        (
            "a.json",
            lambda path: path.write_text('{"a": 1}'),
            UnreadableCheckpoint,
            f"cannot be read: it is a JSON text, not a checkpoint. {EXPECTED}",
        ),
        (
            "a.nemo",
            tar_file,
            UnsupportedCheckpoint,
            "a tar archive, which this version does not open. Unpack it and name the weight file that is inside.",
        ),
    ],
)
def test_what_is_no_checkpoint_says_what_it_is(
    tmp_path: Path, name: str, write: Callable[[Path], object], kind: type[CheckpointError], sentence: str
) -> None:
    """One sentence: the file, what it is, the way out."""
    path = tmp_path / name
    write(path)
    with pytest.raises(kind) as caught:
        read_tree(path)
    assert str(caught.value) == f"{path}: {sentence}"


@pytest.mark.parametrize(("write", "_format"), FORMATS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
def test_a_torn_file_is_unreadable(tmp_path: Path, write: Callable[[Path], None], _format: str, share: float) -> None:
    """Cut anywhere, every format ends in one sentence and never in a wrong tensor."""
    whole, torn = tmp_path / "whole.pt", tmp_path / "torn.pt"
    write(whole)
    content = whole.read_bytes()
    torn.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError):
        read_tree(torn)


def test_a_tree_that_contains_itself_ends(tmp_path: Path) -> None:
    """A pickle can nest a dict in itself; reading it stops at a fixed depth."""
    content: dict[str, object] = {"weight": WEIGHT}
    content["self"] = content
    _, tree, _ = read_tree(save(tmp_path, "a.pt", content))
    assert "weight" in tree


def test_lists_that_hold_each_other_are_refused_and_long_ones_are_not(tmp_path: Path) -> None:
    """Ten levels of ten are ten billion parts in a small file; two million losses are only a long list."""
    laughs: list[object] = [WEIGHT]
    for _ in range(10):
        laughs = [laughs] * 10
    path = save(tmp_path, "D.pt", {"D": {"weight": WEIGHT}, "more": laughs})
    assert path.stat().st_size < 5000
    with pytest.raises(UnsafeCheckpoint, match="it describes more than 1000000 parts, which repeat each other"):
        read_tree(path)
    _, tree, _ = read_tree(save(tmp_path, "D.pt", {"D": {"weight": WEIGHT}, "losses": [0.5] * 2_000_000}))
    assert tree["losses"] is None


def test_a_header_of_more_tensors_than_any_network_has_is_unreadable(tmp_path: Path) -> None:
    """Refused by its number, before anything is made of it; as many as the limit are read."""
    path = tmp_path / "a.safetensors"
    for count, refused in ((100_000, False), (100_001, True)):
        header = json.dumps({f"w{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(count)})
        path.write_bytes(len(header).to_bytes(8, "little") + header.encode())
        if refused:
            with pytest.raises(UnreadableCheckpoint, match=r"its header lists 100001 tensors, more than 100000\.$"):
                open_path(path)
        else:
            assert len(open_path(path).tree) == count


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"critic trained on two GPUs, see the paper.\nIt was good.", "text file"),
        (b"(see the notes)\nand the end.", "text file"),
        (bytes(20_000), "file of an unknown format"),
        (pickle.dumps({"D": 1}, 0), "Python pickle"),
        (pickle.dumps(collections.OrderedDict(a=1), 0), "Python pickle"),
        (pickle.dumps([1, 2], 1), "Python pickle"),
    ],
)
def test_prose_and_zeros_are_no_pickle_and_no_tar(tmp_path: Path, content: bytes, name: str) -> None:
    """A text that begins with a letter of the pickle machine is a text; an old pickle is one still."""
    path = tmp_path / "notes.pt"
    path.write_bytes(content)
    assert format_of(LocalFile(path)).name == name


def test_sniffing_names_foreign_formats(tmp_path: Path) -> None:
    """Pictures and unknown bytes are told apart from text."""
    picture, noise = tmp_path / "a.png", tmp_path / "a.bin"
    noise.write_bytes(bytes(range(200, 256)) * 20)
    assert format_of(LocalFile(noise)).name == "file of an unknown format"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    assert format_of(LocalFile(picture)).name == "picture"
