"""What a training run can be told with `--set key=value`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spectral_doctor.gan.assignments import changed_by


@dataclass(frozen=True)
class Settings:
    """What `--set key=value` can change; the defaults are those of `ring`."""

    network: str = "mlp"
    generator_channels: int = 128
    discriminator_channels: int = 128
    spectral_norm: bool = False
    latent_dim: int = 32
    loss: str = "logistic"
    gradient_penalty: float = 0.0
    r1: float = 0.0
    r2: float = 0.0
    penalty_fall: float = 0.0
    penalty_by_variance: bool = False
    pack: int = 1
    learning_rate_generator: float = 1e-3
    learning_rate_discriminator: float = 1e-3
    decay: bool = False
    restart_at: int = 0
    restart_generator: float = 1.0
    restart_discriminator: float = 1.0
    restart_over: int = 0
    beta1: float = 0.5
    beta2: float = 0.999
    batch_size: int = 256
    n_dis: int = 1
    ema: float = 0.0
    steps: int = 5000
    save_every: int = 500
    samples: int = 2500
    side: int = 8
    start_side: int = 4
    stack: int = 3
    images_per_digit: int = 200
    path: str = ""
    standard_deviation: float = 0.0
    stretch: float = 1.0
    shift: float = 0.0
    imbalance: float = 1.0

    def rate_factors(self, step: int) -> tuple[float, float]:
        """What the learning rates of generator and discriminator are multiplied by in the step after `step` steps.

        With `decay` both fall linearly to zero over the second half, min(1, 2 − 2·step/end), where the end is the
        restart or the last step. From the step `restart_at` on, if not 0, they are `restart_generator` and
        `restart_discriminator`: a warm restart, or a run that was resumed with another rate. They are reached at
        once, or over `restart_over` steps in equal ratios.
        """
        if self.restart_at and step >= self.restart_at:
            share = min((step - self.restart_at + 1) / self.restart_over, 1.0) if self.restart_over else 1.0
            return self.restart_generator**share, self.restart_discriminator**share
        left = 2 - 2 * step / (self.restart_at or self.steps)
        factor = max(min(1.0, left), 0.0) if self.decay else 1.0
        return factor, factor

    def changed(self, assignments: Mapping[str, str]) -> Settings:
        """Return these settings with some changed from text, as `--set` gives them.

        Raises `UsageError` for a key there is not, or a value of another type.
        """
        return changed_by(self, assignments, option="--set", noun="setting")
