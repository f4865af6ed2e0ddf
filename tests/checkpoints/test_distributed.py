"""Folders of torch.distributed.checkpoint: made by PyTorch itself, read without its loader for `.metadata`."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.checkpoint.metadata import Metadata

from spectral_doctor.checkpoints.discovery import find_candidates
from spectral_doctor.checkpoints.stores import LocalFile
from spectral_doctor.elements import Values
from spectral_doctor.errors import CheckpointError, UnreadableCheckpoint, UnsafeCheckpoint
from spectral_doctor.state_dicts.loading import load_checkpoint
from tests import hostile
from tests.builders import small_discriminator, small_generator
from tests.distributed import distributed
from tests.reading import read_tree

CONVERT = (
    "If you trust the folder, convert it where it was made: "
    "python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE.pt."
)


@contextmanager
def metadata_of(folder: Path) -> Iterator[Metadata]:
    """The plan of a folder that we wrote ourselves, to be changed."""
    path = folder / ".metadata"
    plan = pickle.loads(path.read_bytes())
    yield plan
    path.write_bytes(pickle.dumps(plan))


def test_the_tensors_are_those_that_were_saved(tmp_path: Path) -> None:
    """Nested dicts, lists, types, scalars; plain values only where they name a step."""
    discriminator = small_discriminator() | {"half": torch.ones(3, 4).half(), "number": torch.tensor(2.5)}
    content = {
        "D": discriminator,
        "G": small_generator(),
        "step": 700,
        "epoch": torch.tensor(3),
        "more": [torch.ones(2), "x"],
    }
    file_format, tree, _ = read_tree(distributed(tmp_path / "run" / "step-700", content))
    found: Any = tree
    assert file_format == "torch.distributed checkpoint folder"
    assert found["D"].keys() == discriminator.keys()
    assert all(torch.equal(found["D"][key], value) for key, value in discriminator.items())
    assert torch.equal(found["more"]["0"], torch.ones(2))
    assert found["step"] == 700


def test_a_folder_is_one_checkpoint(tmp_path: Path) -> None:
    """Named by itself, by its parent, by its `.metadata`; its shards are not files of their own."""
    folder = distributed(tmp_path / "run" / "step-700", {"D": small_discriminator()})
    for given in (folder, tmp_path, folder / ".metadata", str(tmp_path / "run" / "step-*")):
        found = find_candidates([given])
        assert [item.ref.location for item in found.checkpoints] == [folder]
        assert (found.left_out, found.failures) == ((), ())
    checkpoint = load_checkpoint(folder)
    assert [layer.layer for layer in checkpoint.discriminators[0].layers] == ["conv1", "conv2", "head"]


def test_only_the_discriminator_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes of the generator stay where they are."""
    folder = distributed(
        tmp_path / "c", {"D": {"w.weight": torch.randn(8, 8)}, "G": {"w.weight": torch.randn(500, 500)}}
    )
    read: list[int] = []
    read_original, span_original = LocalFile.read, LocalFile.span

    def counted(self: LocalFile, start: int, length: int) -> bytes:
        read.append(length)
        return read_original(self, start, length)

    def counted_span(self: LocalFile, start: int, length: int) -> Values:
        read.append(length)
        return span_original(self, start, length)

    monkeypatch.setattr(LocalFile, "read", counted)
    monkeypatch.setattr(LocalFile, "span", counted_span)
    (discriminator,) = load_checkpoint(folder).discriminators
    assert [layer.read().shape for layer in discriminator.layers] == [(8, 8)]
    assert 0 < sum(read) < 20_000 < 500 * 500 * 4


SHARDED = """
import os, sys, torch, torch.distributed as dist, torch.distributed.checkpoint as dcp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard, distribute_tensor
rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
mesh = init_device_mesh("cpu", (2,))
whole = torch.arange(7 * 6.0).reshape(7, 6)
content = {"D": {f"{axis}.weight": distribute_tensor(whole + axis, mesh, [Shard(axis)]) for axis in (0, 1)}}
dcp.save(content, checkpoint_id=f"{folder}/checkpoint")
dist.barrier()
# gloo's threads now and then abort an interpreter that shuts down in order; everything is saved by now.
os._exit(0)
"""


