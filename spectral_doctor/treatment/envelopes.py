"""Where the envelope of a dynamic compensation comes from."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from spectral_doctor.compensation import envelope_of
from spectral_doctor.diagnosis.records import Diagnosis, SpectrumState
from spectral_doctor.records import Spectrum
from spectral_doctor.spectrum import spectrum_of
from spectral_doctor.trajectory.records import LayerTrajectory
from spectral_doctor.treatment.records import Envelope


def series_envelope(diagnosis: Diagnosis, last: int, kind: str) -> tuple[Envelope, str]:
    """γ by layer from a series up to the checkpoint at index `last`, and in words where it came from.

    "running" and "held" take the maximum over all of them, "median" the median over the healthy ones (over all
    where none is healthy), "official" the last alone. With one checkpoint there is no history: γ is then the
    spectrum of a freshly initialised layer of that shape, or the layer's own where that is higher.
    """
    states = diagnosis.states[: last + 1]
    layers = [layer for layer in diagnosis.trajectory.layers if layer.spectra[last] is not None]
    if kind == "official":
        return _over(layers, [last], 1.0), "the checkpoint that is resumed, as in the official code"
    if len(states) == 1:
        fresh = {layer.name: initial_envelope(layer.identity.matrix_shape) for layer in layers}
        own = _over(layers, [last], 1.0)
        raised = {name: tuple(map(max, values, own[name])) for name, values in fresh.items()}
        return raised, "freshly initialised layers of the same shapes, for there is only one checkpoint"
    healthy = [index for index, state in enumerate(states) if state.spectrum is SpectrumState.SOUND]
    if kind == "median" and healthy:
        return _over(layers, healthy, 0.5), f"the median over {len(healthy)} sound checkpoints"
    indices = list(range(last + 1))
    if kind == "median":
        return _over(layers, indices, 0.5), f"the median over {len(indices)} checkpoints, none of them sound"
    return _over(layers, indices, 1.0), f"the best of {len(indices)} checkpoints"


@lru_cache(maxsize=256)
def initial_envelope(shape: tuple[int, int]) -> tuple[float, ...]:
    """The relative spectrum of a Gaussian matrix (n_out, n_in), as layers have it before training; seeded."""
    return spectrum_of(np.random.default_rng(0).standard_normal(shape, dtype=np.float32)).relative


def _over(layers: list[LayerTrajectory], indices: list[int], quantile: float) -> Envelope:
    envelope: Envelope = {}
    for layer in layers:
        spectra: list[Spectrum] = [item for index in indices if (item := layer.spectra[index]) is not None]
        if spectra:
            envelope[layer.name] = envelope_of(spectra, quantile)
    return envelope
