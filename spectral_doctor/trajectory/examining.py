"""From a checkpoint to spectra; after this step no array is needed any more."""

from __future__ import annotations

from collections.abc import Iterable

from spectral_doctor.errors import WeightError
from spectral_doctor.records import LayerSpectrum, SkippedLayer, SkipReason
from spectral_doctor.spectrum import spectra_of
from spectral_doctor.state_dicts.loading import Checkpoint, Discriminator
from spectral_doctor.state_dicts.matrices import LayerWeight
from spectral_doctor.trajectory.records import Examination


def examine(checkpoint: Checkpoint) -> tuple[Examination, ...]:
    """Take the spectrum of every weight matrix of every discriminator in a checkpoint.

    A weight with NaN or infinity keeps its place, without a spectrum; a tensor that has no spectrum at all
    (no data, not a number type) moves to the skipped layers with its reason.
    """
    return tuple(_examine(checkpoint, item) for item in checkpoint.discriminators)


def layer_spectra(
    weights: Iterable[LayerWeight], skipped: Iterable[SkippedLayer]
) -> tuple[tuple[LayerSpectrum, ...], tuple[SkippedLayer, ...]]:
    """Take the spectrum of every weight matrix; what has none joins the skipped layers with its reason."""
    layers: list[LayerSpectrum] = []
    refused = list(skipped)
    matrices = tuple(weights)
    for weight, measured in zip(matrices, spectra_of(matrices), strict=True):
        if isinstance(measured, WeightError):
            refused.append(SkippedLayer(weight.name, SkipReason.NO_SPECTRUM, str(measured)))
        else:
            layers.append(
                LayerSpectrum(weight.identity, measured.spectrum, measured.non_finite, at_bound=measured.at_bound)
            )
    return tuple(layers), tuple(refused)


def _examine(checkpoint: Checkpoint, discriminator: Discriminator) -> Examination:
    layers, skipped = layer_spectra(discriminator.layers, discriminator.skipped)
    return Examination(
        discriminator=discriminator.name,
        certainty=discriminator.certainty,
        why=discriminator.why,
        ref=checkpoint.ref,
        modified=checkpoint.modified,
        step_clues=checkpoint.step_clues,
        layers=layers,
        skipped=skipped,
    )
