"""The file in which a training run of our own keeps its whole state: its tag, its parts, its evaluation."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from spectral_doctor.arrays import Array, tensor_of
from spectral_doctor.checkpoints.formats import Tree
from spectral_doctor.checkpoints.opening import open_path
from spectral_doctor.errors import DoctorError, UnreadableCheckpoint

FAMILY = "spectral-doctor/training/"
STATE_FORMAT = f"{FAMILY}1"
NETWORKS = ("generator", "discriminator", "generator_ema")
MAIN_FILE = "state.pt"


def state_path(checkpoint: Path) -> Path:
    """The state that a file belongs to: the folder around it where that is a checkpoint, else the file itself."""
    return checkpoint.parent if (checkpoint.parent / MAIN_FILE).exists() else checkpoint


def main_file(checkpoint: Path) -> Path:
    """The file in which a checkpoint's format and evaluation stand."""
    state = state_path(checkpoint)
    return state / MAIN_FILE if state.is_dir() else state


def is_training_state(checkpoint: Path) -> bool:
    """Say whether a checkpoint holds a whole run of ours, and not only weights; raises what opening it raises."""
    return is_states_tree(open_path(main_file(checkpoint)).tree)


def is_states_tree(tree: Tree) -> bool:
    """Say whether an opened file is a training state of ours, of whatever version."""
    return str(tree.get("format", "")).startswith(FAMILY)


def is_training_states(left_out: Iterable[str]) -> bool:
    """Whether the parts that were left out of files are those of states of ours, so that these may hold evaluations."""
    return {"rng", "envelope"} <= set(left_out)


def stored_evaluation(checkpoint: Path) -> dict[str, float] | None:
    """The numbers of the evaluation in a checkpoint; None where there is none, or it is no state of ours.

    Needs no torch. A file that cannot be read has none: metrics are shown beside a diagnosis, and no verdict rests on
    them.
    """
    main = main_file(checkpoint)
    if not main.is_file():
        return None
    try:
        tree = open_path(main).tree
    except DoctorError:
        return None
    evaluation = tree.get("evaluation")
    if not is_states_tree(tree) or not isinstance(evaluation, Mapping):
        return None
    numbers = {str(key): float(value) for key, value in evaluation.items() if is_number(value)}
    return numbers if "modes_captured" in numbers else None


def is_number(value: object) -> bool:
    """Say whether a value read from a file is a finite number of reasonable size."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e300 and isfinite(value)


def read_state(path: Path) -> dict[str, Any]:
    """Read a state that `state_files` wrote, as PyTorch tensors and plain values; nothing in it is run.

    Raises `UnreadableCheckpoint` where it is none, or what `open_path` raises on a torn or unsafe file.
    """
    import torch

    main = path / MAIN_FILE if path.is_dir() else path
    # What is no checkpoint, or not safe, is refused here with its own sentence.
    tree = open_path(main).tree
    content = torch.load(main, weights_only=True, map_location="cpu") if tree.get("format") == STATE_FORMAT else None
    if not isinstance(content, dict):
        raise UnreadableCheckpoint(
            path, "not a training state of this version", "Start a run with `train RECIPE -o DIR`."
        )
    if path.is_dir():
        for name in NETWORKS:
            file = path / f"{name}.safetensors"
            content[name] = _tensors(open_path(file).tree) if file.exists() else None
    return content


def state_bytes(content: Mapping[str, Any]) -> bytes:
    """A state as one PyTorch file."""
    import torch

    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    return buffer.getvalue()


def state_files(content: Mapping[str, Any]) -> dict[str, bytes]:
    """A state as the files of a folder: the networks as safetensors, everything else in one PyTorch file."""
    from safetensors.torch import save

    networks = {name: content[name] for name in NETWORKS if content[name] is not None}
    rest = {key: value for key, value in content.items() if key not in NETWORKS}
    # Tensors that share memory are written as copies.
    copies = {
        name: {key: tensor.detach().cpu().contiguous().clone() for key, tensor in tensors.items()}
        for name, tensors in networks.items()
    }
    return {**{f"{name}.safetensors": save(tensors) for name, tensors in copies.items()}, MAIN_FILE: state_bytes(rest)}


def _tensors(tree: Tree) -> dict[str, Any]:
    return {name: tensor_of(value) for name, value in tree.items() if isinstance(value, Array)}
