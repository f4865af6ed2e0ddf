"""Recipes by name, and a user's own code, named as `file.py:attribute`."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spectral_doctor.errors import UsageError, listed, printable
from spectral_doctor.gan.patients import known_recipes
from spectral_doctor.gan.recipes import Recipe
from spectral_doctor.gan.settings import Settings

_NEEDED = ("networks", "optimizers", "latent", "real", "discriminator_loss", "generator_loss", "evaluate")


def recipe_named(name: str, assignments: Mapping[str, str], mode: str = "gan") -> Recipe:
    """The recipe of a name, or of a user's `file.py:attribute`, its settings for a mode with some of them changed.

    Raises `UsageError` where there is none of that name, or what `load_recipe` raises.
    """
    if ":" in name:
        return load_recipe(name, assignments)
    known = known_recipes()
    if name not in known:
        raise UsageError(
            f"no recipe is called '{printable(name)}'; there are {listed(known, 40)}, or your own as file.py:attribute."
        )
    return known[name].build(known[name].settings_for(mode).changed(assignments))


def load_recipe(name: str, assignments: Mapping[str, str]) -> Recipe:
    """Import a recipe from a Python file of the user's and apply `--set` to its settings.

    `name` is `file.py:attribute`; the attribute is a recipe, or a class or function that makes one without
    arguments. Importing runs that file: it is the user's own code, named by the user.

    Raises `UsageError` where the file, the attribute or a part of the recipe is missing, or the import fails.
    """
    made = load_attribute(name)
    recipe = made() if callable(made) and not hasattr(made, "settings") else made
    return _checked(recipe, name, assignments)


def load_attribute(name: str) -> Any:
    """Import a Python file of the user's and return one of its attributes, both named as `file.py:attribute`.

    Raises `UsageError` where the file or the attribute is missing, or the import fails.
    """
    file, _, attribute = name.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise UsageError(f"{printable(name)}: no file '{printable(file)}'; expected file.py:attribute.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{printable(name)}: '{printable(file)}' is no Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        reason = f"{type(error).__name__}: {printable(error)}"
        raise UsageError(f"{printable(name)}: importing it failed with {reason}.") from error
    finally:
        sys.path.pop(0)
    if not hasattr(module, attribute):
        raise UsageError(f"{printable(name)}: '{printable(file)}' has no '{printable(attribute)}'.")
    return getattr(module, attribute)


def _checked(recipe: Recipe, name: str, assignments: Mapping[str, str]) -> Recipe:
    missing = [part for part in _NEEDED if not callable(getattr(recipe, part, None))]
    if missing:
        raise UsageError(f"{printable(name)}: the recipe lacks {', '.join(missing)}; BaseRecipe has defaults for most.")
    if not isinstance(getattr(recipe, "settings", None), Settings):
        raise UsageError(f"{printable(name)}: the recipe's 'settings' must be a spectral_doctor.Settings.")
    recipe.settings = recipe.settings.changed(assignments)
    return recipe
