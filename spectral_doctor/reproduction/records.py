"""What a table is made of: arms, runs, and what a run came to. Plain values, no tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from spectral_doctor.treatment.records import Dose
from spectral_doctor.veegan.records import VeeganPlan


@dataclass(frozen=True)
class Arm:
    """One row of a table: a method, and the settings that it has beside the table's.

    With `resumes` the run does not start from nothing but from that arm's run of the same seed, at its last sound
    checkpoint before the onset of spectral collapse, and ends where that one ended; without an onset it starts from
    that run's end, and is that checkpoint alone. `published` are the figures of the paper that the table is from.
    """

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    dose: Dose | None = None
    veegan: VeeganPlan | None = None
    resumes: str = ""
    published: str = ""

    @property
    def recorded(self) -> dict[str, Any]:
        """All that decides what its runs are, as JSON holds it."""
        dose, plan = (None if part is None else asdict(part) for part in (self.dose, self.veegan))
        if dose is not None:
            dose["exclude"] = list(dose["exclude"])
        return {"changes": dict(self.changes), "dose": dose, "veegan": plan, "resumes": self.resumes}


@dataclass(frozen=True)
class Table:
    """A table: its data by recipe and settings, its arms, how many seeds are usual, and what is said beside it."""

    name: str
    title: str
    recipe: str
    settings: Mapping[str, Any]
    arms: tuple[Arm, ...]
    seeds: int = 5
    note: str = ""

    def arm(self, name: str) -> Arm:
        """The arm of a name."""
        return next(arm for arm in self.arms if arm.name == name)

    def recorded(self, arm: Arm) -> dict[str, Any]:
        """All that decides what an arm's runs are: a run on file that has anything else is trained again."""
        before = self.recorded(self.arm(arm.resumes)) if arm.resumes else None
        return {"recipe": self.recipe, "settings": dict(self.settings), **arm.recorded, "before": before}


@dataclass(frozen=True)
class Point:
    """A checkpoint of a run: modes and quality of its samples, and the median plateau σ_k/σ_1 of its discriminator."""

    step: int
    modes: int
    solid: int
    quality: float
    kl: float
    plateau: float | None


@dataclass(frozen=True)
class Run:
    """An arm trained with one seed.

    `began` is the step it started from, `onset` that of spectral collapse by `inspect`'s rule, `spectrum` that rule's
    word at the end, `of` how many modes there are, `fault` why it ended early. `seconds` are of processor time.
    """

    table: str
    arm: str
    seed: int
    began: int
    of: int
    points: tuple[Point, ...]
    onset: int | None
    spectrum: str
    fault: str
    seconds: float
    recorded: Mapping[str, Any]

    @property
    def last(self) -> Point:
        """Its last checkpoint."""
        return self.points[-1]

    @property
    def best(self) -> Point:
        """The checkpoint with most solid modes, of equal ones that of the better quality."""
        return max(self.points, key=lambda point: (point.solid, point.quality))

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Run:
        """Rebuild a run from the mapping that `dataclasses.asdict` made of it; raises `KeyError`, `TypeError`."""
        return cls(**{**content, "points": tuple(Point(**point) for point in content["points"])})
