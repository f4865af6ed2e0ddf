"""What VEEGAN is asked to be, and what its reconstructor finds. Plain values, no tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from spectral_doctor.errors import UsageError, listed, printable
from spectral_doctor.gan.assignments import changed_by

VARIANTS = ("published", "adversarial-reconstructor", "mean-distance", "no-noise")


@dataclass(frozen=True)
class VeeganPlan:
    """How VEEGAN is trained; the defaults are Algorithm 1 of Srivastava et al. 2017 from the first step.

    `weight` multiplies d in the generator's loss, and rises to it over the first `ramp` steps. `warm_up` updates of
    the reconstructor on (G(z), z) come before the first step. `head` is the width of h(features(x), z).

    Variants, as found in other code, and not the paper's: "adversarial-reconstructor" gives the reconstructor
    the adversarial gradient too, "mean-distance" averages d over the latent dimensions instead of summing,
    "no-noise" shows the discriminator F(x) without its unit-variance noise.
    """

    weight: float = 1.0
    warm_up: int = 0
    ramp: int = 0
    head: int = 128
    variant: str = "published"

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise UsageError(f"--veegan variant={printable(self.variant)}: expected one of {listed(VARIANTS)}.")
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise UsageError(f"--veegan weight={self.weight:g}: expected a number that is not negative.")
        for name, least in (("warm_up", 0), ("ramp", 0), ("head", 1)):
            if getattr(self, name) < least:
                raise UsageError(f"--veegan {name}={getattr(self, name)}: expected at least {least}.")

    def changed(self, assignments: Mapping[str, str]) -> VeeganPlan:
        """Return this plan with some values changed from text, as `--veegan` gives them; raises `UsageError`."""
        return changed_by(self, assignments, option="--veegan", noun="value")

    def weight_at(self, updates: int) -> float:
        """The weight of d in the generator's loss after so many steps."""
        return self.weight * min(1.0, updates / self.ramp) if self.ramp else self.weight


@dataclass(frozen=True)
class Reconstruction:
    """Where F, trained to invert a frozen G, sends real samples, against where it sends generated ones.

    `coefficient` is the energy coefficient between F(x_real) and F(G(z)), 0 for the same distribution and at most 1
    (Székely & Rizzo 2013); `null_quantile` its 99 % quantile between sets of held-out generated samples of the
    same size, `p_value` the share of those that reach it. `outside` is the share of real samples whose F(x) is
    farther from every F(G(z)) than 99 % of generated ones are. `explained` is the share of z's variance that F
    gives back on held-out generated samples. `samples` and `splits` say how many there were, `steps` how long F
    was trained, `seconds` of processor time what all of it cost.
    """

    coefficient: float
    null_quantile: float
    p_value: float
    outside: float
    explained: float
    samples: int
    splits: int
    steps: int
    seconds: float

    # Provisional. On the first 21 checkpoints looked at (ring and grid, runs 0 to 26 of the laboratory's corpus)
    # generators with half of their modes or fewer were above 0.2, the others below 0.022.
    MISSING_FROM = 0.05

    @property
    def modes_missing(self) -> bool:
        """Whether the difference is both beyond chance and as large as missing modes make it.

        The first alone is no sign: with some hundred samples a test notices any imperfection of a generator.
        """
        return self.p_value <= 0.01 and self.coefficient >= self.MISSING_FROM
