"""How good a generator is, where the truth is known and where it is not: what the arms of a trial are ranked by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spectral_doctor.errors import NothingToExamine
from spectral_doctor.evaluation import Evaluation
from spectral_doctor.gan.recipes import Recipe
from spectral_doctor.training.adoption import adopted_generator
from spectral_doctor.treatment.comparing import spread_of
from spectral_doctor.treatment.resuming import measured_modes
from spectral_doctor.veegan.reconstruction import examine_generator


@dataclass(frozen=True)
class Score:
    """What can be said of samples without knowing their modes, from real data alone.

    `coverage` and `broad_coverage` are the shares of real samples with a generated one nearer than their 5th and 25th
    real neighbour (Naeem et al. 2020), `energy` the energy distance from 0 to 1, `relative_vendi` ln of how many
    different samples there seem to be over that of real data, `reconstruction` the energy coefficient between F(x) of
    real and of generated samples, F the generator's inverse (VEEGAN). A generator whose samples are not finite has
    the worst of each.
    """

    coverage: float = 0.0
    broad_coverage: float = 0.0
    energy: float = 1.0
    relative_vendi: float = -10.0
    reconstruction: float = 1.0

    @property
    def value(self) -> float:
        """(coverage + broad coverage)/2 − energy distance: at most 1, higher is better."""
        return (self.coverage + self.broad_coverage) / 2 - self.energy


@dataclass(frozen=True, eq=False)
class Measured:
    """A checkpoint's generator: its modes where the recipe knows them, and the score without them."""

    evaluation: Evaluation | None
    score: Score

    @property
    def truth_is_known(self) -> bool:
        """Whether solid modes were counted."""
        return self.evaluation is not None and self.evaluation.solid_modes is not None

    @property
    def rank(self) -> tuple[float, ...]:
        """Higher is better: solid modes, then the score's value; without the truth that alone.

        Quality is no second key: a generator that makes few modes makes them well.
        """
        if self.evaluation is None or self.evaluation.solid_modes is None:
            return (self.score.value,)
        return (self.evaluation.solid_modes, self.score.value)


def measured(recipe: Recipe, checkpoint: Path) -> Measured:
    """Measure a checkpoint's generator (its average where there is one); the same numbers every time."""
    return Measured(measured_modes(checkpoint), scored(recipe, checkpoint))


def scored(recipe: Recipe, checkpoint: Path) -> Score:
    """The score without truth of a checkpoint's generator."""
    generator = adopted_generator(recipe, checkpoint)
    spread = spread_of(recipe, generator)
    if spread is None:
        return Score()
    try:
        reconstruction = examine_generator(recipe, generator, splits=1).coefficient
    except NothingToExamine:
        reconstruction = 1.0
    return Score(
        spread.coverage or 0.0,
        spread.broad_coverage or 0.0,
        spread.energy if spread.energy is not None else 1.0,
        spread.relative_vendi if spread.relative_vendi is not None else -10.0,
        reconstruction,
    )