def test_pieces_of_two_processes_are_put_together(tmp_path: Path) -> None:
    """DTensors sharded over rows and over columns, unevenly, by two real processes."""
    processes = [
        subprocess.Popen([sys.executable, "-W", "ignore", "-c", SHARDED, str(rank), str(tmp_path)]) for rank in (0, 1)
    ]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    folder = tmp_path / "checkpoint"
    assert len(list(folder.glob("*.distcp"))) == 2
    tree: Any = read_tree(folder)[1]
    whole = torch.arange(7 * 6.0).reshape(7, 6)
    for axis in (0, 1):
        assert torch.equal(tree["D"][f"{axis}.weight"], whole + axis)
    shard = folder / "__1_0.distcp"
    content = shard.read_bytes()
    shard.write_bytes(content[:-100])
    with pytest.raises(UnreadableCheckpoint, match=r"its shard '__1_0.distcp' ends after \d+ of \d+ bytes\.$"):
        read_tree(folder)
    shard.unlink()
    with pytest.raises(UnreadableCheckpoint, match=r"its shard '__1_0.distcp' is missing\.$"):
        read_tree(folder)


def elsewhere(plan: Any) -> None:
    """Point a piece outside the folder."""
    for info in plan.storage_data.values():
        info.relative_path = "../secret"


def over_each_other(plan: Any) -> None:
    """Let two tensors share their bytes."""
    first, second, *_ = plan.storage_data.values()
    second.offset = first.offset + 1


def beyond_the_end(plan: Any) -> None:
    """Claim bytes that the file does not have."""
    last = list(plan.storage_data.values())[-1]
    last.length += 10**9


def enormous(plan: Any) -> None:
    """Claim a shape that no piece holds."""
    entry = plan.state_dict_metadata["D.conv1.weight"]
    entry.size = torch.Size((200_000, 200_000))


def enormous_pieces(plan: Any) -> None:
    """Claim a shape, in one piece as well, that its bytes do not hold."""
    entry = plan.state_dict_metadata["D.conv1.weight"]
    entry.size = torch.Size((200_000, 200_000))
    entry.chunks[0].sizes, entry.chunks[0].offsets = entry.size, torch.Size((0, 0))
    for index in list(plan.storage_data):
        if index.fqn == "D.conv1.weight":
            info = plan.storage_data.pop(index)
            plan.storage_data[type(index)(index.fqn, torch.Size((0, 0)), 0)] = info


def another_shape(plan: Any) -> None:
    """Describe a piece as another than it is, of as many values."""
    entry = plan.state_dict_metadata["D.conv1.weight"]
    entry.size = entry.chunks[0].sizes = torch.Size((3, 16, 3, 3))


def impossible(plan: Any) -> None:
    """Claim a shape that no tensor can have, although it holds nothing."""
    entry = plan.state_dict_metadata["D.conv1.weight"]
    entry.size, entry.chunks = torch.Size((0, 2**61, 9)), []


def transformed(plan: Any) -> None:
    """Say that the bytes went through a compressor."""
    for info in plan.storage_data.values():
        info.transform_descriptors = ["zstd"]


def nowhere(plan: Any) -> None:
    """Forget where the tensors lie."""
    plan.storage_data.clear()


def foreign(plan: Any) -> None:
    """Put an object of another class into the plan."""
    plan.planner_data["extra"] = warnings.WarningMessage("a", UserWarning, "b", 1)


