"""The part of `spectral-doctor inspect` that looks at generators: `--reconstruct`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spectral_doctor.cli.train import recipe_named
from spectral_doctor.errors import UsageError, printable

if TYPE_CHECKING:
    from spectral_doctor.gan.recipes import Recipe
    from spectral_doctor.inspection import Inspection
    from spectral_doctor.veegan.records import Reconstruction


def reconstructions(inspection: Inspection, name: str | None, assignments: list[str]) -> dict[str, Reconstruction]:
    """The last checkpoint of every series and what inverting its generator shows."""
    from spectral_doctor.training.adoption import adopted_generator
    from spectral_doctor.veegan.reconstruction import examine_generator

    found: dict[str, Reconstruction] = {}
    for last in sorted({str(item.trajectory.checkpoints[-1].location) for item in inspection.diagnoses}):
        path = Path(last)
        if not path.is_file():
            raise UsageError(f"--reconstruct: {printable(path)} is not there; a history alone holds no generator.")
        recipe = _recipe(path, name, assignments)
        found[last] = examine_generator(recipe, adopted_generator(recipe, path))
    return found


def _recipe(path: Path, name: str | None, assignments: list[str]) -> Recipe:
    """The recipe that was named, or that a training state of ours names, with its settings."""
    from spectral_doctor.checkpoints.training_state import is_training_state, read_state, state_path

    own = is_training_state(path)
    content = read_state(state_path(path)) if own and name is None else None
    saved = [] if content is None else [f"{key}={value}" for key, value in content["settings"].items()]
    chosen = name or ("" if content is None else content["recipe"])
    if not chosen:
        raise UsageError(
            f"--reconstruct: {printable(path)} does not say how it was trained: name its recipe with --recipe, a name "
            "that `recipes` lists or your own file.py:attribute."
        )
    return recipe_named(chosen, [*saved, *assignments])
