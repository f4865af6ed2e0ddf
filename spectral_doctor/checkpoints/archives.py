"""Zip archives that would expand beyond reason are refused before they are opened."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO

from spectral_doctor.errors import UnsafeCheckpoint

LARGEST_EXPANSION = 200
SMALL_MEMBER = 256 * 2**20


def check_archive(path: Path | str, source: Path | IO[bytes], *, stored_only: bool) -> None:
    """Refuse an archive that would expand far beyond its size: a resource bomb, not a checkpoint.

    `path` is what the sentence calls it, `source` where it is read. Raises `UnsafeCheckpoint`.
    """
    with zipfile.ZipFile(source) as archive:
        members = archive.infolist()
    for member in members:
        if stored_only and member.compress_type != zipfile.ZIP_STORED:
            raise UnsafeCheckpoint(
                path,
                f"its member '{member.filename}' is compressed, which torch.save never does",
                "Load it where it was made and save it again with torch.save.",
            )
        expansion = member.file_size / max(member.compress_size, 1)
        if member.file_size > SMALL_MEMBER and expansion > LARGEST_EXPANSION:
            raise UnsafeCheckpoint(
                path,
                f"its member '{member.filename}' expands {expansion:.0f}-fold to {member.file_size} bytes",
                "Save it again without compression.",
            )
