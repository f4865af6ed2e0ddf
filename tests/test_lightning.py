"""The callback in a real trainer: it watches, it treats, it goes on from the trainer's checkpoint."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from spectral_doctor.errors import UsageError
from spectral_doctor.spectrum import spectrum_of

pytest.importorskip("pytorch_lightning")
import pytorch_lightning as lightning

from spectral_doctor.lightning import SpectralDoctor

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning meets torch's deprecations; ours are tested elsewhere


class Gan(lightning.LightningModule):  # type: ignore[misc]
    """A GAN as Lightning's users write one: manual optimisation, two optimizers."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator = nn.Linear(4, 6)
        self.discriminator = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 1))

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """One update of each."""
        (real,) = batch
        first, second = self.optimizers()
        fake = self.generator(torch.randn(len(real), 4))
        softplus = nn.functional.softplus
        loss = softplus(-self.discriminator(real)).mean() + softplus(self.discriminator(fake.detach())).mean()
        first.zero_grad()
        self.manual_backward(loss)
        first.step()
        second.zero_grad()
        self.manual_backward(softplus(-self.discriminator(fake)).mean())
        second.step()

    def configure_optimizers(self) -> Any:
        """Large steps, so that spectra move."""
        return [torch.optim.Adam(part.parameters(), 0.05) for part in (self.discriminator, self.generator)], []


def fit(module: Any, callback: SpectralDoctor, folder: Path, epochs: int, resume: Path | None = None) -> Any:
    """Train for some epochs of eight batches each."""
    random = torch.Generator().manual_seed(0)
    loader = DataLoader(TensorDataset(torch.randn(64, 6, generator=random)), batch_size=8)
    trainer = lightning.Trainer(
        max_epochs=epochs,
        callbacks=[callback],
        default_root_dir=folder,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(module, loader, ckpt_path=None if resume is None else str(resume))
    return trainer


def test_it_watches_and_logs(tmp_path: Path) -> None:
    """Observations every four batches, named scalars, a diagnosis, and the weights as without it."""
    torch.manual_seed(0)
    module = Gan()
    alone = copy.deepcopy(module)
    callback = SpectralDoctor(observe_every=4)
    torch.manual_seed(1)
    trainer = fit(module, callback, tmp_path, 1)
    assert callback.diagnosis.trajectory.steps == (0, 4)
    assert trainer.logged_metrics.keys() >= {"spectral/best_plateau", "spectral/plateau/0", "spectral/sigma_max/2"}
    expected = spectrum_of(module.state_dict()["discriminator.2.weight"])
    assert callback.monitor is not None
    later = callback.monitor.observe(8)
    assert later[1].spectrum == expected
    torch.manual_seed(1)
    fit(alone, SpectralDoctor(observe_every=1000), tmp_path, 1)
    assert all(torch.equal(one, two) for one, two in zip(module.parameters(), alone.parameters(), strict=True))


@pytest.mark.parametrize("mode", ["static", "dynamic", None])
def test_it_treats_where_asked_to(tmp_path: Path, mode: str | None) -> None:
    """Static: the first half of the values is σ1; dynamic: none below its envelope; watching alone: neither."""
    torch.manual_seed(0)
    module = Gan()
    callback = SpectralDoctor(mode=mode, interval=1, observe_every=1)
    fit(module, callback, tmp_path, 2)
    relative = spectrum_of(module.state_dict()["discriminator.2.weight"]).relative
    assert callback.monitor is not None
    envelope = callback.monitor.envelope["2"]
    kept = all(value > best - 1e-5 for value, best in zip(relative, envelope, strict=True))
    assert kept is (mode == "dynamic")
    assert (min(relative[:6]) > 1 - 1e-5) is (mode == "static")


def test_it_goes_on_from_the_trainers_checkpoint(tmp_path: Path) -> None:
    """Counts, envelope and γ come back; another treatment is refused."""
    torch.manual_seed(0)
    callback = SpectralDoctor(mode="dynamic", interval=1, observe_every=3)
    trainer = fit(Gan(), callback, tmp_path, 1)
    trainer.save_checkpoint(tmp_path / "c.ckpt")
    again = SpectralDoctor(mode="dynamic", interval=1, observe_every=3)
    fit(Gan(), again, tmp_path, 1, tmp_path / "c.ckpt")  # nothing is left to train
    assert again.batches == 8
    assert again.regularizer is not None
    assert callback.regularizer is not None
    assert again.regularizer.envelope == callback.regularizer.envelope
    assert callback.monitor is not None
    assert again.monitor is not None
    assert again.monitor.envelope == callback.monitor.envelope


def test_a_discriminator_of_another_name_is_asked_for(tmp_path: Path) -> None:
    """The sentence names what is missing and how to say it."""
    with pytest.raises(UsageError, match=r"Gan has no module 'critic': name the discriminator's attribute"):
        fit(Gan(), SpectralDoctor(discriminator="critic"), tmp_path, 1)
    with pytest.raises(UsageError, match="nothing has been observed yet"):
        _ = SpectralDoctor().diagnosis
