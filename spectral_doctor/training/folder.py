"""The folder of a run: where its states lie, how one is written and found again."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spectral_doctor.checkpoints.training_state import state_bytes, state_files
from spectral_doctor.checkpoints.writing import write_atomically, write_folder_atomically

_NAME = re.compile(r"^step-(\d{6,})(\.pt)?$")


@dataclass(frozen=True)
class RunFolder:
    """Where a run writes: its folder, whether a checkpoint is a folder of its own, and how many are kept.

    `keep` 0 keeps all. With `as_folders` a checkpoint is `step-NNNNNN/` with the networks as safetensors files
    and everything else in `state.pt`; otherwise it is one file, `step-NNNNNN.pt`.
    """

    path: Path
    as_folders: bool = False
    keep: int = 0

    def checkpoint(self, step: int) -> Path:
        """The path of the checkpoint of a step."""
        return self.path / (f"step-{step:06d}" if self.as_folders else f"step-{step:06d}.pt")


def saved_states(folder: Path) -> list[Path]:
    """The checkpoints of a run in step order, whatever their form."""
    found = [(int(match[1]), path) for path in folder.glob("step-*") if (match := _NAME.match(path.name))]
    return [path for _, path in sorted(found)]


def write_state(folder: RunFolder, step: int, content: Mapping[str, Any]) -> Path:
    """Write a run's state, wholly or not at all, and then drop what retention no longer keeps.

    Raises `OSError`; everything that was there before is then still there.
    """
    path = folder.checkpoint(step)
    if folder.as_folders:
        files = state_files(content)
        # A run that goes on from step 0 has that state already, and a folder is not renamed over another.
        if not _holds(path, files):
            write_folder_atomically(path, files)
    else:
        write_atomically(path, state_bytes(content))
    drop_old(folder)
    return path


def _holds(path: Path, files: Mapping[str, bytes]) -> bool:
    return all((path / name).is_file() and (path / name).read_bytes() == held for name, held in files.items())


def drop_old(folder: RunFolder) -> None:
    """Take away what retention no longer keeps, also what an earlier run was killed before it did; raises `OSError`."""
    if folder.keep:
        for old in saved_states(folder.path)[: -folder.keep]:
            shutil.rmtree(old) if old.is_dir() else old.unlink()


def clear_torn(folder: Path) -> None:
    """Remove the temporary files of a run that was killed while it wrote."""
    for torn in folder.glob(".step-*.tmp"):
        shutil.rmtree(torn) if torn.is_dir() else torn.unlink(missing_ok=True)
