"""From what a user names to files, with nothing left out silently."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from spectral_doctor.checkpoints import formats
from spectral_doctor.checkpoints.discovery import Candidates, find_candidates
from spectral_doctor.checkpoints.stores import Source
from spectral_doctor.errors import MissingPath, NoCheckpoints, UnreadableCheckpoint, UsageError
from spectral_doctor.inspection import inspect_paths
from spectral_doctor.records import Location
from tests.builders import save, small_discriminator


def locations(found: Candidates) -> tuple[Location, ...]:
    """Where the checkpoints lie."""
    return tuple(item.ref.location for item in found.checkpoints)


def test_folders_are_searched_all_the_way_down(tmp_path: Path) -> None:
    """Checkpoints are found, everything else is named with what it is."""
    first = save(tmp_path, "a/netD_1.pth", small_discriminator())
    second = save(tmp_path, "b/c/netD_2.pth", small_discriminator())
    (tmp_path / "log.txt").write_text("loss 1.0\n")
    found = find_candidates([tmp_path])
    assert locations(found) == (first, second)
    assert [(Path(item.name).name, item.reason) for item in found.left_out] == [("log.txt", "text file")]
    assert found.failures == ()


def test_a_pattern_that_the_shell_left_alone_is_expanded(tmp_path: Path) -> None:
    """Quoted patterns work, and one that matches nothing is a missing path."""
    path = save(tmp_path, "netD_1.pth", small_discriminator())
    assert locations(find_candidates([str(tmp_path / "netD_*.pth")])) == (path,)
    with pytest.raises(MissingPath, match="no such file or folder, and no file matches it as a pattern"):
        find_candidates([str(tmp_path / "netG_*.pth")])


def test_a_link_is_read_once(tmp_path: Path) -> None:
    """`latest.pth` that points to the last step is the same file."""
    path = save(tmp_path, "netD_1.pth", small_discriminator())
    (tmp_path / "zlatest.pth").symlink_to(path)
    found = find_candidates([tmp_path])
    assert locations(found) == (path,)
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
    assert locations(found) == (whole,)
    assert sorted(Path(name).name for name, _ in found.failures) == ["netD_2.pth", "netD_3.pth"]


def test_a_shard_without_its_folder_is_left_out(tmp_path: Path) -> None:
    """A .distcp file is no checkpoint of its own, and says what it is."""
    save(tmp_path, "__0_0.distcp", {"weight": torch.ones(2, 2)})
    found = find_candidates([tmp_path])
    assert locations(found) == ()
    assert [item.reason for item in found.left_out] == ["a shard of a torch.distributed checkpoint"]


def test_shards_are_read_through_their_index_alone(tmp_path: Path) -> None:
    """The shard is left out, and says of which index."""
    shard = tmp_path / "model-00001-of-00001.safetensors"
    save_file({"D.weight": torch.ones(2, 3)}, shard)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"D.weight": shard.name}}))
    found = find_candidates([tmp_path])
    assert locations(found) == (index,)
    assert [item.reason for item in found.left_out] == ["a shard of model.safetensors.index.json"]


def test_a_bin_index_is_one_checkpoint(tmp_path: Path) -> None:
    """`pytorch_model.bin.index.json`, its shards whatever they are called; a file beside them is its own."""
    for name in ("pytorch_model-00001-of-00002.bin", "odd.bin"):
        save(tmp_path, name, {f"D.{name[:3]}.weight": torch.ones(2, 3)})
    other = save(tmp_path, "pytorch_model-00001-of-00003.bin", {"D.weight": torch.ones(2, 3)})
    index = tmp_path / "pytorch_model.bin.index.json"
    mapped = {"D.pyt.weight": "pytorch_model-00001-of-00002.bin", "D.odd.weight": "odd.bin"}
    index.write_text(json.dumps({"weight_map": mapped}))
    found = find_candidates([tmp_path])
    assert set(locations(found)) == {index, other}
    assert {item.reason for item in found.left_out} == {"a shard of pytorch_model.bin.index.json"}


def test_a_file_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the path to the diagnosis no file is sniffed again."""
    for step in (1, 2):
        save(tmp_path, f"netD_{step}.pth", small_discriminator(step))
    asked: list[str] = []
    empty = formats.FORMATS[0]
    accept = type(empty).accept

    def counting(self: object, source: Source) -> bool:
        asked.append(source.name)
        return accept(empty, source)

    monkeypatch.setattr(type(empty), "accept", counting)
    inspect_paths(tmp_path)
    assert sorted(asked) == ["netD_1.pth", "netD_2.pth"]


