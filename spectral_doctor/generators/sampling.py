"""Samples of a generator that was rebuilt: the same for the same seed, and never more than memory takes."""

from __future__ import annotations

import numpy as np

from spectral_doctor.generators.fitting import drawn
from spectral_doctor.generators.records import Floats, NotRebuilt, Rebuilt, Sampler

COUNT = 768
LARGEST_SAMPLES = 2**28
_BATCH = 64


def sample(rebuilt: Rebuilt, count: int = COUNT, seed: int = 0) -> Floats | NotRebuilt:
    """Draw samples (count, …) of a generator in evaluation mode, or say why not."""
    sampler = rebuilt.ready()
    return sampler if isinstance(sampler, NotRebuilt) else samples_of(rebuilt, sampler, count, seed)


def samples_of(rebuilt: Rebuilt, sampler: Sampler, count: int = COUNT, seed: int = 0) -> Floats | NotRebuilt:
    """Draw samples (count, …) of a generator that was made ready, in batches of 64.

    A sample with NaN or infinity, and more values than 2²⁸ in all, are reasons not to.
    """
    import torch

    if sampler.latents is not None:
        latents = sampler.latents(count, seed)
    else:
        latents = drawn(rebuilt.latent_shape, count, seed, uniform=sampler.uniform)
    parts: list[Floats] = []
    with torch.inference_mode():
        for start in range(0, count, _BATCH):
            made = sampler.forward(latents[start : start + _BATCH])
            if made[0].numel() * count > LARGEST_SAMPLES:
                shape = tuple(made.shape[1:])
                return NotRebuilt(f"{count} samples of shape {shape} are more than the 2^28 values that are held here")
            if not bool(torch.isfinite(made).all()):
                return NotRebuilt("its samples hold NaN or infinity")
            parts.append(np.array(made.float().cpu().numpy()))
    return np.concatenate(parts)
