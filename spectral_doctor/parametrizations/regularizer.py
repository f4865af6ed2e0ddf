"""Compensation as a projection of the stored weights, as the official code of SR-GAN has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from spectral_doctor.compensation import (
    Compensated,
    Compensation,
    DynamicCompensation,
    StaticCompensation,
    compensate,
    envelope_of,
)
from spectral_doctor.errors import CompensationError, UsageError, WeightError, listed
from spectral_doctor.records import Kind, SkippedLayer, Spectrum
from spectral_doctor.spectrum import spectrum_of
from spectral_doctor.state_dicts.matrices import LayerWeight, StoredLayer, collect_stored
from spectral_doctor.state_dicts.refolding import store_matrices

MODES = ("static", "dynamic")
SCALES = ("hold", "one", "free")
_TREATED = (Kind.CONVOLUTION, Kind.TRANSPOSED, Kind.LINEAR)


@dataclass(frozen=True)
class LayerChange:
    """What a compensation did to one layer: its spectra before and after, and how many values it raised."""

    layer: str
    before: Spectrum
    after: Spectrum
    raised: int


def project(
    tensors: Mapping[str, Tensor],
    choose: Callable[[LayerWeight], Compensation],
    *,
    exclude: Sequence[str] = (),
    dry_run: bool = False,
) -> tuple[tuple[LayerChange, ...], tuple[SkippedLayer, ...]]:
    """Compensate a discriminator's stored weights (dotted name → tensor) in place.

    Linear and convolutional layers of rank 2 and more are treated, each by the compensation that `choose`
    returns for it; the others come back as skipped, with the reason. With `dry_run` nothing is written.
    """
    stored, skipped = collect_stored(tensors, exclude=exclude)
    changes: list[LayerChange] = []
    left = list(skipped)
    for layer in stored:
        reason = _untreated(layer.layers[0])
        if reason:
            left.append(SkippedLayer(layer.stored.layer, reason))
            continue
        try:
            results = [compensate(item.matrix, choose(item)) for item in layer.layers]
            if not dry_run and any(_moved(result) for result in results):
                store_matrices([result.matrix for result in results], layer)
        except WeightError as error:
            left.append(SkippedLayer(layer.stored.layer, str(error)))
            continue
        changes += [_change(item, result) for item, result in zip(layer.layers, results, strict=True)]
    return tuple(changes), tuple(left)


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

    @torch.no_grad()
    def project(self) -> tuple[LayerChange, ...]:
        """Project now."""
        changes, _ = project(self.discriminator.state_dict(), self._compensation, exclude=self.exclude)
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
            "envelope": {name: torch.tensor(values, dtype=torch.float64) for name, values in self.envelope.items()},
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

    def _compensation(self, weight: LayerWeight) -> Compensation:
        scale = {"hold": self.reference.get(weight.name), "one": 1.0, "free": None}[self.scale]
        if self.mode == "static":
            return StaticCompensation(self.fraction, scale)
        if self.rising or weight.name not in self.envelope:
            present = spectrum_of(weight.matrix)
            known = self.envelope.get(weight.name)
            spectra = [present] if known is None else [present, Spectrum(known)]
            if known is not None and len(known) != present.size:
                raise CompensationError(f"an envelope of {len(known)} values for a matrix of rank {present.size}")
            self.envelope[weight.name] = envelope_of(spectra)
        return DynamicCompensation(self.envelope[weight.name], scale)

    def _sigma_max(self) -> dict[str, float]:
        stored, _ = collect_stored(self.discriminator.state_dict(), exclude=self.exclude)
        sigma: dict[str, float] = {}
        for item in (layer for member in stored for layer in member.layers if not _untreated(layer)):
            value = spectrum_of(item.matrix).sigma_max
            if value > 0:
                sigma[item.name] = value
        return sigma


def _untreated(weight: LayerWeight) -> str:
    """Say why a layer is not treated; the empty string where it is."""
    if weight.kind not in _TREATED:
        return f"{weight.kind.value}: not treated"
    return "rank 1: nothing to raise" if min(weight.matrix.shape) < 2 else ""


def _moved(result: Compensated) -> bool:
    return result.before.values != result.after.values


def _change(weight: LayerWeight, result: Compensated) -> LayerChange:
    return LayerChange(weight.name, result.before, result.after, result.raised)


def treated_layers(stored: Sequence[StoredLayer]) -> tuple[StoredLayer, ...]:
    """Those of some stored layers that a compensation treats."""
    return tuple(layer for layer in stored if not _untreated(layer.layers[0]))
