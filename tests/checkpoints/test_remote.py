"""Files that lie elsewhere: found through fsspec, told by content, and read in part."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem
from safetensors.torch import save as safetensors
from spectral_doctor.state_dicts.loading import load_checkpoint
from torch import Tensor

from spectral_doctor.checkpoints.discovery import find_candidates
from spectral_doctor.errors import (
    MissingPath,
    UnreadableCheckpoint,
    UnsafeCheckpoint,
    UnsupportedCheckpoint,
    UsageError,
)
from spectral_doctor.inspection import inspect_paths
from spectral_doctor.records import RemotePath, is_remote
from tests import hostile
from tests.builders import small_discriminator
from tests.distributed import distributed


class CountedFileSystem(MemoryFileSystem):  # type: ignore[misc]
    """The memory of this process as a remote store that counts the bytes it hands out."""

    protocol = "counted"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    served = 0

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        stripped: str = super()._strip_protocol(path.replace("counted://", "memory://", 1))
        return stripped

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        """Hand out a range."""
        content: bytes = super().cat_file(path, start=start, end=end, **kwargs)
        type(self).served += len(content)
        return content

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        file = super()._open(path, mode=mode, **kwargs)
        return _Counted(file) if mode == "rb" else file


class _Counted:
    """An open file whose reads are counted."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        """Read and count."""
        content: bytes = self._file.read(size)
        CountedFileSystem.served += len(content)
        return content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _Counted:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


fsspec.register_implementation("counted", CountedFileSystem, clobber=True)


@pytest.fixture
def store() -> Iterator[Any]:
    """An empty store."""
    system = fsspec.filesystem("counted")
    CountedFileSystem.store.clear()
    CountedFileSystem.served = 0
    yield system
    CountedFileSystem.store.clear()


def torch_bytes(content: object) -> bytes:
    """A PyTorch file's bytes."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def two_networks() -> dict[str, Tensor]:
    """A small discriminator beside a generator of a megabyte, in one flat dict."""
    named = {f"D.{key}": value for key, value in small_discriminator().items()}
    return named | {"G.w.weight": torch.randn(512, 512)}


def weights(checkpoint: Any) -> list[Tensor]:
    """The matrices of the one discriminator."""
    (found,) = checkpoint.discriminators
    return [layer.matrix for layer in found.layers]


EXPECTED = [value.flatten(1) for value in small_discriminator().values() if value.ndim > 1]


def test_of_a_safetensors_file_only_the_discriminator_is_fetched(store: Any) -> None:
    """Counted: the header and D's own bytes, and not the megabyte beside them."""
    content = safetensors(two_networks())
    store.pipe("/run/step-5.safetensors", content)
    checkpoint = load_checkpoint("counted://run/step-5.safetensors")
    assert all(torch.equal(one, two) for one, two in zip(weights(checkpoint), EXPECTED, strict=True))
    own = sum(value.numel() * 4 for value in small_discriminator().values())
    header = 8 + int.from_bytes(content[:8], "little")
    sniffed = 4096
    # The header's length and the header; D; and the first bytes, by which the format is told.
    assert CountedFileSystem.served == header + own + sniffed
    assert len(content) > 10 * CountedFileSystem.served
    assert [(clue.unit, clue.value) for clue in checkpoint.step_clues] == [("step", 5)]


def test_shards_are_read_by_their_index_and_in_part(store: Any) -> None:
    """The index, the shards' headers, and D."""
    tensors = two_networks()
    names = {key: f"model-0000{1 + key.startswith('G')}-of-00002.safetensors" for key in tensors}
    for shard in set(names.values()):
        store.pipe(f"/run/{shard}", safetensors({key: tensors[key] for key in tensors if names[key] == shard}))
    store.pipe("/run/model.safetensors.index.json", json.dumps({"weight_map": names}).encode())
    found = find_candidates(["counted://run"])
    assert [path.name for path in found.checkpoints] == ["model.safetensors.index.json"]
    before = CountedFileSystem.served
    assert all(
        torch.equal(one, two) for one, two in zip(weights(load_checkpoint(found.checkpoints[0])), EXPECTED, strict=True)
    )
    assert CountedFileSystem.served - before < 60_000
    names["D.more"] = "../elsewhere.safetensors"
    store.pipe("/run/model.safetensors.index.json", json.dumps({"weight_map": names}).encode())
    with pytest.raises(UnsafeCheckpoint, match=r"its index points outside its folder, to '../elsewhere\.safetensors'"):
        load_checkpoint(found.checkpoints[0])


