"""Spectra in step order: plain records, no tensors."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from spectral_doctor.errors import printable
from spectral_doctor.records import (
    Certainty,
    CheckpointRef,
    LayerIdentity,
    LayerSpectrum,
    SeriesId,
    SkippedLayer,
    Spectrum,
    StepClue,
)


@dataclass(frozen=True)
class Examination:
    """One discriminator at one checkpoint, its weights already turned into spectra."""

    discriminator: str
    certainty: Certainty
    why: str
    ref: CheckpointRef
    modified: float
    step_clues: tuple[StepClue, ...]
    layers: tuple[LayerSpectrum, ...]
    skipped: tuple[SkippedLayer, ...]


@dataclass(frozen=True)
class LayerTrajectory:
    """The spectra of one layer over the checkpoints of a series; None where the weight was not finite."""

    identity: LayerIdentity
    spectra: tuple[Spectrum | None, ...]
    non_finite: tuple[int, ...]
    at_bound: tuple[float, ...] = ()

    def __repr__(self) -> str:
        rows, columns = self.identity.matrix_shape
        return f"<LayerTrajectory {printable(self.name)}: {rows}×{columns}, {len(self.spectra)} checkpoints>"

    @property
    def name(self) -> str:
        """The layer's name, with its part in brackets."""
        return self.identity.name

    @property
    def clipped(self) -> float:
        """The share of weights at the largest size at the last checkpoint; 0 where it was not measured."""
        return self.at_bound[-1] if self.at_bound else 0.0

    @property
    def envelopes(self) -> tuple[tuple[float, ...], ...]:
        """γ_j(T) = max over t ≤ T of σ_j(t)/σ_1(t), for every T: what the layer has been at its best.

        The running maximum of SR-GAN's dynamic compensation (arXiv 1908.10999, section 3.3). Checkpoints
        whose weight is not finite add nothing.
        """
        return tuple(self._running_envelope())

    @property
    def envelope(self) -> tuple[float, ...]:
        """γ_j at the last checkpoint."""
        return deque(self._running_envelope(), maxlen=1)[0]

    @cached_property
    def sums(self) -> tuple[tuple[float, float] | None, ...]:
        """Σ_j σ_j/σ_1 and Σ_j γ_j at every checkpoint, in one pass; None where the weight is not finite."""
        pairs = zip(self.spectra, self._running_envelope(), strict=True)
        return tuple(None if spectrum is None else (sum(spectrum.relative), sum(best)) for spectrum, best in pairs)

    def _running_envelope(self) -> Iterator[tuple[float, ...]]:
        best = (0.0,) * self.identity.rank
        for spectrum in self.spectra:
            if spectrum is not None:
                best = tuple(map(max, best, spectrum.relative))
            yield best

    def deficit(self, index: int = -1) -> float | None:
        """1 − Σ_j (σ_j/σ_1) / Σ_j γ_j at a checkpoint: the share of its best spectrum the layer has lost.

        Between 0 (at its best) and 1; None where the weight is not finite, or has always been zero.
        """
        sums = self.sums[index]
        if sums is None or sums[1] == 0.0:
            return None
        return max(0.0, 1.0 - sums[0] / sums[1])


@dataclass(frozen=True)
class SpectralTrajectory:
    """One discriminator's layers over the checkpoints of one series, in step order.

    `certainty` and `why` say how the network was taken for a discriminator; `steps` counts in `step_unit` ("step",
    "epoch", "kimg", …, or "checkpoint" where no step is known); `notes` is what was odd about the series.
    """

    series: SeriesId
    certainty: Certainty
    why: str
    steps: tuple[int, ...]
    step_unit: str
    step_source: str
    checkpoints: tuple[CheckpointRef, ...]
    layers: tuple[LayerTrajectory, ...]
    skipped: tuple[SkippedLayer, ...] = ()
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        name, steps = printable(self.discriminator), self.steps
        return f"<SpectralTrajectory {name}: {len(self.layers)} layers, {self.step_unit} {steps[0]} to {steps[-1]}>"

    @property
    def discriminator(self) -> str:
        """The series in words: the discriminator's name, and in brackets what tells its run from others."""
        return str(self.series)

    def deficit(self, index: int = -1) -> float | None:
        """The deficit over all layers: 1 − Σ_layers Σ_j (σ_j/σ_1) / Σ_layers Σ_j γ_j; None without a layer."""
        now = best = 0.0
        for layer in self.layers:
            sums = layer.sums[index]
            if sums is not None:
                now += sums[0]
                best += sums[1]
        return max(0.0, 1.0 - now / best) if best else None
