"""What a training run reports: losses, checkpoints, its end; and what a restart is asked to be. No tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectral_doctor.diagnosis.records import Thresholds
from spectral_doctor.errors import UsageError
from spectral_doctor.evaluation import Evaluation
from spectral_doctor.gan.assignments import changed_by
from spectral_doctor.records import LayerSpectrum


@dataclass(frozen=True)
class StepLosses:
    """The losses of one step; the discriminator's is that of its last update."""

    discriminator: float
    generator: float


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What is measured where a checkpoint is written: logits on real and generated samples, samples, spectra.

    `score_real` and `score_fake` are the mean logits D(x) in evaluation mode over as many samples as `real`
    and `fake` hold, (n, …) arrays drawn from a seed of their own.
    """

    score_real: float
    score_fake: float
    real: NDArray[np.floating[Any]]
    fake: NDArray[np.floating[Any]]
    layers: tuple[LayerSpectrum, ...]


@dataclass(frozen=True, eq=False)
class Saved:
    """A checkpoint that was written: its step, its path, what was measured there, the losses of its step."""

    step: int
    path: Path
    evaluation: Evaluation | None
    losses: StepLosses | None
    snapshot: Snapshot


@dataclass(frozen=True)
class TrainingOutcome:
    """How a run ended: at which step, the last good checkpoint, and the signal or fault that ended it early."""

    step: int
    last: Path
    signal: int = 0
    fault: str = ""


@dataclass(frozen=True)
class RestartPlan:
    """How a fresh discriminator is taught beside a generator that is kept (the loss of R3GAN, Huang et al. 2024).

    R1 and R2 are weighted by γ = `gamma` · s² · exp(−`anneal` · t), where s² is the variance of a coordinate of the
    data and t goes from 0 to 1 over the treatment. Before the first step the discriminator alone learns for `warm_up`
    updates, against the generator as it stands.
    """

    gamma: float = 1.0
    anneal: float = 4.0
    warm_up: int = 100

    def __post_init__(self) -> None:
        for name in ("gamma", "anneal", "warm_up"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise UsageError(f"--restart {name}={value:g}: expected a number that is not negative.")

    def changed(self, assignments: Mapping[str, str]) -> RestartPlan:
        """Return this plan with some values changed from text, as `--restart` gives them; raises `UsageError`."""
        return changed_by(self, assignments, option="--restart", noun="value")


def tracked_values(saved: Saved) -> dict[str, float]:
    """A checkpoint as named numbers, the form that trackers such as TensorBoard take."""
    snapshot, thresholds = saved.snapshot, Thresholds()
    values = {"score/real": snapshot.score_real, "score/fake": snapshot.score_fake}
    if saved.losses is not None:
        values |= {"loss/discriminator": saved.losses.discriminator, "loss/generator": saved.losses.generator}
    if saved.evaluation is not None:
        values |= {"modes_captured": float(saved.evaluation.modes_captured), "kl": saved.evaluation.kl}
        if saved.evaluation.high_quality_fraction is not None:
            values["high_quality_fraction"] = saved.evaluation.high_quality_fraction
        if saved.evaluation.solid_modes is not None:
            values["solid_modes"] = float(saved.evaluation.solid_modes)
    for layer in snapshot.layers:
        if layer.spectrum is not None:
            index = thresholds.plateau_index(layer.identity.rank)
            values[f"sigma_max/{layer.identity.name}"] = layer.spectrum.sigma_max
            values[f"plateau/{layer.identity.name}"] = layer.spectrum.ratio(index)
    return values