CHANGES: list[tuple[Callable[[Any], None], type[CheckpointError], str]] = [
    (
        elsewhere,
        UnsafeCheckpoint,
        f"refused: in its .metadata, it points outside the folder, to '../secret'. {CONVERT}",
    ),
    (over_each_other, UnsafeCheckpoint, "it lays two pieces of '__0_0.distcp' over each other"),
    (beyond_the_end, UnreadableCheckpoint, "its shard '__0_0.distcp' ends after"),
    (enormous, UnreadableCheckpoint, "it does not say where a piece of 'D.conv1.weight' lies"),
    (enormous_pieces, UnsafeCheckpoint, "of shape (200000, 200000) claims more, or other, values than its pieces hold"),
    (another_shape, UnreadableCheckpoint, "a piece in '__0_0.distcp' is not what .metadata says."),
    (impossible, UnreadableCheckpoint, "'D.conv1.weight' has the shape (0, 2305843009213693952, 9), which cannot be"),
    (transformed, UnreadableCheckpoint, "are transformed (compressed, perhaps), which is not read"),
    (nowhere, UnreadableCheckpoint, "it does not say where a piece of"),
    (
        foreign,
        UnsafeCheckpoint,
        "refused: in its .metadata, it contains 'builtins.UserWarning', 'warnings.WarningMessage'",
    ),
]


@pytest.mark.parametrize(("change", "kind", "sentence"), CHANGES)
def test_a_plan_that_does_not_fit_its_folder_is_refused(
    tmp_path: Path, change: Callable[[Any], None], kind: type[CheckpointError], sentence: str
) -> None:
    """Each lie of a `.metadata` has its own end, before memory is taken for it."""
    folder = distributed(tmp_path / "c", {"D": small_discriminator()})
    read_tree(folder)
    with metadata_of(folder) as plan:
        change(plan)
    with pytest.raises(kind) as caught:
        read_tree(folder)
    assert str(caught.value).startswith(str(folder))
    assert sentence in str(caught.value)


def replace_piece(folder: Path, name: str, content: object) -> bytes:
    """Put another saved object where the bytes of an entry are said to lie; return it as it is saved."""
    shard, saved = folder / "__0_0.distcp", io.BytesIO()
    torch.save(content, saved)
    with metadata_of(folder) as plan:
        info = next(info for index, info in plan.storage_data.items() if index.fqn == name)
        info.offset, info.length = shard.stat().st_size, len(saved.getvalue())
    shard.write_bytes(shard.read_bytes() + saved.getvalue())
    return saved.getvalue()


@pytest.mark.parametrize("name", ["D.conv1.weight", "step"])
def test_code_in_a_piece_does_not_run(tmp_path: Path, name: str) -> None:
    """A tensor's bytes, and a plain value's, are themselves PyTorch files; the negative runs the code."""
    folder, canary = distributed(tmp_path / "c", {"D": small_discriminator(), "step": 5}), tmp_path / "canary"
    saved = replace_piece(folder, name, hostile.Canary(canary))
    with pytest.raises(CheckpointError):
        read_tree(folder)
    assert not canary.exists()
    torch.load(io.BytesIO(saved), weights_only=False)
    assert canary.exists()


def test_a_view_larger_than_its_piece_is_refused(tmp_path: Path) -> None:
    """A few bytes that claim to be forty billion values."""
    folder = distributed(tmp_path / "c", {"D": {"w.weight": torch.zeros(2, 3)}})
    replace_piece(folder, "D.w.weight", torch.zeros(1).expand(200_000, 200_000))
    with pytest.raises(UnreadableCheckpoint, match=r"a piece in '__0_0.distcp' is not what .metadata says"):
        read_tree(folder)
    replace_piece(folder, "D.w.weight", torch.zeros(1).expand(2, 3))
    with pytest.raises(UnsafeCheckpoint, match=r"a piece in '__0_0.distcp' claims more values than it holds"):
        read_tree(folder)


def test_damaged_metadata_ends_in_a_tree_or_a_sentence(tmp_path: Path) -> None:
    """Every byte of a small plan, overwritten one after the other."""
    folder = distributed(tmp_path / "c", {"D": {"w.weight": torch.zeros(8, 8)}, "step": 4})
    path = folder / ".metadata"
    content = path.read_bytes()
    refused = 0
    for position in range(2, len(content), 3):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0x15]) + content[position + 1 :])
        try:
            read_tree(folder)
        except CheckpointError:
            refused += 1
    assert refused > 100
