"""A rewritten checkpoint is the old one but for the tensors that were changed."""

from __future__ import annotations

import argparse
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from spectral_doctor.checkpoints.opening import open_path
from spectral_doctor.checkpoints.rewriting import rewrite_checkpoint
from spectral_doctor.errors import UnreadableCheckpoint, UnwritableCheckpoint
from tests import stylegan
from tests.distributed import distributed
from tests.reading import arrays_of


def double_the_discriminator(tree: Mapping[str, object]) -> None:
    """Change every tensor below D, and nothing else."""
    for key, value in arrays_of(tree).items():
        if key.startswith("D."):
            value.write(2 * value.read())


CONTENT = {
    "D": OrderedDict(a=torch.arange(6.0).view(2, 3), b=torch.ones(3, dtype=torch.float16)),
    "G": {"a": torch.arange(4.0)},
    "epoch": 3,
    "note": "text",
}


@pytest.mark.parametrize("legacy", [False, True])
def test_a_torch_file_keeps_everything_else(tmp_path: Path, legacy: bool) -> None:
    """Keys, types, order, plain values; loadable in the ordinary way; the input untouched."""
    path, output = tmp_path / "in.pt", tmp_path / "out.pt"
    torch.save(CONTENT, path, _use_new_zipfile_serialization=not legacy)
    before = path.read_bytes()
    rewrite_checkpoint(path, output, double_the_discriminator)
    assert path.read_bytes() == before
    again = torch.load(output, weights_only=True)
    assert (again["epoch"], again["note"], type(again["D"])) == (3, "text", OrderedDict)
    assert torch.equal(again["D"]["a"], 2 * CONTENT["D"]["a"])  # type: ignore[index]
    assert torch.equal(again["G"]["a"], torch.arange(4.0))
    assert again["D"]["b"].dtype == torch.float16
    assert sorted(tmp_path.iterdir()) == [path, output]


def test_a_zip_is_whole_and_of_the_same_layout(tmp_path: Path) -> None:
    """Every checksum is right, also of what changed, and nothing has moved."""
    path, output = tmp_path / "in.pt", tmp_path / "out.pt"
    torch.save(CONTENT, path)
    rewrite_checkpoint(path, output, double_the_discriminator)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(output) as new:
        assert new.testzip() is None
        assert [item.filename for item in old.infolist()] == [item.filename for item in new.infolist()]
        changed = [item.filename for item in old.infolist() if old.read(item) != new.read(item.filename)]
    assert len(changed) == 2
    assert path.stat().st_size == output.stat().st_size


def test_without_mended_checksums_the_file_would_be_torn(tmp_path: Path) -> None:
    """The negative: a byte changed in place, and the zip no longer agrees with itself."""
    path = tmp_path / "in.pt"
    torch.save(CONTENT, path)
    content = bytearray(path.read_bytes())
    place = bytes(content).index(torch.arange(6.0).numpy().tobytes())
    content[place] ^= 1
    path.write_bytes(bytes(content))
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is not None


@pytest.mark.parametrize("legacy", [False, True])
def test_objects_that_are_never_loaded_keep_their_bytes(tmp_path: Path, legacy: bool) -> None:
    """An argparse.Namespace beside the weights, or a whole module, comes out as it went in."""
    path, output = tmp_path / "in.pt", tmp_path / "out.pt"
    whole = nn.Linear(2, 2)
    content = {**CONTENT, "args": argparse.Namespace(lr=0.1), "whole": whole}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    rewrite_checkpoint(path, output, double_the_discriminator)
    again = torch.load(output, weights_only=False)
    assert again["args"] == argparse.Namespace(lr=0.1)
    assert torch.equal(again["whole"].weight, whole.weight)
    assert torch.equal(again["D"]["a"], 2 * CONTENT["D"]["a"])  # type: ignore[index]


