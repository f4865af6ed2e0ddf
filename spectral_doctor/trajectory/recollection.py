"""What the cache knows of a checkpoint's matrices: by the file where that is untouched, else by their content.

A matrix' digest is SHA-256 over its type, shape, layout in memory and every byte of its values, with the version of
the method. To have it the matrix must be read; so the digests are kept with the state of the files on the disk they
came from (path, size, times of change, inode), and a file in a known state is not read again. As in git, a file that
changed so lately that its times could not tell a second change is not trusted, and the time of the inode's change,
which no program sets back, is part of the state.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spectral_doctor.checkpoints.opening import Candidate
from spectral_doctor.checkpoints.stores import LocalFile
from spectral_doctor.elements import Values
from spectral_doctor.spectrum import Measured, measured
from spectral_doctor.state_dicts.matrices import LayerWeight
from spectral_doctor.trajectory.cache import DIGEST, SpectraCache
from spectral_doctor.version import __version__

# To be raised whenever the same file or the same values may give another result than before.
METHOD = 1
# Coarser than the clock of any file system in use (FAT: two seconds).
SETTLED = 3.0
_UNKNOWN = bytes(DIGEST)


class Recollection:
    """The matrices of one checkpoint as the cache knows them; `measure` measures what it does not.

    `state` is that of its files before they were opened; `asked` is what else decides which matrices are found.
    """

    def __init__(
        self,
        cache: SpectraCache,
        candidate: Candidate,
        state: bytes,
        asked: tuple[object, ...],
        matrices: Sequence[LayerWeight],
    ) -> None:
        self._cache, self._candidate, self._state, self._matrices = cache, candidate, state, tuple(matrices)
        self._seen = _digest(state, _text(asked), *map(_place, self._matrices)) if state else b""
        self._digests: dict[LayerWeight, bytes] = {}
        self._known: dict[bytes, Measured] = {}
        self._new: dict[bytes, Measured] = {}
        digests = cache.digests(self._seen) if self._seen else ()
        if len(digests) == len(self._matrices):
            self._known = cache.spectra(digest for digest in digests if digest != _UNKNOWN)
            pairs = zip(self._matrices, digests, strict=True)
            self._digests = {matrix: digest for matrix, digest in pairs if digest in self._known}
        self._was_whole = len(self._digests) == len(self._matrices)

    def knows(self, matrix: LayerWeight) -> bool:
        """Whether a matrix need not be read."""
        return matrix in self._digests

    def measure(self, matrix: LayerWeight) -> Measured:
        """The spectrum as it is known, else from the values. Raises `WeightError`."""
        if matrix in self._digests:
            return self._known[self._digests[matrix]]
        values = matrix.read()
        digest = digest_of(values, coarse=matrix.coarse)
        found = self._cache.spectra([digest]).get(digest)
        result = measured(values, coarse=matrix.coarse) if found is None else found
        if found is None:
            self._new[digest] = result
        self._known[digest] = result
        self._digests[matrix] = digest
        return result

    def keep(self) -> None:
        """Put what is new into the cache; the digests only where the files are still as they were before."""
        if self._was_whole:
            return
        seen = {}
        if self._seen and state_of(self._candidate) == self._state:
            seen = {self._seen: [self._digests.get(matrix, _UNKNOWN) for matrix in self._matrices]}
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
    except OSError:
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


def _place(matrix: LayerWeight) -> bytes:
    """Where in its file a matrix stands, and what is made of it."""
    weight = matrix.weight
    return _text((matrix.name, matrix.key, matrix.kind, matrix.form, matrix.rows, weight.shape, weight.element.name))


def _text(facts: tuple[object, ...]) -> bytes:
    return repr(facts).encode("utf-8", "surrogateescape")


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()
