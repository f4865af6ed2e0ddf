"""Taking over a run that was not trained here: networks and optimizers from a stranger's checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from spectral_doctor.arrays import Array, live_arrays, tensor_of
from spectral_doctor.checkpoints.formats import Tree
from spectral_doctor.checkpoints.opening import open_path
from spectral_doctor.checkpoints.training_state import is_states_tree, main_file, read_state, state_path
from spectral_doctor.errors import NoDiscriminator, UsageError, printable
from spectral_doctor.gan.recipes import Recipe
from spectral_doctor.generators.finding import siblings_of
from spectral_doctor.state_dicts.networks import find_discriminators, find_generator, find_generators
from spectral_doctor.state_dicts.optimizers import is_discriminators, optimizer_states
from spectral_doctor.training.randomness import restore_randomness
from spectral_doctor.training.state import TrainingState, check_fit


def adopt(state: TrainingState, path: Path, step: int, key: str | None = None) -> tuple[str, ...]:
    """Load a stranger's networks, and optimizers where they fit, into a fresh state; say what was missing.

    The generator is looked for in the same file and in the one beside it with the generator's name. Raises
    `UsageError` where the recipe builds other networks than the file holds.
    """
    tree = open_path(path).tree
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


def adopt_generator(state: TrainingState, path: Path, step: int) -> tuple[str, ...]:
    """Load a stranger's generator, and its optimizer where it fits, into a fresh state whose discriminator stays.

    The generator may be alone in its file. Says what was missing; raises `UsageError` where there is none, or another.
    """
    tree = open_path(path).tree
    tensors = _generator_in(tree, path)
    if tensors is None:
        raise UsageError(f"{printable(path)}: no generator in it or beside it, and a restart keeps nothing else.")
    _load(state.generator, tensors, path, "generator")
    missing = ["random number generators: what is drawn from here on is not what the run would have drawn"]
    states = [value for key, value in dict(optimizer_states(tree)).items() if not is_discriminators(key)]
    if not _load_optimizer(state.generator_optimizer, states):
        missing.append("the generator's optimizer: its moments start from zero, so the first updates are rougher")
    _set_average(state, None)
    state.step = step
    return tuple(missing)


def take_generator(state: TrainingState, content: Mapping[str, Any], path: Path) -> None:
    """Put the generator of a saved state of ours, its average, optimizer and randomness, into a fresh state.

    The discriminator, its optimizer and its envelope stay fresh. Raises `UsageError` where the settings build another
    generator.
    """
    _load(state.generator, live_arrays(content["generator"]), path, "generator")
    _set_average(state, content["generator_ema"])
    state.generator_optimizer.load_state_dict(content["generator_optimizer"])
    state.random.set_state(content["rng"]["training"])
    restore_randomness(content["rng"])
    if content["data"] is not None:
        state.recipe.load_state_dict(content["data"])  # type: ignore[attr-defined]
    state.step = int(content["step"])


def _set_average(state: TrainingState, saved: Mapping[str, Tensor] | None) -> None:
    if state.average is not None:
        state.average.load_state_dict(saved or state.generator.state_dict())


def _generator_in(tree: Tree, path: Path) -> Mapping[str, Array] | None:
    """The generator of a file: by its key, as all there is in a file of that name, or in the file beside it."""
    found = find_generator(tree)
    if found is None:
        found = next(iter(find_generators(tree, path).values()), None)
    return found if found is not None else _beside(path)


def adopted_generator(recipe: Recipe, path: Path) -> nn.Module:
    """Build a recipe's generator with the weights of a checkpoint: its average where a state of ours has one.

    A stranger's generator is looked for as `adopt` does. Raises `UsageError` where there is none, or another.
    """
    generator, _ = recipe.networks()
    tree = open_path(main_file(path)).tree
    if is_states_tree(tree):
        content = read_state(state_path(path))
        _load(generator, live_arrays(content["generator_ema"] or content["generator"]), path, "generator")
        return generator
    tensors = _generator_in(tree, path)
    if tensors is None:
        raise UsageError(f"{printable(path)}: no generator in it or beside it, so there is nothing to reconstruct.")
    _load(generator, tensors, path, "generator")
    return generator


def _load(network: nn.Module, tensors: Mapping[str, Array], path: Path, name: str) -> None:
    check_fit(network, tensors, path, name)
    network.load_state_dict({key: tensor_of(array) for key, array in tensors.items()})


def _load_optimizer(optimizer: Optimizer, states: list[Tree]) -> bool:
    if len(states) != 1:
        return False
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    saved: Any = states[0]
    entries = {
        int(index): {key: tensor_of(value) if isinstance(value, Array) else value for key, value in entry.items()}
        for index, entry in saved["state"].items()
    }
    fits = len(entries) == len(parameters) and all(
        tensor.ndim == 0 or tensor.shape == parameters[index].shape
        for index, entry in entries.items()
        for tensor in entry.values()
        if isinstance(tensor, Tensor)
    )
    if fits:
        optimizer.load_state_dict({"state": entries, "param_groups": optimizer.state_dict()["param_groups"]})
    return fits


def _beside(path: Path) -> Mapping[str, Array] | None:
    for sibling in siblings_of(path):
        found = find_generators(open_path(sibling).tree, sibling)
        if found:
            return next(iter(found.values()))
    return None
