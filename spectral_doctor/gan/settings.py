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
    learning_rate_generator: float = 1e-3
    learning_rate_discriminator: float = 1e-3
    beta1: float = 0.5
    beta2: float = 0.999
    batch_size: int = 256
    n_dis: int = 1
    ema: float = 0.0
    steps: int = 5000
    save_every: int = 500
    samples: int = 2500
    side: int = 8
    images_per_digit: int = 200
    path: str = ""

    def changed(self, assignments: Mapping[str, str]) -> Settings:
        """Return these settings with some changed from text, as `--set` gives them.

        Raises `UsageError` for a key there is not, or a value of another type.
        """
        return changed_by(self, assignments, option="--set", noun="setting")
