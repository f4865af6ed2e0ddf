"""Taking over a run that was not trained here: networks and optimizers from a stranger's checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from spectral_doctor.checkpoints.reading import read_tree
from spectral_doctor.errors import NoDiscriminator, UsageError, listed, printable
from spectral_doctor.gan.recipes import Recipe
from spectral_doctor.state_dicts.networks import find_discriminators, find_generator
from spectral_doctor.state_dicts.optimizers import is_discriminators, optimizer_states
from spectral_doctor.training.folder import read_state, state_path
from spectral_doctor.training.state import TrainingState


def adopt(state: TrainingState, path: Path, step: int, key: str | None = None) -> tuple[str, ...]:
    """Load a stranger's networks, and optimizers where they fit, into a fresh state; say what was missing.

    The generator is looked for in the same file and in the one beside it with the generator's name. Raises
    `UsageError` where the recipe builds other networks than the file holds.
    """
    tree = read_tree(path)[1]
    found, _ = find_discriminators(tree, path, key=key)
    if not found:
        raise NoDiscriminator(path, tree)
    missing = ["random number generators: what is drawn from here on is not what the run would have drawn"]
    _load(state.discriminator, found[0].tensors, path, "discriminator")
    generator = find_generator(tree) or _beside(path)
    if generator is None:
        missing.append("the generator: a new one is trained from its first step, against a trained discriminator")
    else:
        _load(state.generator, generator, path, "generator")
    states = dict(optimizer_states(tree))
    pairs = ((state.discriminator_optimizer, True), (state.generator_optimizer, False))
    for optimizer, wanted in pairs:
        name = "discriminator" if wanted else "generator"
        if not _load_optimizer(optimizer, [value for key, value in states.items() if is_discriminators(key) is wanted]):
            missing.append(f"the {name}'s optimizer: its moments start from zero, so the first updates are rougher")
    state.step = step
    return tuple(missing)


def adopted_generator(recipe: Recipe, path: Path) -> nn.Module:
    """Build a recipe's generator with the weights of a checkpoint: its average where a state of ours has one.

    A stranger's generator is looked for as `adopt` does. Raises `UsageError` where there is none, or another.
    """
    generator, _ = recipe.networks()
    state, tensors = state_path(path), None
    tree = read_tree(state / "state.pt" if state.is_dir() else state)[1]
    if str(tree.get("format", "")).startswith("spectral-doctor/training/"):
        content = read_state(state)
        tensors = content["generator_ema"] or content["generator"]
    else:
        tensors = find_generator(tree) or _beside(path)
    if tensors is None:
        raise UsageError(f"{printable(path)}: no generator in it or beside it, so there is nothing to reconstruct.")
    _load(generator, tensors, path, "generator")
    return generator


def _load(network: nn.Module, tensors: Mapping[str, Tensor], path: Path, name: str) -> None:
    own = network.state_dict()
    extra, lacking = sorted(tensors.keys() - own.keys()), sorted(own.keys() - tensors.keys())
    shapes = [key for key in own.keys() & tensors.keys() if own[key].shape != tensors[key].shape]
    if extra or lacking or shapes:
        raise UsageError(
            f"{printable(path)}: its {name} is not the recipe's: not in the recipe {listed(extra, 3) or 'nothing'}, "
            f"not in the file {listed(lacking, 3) or 'nothing'}, other shapes {listed(sorted(shapes), 3) or 'none'}."
        )
    network.load_state_dict(dict(tensors))


def _load_optimizer(optimizer: Optimizer, states: list[Mapping[str, object]]) -> bool:
    if len(states) != 1:
        return False
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    saved: Any = states[0]
    entries = {int(index): dict(entry) for index, entry in saved["state"].items()}
    fits = len(entries) == len(parameters) and all(
        tensor.ndim == 0 or tensor.shape == parameters[index].shape
        for index, entry in entries.items()
        for tensor in entry.values()
        if isinstance(tensor, Tensor)
    )
    if fits:
        optimizer.load_state_dict({"state": entries, "param_groups": optimizer.state_dict()["param_groups"]})
    return fits


def _beside(path: Path) -> Mapping[str, Tensor] | None:
    for old, new in (("netD", "netG"), ("discriminator", "generator"), ("Discriminator", "Generator"), ("D", "G")):
        sibling = path.with_name(path.name.replace(old, new, 1))
        if sibling != path and sibling.exists():
            tree = read_tree(sibling)[1]
            return find_generator(tree) or {key: value for key, value in tree.items() if isinstance(value, Tensor)}
    return None
