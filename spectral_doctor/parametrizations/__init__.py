"""The compensations on a discriminator that trains: in its forward pass, or as a projection after the optimizer."""

from __future__ import annotations

from spectral_doctor.parametrizations.regularization import (
    ForwardRegularizer,
    SpectralRegularization,
    remove_spectral_regularization,
    spectral_regularization,
)
from spectral_doctor.parametrizations.regularizer import LayerChange, SpectralRegularizer, project

__all__ = [
    "ForwardRegularizer",
    "LayerChange",
    "SpectralRegularization",
    "SpectralRegularizer",
    "project",
    "remove_spectral_regularization",
    "spectral_regularization",
]
