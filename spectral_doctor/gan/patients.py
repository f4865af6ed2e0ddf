"""Patients: recipes whose settings were found by search until their runs learn first and then fall ill."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from spectral_doctor.gan.builtin import RECIPES, BuiltInRecipe


@dataclass(frozen=True)
class Patient:
    """A recipe that falls ill: its cause, whether modes are lost in most seeds, and whether the spectra fall.

    `tests/benchmarks/patients.py` trains them all and says in how many seeds each did what is said of it here.
    """

    recipe: BuiltInRecipe
    cause: str
    loses_modes: bool
    spectra_fall: bool

    @property
    def name(self) -> str:
        """The name that `train` knows it by."""
        return self.recipe.name


def _patient(name: str, base: str, cause: str, loses_modes: bool, spectra_fall: bool, **changes: Any) -> Patient:
    modes = "modes lost" if loses_modes else "modes kept"
    spectra = "spectra fall" if spectra_fall else "spectra hold"
    settings = replace(RECIPES[base].settings, **changes)
    description = f"{base}; {cause}: {modes}, {spectra}"
    return Patient(
        replace(RECIPES[base], name=name, description=description, settings=settings), cause, loses_modes, spectra_fall
    )


# All modes are learnt before the restart in each seed tried: the discriminator's rate is twice the generator's.
_RING: dict[str, Any] = {
    "standard_deviation": 0.02,
    "learning_rate_discriminator": 2e-3,
    "steps": 3000,
    "save_every": 250,
    "restart_at": 1500,
}
# Wider modes and faster rates: all modes are learnt within 1 000 steps.
_WIDE_RING: dict[str, Any] = {
    "standard_deviation": 0.05,
    "latent_dim": 8,
    "batch_size": 64,
    "beta1": 0.0,
    "steps": 3000,
    "save_every": 150,
    "restart_at": 1650,
}
# One real digit an image, ten modes, learnt within 300 steps.
_DIGIT: dict[str, Any] = {
    "stack": 1,
    "discriminator_channels": 4,
    "latent_dim": 16,
    "learning_rate_generator": 1e-3,
    "learning_rate_discriminator": 2e-3,
    "batch_size": 32,
    "n_dis": 1,
    "steps": 600,
    "save_every": 50,
    "samples": 2500,
    "restart_at": 300,
}
# Rates that rise step by step leave the discriminator alive, where a sudden jump of its own often saturates it.
_RISING: dict[str, Any] = {
    **_DIGIT,
    "start_side": 2,
    "loss": "least-squares",
    "steps": 800,
    "restart_generator": 20.0,
    "restart_discriminator": 10.0,
}
_PATIENTS = (
    _patient(
        "ring-fast-generator",
        "ring",
        "the generator's rate restarts at 15 times, the discriminator's is decayed to a tenth",
        True,
        False,
        **_RING,
        restart_generator=15.0,
        restart_discriminator=0.1,
    ),
    _patient(
        "ring-fast-both",
        "ring",
        "both rates restart at 20 times",
        True,
        True,
        **_RING,
        restart_generator=20.0,
        restart_discriminator=20.0,
    ),
    _patient(
        "ring-hinge",
        "ring",
        "hinge loss; the generator's rate restarts at 8 times",
        True,
        False,
        **{**_WIDE_RING, "restart_at": 1800},
        loss="hinge",
        discriminator_channels=128,
        generator_channels=64,
        learning_rate_discriminator=5e-3,
        learning_rate_generator=5e-3,
        restart_generator=8.0,
    ),
    _patient(
        "ring-shifted",
        "ring",
        "the centre half a radius off; the generator's rate restarts at 8 times",
        True,
        False,
        **_WIDE_RING,
        shift=0.5,
        discriminator_channels=64,
        generator_channels=128,
        learning_rate_discriminator=1e-2,
        learning_rate_generator=5e-3,
        restart_generator=8.0,
    ),
    _patient(
        "ring-least-squares",
        "ring",
        "least squares, two latent dimensions; the generator's rate restarts at 8 times",
        True,
        False,
        **{**_WIDE_RING, "latent_dim": 2, "batch_size": 128},
        loss="least-squares",
        beta2=0.9,
        discriminator_channels=16,
        generator_channels=128,
        learning_rate_discriminator=1.2e-2,
        learning_rate_generator=6e-3,
        restart_generator=8.0,
    ),
    _patient(
        "digits-small-start",
        "stacked-digits",
        "a generator from 2×2; its rate restarts at 20 times, the discriminator's is decayed to a tenth",
        True,
        False,
        **{**_DIGIT, "discriminator_channels": 16},
        generator_channels=32,
        start_side=2,
        restart_generator=20.0,
        restart_discriminator=0.1,
    ),
    _patient(
        "digits-resnet",
        "stacked-digits",
        "a spectrally normalised ResNet of 16 channels; rates grow 20-fold and 10-fold over 300 steps",
        True,
        True,
        **{**_RISING, "discriminator_channels": 16},
        generator_channels=32,
        restart_over=300,
    ),
    _patient(
        "glyphs-resnet",
        "stacked-glyphs",
        "a spectrally normalised ResNet of 16 channels; rates grow 20-fold and 10-fold over 200 steps",
        True,
        True,
        **{**_RISING, "discriminator_channels": 16, "restart_at": 400},
        generator_channels=24,
        restart_over=200,
    ),
    _patient(
        "digits-narrow-cnn",
        "stacked-digits",
        "a spectrally normalised CNN of 4 channels resumed with rates 10 times too high",
        False,
        True,
        **_DIGIT,
        network="cnn",
        restart_generator=10.0,
        restart_discriminator=10.0,
    ),
)
PATIENTS = {patient.name: patient for patient in _PATIENTS}


def known_recipes() -> dict[str, BuiltInRecipe]:
    """Every recipe with a name: the built-in ones, then the patients'."""
    return RECIPES | {name: patient.recipe for name, patient in PATIENTS.items()}
