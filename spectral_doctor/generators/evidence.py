"""What the samples of a generator show: spread, duplicates, a constant; beside real samples the distance to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from spectral_doctor.arrays import Array
from spectral_doctor.evaluation.quality import as_rows, distances
from spectral_doctor.evaluation.spread import measured_spread
from spectral_doctor.generators.rebuild import rebuilt
from spectral_doctor.generators.records import Floats, NotRebuilt, Rebuilt, SampleEvidence
from spectral_doctor.generators.sampling import COUNT, samples_of

SAME = 1e-3
_PREVIEWED = 16

Real = ArrayLike | Callable[[tuple[int, ...]], ArrayLike]


def witness(
    network: Mapping[str, Array] | Rebuilt, *, count: int = COUNT, seed: int = 0, real: Real | None = None
) -> SampleEvidence | NotRebuilt:
    """Rebuild a generator from its tensors (or take one that was rebuilt), sample it, and say what the samples show.

    `real` are real samples (m, …) in the generator's own scale, or a function that brings them for the shape (…) of
    one sample. Imports PyTorch; runs no code of a file.
    """
    made = network if isinstance(network, Rebuilt) else rebuilt(network)
    if isinstance(made, NotRebuilt):
        return made
    sampler = made.ready()
    if isinstance(sampler, NotRebuilt):
        return sampler
    samples = samples_of(made, sampler, count, seed)
    if isinstance(samples, NotRebuilt):
        return samples
    found = evidence_of(samples, made.latent_dim, ", ".join(filter(None, (made.why, sampler.why))), real)
    guesses = [found.spread.participation]
    for forward in sampler.others.values():
        other = samples_of(made, replace(sampler, forward=forward), count, seed)
        if not isinstance(other, NotRebuilt):
            guesses.append(measured_spread(other, made.latent_dim).participation)
    return replace(found, participation_between=(min(guesses), max(guesses))) if sampler.others else found


def evidence_of(samples: Floats, latent_dim: int, why: str, real: Real | None = None) -> SampleEvidence:
    """What samples (n, …) show, wherever they come from."""
    reference = real(samples.shape[1:]) if callable(real) else real
    duplicates, constant = repeated(samples)
    return SampleEvidence(
        measured_spread(samples, latent_dim, reference),
        *(len(samples), duplicates, constant, latent_dim, why),
        preview=samples[:_PREVIEWED],
    )


def repeated(samples: ArrayLike) -> tuple[float, bool]:
    """The share of samples (n, …) that have a twin nearer than 10⁻³ of the rms distance, and whether all are one.

    The rms distance of two samples is √(2 tr C); they are one where it is below 10⁻³ of their rms length √E‖x‖².
    """
    x = as_rows(samples)
    typical = float(np.sqrt(2 * x.var(axis=0).sum()))
    if typical <= SAME * float(np.sqrt((x**2).sum(axis=1).mean())):
        return 1.0, True
    between = distances(x - x.mean(axis=0), x - x.mean(axis=0))
    np.fill_diagonal(between, np.inf)
    return float((between.min(axis=1) < SAME * typical).mean()), False
