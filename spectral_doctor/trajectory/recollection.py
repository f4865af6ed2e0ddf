"""What the cache knows of a checkpoint: all of it where its files are untouched, else its matrices by their content.

A matrix' digest is SHA-256 over its type, shape, layout in memory and every byte of its values, with the version of
the method. To have it the matrix must be read; so what was found in a checkpoint, with the digests, is kept under the
state of its files on the disk (path, size, times of change, inode), and one in a known state is not opened again.

As in git, a file that changed so lately that its times could not tell a second change is not trusted; and the time of
the inode's change, which no program sets back, is part of the state.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import numpy as np

from spectral_doctor.checkpoints.opening import Candidate
from spectral_doctor.checkpoints.stores import LocalFile
from spectral_doctor.elements import Values
from spectral_doctor.errors import CheckpointError
from spectral_doctor.spectrum import Measured, measured
from spectral_doctor.state_dicts.loading import Checkpoint
from spectral_doctor.state_dicts.matrices import LayerWeight
from spectral_doctor.trajectory.cache import SpectraCache
from spectral_doctor.trajectory.cached_outcome import Outcome, digests_in, parsed, rendered
from spectral_doctor.trajectory.records import Examination
from spectral_doctor.version import __version__

# To be raised whenever the same file or the same values may give another result than before.
METHOD = 1
# Coarser than the clock of any file system in use (FAT: two seconds).
SETTLED = 3.0


class Recollection:
    """What the cache knows of one checkpoint; `measure` measures what it does not.

    `asked` is what else than the files decides which matrices are found. With `by_content` the files' state is not
    looked at, as for a copy that will never be seen again.
    """

    def __init__(
        self, cache: SpectraCache, candidate: Candidate, asked: tuple[object, ...] = (), *, by_content: bool = False
    ) -> None:
        self._cache, self._candidate = cache, candidate
        # Taken before the file is opened: a change from now on makes another state.
        self._state = b"" if by_content else state_of(candidate)
        self._key = _digest(self._state, repr(asked).encode("utf-8", "surrogateescape")) if self._state else b""
        self._digests: dict[LayerWeight, bytes] = {}
        self._new: dict[bytes, Measured] = {}

    def recalled(self) -> Outcome | None:
        """All that was found in the checkpoint when its files were in this very state; None where that is not known."""
        content = self._cache.seen(self._key) if self._key else None
        if content is None:
            return None
        digests = digests_in(content)
        known = self._cache.spectra(digests)
        return parsed(content, self._candidate.ref, known) if all(digest in known for digest in digests) else None

    def measure(self, matrix: LayerWeight) -> Measured:
        """The spectrum as it is known for the values that are read, else from them. Raises `WeightError`."""
        values = matrix.read()
        digest = digest_of(values, coarse=matrix.coarse)
        result = self._new.get(digest) or self._cache.spectra([digest]).get(digest)
        if result is None:
            result = self._new[digest] = measured(values, coarse=matrix.coarse)
        self._digests[matrix] = digest
        return result

    def keep(self, checkpoint: Checkpoint, examinations: tuple[Examination, ...]) -> None:
        """Put what is new into the cache; what was found only where the files are still as they were before."""
        seen = {}
        if self._key and state_of(self._candidate) == self._state:
            # Only what was measured has a digest: those of the layers, in their order.
            weights = (weight for item in checkpoint.discriminators for weight in item.layers)
            digests = [self._digests[weight] for weight in weights if weight in self._digests]
            seen = {self._key: rendered(examinations, checkpoint.left_out, digests)}
        self._cache.keep(self._new, seen)


def digest_of(values: Values, *, coarse: bool) -> bytes:
    """The digest of a matrix' content."""
    kind = f"{METHOD} {np.__version__} {values.dtype.str} {values.shape} {values.strides} {coarse}"
    digest = hashlib.sha256(kind.encode())
    # In the order in which the values lie in memory, a few rows at a time where they do not lie in one piece.
    lying = values if values.flags.c_contiguous else values.T
    if lying.flags.c_contiguous:
        digest.update(lying.reshape(-1).view(np.uint8).data)
    else:
        for row in values:
            digest.update(np.ascontiguousarray(row).view(np.uint8).data)
    return digest.digest()


def state_of(candidate: Candidate) -> bytes:
    """The state of a checkpoint's files on this disk; empty where it lies elsewhere, or has changed just now."""
    source = candidate.source
    if not isinstance(source, LocalFile):
        return b""
    try:
        files = _files(candidate, source)
        stats = [path.stat() for path in files]
    except (OSError, CheckpointError):
        return b""
    newest = max(max(stat.st_mtime, stat.st_ctime) for stat in stats)
    if newest > time.time() - SETTLED:
        return b""
    facts = [
        (str(path.absolute()), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev)
        for path, stat in zip(files, stats, strict=True)
    ]
    versions = f"{METHOD} {__version__} {np.__version__} {candidate.format.name}"
    return _digest(versions.encode(), *map(_text, facts))


def _files(candidate: Candidate, source: LocalFile) -> list[Path]:
    """The files that a checkpoint is read from: its own, those of its format beside it, or all of its folder."""
    location = candidate.ref.location
    if isinstance(location, Path) and location.is_dir():
        return sorted(path for path in location.rglob("*") if path.is_file())
    own = source.location
    assert isinstance(own, Path)
    return [own, *(own.parent / name for name in candidate.format.members(source))]


def _text(facts: tuple[object, ...]) -> bytes:
    return repr(facts).encode("utf-8", "surrogateescape")


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()
