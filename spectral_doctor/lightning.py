"""A callback for Lightning: watches a module's discriminator in training, and treats it where asked to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

from spectral_doctor.diagnosis.records import Diagnosis, Thresholds
from spectral_doctor.diagnosis.rules import diagnose
from spectral_doctor.errors import MissingExtra, UsageError, printable

try:
    from torch import nn

    try:
        from lightning.pytorch import Callback, LightningModule, Trainer
    except ImportError:
        from pytorch_lightning import Callback, LightningModule, Trainer
except ImportError as error:
    raise MissingExtra("spectral_doctor.lightning", "Lightning", "'spectral-doctor[lightning]'") from error

from spectral_doctor.parametrizations.projection import SpectralRegularizer
from spectral_doctor.trajectory.monitor import SpectralMonitor


class SpectralDoctor(Callback):  # type: ignore[misc]
    """Takes the discriminator's spectra every `observe_every` batches, and projects it where `mode` is given.

    `discriminator` is the attribute of the LightningModule that holds it, dotted where it lies deeper. Each
    observation logs `spectral/plateau/LAYER` (σ_k/σ_1), `spectral/sigma_max/LAYER`, and `spectral/best_plateau`.
    `mode` "static" or "dynamic" attaches a `SpectralRegularizer`, whose `interval` counts batches, `fraction`,
    `scale`, `envelope` and `exclude` being its own; None only watches. Envelope, γ and counts are saved in the
    trainer's checkpoints. Raises `UsageError` where the module has no such discriminator.
    """

    def __init__(
        self,
        discriminator: str = "discriminator",
        mode: str | None = None,
        *,
        observe_every: int = 500,
        fraction: float = 0.5,
        interval: int = 5,
        scale: str | None = None,
        envelope: Mapping[str, Sequence[float]] | None = None,
        exclude: Sequence[str] = (),
    ) -> None:
        super().__init__()
        if observe_every < 1:
            raise UsageError(f"observe_every={observe_every}: expected 1 or more batches.")
        self.discriminator, self.mode, self.observe_every = discriminator, mode, observe_every
        self.arguments = {"fraction": fraction, "interval": interval, "scale": scale, "envelope": envelope}
        self.exclude = tuple(exclude)
        self.monitor: SpectralMonitor | None = None
        self.regularizer: SpectralRegularizer | None = None
        self.batches = 0
        self._saved: Mapping[str, Any] = {}

    @property
    def diagnosis(self) -> Diagnosis:
        """The statements on what was observed so far; raises `UsageError` before the first observation."""
        if self.monitor is None or not self.monitor.steps:
            raise UsageError("nothing has been observed yet: the diagnosis is there after the first batch.")
        return diagnose(self.monitor.trajectory)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the discriminator and go on from what a checkpoint of the trainer's held."""
        network = self._network(pl_module)
        self.monitor = SpectralMonitor(network, exclude=self.exclude)
        self.monitor.raise_envelope({name: values.tolist() for name, values in self._saved.get("envelope", {}).items()})
        if self.mode is not None:
            self.regularizer = SpectralRegularizer(network, self.mode, exclude=self.exclude, **self.arguments)  # type: ignore[arg-type]
            if self._saved.get("treatment") is not None:
                self.regularizer.load_state_dict(self._saved["treatment"])

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Project where a treatment is attached, then observe and log where it is time."""
        assert self.monitor is not None
        if self.regularizer is not None:
            self.regularizer.step()
        if self.batches % self.observe_every == 0:
            pl_module.log_dict(self._observed(self.batches))
        self.batches += 1

    def state_dict(self) -> dict[str, Any]:
        """What the trainer saves: batches seen, the envelope, and the treatment's own state."""
        from torch import float64, tensor

        envelope = self.monitor.envelope if self.monitor is not None else {}
        return {
            "batches": self.batches,
            "envelope": {name: tensor(values, dtype=float64) for name, values in envelope.items()},
            "treatment": None if self.regularizer is None else self.regularizer.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep what the trainer loaded until the discriminator is known."""
        self.batches, self._saved = int(state_dict["batches"]), state_dict

    def _network(self, pl_module: nn.Module) -> nn.Module:
        try:
            network = attrgetter(self.discriminator)(pl_module)
        except AttributeError:
            network = None
        if not isinstance(network, nn.Module):
            raise UsageError(
                f"{type(pl_module).__name__} has no module '{printable(self.discriminator)}': "
                "name the discriminator's attribute, SpectralDoctor(discriminator=...)."
            )
        return network

    def _observed(self, step: int) -> dict[str, float]:
        assert self.monitor is not None
        values: dict[str, float] = {}
        thresholds = Thresholds()
        for layer in self.monitor.observe(step):
            if layer.spectrum is not None:
                name, index = layer.identity.name, thresholds.plateau_index(layer.identity.rank)
                values[f"spectral/plateau/{name}"] = layer.spectrum.ratio(index)
                values[f"spectral/sigma_max/{name}"] = layer.spectrum.sigma_max
        best = self.diagnosis.states[-1].best_plateau
        return values if best is None else {**values, "spectral/best_plateau": best}
