"""Asking generators from the command line: what `--witness`, `--generator`, `--data` and `--recipe` come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from spectral_doctor.cli.boundary import require_torch
from spectral_doctor.errors import NothingToExamine, UsageError

if TYPE_CHECKING:
    from spectral_doctor.generators.records import GeneratorNetwork, NotRebuilt, Rebuilt
    from spectral_doctor.inspection import Inspection, Progress
    from spectral_doctor.witnessing import Heard, LoneGenerator, Question


@dataclass(frozen=True)
class Asked:
    """Whether generators are asked, by what they are built where a file does not tell, and with which real data."""

    wanted: bool
    generator: str | None
    data: str | None
    recipe: str | None

    def heard(self, inspection: Inspection, progress: Progress) -> Heard:
        """The inspection with what the generators beside the discriminators say, where they are asked."""
        from spectral_doctor.witnessing import Heard, heard

        return heard(inspection, self._question(), progress) if self.wanted else Heard(inspection)

    def alone(self, paths: Sequence[str], error: NothingToExamine) -> tuple[LoneGenerator, ...]:
        """What generators without a discriminator show; raises the error where there is none, or none is asked."""
        if not self.wanted:
            raise error
        from spectral_doctor.witnessing import alone

        found = alone(paths, self._question())
        if not found:
            raise error
        return found

    def _question(self) -> Question:
        require_torch("--witness")
        from spectral_doctor.generators.data import reader
        from spectral_doctor.witnessing import Question

        build = partial(_build, self.generator, self.recipe) if self.generator or self.recipe else None
        return Question(build, reader(self.data) if self.data else None)


def asked_for(witness: bool, generator: str | None, data: str | None, recipe: str | None) -> Asked:
    """What was asked for; `--generator` and `--data` ask by themselves. Raises `UsageError` on two ways to build."""
    if generator is not None and recipe is not None:
        raise UsageError("--generator and --recipe: both say how the generator is built; name one of them.")
    return Asked(witness or generator is not None or data is not None, generator, data, recipe)


def _build(generator: str | None, recipe: str | None, network: GeneratorNetwork) -> Rebuilt | NotRebuilt:
    from spectral_doctor.generators.exact import by_factory, with_recipe

    if generator is not None:
        return by_factory(generator, network.arrays)
    from spectral_doctor.cli.train import recipe_named

    return with_recipe(recipe_named(str(recipe), []), network.arrays, network.name)
