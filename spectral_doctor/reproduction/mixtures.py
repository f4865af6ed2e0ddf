"""The three tables of synthetic data of VEEGAN's paper (Srivastava et al. 2017, table 1).

All arms have the settings that the recipe gives VEEGAN, but for what is said at the arm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spectral_doctor.gan.builtin import RECIPES
from spectral_doctor.reproduction.records import Arm, Table
from spectral_doctor.treatment.records import Dose
from spectral_doctor.veegan.records import VeeganPlan

# γ of R1 and R2 in units of the data's variance, falling to γ·e⁻⁴; no momentum.
_R3: dict[str, Any] = {
    "loss": "relativistic",
    "r1": 1.0,
    "r2": 1.0,
    "penalty_fall": 4.0,
    "penalty_by_variance": True,
    "beta1": 0.0,
}
_NORMALISED: dict[str, Any] = {"spectral_norm": True}


def _arms(r3: Mapping[str, Any], veegan: Mapping[str, Any], published: Mapping[str, str]) -> tuple[Arm, ...]:
    said = published.get
    return (
        Arm("plain", published=said("plain", "")),
        Arm("SN", _NORMALISED),
        Arm("static", _NORMALISED, dose=Dose("static")),
        Arm("dynamic", _NORMALISED, dose=Dose("dynamic")),
        Arm("VEEGAN", veegan, veegan=VeeganPlan(), published=said("VEEGAN", "")),
        Arm("VEEGAN + dynamic", {**veegan, **_NORMALISED}, dose=Dose("dynamic"), veegan=VeeganPlan()),
        Arm("PacGAN 2", {"pack": 2}, published=said("PacGAN 2", "")),
        Arm("R3", {**_R3, **r3}),
    )


RING = Table(
    "ring",
    "Eight Gaussians on a circle",
    "ring",
    {**RECIPES["ring"].veegan, "save_every": 400, "samples": 2500},
    _arms(
        {"learning_rate_discriminator": 1e-3},
        {},
        {"plain": "1 mode, 99.3 %", "VEEGAN": "8 modes, 52.9 %", "PacGAN 2": "7.9 modes, 95.6 %"},
    ),
)
GRID = Table(
    "grid",
    "Twenty-five Gaussians on a grid",
    "grid",
    {**RECIPES["grid"].veegan, "save_every": 1600, "samples": 2500},
    _arms(
        {"learning_rate_discriminator": 2e-3, "learning_rate_generator": 2e-3, "r1": 0.5, "r2": 0.5},
        {},
        {"plain": "3.3 modes, 0.5 %", "VEEGAN": "24.6 modes, 40 %", "PacGAN 2": "23.8 modes, 91.3 %"},
    ),
)
SYNTHETIC_1200D = Table(
    "synthetic-1200d",
    "Ten 700-dimensional Gaussians in 1 200 dimensions",
    "synthetic-1200d",
    {**RECIPES["synthetic-1200d"].veegan, "save_every": 500, "samples": 2500},
    _arms(
        {"learning_rate_discriminator": 2e-3, "learning_rate_generator": 2e-3, "r1": 300.0, "r2": 300.0},
        {},
        {"plain": "1.6 modes, 2.0 %", "VEEGAN": "5.5 modes, 28.29 %"},
    ),
)
