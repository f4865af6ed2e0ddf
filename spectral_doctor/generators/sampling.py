"""Samples of a generator that was rebuilt: the same for the same seed, and never more than memory takes."""

from __future__ import annotations

import math

import numpy as np

from spectral_doctor.errors import WeightError, printable
from spectral_doctor.generators.fitting import drawn
from spectral_doctor.generators.records import Floats, NotRebuilt, Rebuilt, Sampler

COUNT = 768
LARGEST_SAMPLES = 2**28
_BATCH = 64
_LARGEST_BATCH = 2**21


def sample(rebuilt: Rebuilt, count: int = COUNT, seed: int = 0) -> Floats | NotRebuilt:
    """Draw samples (count, …) of a generator in evaluation mode, or say why not."""
    sampler = rebuilt.ready()
    return sampler if isinstance(sampler, NotRebuilt) else samples_of(rebuilt, sampler, count, seed)


def samples_of(rebuilt: Rebuilt, sampler: Sampler, count: int = COUNT, seed: int = 0) -> Floats | NotRebuilt:
    """Draw samples (count, …) of a generator that was made ready, in batches of 64 or, where they are large, fewer.

    A sample with NaN or infinity, more values than 2²⁸ in all, and a forward pass that fails are reasons not to.
    """
    import torch

    try:
        with torch.inference_mode():
            return _samples(rebuilt, sampler, count, seed)
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError, WeightError) as error:
        # Of the code that a user named, or PyTorch's own word on shapes that do not go together.
        return NotRebuilt(f"it does not run: {type(error).__name__}: {printable(str(error).partition(chr(10))[0])}")


def _samples(rebuilt: Rebuilt, sampler: Sampler, count: int, seed: int) -> Floats | NotRebuilt:
    import torch

    if sampler.latents is not None:
        latents = sampler.latents(count, seed)
    else:
        latents = drawn(rebuilt.latent_shape, count, seed, uniform=sampler.uniform)
    parts: list[Floats] = []
    shape = tuple(sampler.forward(latents[:1]).shape[1:])
    size = math.prod(shape)
    if size * count > LARGEST_SAMPLES:
        return NotRebuilt(f"{count} samples of shape {shape} are more than the 2^28 values that are held here")
    batch = min(max(_LARGEST_BATCH // max(size, 1), 1), _BATCH)
    for start in range(0, count, batch):
        made = sampler.forward(latents[start : start + batch])
        if not bool(torch.isfinite(made).all()):
            return NotRebuilt("its samples hold NaN or infinity")
        parts.append(np.array(made.float().cpu().numpy()))
    return np.concatenate(parts)