def test_safetensors_keep_their_metadata(tmp_path: Path) -> None:
    """Keys, types, metadata."""
    path, output = tmp_path / "in.safetensors", tmp_path / "out.safetensors"
    save_file({"D.a": torch.ones(2, 2), "G.a": torch.ones(3)}, path, {"format": "pt", "step": "7"})
    rewrite_checkpoint(path, output, double_the_discriminator)
    with safe_open(output, framework="pt") as file:
        assert file.metadata() == {"format": "pt", "step": "7"}
        assert torch.equal(file.get_tensor("D.a"), torch.full((2, 2), 2.0))
        assert torch.equal(file.get_tensor("G.a"), torch.ones(3))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_keeps_its_members_and_types(tmp_path: Path, save: Any) -> None:
    """Big-endian arrays, names with slashes, pickled members that are never loaded; compressed, or not."""
    path, output = tmp_path / "in.npz", tmp_path / "out.npz"
    arrays: dict[str, Any] = {"D/a": np.ones((2, 2), dtype=">f4"), "G/a": np.ones(3)}
    save(path, other=np.array([{}], dtype=object), **arrays)
    rewrite_checkpoint(path, output, double_the_discriminator)
    with np.load(output) as again:
        assert again.files == ["other", "D/a", "G/a"]
        assert again["D/a"].dtype == np.dtype(">f4")
        np.testing.assert_array_equal(again["D/a"], np.full((2, 2), 2.0))
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(output) as new:
        assert old.read("other.npy") == new.read("other.npy")


def test_tied_tensors_stay_tied(tmp_path: Path) -> None:
    """Two names for one storage are one storage afterwards."""
    linear = nn.Linear(2, 2)
    path, output = tmp_path / "in.pt", tmp_path / "out.pt"
    torch.save({"D": {"a": linear.weight.data, "again": linear.weight.data}}, path)

    def edit(tree: Mapping[str, object]) -> None:
        arrays_of(tree)["D.a"].write(np.full((2, 2), 5.0))

    rewrite_checkpoint(path, output, edit)
    again = torch.load(output, weights_only=True)["D"]
    assert torch.equal(again["again"], torch.full((2, 2), 5.0))
    assert again["a"].data_ptr() == again["again"].data_ptr()


def test_an_edit_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    """No output, no temporary file."""
    path = tmp_path / "in.pt"
    torch.save(CONTENT, path)

    def fail(tree: Mapping[str, object]) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        rewrite_checkpoint(path, tmp_path / "out.pt", fail)
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_torn_file_is_refused(tmp_path: Path) -> None:
    """As when reading."""
    path = tmp_path / "in.pt"
    torch.save(CONTENT, path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UnreadableCheckpoint):
        rewrite_checkpoint(path, tmp_path / "out.pt", double_the_discriminator)


def test_the_tree_is_that_of_reading(tmp_path: Path) -> None:
    """An edit sees the keys that `read_tree` gives."""
    path = tmp_path / "in.pt"
    torch.save(CONTENT, path)
    seen: list[str] = []
    rewrite_checkpoint(path, tmp_path / "out.pt", lambda tree: seen.extend(arrays_of(tree)))
    assert seen == list(arrays_of(open_path(path).tree))


def test_a_pickle_and_a_distributed_folder_are_read_and_not_written(tmp_path: Path) -> None:
    """Neither can be written again without making what it describes; nothing appears, and the input stays."""
    pickled = stylegan.snapshot(tmp_path / "network-snapshot-000001.pkl", stylegan.Discriminator())
    folder = distributed(tmp_path / "step-1", {"D": {"w.weight": torch.ones(4, 4)}})
    for path, sentence in (
        (
            pickled,
            "a Python pickle, which can be examined and not rewritten. Its objects would have to be made again "
            "where it is used, from code that lies in it. Where it was made, torch.save the state_dict of each "
            "network, and treat that file.",
        ),
        (
            folder,
            "a torch.distributed checkpoint folder, which can be examined and not rewritten. Convert it where it was "
            "made, and treat that file: "
            "python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE.pt.",
        ),
    ):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(UnwritableCheckpoint) as caught:
            rewrite_checkpoint(path, tmp_path / "out", double_the_discriminator)
        assert str(caught.value) == f"{path}: {sentence}"
        assert sorted(tmp_path.rglob("*")) == before
