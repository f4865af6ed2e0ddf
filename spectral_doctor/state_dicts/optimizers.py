"""The optimizer states beside the weights: whose they are, and setting one back to its start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from spectral_doctor.arrays import Array
from spectral_doctor.errors import UsageError, listed, printable
from spectral_doctor.state_dicts.keys import Part, part_of


def optimizer_states(
    tree: Mapping[str, object], path: tuple[str, ...] = ()
) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Every optimizer state of a tree with its dotted key: mappings that hold `state` and `param_groups`."""
    if isinstance(tree.get("state"), Mapping) and "param_groups" in tree:
        yield ".".join(path), tree
        return
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from optimizer_states(value, (*path, key))


def is_discriminators(key: str) -> bool:
    """Say whether an optimizer's key names the discriminator (`optim_d`, `discriminator_optimizer`, `opt.D`)."""
    words = key.replace("optimizer", " ").replace("optim", " ").replace("opt", " ")
    parts = [word for piece in words.replace(".", " ").split() for word in piece.split("_") if word]
    return any(
        part_of(word, in_container=True) is Part.DISCRIMINATOR
        or part_of(word.upper(), in_container=True) is Part.DISCRIMINATOR
        for word in parts
    )


def reset_discriminator_optimizer(tree: Mapping[str, object], path: Path) -> None:
    """Set the moments and step counts of the discriminator's optimizer to zero, in place.

    Raises `UsageError` where there is none, or where its step counts are plain numbers, which a file that is
    otherwise kept byte for byte cannot change.
    """
    states = dict(optimizer_states(tree))
    chosen = [key for key in states if is_discriminators(key)]
    if not chosen:
        raise UsageError(
            f"{printable(path)}: no optimizer of the discriminator was found (there are {listed(states) or 'none'}); "
            "go on without --reset-d-optimizer."
        )
    for key in chosen:
        per_parameter = states[key]["state"]
        assert isinstance(per_parameter, Mapping)
        for entry in per_parameter.values():
            if not isinstance(entry, Mapping):
                continue
            if isinstance(entry.get("step"), int | float):
                raise UsageError(
                    f"{printable(path)}: '{printable(key)}' counts its steps in plain numbers, which are not "
                    "rewritten; build a new optimizer in the training script instead of loading this one."
                )
            for value in entry.values():
                if isinstance(value, Array):
                    value.write(np.zeros(value.shape))
