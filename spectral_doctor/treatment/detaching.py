"""Taking VEEGAN, or a restart, off a run: its generator and D(x) alone, as a plain GAN has them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spectral_doctor.arrays import Array, Live
from spectral_doctor.checkpoints.formats import Tree
from spectral_doctor.checkpoints.rewriting import rewrite_checkpoint
from spectral_doctor.checkpoints.training_state import MAIN_FILE, read_state, state_bytes
from spectral_doctor.checkpoints.writing import write_atomically
from spectral_doctor.errors import NothingToExamine, OutputNotWritable, UsageError, listed, printable
from spectral_doctor.state_dicts.networks import find_discriminators, find_generator
from spectral_doctor.state_dicts.words import Role, file_role
from spectral_doctor.training.folder import saved_states
from spectral_doctor.treatment.records import Detach


def detach_run(wish: Detach) -> tuple[Path, tuple[str, ...]]:
    """Write a run's plain G and D(x) to a file, and return where they lie and which of them it holds.

    The run is a run's folder (its last checkpoint is taken, or that of `from_step`) or a checkpoint; an output that
    is a folder gets a file in it. Without `like` the file is a training state of a plain GAN, which `train --resume`
    goes on with; with it, a copy of that file with its generator and discriminator replaced, whatever its layout.
    D(x) is the joint discriminator's part that sees x alone: what the head h(features(x), z) has learnt is left
    behind. Raises `UsageError`.
    """
    path, output, like = _chosen(wish.run, wish.from_step), wish.output, wish.like
    content = read_state(path)
    if (content.get("method") or {}).get("mode") not in ("veegan", "restart"):
        raise UsageError(
            f"{printable(path)}: trained without VEEGAN and never restarted, so there is nothing to detach."
        )
    if output.is_dir():
        output = output / (f"{path.stem}.pt" if like is None else like.name)
    if output.exists() and any(other.exists() and output.samefile(other) for other in (path, like) if other):
        raise UsageError(f"{printable(output)}: the output is an input, which is never overwritten.")
    if not output.parent.is_dir():
        raise UsageError(f"{printable(output.parent)}: no such folder.")
    if like is None:
        try:
            write_atomically(output, state_bytes({**content, "method": None, "pace": None}))
        except OSError as error:
            raise OutputNotWritable(output, error) from error
        return output, ("generator", "discriminator")
    replaced: list[str] = []
    rewrite_checkpoint(like, output, lambda tree: replaced.extend(_replace(tree, content, like)))
    return output, tuple(replaced)


def _chosen(run: Path, step: int | None) -> Path:
    if not run.exists():
        raise UsageError(f"{printable(run)}: no such file or folder.")
    states = saved_states(run) if run.is_dir() and not (run / MAIN_FILE).exists() else [run]
    if not states:
        raise UsageError(f"{printable(run)} holds no checkpoint of a run.")
    if step is None:
        return states[-1]
    named = [state for state in states if state.stem == f"step-{step:06d}"]
    if not named:
        steps = listed((state.stem.removeprefix("step-").lstrip("0") or "0" for state in states), 40)
        raise UsageError(f"--from {step}: no checkpoint of that step; there are {steps}.")
    return named[0]


def _replace(tree: Tree, content: Mapping[str, Any], path: Path) -> list[str]:
    """Copy a state's networks over those of a stranger's tree; says which were there."""
    found: dict[str, Mapping[str, Array]] = {}
    try:
        discriminators, _ = find_discriminators(tree, path)
    except NothingToExamine:
        discriminators = ()
    if discriminators:
        found["discriminator"] = discriminators[0].tensors
    generator = find_generator(tree)
    if generator is None and file_role(path)[0] is Role.GENERATOR:
        generator = {key: value for key, value in tree.items() if isinstance(value, Array)}
    if generator is not None:
        found["generator"] = generator
    if not found:
        raise UsageError(f"--like {printable(path)}: neither a generator nor a discriminator is recognised in it.")
    for name, tensors in found.items():
        own = content[name]
        wrong = [key for key in tensors if key not in own or tuple(own[key].shape) != tensors[key].shape]
        if wrong or own.keys() - tensors.keys():
            different = listed(sorted({*wrong, *(own.keys() - tensors.keys())}), 3)
            raise UsageError(f"--like {printable(path)}: its {name} is not the run's: they differ in {different}.")
        for key, tensor in tensors.items():
            tensor.write(Live(own[key]).read())
    return sorted(found, reverse=True)