def test_a_distributed_folder_is_read_in_part(store: Any, tmp_path: Path) -> None:
    """One checkpoint; the generator's pieces stay where they are."""
    local = distributed(tmp_path / "step-9", {"D": small_discriminator(), "G": {"w.weight": torch.randn(512, 512)}})
    for file in local.iterdir():
        store.pipe(f"/run/step-9/{file.name}", file.read_bytes())
    found = find_candidates(["counted://run"])
    assert [(path.name, found.left_out) for path in found.checkpoints] == [("step-9", ())]
    checkpoint = load_checkpoint(found.checkpoints[0])
    assert all(torch.equal(one, two) for one, two in zip(weights(checkpoint), EXPECTED, strict=True))
    assert CountedFileSystem.served < 100_000
    assert [(clue.unit, clue.value) for clue in checkpoint.step_clues] == [("step", 9)]


@pytest.mark.parametrize("kind", ["PyTorch file", "PyTorch file (legacy)", "Python pickle"])
def test_other_formats_are_fetched_whole_and_say_so(store: Any, kind: str, tmp_path: Path) -> None:
    """The copy is gone afterwards, and the report names the size."""
    buffer = io.BytesIO()
    if kind == "Python pickle":
        pickle.dump({"D": small_discriminator()}, buffer)
    else:
        torch.save({"D": small_discriminator()}, buffer, _use_new_zipfile_serialization="legacy" not in kind)
    store.pipe("/run/D_7.pt", buffer.getvalue())
    checkpoint = load_checkpoint("counted://run/D_7.pt")
    assert all(torch.equal(one, two) for one, two in zip(weights(checkpoint), EXPECTED, strict=True))
    size = f"{len(buffer.getvalue()) / 1e3:.1f} kB"
    assert [item.reason for item in checkpoint.left_out] == [f"a {kind} is fetched whole ({size})"]
    assert str(checkpoint.path) == "counted://run/D_7.pt"


def test_folders_patterns_and_strange_files(store: Any) -> None:
    """What is no checkpoint is left out where it was found, and an error where it was named."""
    for step in (1, 2):
        store.pipe(f"/run/a/D_{step}.pt", torch_bytes({"D": small_discriminator(step)}))
    store.pipe("/run/log.txt", b"loss 1.0\n")
    store.pipe("/run/empty.pt", b"")
    found = find_candidates(["counted://run"])
    assert [path.name for path in found.checkpoints] == ["D_1.pt", "D_2.pt"]
    assert [(Path(item.name).name, item.reason) for item in found.left_out] == [("log.txt", "text file")]
    assert [str(error) for _, error in found.failures] == [
        "counted:///run/empty.pt: cannot be read: the file is empty (0 bytes)."
    ]
    assert [path.name for path in find_candidates(["counted://run/*/D_*.pt"]).checkpoints] == ["D_1.pt", "D_2.pt"]
    (diagnosis,) = inspect_paths(["counted://run/a"]).diagnoses
    assert diagnosis.trajectory.steps == (1, 2)
    assert diagnosis.trajectory.checkpoints == ("counted:///run/a/D_1.pt", "counted:///run/a/D_2.pt")
    with pytest.raises(UnreadableCheckpoint, match=r"^counted:///run/log.txt: cannot be read: it is a text file"):
        inspect_paths(["counted://run/log.txt"])
    with pytest.raises(MissingPath, match=r"^counted://elsewhere: no such file or folder"):
        inspect_paths(["counted://elsewhere"])


def test_a_file_that_is_missing_or_gone_is_unreadable(store: Any) -> None:
    """Here and elsewhere, one sentence."""
    with pytest.raises(UnreadableCheckpoint, match=r"^counted://run/D\.pt: cannot be read: no such file\.$"):
        load_checkpoint("counted://run/D.pt")
    with pytest.raises(UnreadableCheckpoint, match=r"^nowhere/D\.pt: cannot be read: No such file or directory\.$"):
        load_checkpoint("nowhere/D.pt")


def test_a_long_log_in_json_lines_is_not_fetched(store: Any) -> None:
    """Only what is as small as an index is looked into."""
    store.pipe("/run/stats.jsonl", b'{"loss": 1.0}\n' * 2_000_000)
    assert [item.reason for item in find_candidates(["counted://run"]).left_out] == ["text file"]
    assert CountedFileSystem.served < 5000


def test_code_elsewhere_does_not_run_either(store: Any, tmp_path: Path) -> None:
    """Refused by the same readers; the sentence names the URL and not the copy."""
    canary = tmp_path / "canary"
    store.pipe("/run/D.pt", hostile.torch_zip(tmp_path / "D.pt", canary).read_bytes())
    with pytest.raises(UnsafeCheckpoint) as caught:
        load_checkpoint("counted://run/D.pt")
    assert str(caught.value).startswith("counted://run/D.pt: refused: it contains 'builtins.getattr'")
    assert not canary.exists()


