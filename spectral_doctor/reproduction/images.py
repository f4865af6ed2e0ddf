"""The tables of images: stacked digits, and the second table of SR-GAN's paper in small."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from spectral_doctor.gan.builtin import RECIPES
from spectral_doctor.gan.patients import PATIENTS
from spectral_doctor.reproduction.records import Arm, Table
from spectral_doctor.treatment.records import Dose
from spectral_doctor.veegan.records import VeeganPlan

_NORMALISED: dict[str, Any] = {"spectral_norm": True}
_R3: dict[str, Any] = {
    "loss": "relativistic",
    "spectral_norm": False,
    "r1": 1.0,
    "r2": 1.0,
    "penalty_fall": 4.0,
    "penalty_by_variance": True,
    "beta1": 0.0,
}
STACKED = Table(
    "stacked",
    "Three real digits stacked as channels, 1 000 modes",
    "stacked-digits",
    {
        "generator_channels": 32,
        "discriminator_channels": 16,
        "latent_dim": 32,
        "spectral_norm": False,
        "learning_rate_generator": 2e-3,
        "learning_rate_discriminator": 2e-3,
        "batch_size": 64,
        "n_dis": 1,
        "decay": True,
        "steps": 1000,
        "save_every": 200,
        "samples": 5000,
    },
    (
        Arm("plain", published="DCGAN: 99 modes, KL 3.4"),
        Arm("SN", _NORMALISED),
        Arm("static", _NORMALISED, dose=Dose("static")),
        Arm("dynamic", _NORMALISED, dose=Dose("dynamic")),
        Arm("VEEGAN", veegan=VeeganPlan(), published="150 modes, KL 2.95"),
        Arm("VEEGAN + dynamic", _NORMALISED, dose=Dose("dynamic"), veegan=VeeganPlan()),
        Arm("PacGAN 2", {"pack": 2}, published="1 000 modes, KL 0.06"),
        Arm("R3", _R3),
    ),
    seeds=3,
)
# Width of the discriminator and batch, as the paper names its settings: batch-width.
_WIDTHS, _BATCHES = (8, 24), (16, 64)


def _cell(width: int, batch: int) -> tuple[Arm, ...]:
    name, changes = f"{batch}-{width}", {"discriminator_channels": width, "batch_size": batch}
    return (
        Arm(f"{name} SN", changes),
        Arm(f"{name} static", changes, dose=Dose("static")),
        Arm(f"{name} dynamic", changes, dose=Dose("dynamic")),
        Arm(f"{name} SN, then static", changes, dose=Dose("static"), resumes=f"{name} SN"),
        Arm(f"{name} SN, then dynamic", changes, dose=Dose("dynamic"), resumes=f"{name} SN"),
    )


def _patient() -> dict[str, Any]:
    """What the patient `digits-resnet` has beside the recipe that it is of: it learns ten modes, then rates rise."""
    healthy = asdict(RECIPES["stacked-digits"].settings)
    ill = asdict(PATIENTS["digits-resnet"].recipe.settings)
    return {key: value for key, value in ill.items() if value != healthy[key]}


SR_GAN = Table(
    "sr-gan",
    "Width of the discriminator × batch, real digits, ten modes",
    "stacked-digits",
    _patient(),
    tuple(arm for width in _WIDTHS for batch in _BATCHES for arm in _cell(width, batch)),
    seeds=3,
    note="An arm is named batch-width, as in the paper. The settings are those of the patient `digits-resnet`, whose "
    "rates rise 20-fold and 10-fold from step 300 to 600: the paper's slow collapse at 2e-4 is not reproduced here.",
)


def stacked_from(path: Path) -> Table:
    """The table of stacked digits on 28×28 digits of a file or folder of one's own, with the papers' 26 000 samples."""
    settings = {**STACKED.settings, "side": 28, "path": str(path), "samples": 26000}
    return replace(STACKED, name="stacked-mnist", recipe="stacked-mnist", settings=settings)
