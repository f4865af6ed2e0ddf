"""Train the two sample series: one discriminator that stays healthy, and the same one driven into collapse.

    python sample_checkpoints/rebuild.py healthy
    python sample_checkpoints/rebuild.py collapsed

Each command trains a GAN on stacked glyphs with a fixed seed, on one core and without any download, and writes
`step-NNNNNN.pt` files ({"step", "generator", "discriminator"}, tensors only) and `modes.json` with the modes
captured at each step. The data are digits in matplotlib's own fonts under random affine jitter, three of them
stacked as channels: 1 000 modes. The discriminator is the ten-convolution ResNet of SNGAN (Miyato et al. 2018;
Liu et al. 2019, arXiv 1908.10999), 16 channels wide and spectrally normalised throughout. The two runs differ
in the learning rate and in the discriminator updates for each of the generator's, nothing else.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

SIDE = 8
DIGITS = 10
MODES = DIGITS**3
SAMPLES = 5000
FONTS: tuple[tuple[str, str, Literal["normal", "oblique"]], ...] = (
    ("DejaVu Sans", "normal", "normal"),
    ("DejaVu Sans", "bold", "normal"),
    ("DejaVu Sans", "normal", "oblique"),
    ("DejaVu Sans Mono", "normal", "normal"),
    ("DejaVu Serif", "normal", "normal"),
    ("DejaVu Serif", "bold", "normal"),
    ("STIXGeneral", "normal", "normal"),
    ("cmr10", "normal", "normal"),
)


@dataclass(frozen=True)
class Settings:
    """What a sample run is trained with; `learning_rate` is that of both networks."""

    learning_rate: float
    n_dis: int
    steps: int
    save_every: int
    seed: int = 1
    batch_size: int = 64
    discriminator_channels: int = 16
    generator_channels: int = 24
    latent_dim: int = 64
    images_per_digit: int = 200


RUNS = {
    "healthy": Settings(learning_rate=5e-4, n_dis=5, steps=1600, save_every=200),
    "collapsed": Settings(learning_rate=1.2e-2, n_dis=1, steps=1000, save_every=125, seed=2),
}


class DiscriminatorBlock(nn.Module):
    """A residual block of the SNGAN discriminator; the shortcut has a convolution where it must."""

    def __init__(self, in_channels: int, out_channels: int, *, first: bool = False, pool: bool = False) -> None:
        super().__init__()
        self.first, self.pool = first, pool
        self.c1 = spectral_norm(nn.Conv2d(in_channels, out_channels, 3, padding=1))
        self.c2 = spectral_norm(nn.Conv2d(out_channels, out_channels, 3, padding=1))
        self.c_sc = spectral_norm(nn.Conv2d(in_channels, out_channels, 1)) if first or pool else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's features, at half the side where it pools."""
        residual = self.c2(functional.relu(self.c1(x if self.first else functional.relu(x))))
        shortcut = x if self.c_sc is None else self.c_sc(x)
        if self.pool:
            residual, shortcut = functional.avg_pool2d(residual, 2), functional.avg_pool2d(shortcut, 2)
        features: Tensor = residual + shortcut
        return features


class Discriminator(nn.Module):
    """The ten-convolution SNGAN discriminator for 8×8 images: x (n, 3, 8, 8) -> logit (n,)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block1 = DiscriminatorBlock(3, channels, first=True, pool=True)
        self.block2 = DiscriminatorBlock(channels, channels, pool=True)
        self.block3 = DiscriminatorBlock(channels, channels)
        self.block4 = DiscriminatorBlock(channels, channels)
        self.head = spectral_norm(nn.Linear(channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return one logit an image."""
        features = self.block4(self.block3(self.block2(self.block1(x))))
        logit: Tensor = self.head(functional.relu(features).sum(dim=(2, 3))).squeeze(1)
        return logit


