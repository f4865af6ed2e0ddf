"""spectral-doctor: finds spectral collapse in the discriminators of GANs from their checkpoints.

The public names below are imported on first use, so `import spectral_doctor` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from spectral_doctor.version import __version__

if TYPE_CHECKING:
    from spectral_doctor.compensation import DynamicCompensation, StaticCompensation, compensate
    from spectral_doctor.diagnosis.records import Diagnosis, ModesStatement, SpectrumState, Thresholds
    from spectral_doctor.diagnosis.rules import diagnose
    from spectral_doctor.errors import DoctorError
    from spectral_doctor.evaluation import Evaluation, coverage_and_density
    from spectral_doctor.gan.recipes import BaseRecipe, Recipe
    from spectral_doctor.gan.settings import Settings
    from spectral_doctor.inspection import Inspection, inspect_paths
    from spectral_doctor.parametrizations import (
        SpectralRegularizer,
        remove_spectral_regularization,
        spectral_regularization,
    )
    from spectral_doctor.records import LeftOut, SkippedLayer, Spectrum
    from spectral_doctor.spectrum import singular_values, spectrum_of, weight_matrices
    from spectral_doctor.state_dicts.loading import Checkpoint, Discriminator, load_checkpoint
    from spectral_doctor.state_dicts.matrices import LayerWeight
    from spectral_doctor.trajectory.history import read_history
    from spectral_doctor.trajectory.monitor import SpectralMonitor
    from spectral_doctor.trajectory.records import LayerTrajectory, SpectralTrajectory
    from spectral_doctor.veegan.reconstruction import examine_generator
    from spectral_doctor.veegan.records import Reconstruction

_HOMES = {
    "BaseRecipe": "gan.recipes",
    "Checkpoint": "state_dicts.loading",
    "Diagnosis": "diagnosis.records",
    "Discriminator": "state_dicts.loading",
    "DoctorError": "errors",
    "DynamicCompensation": "compensation",
    "Evaluation": "evaluation",
    "Inspection": "inspection",
    "LayerTrajectory": "trajectory.records",
    "LayerWeight": "state_dicts.matrices",
    "LeftOut": "records",
    "Recipe": "gan.recipes",
    "Reconstruction": "veegan.records",
    "Settings": "gan.settings",
    "SkippedLayer": "records",
    "SpectralMonitor": "trajectory.monitor",
    "SpectralRegularizer": "parametrizations",
    "SpectralTrajectory": "trajectory.records",
    "Spectrum": "records",
    "StaticCompensation": "compensation",
    "Thresholds": "diagnosis.records",
    "ModesStatement": "diagnosis.records",
    "SpectrumState": "diagnosis.records",
    "compensate": "compensation",
    "coverage_and_density": "evaluation",
    "diagnose": "diagnosis.rules",
    "examine_generator": "veegan.reconstruction",
    "inspect_paths": "inspection",
    "load_checkpoint": "state_dicts.loading",
    "read_history": "trajectory.history",
    "remove_spectral_regularization": "parametrizations",
    "singular_values": "spectrum",
    "spectral_regularization": "parametrizations",
    "spectrum_of": "spectrum",
    "weight_matrices": "spectrum",
}

__all__ = [
    "BaseRecipe",
    "Checkpoint",
    "Diagnosis",
    "Discriminator",
    "DoctorError",
    "DynamicCompensation",
    "Evaluation",
    "Inspection",
    "LayerTrajectory",
    "LayerWeight",
    "LeftOut",
    "ModesStatement",
    "Recipe",
    "Reconstruction",
    "Settings",
    "SkippedLayer",
    "SpectralMonitor",
    "SpectralRegularizer",
    "SpectralTrajectory",
    "Spectrum",
    "SpectrumState",
    "StaticCompensation",
    "Thresholds",
    "__version__",
    "compensate",
    "coverage_and_density",
    "diagnose",
    "examine_generator",
    "inspect_paths",
    "load_checkpoint",
    "read_history",
    "remove_spectral_regularization",
    "singular_values",
    "spectral_regularization",
    "spectrum_of",
    "weight_matrices",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'spectral_doctor' has no attribute '{name}'")
    return getattr(import_module(f"spectral_doctor.{home}"), name)


def __dir__() -> list[str]:
    return __all__
