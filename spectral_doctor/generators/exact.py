"""A generator built by its own code: a recipe of ours that a state names, or the factory that a user names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from spectral_doctor.arrays import Array, tensor_of
from spectral_doctor.errors import UsageError, WeightError, listed, printable
from spectral_doctor.generators.chain import chain
from spectral_doctor.generators.records import GeneratorNetwork, NotRebuilt, Rebuilt, RecipeName, Sampler

if TYPE_CHECKING:
    from torch import Tensor, nn

    from spectral_doctor.gan.recipes import Recipe

_LATENT_ATTRIBUTES = ("latent_shape", "latent_dim", "z_dim", "nz", "noise_dim", "latent_size")


def by_recipe(network: GeneratorNetwork) -> Rebuilt | NotRebuilt:
    """A generator of a training state of ours, built as the recipe that the state names builds it.

    Only recipes that are built in are taken by name: a file that is named in a checkpoint is never imported.
    """
    if network.recipe is None:
        return NotRebuilt("no recipe is named in its file")
    made = built_in(network.recipe)
    return made if isinstance(made, NotRebuilt) else _with(made, network.arrays, network.recipe.name, "meta")


def built_in(recipe: RecipeName) -> Recipe | NotRebuilt:
    """The built-in recipe of a name with the settings of a file."""
    from spectral_doctor.gan.patients import known_recipes
    from spectral_doctor.gan.settings import Settings

    known = known_recipes().get(recipe.name)
    if known is None:
        return NotRebuilt(
            f"its recipe '{printable(recipe.name)}' is not built in, and code that a file names is not run; name it "
            "with --recipe FILE.py:RECIPE"
        )
    names = {item.name: type(getattr(known.settings, item.name)) for item in fields(Settings)}
    taken = {key: value for key, value in recipe.settings.items() if names.get(key) is type(value)}
    try:
        return known.build(replace(known.settings, **taken))
    except UsageError as error:
        return NotRebuilt(f"its recipe cannot be built with the settings in its file: {error}")


def with_recipe(recipe: Recipe, arrays: Mapping[str, Array], name: str) -> Rebuilt | NotRebuilt:
    """A generator with the network and the latents of a recipe; its tensors have to be exactly the recipe's."""
    return _with(recipe, arrays, name, "cpu")


def _with(recipe: Recipe, arrays: Mapping[str, Array], name: str, device: str) -> Rebuilt | NotRebuilt:
    import torch

    try:
        # Without memory (meta) the settings of a file cannot ask for more than its tensors hold.
        with torch.device(device):
            module, _ = recipe.networks()
    except Exception as error:  # whatever a recipe's own code raises
        return NotRebuilt(f"the recipe '{printable(name)}' does not build its networks: {printable(error)}")
    different = _difference(module, arrays)
    if different:
        return NotRebuilt(f"it is not the generator of the recipe '{printable(name)}': {different}")

    def latents(count: int, seed: int) -> Tensor:
        return recipe.latent(count, torch.Generator().manual_seed(seed))

    shape = tuple(latents(1, 0).shape[1:])
    why = f"built by the recipe '{printable(name)}', with its own latents"
    sampler = Sampler(_forward(module), "", latents=latents)
    return _rebuilt("recipe", shape, arrays, why, partial(_loaded, module, arrays, sampler))


def by_factory(name: str, arrays: Mapping[str, Array]) -> Rebuilt:
    """A generator built by a user's own code, `file.py:attribute`: a module, or what makes one without arguments.

    The shape of one latent is the module's `latent_shape`, `latent_dim`, `z_dim` or `nz`, else what its first layer
    takes. Importing runs that file: it is the user's own code, named by the user. Raises `UsageError` where it is no
    such thing, or where its tensors are not the file's.
    """
    from torch import nn

    from spectral_doctor.gan.own import load_attribute

    found = load_attribute(name)
    try:
        module = found if isinstance(found, nn.Module) else found()
    except Exception as error:
        raise UsageError(f"--generator {printable(name)}: making it failed with {_said(error)}.") from error
    if not isinstance(module, nn.Module):
        raise UsageError(f"--generator {printable(name)}: expected a torch.nn.Module, got {type(module).__name__}.")
    different = _difference(module, arrays)
    if different:
        raise UsageError(f"--generator {printable(name)}: it is not the generator of the file: {different}.")
    shape = _latent_shape(module, arrays)
    if shape is None:
        raise UsageError(f"--generator {printable(name)}: give the module an attribute 'latent_shape', as (128,).")
    why = f"built by {printable(name)}, Gaussian latents"
    return _rebuilt("factory", shape, arrays, why, partial(_loaded, module, arrays, Sampler(_forward(module), "")))


def _rebuilt(family: str, shape: tuple[int, ...], arrays: Mapping[str, Array], why: str, ready: Any) -> Rebuilt:
    return Rebuilt(family, shape, sum(array.size for array in arrays.values()), why, ready)


def _difference(module: nn.Module, arrays: Mapping[str, Array]) -> str:
    """In what the tensors of a module and of a file differ; empty where they are the same by name and shape."""
    own = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    parts = {
        "not in the code": sorted(arrays.keys() - own.keys()),
        "not in the file": sorted(own.keys() - arrays.keys()),
        "other shapes": sorted(key for key in own.keys() & arrays.keys() if own[key] != arrays[key].shape),
    }
    return ", ".join(f"{what} {listed(keys, 3)}" for what, keys in parts.items() if keys)


def _loaded(module: nn.Module, arrays: Mapping[str, Array], sampler: Sampler) -> Sampler | NotRebuilt:
    try:
        module.load_state_dict({key: tensor_of(array) for key, array in arrays.items()}, strict=True, assign=True)
    except WeightError as error:
        return NotRebuilt(f"it cannot be run: {error}")
    module.eval()
    return sampler


def _forward(module: nn.Module) -> Any:
    def forward(latent: Tensor) -> Tensor:
        made: Tensor = module(latent)
        return made

    return forward


def _latent_shape(module: nn.Module, arrays: Mapping[str, Array]) -> tuple[int, ...] | None:
    for name in _LATENT_ATTRIBUTES:
        value = getattr(module, name, None)
        if isinstance(value, int):
            return (value,)
        if isinstance(value, tuple | list) and all(isinstance(size, int) for size in value):
            return tuple(value)
    read = chain(arrays)
    return None if isinstance(read, NotRebuilt) else read[0]


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {printable(error)}"
