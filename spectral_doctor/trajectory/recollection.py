"""What the cache knows of a checkpoint: all of it where its files are untouched, else its matrices by their content.

A matrix' digest is SHA-256 over its type, shape, layout in memory and every byte of its values, with the version of
the method. To have it the matrix must be read; so what was found in a checkpoint, with the digests, is kept under the
state of its files on the disk, and one in a known state is not opened again.
"""

from __future__ import annotations

import hashlib

import numpy as np

from spectral_doctor.checkpoints.opening import Candidate
from spectral_doctor.elements import Values
from spectral_doctor.errors import MALFORMED
from spectral_doctor.spectrum import Measured, measured
from spectral_doctor.state_dicts.loading import Checkpoint
from spectral_doctor.state_dicts.matrices import LayerWeight
from spectral_doctor.trajectory.cache import SpectraCache
from spectral_doctor.trajectory.cached_outcome import Outcome, parsed, rendered
from spectral_doctor.trajectory.file_states import METHOD, digest_of_parts, state_of
from spectral_doctor.trajectory.records import Examination


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
        asked_for = repr(asked).encode("utf-8", "surrogateescape")
        self._key = digest_of_parts(self._state, asked_for) if self._state else b""
        self._digests: dict[LayerWeight, bytes] = {}
        self._new: dict[bytes, Measured] = {}

    def recalled(self) -> Outcome | None:
        """All that was found in the checkpoint when its files were in this very state; None where that is not known."""
        content = self._cache.seen(self._key) if self._key else None
        try:
            return None if content is None else parsed(content, self._candidate.ref, self._cache.spectra)
        except MALFORMED:  # whole, and not what this version writes
            return None

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
        if self._key and state_of(self._candidate, now=True) == self._state:
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
