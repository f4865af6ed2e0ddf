"""The compensations on a discriminator that trains: in its forward pass, or as a projection after the optimizer."""

from __future__ import annotations

from spectral_doctor.parametrizations.forward_pass import (
    ForwardCompensation,
    RaisedSpectrum,
    remove_spectral_regularization,
    spectral_regularization,
)
from spectral_doctor.parametrizations.projection import SpectralRegularizer

__all__ = [
    "ForwardCompensation",
    "RaisedSpectrum",
    "SpectralRegularizer",
    "remove_spectral_regularization",
    "spectral_regularization",
]
