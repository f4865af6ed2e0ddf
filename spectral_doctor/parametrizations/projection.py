"""Compensation as a projection of the stored weights, as the official code of SR-GAN has it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from spectral_doctor.arrays import Array, live_arrays
from spectral_doctor.compensation import Compensation, DynamicCompensation, StaticCompensation, envelope_of
from spectral_doctor.errors import CompensationError, NonFiniteWeight, UsageError, WeightError, listed
from spectral_doctor.records import Spectrum
from spectral_doctor.spectrum import spectra_of
from spectral_doctor.state_dicts.compensating import LayerChange, project, treated_layers
from spectral_doctor.state_dicts.matrices import LayerWeight, collect_stored

MODES = ("static", "dynamic")
SCALES = ("hold", "one", "free")


class SpectralRegularizer:
    """Projects a discriminator's weights after its optimizer's step, every `interval` calls of `step`.

    `mode` "static" raises the first half of the singular values (`fraction`) to σ_1; "dynamic" lets no
    σ_j/σ_1 fall below `envelope` (layer name → γ), which rises with every projection unless `rising` is
    False. Layers without an envelope start from their present spectrum. `scale` says what becomes of σ_1:
    "hold" keeps it where it was when the regularizer was made (repeated raising would ratchet it upward),
    "one" rescales to 1 as the official code does, "free" leaves it; by default static holds, dynamic is free.

    Weights are changed in place, so torch's spectral norm (old and new), weight norm and plain layers all work,
    and so do optimizers. Raises `UsageError` for a mode or scale there is not, and `CompensationError`.
    """

    def __init__(
        self,
        discriminator: nn.Module,
        mode: str = "static",
        *,
        fraction: float = 0.5,
        interval: int = 5,
        scale: str | None = None,
        envelope: Mapping[str, Sequence[float]] | None = None,
        rising: bool = True,
        exclude: Sequence[str] = (),
    ) -> None:
        scale = scale or ("hold" if mode == "static" else "free")
        if mode not in MODES or scale not in SCALES:
            raise UsageError(f"expected a mode of {listed(MODES)} and a scale of {listed(SCALES)}.")
        if interval < 1:
            raise UsageError(f"an interval of {interval}: expected 1 or more discriminator updates.")
        StaticCompensation(fraction)
        self.discriminator, self.mode, self.scale = discriminator, mode, scale
        self.fraction, self.interval, self.rising, self.exclude = fraction, interval, rising, tuple(exclude)
        self.envelope = {name: tuple(map(float, values)) for name, values in (envelope or {}).items()}
        self.calls = 0
        self.reference = self._sigma_max()

    def step(self) -> tuple[LayerChange, ...]:
        """Count one discriminator update, and project at every `interval`-th; returns what was changed then."""
        self.calls += 1
        return self.project() if self.calls % self.interval == 0 else ()

    def project(self) -> tuple[LayerChange, ...]:
        """Project now."""
        changes, _ = project(self._arrays(), self._compensation, exclude=self.exclude)
        return changes

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides how the treatment goes on: tensors and plain values."""
        return {
            "apply": "projection",
            "mode": self.mode,
            "fraction": self.fraction,
            "interval": self.interval,
            "scale": self.scale,
            "rising": self.rising,
            "calls": self.calls,
            "reference": dict(self.reference),
            # By name: layers are treated side by side, so the order in which their envelopes begin is no one's.
            "envelope": {
                name: torch.tensor(self.envelope[name], dtype=torch.float64) for name in sorted(self.envelope)
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state; raises `UsageError` where it is that of another treatment."""
        for name in ("mode", "fraction", "interval", "scale", "rising"):
            if state[name] != getattr(self, name):
                raise UsageError(
                    f"the treatment's {name} was {state[name]!r}, is {getattr(self, name)!r}; resume with the same."
                )
        self.calls, self.reference = int(state["calls"]), dict(state["reference"])
        self.envelope = {name: tuple(values.tolist()) for name, values in state["envelope"].items()}

    def _arrays(self) -> dict[str, Array]:
        return live_arrays(self.discriminator.state_dict())

    def _compensation(self, weight: LayerWeight, present: Spectrum) -> Compensation:
        scale = {"hold": self.reference.get(weight.name), "one": 1.0, "free": None}[self.scale]
        if self.mode == "static":
            return StaticCompensation(self.fraction, scale)
        known = self.envelope.get(weight.name)
        if self.rising or known is None:
            if known is not None and len(known) != present.size:
                raise CompensationError(f"an envelope of {len(known)} values for a matrix of rank {present.size}")
            self.envelope[weight.name] = envelope_of([present] if known is None else [present, Spectrum(known)])
        return DynamicCompensation(self.envelope[weight.name], scale)

    def _sigma_max(self) -> dict[str, float]:
        stored, _ = collect_stored(self._arrays(), exclude=self.exclude)
        weights = [weight for layer in treated_layers(stored) for weight in layer.layers]
        sigma: dict[str, float] = {}
        for weight, measured in zip(weights, spectra_of(weights), strict=True):
            if isinstance(measured, WeightError):
                raise measured
            if measured.spectrum is None:
                raise NonFiniteWeight(measured.non_finite, math.prod(weight.matrix_shape))
            if measured.spectrum.sigma_max > 0:
                sigma[weight.name] = measured.spectrum.sigma_max
        return sigma
