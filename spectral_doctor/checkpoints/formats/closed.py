"""What is recognised so that it can be named, and not opened: told by content, each with its way out."""

from __future__ import annotations

from spectral_doctor.checkpoints.formats.archives import directory_of, is_whole, is_zip
from spectral_doctor.checkpoints.formats.base import Closed, Contents
from spectral_doctor.checkpoints.formats.sharded import json_of
from spectral_doctor.checkpoints.formats.torch_legacy import is_tar
from spectral_doctor.checkpoints.formats.torch_zip import has_member
from spectral_doctor.checkpoints.stores import Source
from spectral_doctor.errors import UnreadableCheckpoint

HISTORY_SCHEMA = "spectral-doctor/history"
EXPECTED = "Expected a PyTorch, safetensors, NumPy (.npz), Keras, TensorFlow or flax file."


class NotACheckpoint(Closed):
    """A file of a kind that is no checkpoint at all."""

    def open(self, source: Source) -> Contents:
        """Say what it is instead."""
        raise UnreadableCheckpoint(
            str(source.location), f"it is {self.article} {self.name}, not a checkpoint", EXPECTED
        )


class Empty(NotACheckpoint):
    """No bytes at all, as when the disk was full."""

    name, article, is_damage = "empty file", "an", True

    def accept(self, source: Source) -> bool:
        """Say whether it is empty."""
        return source.size == 0

    def open(self, source: Source) -> Contents:
        """There is nothing to open."""
        raise UnreadableCheckpoint(str(source.location), "the file is empty (0 bytes)")


class LfsPointer(NotACheckpoint):
    """What git leaves in place of a large file until it is fetched."""

    name, is_damage = "Git LFS pointer", True

    def accept(self, source: Source) -> bool:
        """Say whether it begins as every pointer does."""
        return source.head.startswith(b"version https://git-lfs.github.com/spec/")

    def open(self, source: Source) -> Contents:
        """Say how to fetch the file."""
        raise UnreadableCheckpoint(
            str(source.location),
            "it is a Git LFS pointer and not the file itself",
            "Fetch it with 'git lfs pull' in its repository.",
        )


class TornZip(NotACheckpoint):
    """A zip whose directory, which stands at its end, is missing."""

    name, is_damage = "zip file without its end", True

    def accept(self, source: Source) -> bool:
        """Say whether it begins as a zip and has no directory."""
        return is_zip(source) and not is_whole(source)

    def open(self, source: Source) -> Contents:
        """Say that it is torn."""
        directory_of(source)
        raise AssertionError("a zip with its directory is not torn")


class TorchPackage(Closed):
    """Source code beside weights."""

    name = "torch.package archive"
    remedy = "It holds source code; the weights.pth beside it, if there is one, can be examined."

    def accept(self, source: Source) -> bool:
        """Say whether it names modules outside it, as torch.package does."""
        return (
            is_zip(source)
            and is_whole(source)
            and any("/.data/" in f"/{name}" and name.endswith("/extern_modules") for name in directory_of(source))
        )


class TorchScript(Closed):
    """Compiled code and its constants."""

    name = "TorchScript archive"
    remedy = "It holds compiled code; save the module's state_dict instead."

    def accept(self, source: Source) -> bool:
        """Say whether it has constants beside its pickle."""
        return is_zip(source) and is_whole(source) and has_member(source, "constants.pkl")


class OtherZip(NotACheckpoint):
    """A zip of anything else."""

    name = "zip archive"

    def accept(self, source: Source) -> bool:
        """Say whether it begins as a zip."""
        return is_zip(source)


class Tar(Closed):
    """A tar of anything but the oldest PyTorch files."""

    name = "tar archive"
    remedy = "Unpack it and name the weight file that is inside."

    def accept(self, source: Source) -> bool:
        """Say whether it begins as a tar does."""
        return is_tar(source)


class Compressed(Closed):
    """One compressed file."""

    name = "compressed file"
    remedy = "Unpack it and name the weight file that is inside."

    def accept(self, source: Source) -> bool:
        """Say whether it begins as gzip, bzip2, xz, zstandard or 7z does."""
        return source.head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c"))


class Picture(NotACheckpoint):
    """A PNG, JPEG or GIF, such as samples."""

    name = "picture"

    def accept(self, source: Source) -> bool:
        """Say whether it begins as one."""
        return source.head.startswith((b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8"))


class History(NotACheckpoint):
    """What `inspect --format json` wrote, which is read back as spectra and not as weights."""

    name = "spectral-doctor history"

    def accept(self, source: Source) -> bool:
        """Say whether its schema says so."""
        document = json_of(source)
        return isinstance(document, dict) and str(document.get("schema", "")).startswith(HISTORY_SCHEMA)


class Json(NotACheckpoint):
    """Settings, metrics and the like."""

    name = "JSON text"

    def accept(self, source: Source) -> bool:
        """Say whether it is a JSON object."""
        return json_of(source) is not None


class Text(NotACheckpoint):
    """Readable text."""

    name = "text file"

    def accept(self, source: Source) -> bool:
        """Say whether its beginning is UTF-8 without a zero."""
        head, whole = source.head, source.size <= len(source.head)
        try:
            text = head.decode("utf-8", errors="strict" if whole else "ignore")
        except UnicodeDecodeError:
            return False
        return "\0" not in text and (whole or len(text.encode()) >= len(head) - 4)


class Unknown(NotACheckpoint):
    """Anything else."""

    name = "file of an unknown format"

    def accept(self, source: Source) -> bool:
        """Everything is at least this."""
        return True
