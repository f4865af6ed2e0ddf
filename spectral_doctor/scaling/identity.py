"""By what a file is known again: its size, when it was changed, and samples of its bytes."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

from spectral_doctor.checkpoints.opening import Candidate, candidate_at
from spectral_doctor.checkpoints.stores import LocalFile, Source
from spectral_doctor.errors import DoctorError
from spectral_doctor.records import Location

SAMPLES = 16
SAMPLE = 2**16


def content_of(location: Location) -> str:
    """Equal for two states of a checkpoint that are the same; "" where it cannot be told, which equals nothing.

    Of every file that belongs to the checkpoint (the shards of an index, all in a folder): its size, the time of its
    last change in nanoseconds, and a BLAKE2b digest of 16 samples of 64 KiB spread evenly from its first byte to its
    last. A file of 1 MiB or less is thereby read whole.
    """
    try:
        digest = blake2b(digest_size=16)
        for source in _sources(candidate_at(location)):
            digest.update(f"{source.name}\0{source.size}\0{_changed(source)}\0".encode("utf-8", "surrogateescape"))
            for start in _starts(source.size):
                digest.update(source.read(start, SAMPLE))
        return digest.hexdigest()
    except (DoctorError, OSError):
        return ""


def _sources(found: Candidate) -> Iterator[Source]:
    where = found.ref.location
    if isinstance(where, Path) and where.is_dir():
        yield from (LocalFile(path) for path in sorted(where.rglob("*")) if path.is_file())
        return
    yield found.source
    for name in found.format.members(found.source):
        if found.source.beside.size(name) is not None:
            yield found.source.beside.open(name)


def _changed(source: Source) -> int | float:
    return source.location.stat().st_mtime_ns if isinstance(source.location, Path) else source.modified


def _starts(size: int) -> list[int]:
    if size <= SAMPLES * SAMPLE:
        return list(range(0, size, SAMPLE))
    return [(size - SAMPLE) * index // (SAMPLES - 1) for index in range(SAMPLES)]
