"""A user's own recipe: what is said when it is not one."""

from __future__ import annotations

from pathlib import Path

import pytest

from spectral_doctor.errors import UsageError
from spectral_doctor.gan.own import load_recipe

WHOLE = """
from spectral_doctor import BaseRecipe, Settings
class Mine(BaseRecipe):
    def __init__(self):
        super().__init__(Settings(steps=3))
made = Mine()
def make():
    return Mine()
half = type("Half", (), {"settings": Settings()})()
"""


@pytest.mark.parametrize("attribute", ["Mine", "made", "make"])
def test_an_object_a_class_and_a_function_all_name_a_recipe(tmp_path: Path, attribute: str) -> None:
    """And `--set` reaches its settings."""
    path = tmp_path / "gan.py"
    path.write_text(WHOLE)
    recipe = load_recipe(f"{path}:{attribute}", {"batch_size": "7"})
    assert (recipe.settings.steps, recipe.settings.batch_size) == (3, 7)


@pytest.mark.parametrize(
    ("source", "attribute", "sentence"),
    [
        (None, "x", "expected file.py:attribute."),
        (WHOLE, "other", "has no 'other'."),
        ("1 / 0", "x", "importing it failed with ZeroDivisionError: division by zero."),
        (WHOLE, "half", "the recipe lacks networks, optimizers, latent"),
    ],
)
def test_what_is_no_recipe_says_what_is_missing(
    tmp_path: Path, source: str | None, attribute: str, sentence: str
) -> None:
    """The file, the attribute, the import, the parts."""
    path = tmp_path / "gan.py"
    if source is not None:
        path.write_text(source)
    with pytest.raises(UsageError) as caught:
        load_recipe(f"{path}:{attribute}", {})
    assert sentence in str(caught.value)
