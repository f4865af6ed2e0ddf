"""From a checkpoint to spectra; after this step no tensor is needed any more."""

from __future__ import annotations

from collections.abc import Iterable

from spectral_doctor.errors import NonFiniteWeight, WeightError
from spectral_doctor.records import LayerIdentity, LayerSpectrum, SkippedLayer
from spectral_doctor.spectrum import share_at_bound, spectrum_of
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
    for weight in weights:
        try:
            spectrum = spectrum_of(weight.matrix)
            layers.append(LayerSpectrum(_identity(weight), spectrum, at_bound=share_at_bound(weight.matrix)))
        except NonFiniteWeight as error:
            layers.append(LayerSpectrum(_identity(weight), None, error.count))
        except WeightError as error:
            refused.append(SkippedLayer(weight.name, str(error)))
    return tuple(layers), tuple(refused)


def _examine(checkpoint: Checkpoint, discriminator: Discriminator) -> Examination:
    layers, skipped = layer_spectra(discriminator.layers, discriminator.skipped)
    return Examination(
        discriminator=discriminator.name,
        why=f"{discriminator.certainty.value}: {discriminator.why}",
        path=str(checkpoint.path),
        run_folder=checkpoint.run_folder,
        run_name=checkpoint.run_name,
        modified=checkpoint.modified,
        step_clues=checkpoint.step_clues,
        layers=layers,
        skipped=skipped,
    )


def _identity(weight: LayerWeight) -> LayerIdentity:
    rows, columns = weight.matrix.shape
    return LayerIdentity(
        weight.name, weight.kind.value, weight.form.value, weight.stored_shape, (int(rows), int(columns))
    )