def test_a_pattern_in_a_folder_called_like_a_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`exp:1/*.pth` and `exp://1` that are there are paths of this disk; what is not there is asked for elsewhere."""
    path = save(tmp_path, "exp:1/netD_1.pth", small_discriminator())
    monkeypatch.chdir(tmp_path)
    for given in ("exp:1/*.pth", "exp:1/netD_1.pth", "exp:1", Path("exp:1")):
        assert [item.resolve() for item in locations(find_candidates([given])) if isinstance(item, Path)] == [path]
    for absent in ("exp:2/*.pth", Path("s3:/bucket/run")):
        with pytest.raises(UsageError, match="reads files that lie elsewhere"):
            find_candidates([absent])


def test_pointers_of_git_lfs_are_named(tmp_path: Path) -> None:
    """What they are, and what fetches them; beside a checkpoint they are failures too."""
    pointer = tmp_path / "netD_epoch_1.pth"
    pointer.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'ab' * 32}\nsize 11074173\n")
    for given in (tmp_path, pointer):
        with pytest.raises(UnreadableCheckpoint) as error:
            inspect_paths([given])
        assert str(error.value) == (
            f"{pointer}: cannot be read: it is a Git LFS pointer and not the file itself. "
            "Fetch it with 'git lfs pull' in its repository."
        )
    save(tmp_path, "netD_epoch_2.pth", small_discriminator())
    assert [failure.name for failure in inspect_paths(tmp_path).failures] == [str(pointer)]


def test_what_is_not_read_is_counted_by_format(tmp_path: Path) -> None:
    """The formats that may hold weights by name, everything else together; and the way out."""
    for number in (1, 2):
        with zipfile.ZipFile(tmp_path / f"netD_{number}.pt", "w") as archive:
            archive.writestr("netD/data.pkl", b"\x80\x02}.")
            archive.writestr("netD/constants.pkl", b"\x80\x02).")
    (tmp_path / "log.txt").write_text("loss 1.0\n")
    with pytest.raises(NoCheckpoints) as error:
        inspect_paths([tmp_path])
    assert str(error.value) == (
        f"'{tmp_path}': no checkpoint found (2 TorchScript archives: not read by spectral-doctor; export the "
        "discriminator's weights as safetensors, .npz or a torch state_dict; 1 other file looked at)."
    )


def test_a_folder_without_a_checkpoint_counts_what_was_looked_at(tmp_path: Path) -> None:
    """Nothing is blamed on a format where no file may hold weights."""
    for count, seen in ((0, "no file there"), (1, "1 file looked at"), (2, "2 files looked at")):
        if count:
            (tmp_path / f"{count}.txt").write_text("loss 1.0\n")
        with pytest.raises(NoCheckpoints) as error:
            inspect_paths([tmp_path])
        assert str(error.value) == f"'{tmp_path}': no checkpoint found ({seen})."


def test_one_path_may_stand_alone(tmp_path: Path) -> None:
    """A text is a path, and not a sequence of letters."""
    path = save(tmp_path, "netD_1.pth", small_discriminator())
    for given in (path, str(path), [path], (str(path),)):
        assert len(inspect_paths(given).diagnoses) == 1
