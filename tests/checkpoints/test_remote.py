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
import numpy as np
import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem
from safetensors.torch import save as safetensors
from torch import Tensor

from spectral_doctor.checkpoints.discovery import find_candidates
from spectral_doctor.checkpoints.opening import open_path
from spectral_doctor.errors import (
    MissingPath,
    UnreadableCheckpoint,
    UnsafeCheckpoint,
    UnsupportedCheckpoint,
    UsageError,
)
from spectral_doctor.inspection import inspect_paths
from spectral_doctor.records import RemotePath, is_remote
from spectral_doctor.state_dicts.loading import load_checkpoint
from tests import hostile
from tests.builders import small_discriminator
from tests.distributed import distributed

BLOCK = 2**16


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
    return [torch.from_numpy(np.array(layer.read())) for layer in found.layers]


EXPECTED = [value.flatten(1) for value in small_discriminator().values() if value.ndim > 1]


def test_of_a_safetensors_file_only_the_discriminator_is_fetched(store: Any) -> None:
    """Counted: the header and D's own bytes, and not the megabyte beside them."""
    content = safetensors(two_networks())
    store.pipe("/run/step-5.safetensors", content)
    checkpoint = load_checkpoint("counted://run/step-5.safetensors")
    assert all(torch.equal(one, two) for one, two in zip(weights(checkpoint), EXPECTED, strict=True))
    own = sum(value.numel() * 4 for value in small_discriminator().values())
    # Small reads come in blocks that are kept: the header lies in the first, D in at most two more.
    assert own < CountedFileSystem.served <= own + 3 * BLOCK
    assert len(content) > 5 * CountedFileSystem.served


def test_shards_are_read_by_their_index_and_in_part(store: Any) -> None:
    """The index, the shards' headers, and D."""
    tensors = two_networks()
    names = {key: f"model-0000{1 + key.startswith('G')}-of-00002.safetensors" for key in tensors}
    for shard in set(names.values()):
        store.pipe(f"/run/{shard}", safetensors({key: tensors[key] for key in tensors if names[key] == shard}))
    store.pipe("/run/model.safetensors.index.json", json.dumps({"weight_map": names}).encode())
    found = find_candidates(["counted://run"])
    assert [item.ref.name for item in found.checkpoints] == ["model.safetensors.index.json"]
    before = CountedFileSystem.served
    assert all(
        torch.equal(one, two) for one, two in zip(weights(load_checkpoint(found.checkpoints[0])), EXPECTED, strict=True)
    )
    assert CountedFileSystem.served - before < 4 * BLOCK
    names["D.more"] = "../elsewhere.safetensors"
    store.pipe("/run/model.safetensors.index.json", json.dumps({"weight_map": names}).encode())
    with pytest.raises(UnsafeCheckpoint, match=r"its index points outside its folder, to '../elsewhere\.safetensors'"):
        load_checkpoint("counted://run/model.safetensors.index.json")


def test_a_distributed_folder_is_read_in_part(store: Any, tmp_path: Path) -> None:
    """One checkpoint; the generator's pieces stay where they are."""
    local = distributed(tmp_path / "step-9", {"D": small_discriminator(), "G": {"w.weight": torch.randn(512, 512)}})
    for file in local.iterdir():
        store.pipe(f"/run/step-9/{file.name}", file.read_bytes())
    found = find_candidates(["counted://run"])
    assert [(item.ref.name, found.left_out) for item in found.checkpoints] == [("step-9", ())]
    checkpoint = load_checkpoint(found.checkpoints[0])
    assert all(torch.equal(one, two) for one, two in zip(weights(checkpoint), EXPECTED, strict=True))
    assert CountedFileSystem.served < 4 * BLOCK


@pytest.mark.parametrize("legacy", [False, True])
def test_of_a_pytorch_file_only_the_discriminator_is_fetched(store: Any, legacy: bool) -> None:
    """Its pickles, the directory of the zip, and D's own storages; of the generator's megabyte nothing."""
    buffer = io.BytesIO()
    content = {"G": {"w.weight": torch.randn(512, 512)}, "D": small_discriminator()}
    torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
    store.pipe("/run/D_7.pt", buffer.getvalue())
    checkpoint = load_checkpoint("counted://run/D_7.pt")
    assert all(torch.equal(one, two) for one, two in zip(weights(checkpoint), EXPECTED, strict=True))
    assert CountedFileSystem.served <= 5 * BLOCK < 512 * 512 * 4
    assert str(checkpoint.ref) == "counted://run/D_7.pt"


def test_a_pickle_elsewhere_is_read_as_here(store: Any) -> None:
    """Long runs of bytes are passed over, and read when they are asked for."""
    buffer = io.BytesIO()
    pickle.dump({"D": small_discriminator(), "G": {"w.weight": np.ones((512, 512))}}, buffer)
    store.pipe("/run/D_7.pkl", buffer.getvalue())
    assert all(
        torch.equal(one, two)
        for one, two in zip(weights(load_checkpoint("counted://run/D_7.pkl")), EXPECTED, strict=True)
    )
    assert CountedFileSystem.served < 512 * 512 * 4


