"""Ground truth on samples: modes captured, quality, distance to uniform, coverage and density."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Evaluation:
    """What a generator's samples were measured to be.

    `kl` is KL(generated ‖ uniform) in nats over the modes of the counted samples, and `kl_floor` what a
    perfect sampler of as many samples is expected to score, (modes − 1)/(2·samples). `high_quality_fraction`
    is None where a sample has no quality (images). `counts` holds the counted samples of each mode.
    """

    samples: int
    modes: int
    modes_captured: int
    high_quality_fraction: float | None
    kl: float
    kl_floor: float
    counts: tuple[int, ...]


def evaluate_mixture(samples: Tensor, means: Tensor, radius: float) -> Evaluation:
    """Evaluate samples (n, d) against a mixture of Gaussians with the given means (m, d).

    A sample is of high quality within `radius` (l2) of its nearest mean; a mode is captured when it is nearest
    to at least one such sample (VEEGAN, Srivastava et al. 2017, section 4.1). Only samples of high quality are
    counted. With a radius of 3σ a perfect sampler in two dimensions scores 1 − e^−4.5 = 0.989 and not 1.
    """
    if not bool(torch.isfinite(samples).all()):
        return _from_counts([0] * len(means), len(samples), 0.0)
    distance, nearest = torch.cdist(samples.double(), means.double()).min(dim=1)
    good = distance <= radius
    counts = torch.bincount(nearest[good], minlength=len(means))
    return _from_counts(counts.tolist(), len(samples), float(good.double().mean()))


def evaluate_codes(codes: Tensor, modes: int) -> Evaluation:
    """Evaluate samples by the mode a classifier put each in: codes (n,), integers from 0 to `modes` − 1."""
    return _from_counts(torch.bincount(codes, minlength=modes).tolist(), len(codes), None)


def coverage_and_density(real: Tensor, fake: Tensor, neighbours: int = 5) -> tuple[float, float]:
    """Coverage and density of fake samples (n, d) around real ones (m, d) (Naeem et al., ICML 2020, eqs. 3 and 4).

    Coverage is the share of real samples with a fake one inside their k-nearest-neighbour ball; density the
    mean number of such balls a fake sample lies in, over k. A perfect sampler scores near 1 in both.
    """
    radii = torch.cdist(real, real).kthvalue(neighbours + 1, dim=1).values
    inside = torch.cdist(real, fake) < radii[:, None]
    return float(inside.any(dim=1).double().mean()), float(inside.double().sum(dim=0).mean() / neighbours)


def _from_counts(counts: Sequence[int], samples: int, quality: float | None) -> Evaluation:
    total, modes = sum(counts), len(counts)
    # With no sample counted there is no histogram; the distance is that of everything in one mode.
    kl = math.log(modes)
    if total:
        kl = math.fsum(count / total * math.log(count / total * modes) for count in counts if count)
    captured = sum(count > 0 for count in counts)
    return Evaluation(samples, modes, captured, quality, kl, (modes - 1) / (2 * samples), tuple(counts))
