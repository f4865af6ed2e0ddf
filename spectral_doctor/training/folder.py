"""The folder of a run: where its states lie, how one is written and found again."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from spectral_doctor.checkpoints.reading import read_tree
from spectral_doctor.checkpoints.writing import safetensors_bytes, write_atomically, write_folder_atomically
from spectral_doctor.errors import UnreadableCheckpoint

NETWORKS = ("generator", "discriminator", "generator_ema")
STATE_FORMAT = "spectral-doctor/training/1"
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


def state_path(checkpoint: Path) -> Path:
    """The state that a file belongs to: the folder around it where that is a checkpoint, else the file itself."""
    return checkpoint.parent if (checkpoint.parent / "state.pt").exists() else checkpoint


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
        networks = {name: content[name] for name in NETWORKS if content[name] is not None}
        rest = {key: value for key, value in content.items() if key not in NETWORKS}
        files = {f"{name}.safetensors": safetensors_bytes(tensors) for name, tensors in networks.items()}
        write_folder_atomically(path, {**files, "state.pt": state_bytes(rest)})
    else:
        write_atomically(path, state_bytes(content))
    if folder.keep:
        for old in saved_states(folder.path)[: -folder.keep]:
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    return path


def read_state(path: Path) -> dict[str, Any]:
    """Read a state that `write_state` wrote; nothing in it is run.

    Raises `UnreadableCheckpoint` where it is none, or what `load_checkpoint` raises on a torn or unsafe file.
    """
    main = path / "state.pt" if path.is_dir() else path
    read_tree(main)  # refuses what is no checkpoint, or not safe, with its own sentence
    content = torch.load(main, weights_only=True, map_location="cpu")
    if not isinstance(content, dict) or content.get("format") != STATE_FORMAT:
        raise UnreadableCheckpoint(
            path, "not a training state of this version", "Start a run with `train RECIPE -o DIR`."
        )
    if path.is_dir():
        for name in NETWORKS:
            file = path / f"{name}.safetensors"
            content[name] = dict(read_tree(file)[1]) if file.exists() else None
    return content


def clear_torn(folder: Path) -> None:
    """Remove the temporary files of a run that was killed while it wrote."""
    for torn in folder.glob(".step-*.tmp"):
        shutil.rmtree(torn) if torn.is_dir() else torn.unlink(missing_ok=True)


def state_bytes(content: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    return buffer.getvalue()