def test_folders_patterns_and_strange_files(store: Any) -> None:
    """What is no checkpoint is left out where it was found, and an error where it was named."""
    for step in (1, 2):
        store.pipe(f"/run/a/D_{step}.pt", torch_bytes({"D": small_discriminator(step)}))
    store.pipe("/run/log.txt", b"loss 1.0\n")
    store.pipe("/run/empty.pt", b"")
    found = find_candidates(["counted://run"])
    assert [item.ref.name for item in found.checkpoints] == ["D_1.pt", "D_2.pt"]
    assert [(Path(item.name).name, item.reason) for item in found.left_out] == [("log.txt", "text file")]
    assert [str(error) for _, error in found.failures] == [
        "counted:///run/empty.pt: cannot be read: the file is empty (0 bytes)."
    ]
    assert [item.ref.name for item in find_candidates(["counted://run/*/D_*.pt"]).checkpoints] == ["D_1.pt", "D_2.pt"]
    (diagnosis,) = inspect_paths(["counted://run/a"]).diagnoses
    assert diagnosis.trajectory.steps == (1, 2)
    assert tuple(map(str, diagnosis.trajectory.checkpoints)) == ("counted:///run/a/D_1.pt", "counted:///run/a/D_2.pt")
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
    # The first block and the last, where some formats have their mark.
    assert CountedFileSystem.served <= 2 * BLOCK


def test_code_elsewhere_does_not_run_either(store: Any, tmp_path: Path) -> None:
    """Refused by the same readers; the sentence names the URL and not the copy."""
    canary = tmp_path / "canary"
    store.pipe("/run/D.pt", hostile.only_code_zip(tmp_path / "D.pt", canary).read_bytes())
    with pytest.raises(UnsafeCheckpoint) as caught:
        load_checkpoint("counted://run/D.pt")
    assert str(caught.value).startswith("counted://run/D.pt: refused: it contains '__builtin__.getattr'")
    assert not canary.exists()


HEADERS: list[tuple[bytes, str]] = [
    (
        b'{"D.w": {"dtype": "F32", "shape": [0, 2305843009213693952, 9], "data_offsets": [0, 0]}}',
        "'D.w' has a shape or place that cannot be",
    ),
    (b"\x02\0\0\0\0\0\0\0{]", "its header is no description of tensors"),
    (b'{"D.w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 8]}}', "'D.w' does not lie where the header"),
    (b'{"D.w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}', "'D.w' does not lie where the header"),
    (b'{"D.w": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}', "'D.w' has a shape or place that cannot be"),
]


@pytest.mark.parametrize("place", ["here", "elsewhere"])
@pytest.mark.parametrize(("header", "sentence"), HEADERS)
def test_a_header_that_does_not_fit_its_file_is_unreadable(
    store: Any, tmp_path: Path, header: bytes, sentence: str, place: str
) -> None:
    """The parts of a header are checked before anything is fetched by them; here and elsewhere by one reader."""
    content = header if header[:1] != b"{" else len(header).to_bytes(8, "little") + header + bytes(8)
    store.pipe("/run/a.safetensors", content)
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(UnreadableCheckpoint, match=sentence):
        open_path(tmp_path / "a.safetensors" if place == "here" else "counted://run/a.safetensors")


@pytest.mark.parametrize("place", ["here", "elsewhere"])
def test_a_tensor_of_an_unknown_type_is_left_out_and_the_rest_is_read(store: Any, tmp_path: Path, place: str) -> None:
    """A counter of a type that came later makes no file unreadable."""
    header = b'{"n": {"dtype": "X1", "shape": [1], "data_offsets": [0, 4]}, "D.w": {"dtype": "F32", "shape": [1, 1], '
    header += b'"data_offsets": [4, 8]}, "c": {"dtype": "U32", "shape": [1], "data_offsets": [0, 4]}}'
    content = len(header).to_bytes(8, "little") + header + bytes(8)
    store.pipe("/run/a.safetensors", content)
    (tmp_path / "a.safetensors").write_bytes(content)
    opened = open_path(tmp_path / "a.safetensors" if place == "here" else "counted://run/a.safetensors")
    assert sorted(opened.tree) == ["D.w", "c"]
    assert [(item.name, item.reason) for item in opened.left_out] == [("n", "X1 values are not read")]


def test_a_place_that_is_not_known_says_what_to_install() -> None:
    """A protocol whose package is missing, one that nobody knows, and a URL that became a path."""
    with pytest.raises(UsageError) as missing:
        find_candidates(["hf://owner/repo"])
    assert str(missing.value) == (
        "reading hf://owner/repo needs huggingface_hub: pip install 'spectral-doctor[remote]' huggingface_hub"
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
    assert str(caught.value) == "counted://run/a.safetensors: cannot be read: ConnectionError: no route."


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
