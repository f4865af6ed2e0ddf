"""Time a GAN step without treatment, under torch's spectral norm, and under compensation, ours and the official way.

    python tests/benchmarks/compensation.py [--channels 32 64 128] [--rounds 20] [--threads 1]

One step is five updates of an SNGAN ResNet discriminator (four blocks, batch 16 of 32×32) on real and fake images, and
one update of its generator: the official schedule of SR-GAN (arXiv 1908.10999), which projects once in five updates.

- *none*: plain weights. *torch*: `torch.nn.utils.parametrizations.spectral_norm` on every layer.
- *ours*: torch's spectral norm and `SpectralRegularizer(interval=5)`, static, as training here has it.
- *official*: torch's spectral norm, and once in five updates `numpy.linalg.svd` of every matrix on the CPU in
  float32 with U·diag(σ')·Vᵀ written back, as the authors' code does.

The four take turns within each round; times are medians. `projection_speedup` compares the two projections alone, in
the same process. The last line is one JSON object of ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spectral_doctor import SpectralRegularizer

UPDATES, BATCH = 5, 16
WAYS = ("none", "torch", "ours", "official")


class Block(nn.Module):
    """A residual block, which halves the image where it is told to."""

    def __init__(self, into: int, out: int, halve: bool) -> None:
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(into, out, 3, padding=1), nn.Conv2d(out, out, 3, padding=1)
        self.c_sc, self.halve = nn.Conv2d(into, out, 1), halve

    def forward(self, x: Tensor) -> Tensor:
        """The sum of both ways."""
        y = self.c2(functional.relu(self.c1(functional.relu(x)))) + self.c_sc(x)
        return functional.avg_pool2d(y, 2) if self.halve else y


def discriminator(channels: int, normed: bool) -> nn.Module:
    """The ResNet of SNGAN for CIFAR-10."""
    torch.manual_seed(0)
    blocks = [Block(3 if index == 0 else channels, channels, index < 2) for index in range(4)]
    network = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1))
    for layer in network.modules() if normed else ():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            spectral_norm(layer)
    return network


def generator(channels: int) -> nn.Module:
    """Three doublings from a 4×4 seed."""
    torch.manual_seed(1)
    layers: list[nn.Module] = [nn.Linear(64, channels * 16), nn.Unflatten(1, (channels, 4, 4))]
    for _ in range(3):
        layers += [nn.Upsample(scale_factor=2), nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(channels, 3, 3, padding=1), nn.Tanh())


def official_projection(network: nn.Module) -> None:
    """Raise the first half of the singular values to the first, by a whole SVD of every matrix of rank 2 and more."""
    for name, parameter in network.named_parameters():
        if parameter.ndim < 2 or min(parameter.shape[0], parameter[0].numel()) < 2 or not name.endswith("original"):
            continue
        matrix = parameter.detach().numpy().reshape(parameter.shape[0], -1)
        left, sigma, right = np.linalg.svd(matrix, full_matrices=False)
        sigma[: len(sigma) // 2] = sigma[0]
        parameter.data = torch.from_numpy((left * sigma) @ right).reshape(parameter.shape)


class Training:
    """A discriminator and a generator, their optimizers, and what is done once in five updates."""

    def __init__(self, way: str, channels: int) -> None:
        self.d, self.g = discriminator(channels, way != "none"), generator(channels)
        self.optimizers = [torch.optim.Adam(network.parameters(), 2e-4, (0.0, 0.9)) for network in (self.d, self.g)]
        self.after: Callable[[], object] = lambda: None
        self.calls = 0
        if way == "ours":
            self.after = SpectralRegularizer(self.d, interval=UPDATES).step
        elif way == "official":
            self.after = self._official

    def _official(self) -> None:
        self.calls += 1
        if self.calls % UPDATES == 0:
            official_projection(self.d)

    def step(self) -> float:
        """Five updates of the discriminator and one of the generator; the seconds they take."""
        start = time.perf_counter()
        for _ in range(UPDATES):
            fake = self.g(torch.randn(BATCH, 64)).detach()
            real = torch.rand(BATCH, 3, 32, 32) * 2 - 1
            loss = functional.relu(1 - self.d(real)).mean() + functional.relu(1 + self.d(fake)).mean()
            self._update(0, loss)
            self.after()
        self._update(1, -self.d(self.g(torch.randn(BATCH, 64))).mean())
        return time.perf_counter() - start

    def _update(self, which: int, loss: Tensor) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizers[which].step()


def timed(function: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def measured(channels: int, rounds: int) -> dict[str, float]:
    """The ratios at one width."""
    trainings = {way: Training(way, channels) for way in WAYS}
    for training in trainings.values():
        training.step()
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way, training in trainings.items():
            times[way].append(training.step())
    step = {way: statistics.median(values) for way, values in times.items()}
    ours = SpectralRegularizer(trainings["ours"].d)
    own, official = [], []
    for _ in range(max(3, rounds // 4)):
        own.append(timed(ours.project))
        official.append(timed(lambda: official_projection(trainings["official"].d)))
        for way in ("ours", "official"):
            trainings[way].step()  # moves the weights, so that there is something to project
    return {
        "channels": channels,
        "torch_over_none": round(step["torch"] / step["none"], 3),
        "ours_over_torch": round(step["ours"] / step["torch"], 3),
        "official_over_torch": round(step["official"] / step["torch"], 3),
        "projection_speedup": round(statistics.median(official) / statistics.median(own), 2),
        "projection_over_step": round(statistics.median(own) / step["torch"], 4),
    }


def main() -> None:
    """Every width, one line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch; more wait for each other on a busy machine")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    results = []
    for channels in arguments.channels:
        results.append(measured(channels, arguments.rounds))
        print(json.dumps(results[-1]), flush=True)
    print(json.dumps({"resnet": results, "threads": torch.get_num_threads(), "rounds": arguments.rounds}))


if __name__ == "__main__":
    main()
