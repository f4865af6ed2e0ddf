"""From what a user names to files, with nothing left out silently."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from spectral_doctor.checkpoints.discovery import find_candidates
from spectral_doctor.errors import MissingPath, UnreadableCheckpoint
from tests.builders import save, small_discriminator


def test_folders_are_searched_all_the_way_down(tmp_path: Path) -> None:
    """Checkpoints are found, everything else is named with what it is."""
    first = save(tmp_path, "a/netD_1.pth", small_discriminator())
    second = save(tmp_path, "b/c/netD_2.pth", small_discriminator())
    (tmp_path / "log.txt").write_text("loss 1.0\n")
    found = find_candidates([tmp_path])
    assert found.checkpoints == (first, second)
    assert [(Path(item.name).name, item.reason) for item in found.left_out] == [("log.txt", "text file")]
    assert found.failures == ()


def test_a_pattern_that_the_shell_left_alone_is_expanded(tmp_path: Path) -> None:
    """Quoted patterns work, and one that matches nothing is a missing path."""
    path = save(tmp_path, "netD_1.pth", small_discriminator())
    assert find_candidates([str(tmp_path / "netD_*.pth")]).checkpoints == (path,)
    with pytest.raises(MissingPath, match="no such file or folder, and no file matches it as a pattern"):
        find_candidates([str(tmp_path / "netG_*.pth")])


def test_a_link_is_read_once(tmp_path: Path) -> None:
    """`latest.pth` that points to the last step is the same file."""
    path = save(tmp_path, "netD_1.pth", small_discriminator())
    (tmp_path / "zlatest.pth").symlink_to(path)
    found = find_candidates([tmp_path])
    assert found.checkpoints == (path,)
    assert [item.reason for item in found.left_out] == [f"the same file as {path}"]


def test_a_file_that_was_named_is_a_failure_where_one_that_was_found_is_left_out(tmp_path: Path) -> None:
    """Naming a text file is a mistake; having one in the folder is not."""
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    (named,) = find_candidates([text]).failures
    assert isinstance(named[1], UnreadableCheckpoint)
    assert find_candidates([tmp_path]).failures == ()


def test_torn_and_empty_files_in_a_folder_are_failures(tmp_path: Path) -> None:
    """A half-written checkpoint is news, wherever it lies."""
    whole = save(tmp_path, "netD_1.pth", {"weight": torch.zeros(100, 100)})
    (tmp_path / "netD_2.pth").write_bytes(whole.read_bytes()[:2000])
    (tmp_path / "netD_3.pth").touch()
    found = find_candidates([tmp_path])
    assert found.checkpoints == (whole,)
    assert sorted(Path(name).name for name, _ in found.failures) == ["netD_2.pth", "netD_3.pth"]


def test_a_shard_without_its_folder_is_left_out(tmp_path: Path) -> None:
    """A .distcp file is no checkpoint of its own, and says what it is."""
    save(tmp_path, "__0_0.distcp", {"weight": torch.ones(2, 2)})
    found = find_candidates([tmp_path])
    assert found.checkpoints == ()
    assert [item.reason for item in found.left_out] == ["a shard of a torch.distributed checkpoint"]


def test_shards_are_read_through_their_index_alone(tmp_path: Path) -> None:
    """The shard is left out, and says of which index."""
    shard = tmp_path / "model-00001-of-00001.safetensors"
    save_file({"D.weight": torch.ones(2, 3)}, shard)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"D.weight": shard.name}}))
    found = find_candidates([tmp_path])
    assert found.checkpoints == (index,)
    assert [item.reason for item in found.left_out] == ["a shard of model.safetensors.index.json"]
