"""Spectra of a discriminator while it trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spectral_doctor.arrays import live_arrays
from spectral_doctor.errors import UsageError
from spectral_doctor.records import Certainty, CheckpointRef, LayerSpectrum, SeriesId
from spectral_doctor.state_dicts.matrices import collect_layers
from spectral_doctor.trajectory.examining import layer_spectra
from spectral_doctor.trajectory.records import SpectralTrajectory
from spectral_doctor.trajectory.series import layer_trajectories

if TYPE_CHECKING:
    from torch import nn


class SpectralMonitor:
    """Watches a discriminator in training: every `observe` adds one checkpoint to its trajectory.

    It reads the state dict alone, so no power iteration of a spectral norm is run and the training is not
    touched. `envelope` maps each layer to γ_j = max over all observations of σ_j/σ_1, and can be started from
    that of an earlier run.
    """

    def __init__(self, discriminator: nn.Module, *, exclude: Sequence[str] = ()) -> None:
        self.discriminator = discriminator
        self.exclude = tuple(exclude)
        self.envelope: dict[str, tuple[float, ...]] = {}
        self._steps: list[int] = []
        self._observed: list[tuple[LayerSpectrum, ...]] = []

    def observe(self, step: int) -> tuple[LayerSpectrum, ...]:
        """Take the spectrum of every layer as it is now, and raise the envelope by it."""
        weights, skipped = collect_layers(live_arrays(self.discriminator.state_dict()), exclude=self.exclude)
        layers, _ = layer_spectra(weights, skipped)
        self._steps.append(step)
        self._observed.append(layers)
        self.raise_envelope(
            {layer.identity.name: layer.spectrum.relative for layer in layers if layer.spectrum is not None}
        )
        return layers

    def raise_envelope(self, best: Mapping[str, Sequence[float]]) -> None:
        """Let γ_j be at least the given relative spectra, layer by layer."""
        for name, values in best.items():
            known = self.envelope.get(name, (0.0,) * len(values))
            self.envelope[name] = tuple(map(max, known, map(float, values)))

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps that were observed."""
        return tuple(self._steps)

    @property
    def trajectory(self) -> SpectralTrajectory:
        """All observations as a trajectory that `diagnose` takes; raises `UsageError` before the first one."""
        if not self._observed:
            raise UsageError("nothing has been observed yet: call observe(step) first.")
        return SpectralTrajectory(
            series=SeriesId("discriminator"),
            certainty=Certainty.CONFIRMED,
            why="observed in training",
            steps=self.steps,
            step_unit="step",
            step_source="the training loop",
            checkpoints=tuple(CheckpointRef(Path(f"step {step}")) for step in self._steps),
            layers=layer_trajectories(self._observed),
        )