class Generator(nn.Module):
    """A DCGAN generator: latent z (n, latent_dim) -> x (n, 3, 8, 8) in [-1, 1]."""

    def __init__(self, latent_dim: int, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.start = nn.Linear(latent_dim, channels * 2 * 4)
        self.body = nn.Sequential(
            nn.BatchNorm2d(2 * channels),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(2 * channels, 2 * channels, 3, padding=1),
            nn.BatchNorm2d(2 * channels),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(2 * channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, 3, 3, padding=1),
            nn.Tanh(),
        )

    def forward(self, latent: Tensor) -> Tensor:
        """Return one image a latent."""
        image: Tensor = self.body(self.start(latent).view(-1, 2 * self.channels, 2, 2))
        return image


def glyph_bank(images_per_digit: int, seed: int) -> Tensor:
    """Draw every digit in many fonts, sizes, slants and places: (10, images, 8, 8) in [-1, 1]."""
    random = np.random.default_rng(seed)
    bank = np.zeros((DIGITS, images_per_digit, SIDE, SIDE), dtype=np.float32)
    for digit in range(DIGITS):
        for index in range(images_per_digit):
            bank[digit, index] = _draw_digit(str(digit), random)
    return torch.from_numpy(bank * 2 - 1)


def _draw_digit(text: str, random: np.random.Generator) -> NDArray[np.float32]:
    family, weight, style = FONTS[random.integers(len(FONTS))]
    path = TextPath((0, 0), text, size=1, prop=FontProperties(family=family, weight=weight, style=style))
    box = path.get_extents()
    jitter = (
        Affine2D()
        .translate(-(box.x0 + box.x1) / 2, -(box.y0 + box.y1) / 2)
        .scale(random.uniform(0.85, 1.0) / box.height)
        .skew(random.uniform(-0.2, 0.2), 0)
        .rotate(random.uniform(-0.15, 0.15))
        .translate(0.5 + random.uniform(-0.06, 0.06), 0.5 + random.uniform(-0.04, 0.04))
    )
    oversampling = 4
    figure = Figure(figsize=(1, 1), dpi=SIDE * oversampling)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.add_patch(PathPatch(path, transform=jitter + axes.transData, color="black", linewidth=0))
    canvas.draw()  # type: ignore[no-untyped-call]
    ink = 1 - np.asarray(canvas.buffer_rgba(), dtype=np.float32)[..., 0] / 255  # type: ignore[no-untyped-call]
    coarse: NDArray[np.float32] = ink.reshape(SIDE, oversampling, SIDE, oversampling).mean(axis=(1, 3))
    return coarse


def stacked_batch(bank: Tensor, size: int, random: torch.Generator) -> Tensor:
    """Stack three independent digits as channels: (size, 3, 8, 8)."""
    digits = torch.randint(DIGITS, (size, 3), generator=random)
    images = torch.randint(bank.shape[1], (size, 3), generator=random)
    return bank[digits, images]


def train_classifier(bank: Tensor, seed: int) -> tuple[nn.Module, float]:
    """Train the digit classifier that counts modes; return it with its accuracy on held-out glyphs."""
    torch.manual_seed(seed)
    held_out = bank.shape[1] // 5
    classifier = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(64 * 16, 128), nn.ReLU(), nn.Linear(128, DIGITS),
    )  # fmt: skip
    optimizer = torch.optim.Adam(classifier.parameters(), lr=1e-3)
    train, test = bank[:, held_out:], bank[:, :held_out]
    random = torch.Generator().manual_seed(seed)
    for _ in range(1500):
        labels = torch.randint(DIGITS, (128,), generator=random)
        images = train[labels, torch.randint(train.shape[1], (128,), generator=random)].unsqueeze(1)
        images = images + 0.1 * torch.randn(images.shape, generator=random)
        optimizer.zero_grad()
        functional.cross_entropy(classifier(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        guesses = classifier(test.reshape(-1, 1, SIDE, SIDE)).argmax(1).view(DIGITS, held_out)
    accuracy = (guesses == torch.arange(DIGITS)[:, None]).float().mean().item()
    return classifier, accuracy


@torch.no_grad()
def count_modes(generator: Generator, classifier: nn.Module, latent_dim: int) -> tuple[int, float]:
    """Return the modes captured by a generator and the KL divergence (nats) of its modes to the uniform."""
    generator.eval()
    random = torch.Generator().manual_seed(0)
    codes = []
    for _ in range(SAMPLES // 500):
        images = generator(torch.randn(500, latent_dim, generator=random))
        digits = classifier(images.view(-1, 1, SIDE, SIDE)).argmax(1).view(-1, 3)
        codes.append(digits @ torch.tensor([100, 10, 1]))
    generator.train()
    counts = torch.bincount(torch.cat(codes), minlength=MODES).double()
    shares = counts[counts > 0] / counts.sum()
    return int((counts > 0).sum()), float((shares * (shares * MODES).log()).sum())


class Run:
    """A GAN in training: both networks, their optimizers, and the one source of randomness."""

    def __init__(self, settings: Settings, bank: Tensor) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.bank = settings, bank
        self.random = torch.Generator().manual_seed(settings.seed)
        self.generator = Generator(settings.latent_dim, settings.generator_channels)
        self.discriminator = Discriminator(settings.discriminator_channels)
        self.generator_optimizer = torch.optim.Adam(self.generator.parameters(), settings.learning_rate, (0.0, 0.9))
        self.discriminator_optimizer = torch.optim.Adam(
            self.discriminator.parameters(), settings.learning_rate, (0.0, 0.9)
        )

    def update(self) -> None:
        """Make one step: `n_dis` updates of the discriminator and one of the generator, hinge loss."""
        for _ in range(self.settings.n_dis):
            fake = self.generator(self._latent()).detach()
            real = stacked_batch(self.bank, self.settings.batch_size, self.random)
            discriminator_loss = (
                functional.relu(1 - self.discriminator(real)).mean()
                + functional.relu(1 + self.discriminator(fake)).mean()
            )
            self.discriminator_optimizer.zero_grad()
            discriminator_loss.backward()  # type: ignore[no-untyped-call]
            self.discriminator_optimizer.step()
        generator_loss = -self.discriminator(self.generator(self._latent())).mean()
        self.generator_optimizer.zero_grad()
        generator_loss.backward()
        self.generator_optimizer.step()

    def _latent(self) -> Tensor:
        return torch.randn(self.settings.batch_size, self.settings.latent_dim, generator=self.random)


def train(name: str, folder: Path) -> None:
    """Train one run and write its checkpoints and `modes.json` into a folder."""
    torch.set_num_threads(1)
    settings = RUNS[name]
    bank = glyph_bank(settings.images_per_digit, seed=0)
    classifier, accuracy = train_classifier(bank, seed=0)
    print(f"classifier accuracy on held-out glyphs: {accuracy:.4f}", flush=True)
    run = Run(settings, bank)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for step in range(settings.steps + 1):
        if step % settings.save_every == 0:
            modes, kl = count_modes(run.generator, classifier, settings.latent_dim)
            rows.append({"step": step, "modes_captured": modes, "kl": round(kl, 4)})
            print(f"step {step}: {modes} of {MODES} modes, KL to uniform {kl:.3f}", flush=True)
            networks = {"generator": run.generator.state_dict(), "discriminator": run.discriminator.state_dict()}
            torch.save({"step": step, **networks}, folder / f"step-{step:06d}.pt")
        run.update()
    record = {
        "command": f"python sample_checkpoints/rebuild.py {name}",
        "settings": asdict(settings),
        "classifier_accuracy": round(accuracy, 4),
        "samples": SAMPLES,
        "checkpoints": rows,
    }
    (folder / "modes.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Rebuild the series that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", choices=sorted(RUNS))
    parser.add_argument("-o", "--output", type=Path, help="folder to write to; default: beside this script")
    arguments = parser.parse_args()
    train(arguments.run, arguments.output or Path(__file__).parent / arguments.run)


if __name__ == "__main__":
    main()
