"""Keras 3 files: a zip of settings and an HDF5 file with the weights; the settings are text and are never run."""

from __future__ import annotations

from spectral_doctor.checkpoints.formats.archives import (
    check_archive,
    directory_of,
    is_whole,
    is_zip,
    member_bytes,
    stored_member,
)
from spectral_doctor.checkpoints.formats.base import Closed, Contents, Format
from spectral_doctor.checkpoints.formats.hdf5 import LONGEST_CONFIG, has_superblock, stored_in
from spectral_doctor.checkpoints.formats.kernels import in_torch_order
from spectral_doctor.checkpoints.formats.layers import named_entries
from spectral_doctor.checkpoints.stores import InMemory, Source
from spectral_doctor.errors import EXPORT, DoctorError, UnreadableCheckpoint

WEIGHTS, SETTINGS = "model.weights.h5", "config.json"


class KerasArchive(Format):
    """`model.save("….keras")`: `config.json`, `metadata.json` and `model.weights.h5`."""

    name = "Keras file"

    def accept(self, source: Source) -> bool:
        """A whole zip with settings and weights that begin as HDF5 does."""
        if not _is_keras(source):
            return False
        try:
            return has_superblock(_weights(source))
        except DoctorError:
            return False

    def open(self, source: Source) -> Contents:
        """Find the weights of each layer; of the settings only the names of layers are read.

        Raises `UnsafeCheckpoint` where the archive would expand beyond reason, and what an HDF5 file raises.
        """
        check_archive(source, stored_only=False)
        stored = stored_in(_weights(source), f"{self.article} {self.name}")
        settings = directory_of(source)[SETTINGS]
        config = ""
        if settings.file_size <= LONGEST_CONFIG:
            config = member_bytes(source, settings).decode("utf-8", errors="replace")
        return Contents(in_torch_order(named_entries(stored.leaves, stored.names, config)), tuple(stored.left_out))


class DamagedKeras(Closed):
    """A Keras file whose weights are damaged, so that it can be named and not read."""

    name = "Keras file"
    remedy = f"It is damaged; {EXPORT}."

    def accept(self, source: Source) -> bool:
        """Say whether it has the members of one."""
        return _is_keras(source)

    def open(self, source: Source) -> Contents:
        """Say that it is damaged."""
        check_archive(source, stored_only=False)
        raise UnreadableCheckpoint(
            str(source.location), f"a Keras file whose '{WEIGHTS}' is no HDF5 file, or damaged", f"Else {EXPORT}."
        )


def _is_keras(source: Source) -> bool:
    return is_zip(source) and is_whole(source) and {WEIGHTS, SETTINGS} <= directory_of(source).keys()


def _weights(source: Source) -> Source:
    """The HDF5 file inside: where it lies, or unpacked where it is compressed."""
    if "weights" not in source.kept:
        check_archive(source, stored_only=False)
        member = directory_of(source)[WEIGHTS]
        if member.compress_type == 0:
            source.kept["weights"] = stored_member(source, member)
        else:
            source.kept["weights"] = InMemory(source, member_bytes(source, member))
    inner: Source = source.kept["weights"]
    return inner