HEADERS: list[tuple[bytes, str]] = [
    (
        b'{"D.w": {"dtype": "F32", "shape": [0, 2305843009213693952, 9], "data_offsets": [0, 0]}}',
        "a shape that cannot be",
    ),
    (b"\xff" * 7 + b"\x7f{}", "the header of 'a.safetensors' is larger than can be"),
    (b"\x02\0\0\0\0\0\0\0[]", "the header of 'a.safetensors' is no description"),
    (b'{"D.w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 8]}}', "'D.w' does not lie where the header"),
    (b'{"D.w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}', "'D.w' does not lie where the header"),
    (b'{"D.w": {"dtype": "X1", "shape": [0], "data_offsets": [0, 0]}}', "'D.w' has a type or shape that is not known"),
    (
        b'{"D.w": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}',
        "'D.w' has a type or shape that is not known",
    ),
]


@pytest.mark.parametrize(("header", "sentence"), HEADERS)
def test_a_header_that_does_not_fit_its_file_is_unreadable(store: Any, header: bytes, sentence: str) -> None:
    """The parts of a header are checked before anything is fetched by them."""
    from spectral_doctor.checkpoints.remote import RemoteSafetensors, RemoteStore

    content = header if header[:1] != b"{" else len(header).to_bytes(8, "little") + header + bytes(8)
    store.pipe("/run/a.safetensors", content)
    folder = RemotePath("counted://run", is_folder=True)
    with pytest.raises(UnreadableCheckpoint, match=sentence):
        RemoteSafetensors(folder / "a.safetensors", RemoteStore(folder), ("a.safetensors",))


def test_a_place_that_is_not_known_says_what_to_install() -> None:
    """A protocol whose package is missing, one that nobody knows, and a URL that became a path."""
    with pytest.raises(UsageError) as missing:
        find_candidates(["hf://owner/repo"])
    assert str(missing.value) == (
        "hf://owner/repo: reading from there needs a package that is not installed: pip install huggingface_hub."
    )
    with pytest.raises(UsageError, match=r"^nowhere://a: Protocol not known: nowhere\.$"):
        find_candidates(["nowhere://a"])
    with pytest.raises(
        UsageError, match=r"^s3:/a/b: only `inspect` reads files that lie elsewhere; copy them here first\.$"
    ):
        find_candidates([Path("s3://a/b")])


def test_a_store_that_fails_ends_in_one_sentence(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a store raises: its name and its first line."""
    store.pipe("/run/a.safetensors", safetensors(two_networks()))

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(CountedFileSystem, "cat_file", refuse)
    with pytest.raises(UnreadableCheckpoint) as caught:
        load_checkpoint("counted://run/a.safetensors")
    assert str(caught.value) == "counted://run: cannot be read: ConnectionError: no route."


@pytest.mark.parametrize(
    ("text", "remote"),
    [
        ("s3://b/a", True),
        ("memory://a", True),
        ("simplecache::s3://b", True),
        ("C:\\a", False),
        ("a/b", False),
        ("./a:b", False),
    ],
)
def test_a_place_elsewhere_is_told_by_its_protocol(text: str, remote: bool) -> None:
    """The nearest cases of a local path too."""
    assert is_remote(text) is remote


@pytest.mark.parametrize(
    ("url", "name", "parent"),
    [
        ("s3://bucket/run/D_1.pt", "D_1.pt", "s3://bucket/run"),
        ("s3://bucket/D_1.pt", "D_1.pt", "s3://bucket"),
        ("memory:///D_1.pt", "D_1.pt", "memory:///"),
        ("memory://D_1.pt", "D_1.pt", "memory://"),
    ],
)
def test_a_place_has_a_name_and_a_folder(store: Any, url: str, name: str, parent: str) -> None:
    """As a path has; and a file at the root of a store is found."""
    assert (RemotePath(url).name, RemotePath(url).parent.url) == (name, parent)
    if url.startswith("memory"):
        store.pipe(f"/{name}", torch_bytes({"D": small_discriminator()}))
        assert len(weights(load_checkpoint(url.replace("memory", "counted")))) == 3


def test_an_archive_elsewhere_is_told_from_its_last_bytes(store: Any) -> None:
    """TorchScript is named as it is here."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/data.pkl", b"")
        archive.writestr("a/constants.pkl", b"")
    store.pipe("/run/a.pt", buffer.getvalue())
    with pytest.raises(UnsupportedCheckpoint, match=r"^counted:///run/a.pt: a TorchScript archive"):
        inspect_paths(["counted://run/a.pt"])
