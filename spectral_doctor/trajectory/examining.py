"""From a checkpoint to spectra; after this step no array is needed any more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from spectral_doctor.errors import WeightError
from spectral_doctor.records import LayerSpectrum, SkippedLayer, SkipReason
from spectral_doctor.spectrum import Measured, measured_by, measured_readable, spectra_of, work_of
from spectral_doctor.state_dicts.loading import Checkpoint, Discriminator
from spectral_doctor.state_dicts.matrices import LayerWeight
from spectral_doctor.threads import Crew, crew
from spectral_doctor.trajectory.recollection import Recollection
from spectral_doctor.trajectory.records import Examination


def examine(checkpoint: Checkpoint, recollection: Recollection | None = None) -> tuple[Examination, ...]:
    """Take the spectrum of every weight matrix of every discriminator in a checkpoint.

    A weight with NaN or infinity keeps its place, without a spectrum; a tensor that has no spectrum at all
    (no data, not a number type) moves to the skipped layers with its reason. A `recollection` spares what the cache
    knows, and keeps what it does not.
    """
    with crew() as workers:
        return begin(checkpoint, workers, recollection)()


def begin(
    checkpoint: Checkpoint, workers: Crew, recollection: Recollection | None = None
) -> Callable[[], tuple[Examination, ...]]:
    """Begin to examine a checkpoint as `examine` does; what is returned waits for it."""
    found = checkpoint.discriminators
    weights = [weight for item in found for weight in item.layers]
    measure = measured_readable if recollection is None else partial(measured_by, recollection.measure)

    def in_time(weight: LayerWeight) -> Measured | WeightError:
        checkpoint.deadline.check()
        return measure(weight)

    pending = workers.begin(in_time, weights, work_of)

    def wait() -> tuple[Examination, ...]:
        results = iter(pending())
        examinations = tuple(_examination(checkpoint, item, [next(results) for _ in item.layers]) for item in found)
        if recollection is not None:
            recollection.keep(checkpoint, examinations)
        return examinations

    return wait


def layer_spectra(
    weights: Iterable[LayerWeight], skipped: Iterable[SkippedLayer]
) -> tuple[tuple[LayerSpectrum, ...], tuple[SkippedLayer, ...]]:
    """Take the spectrum of every weight matrix; what has none joins the skipped layers with its reason."""
    matrices = tuple(weights)
    return _sorted_out(matrices, spectra_of(matrices), skipped)


def _sorted_out(
    weights: Sequence[LayerWeight], results: Sequence[Measured | WeightError], skipped: Iterable[SkippedLayer]
) -> tuple[tuple[LayerSpectrum, ...], tuple[SkippedLayer, ...]]:
    layers: list[LayerSpectrum] = []
    refused = list(skipped)
    for weight, measured in zip(weights, results, strict=True):
        if isinstance(measured, WeightError):
            refused.append(SkippedLayer(weight.name, SkipReason.NO_SPECTRUM, str(measured)))
        else:
            layers.append(
                LayerSpectrum(weight.identity, measured.spectrum, measured.non_finite, at_bound=measured.at_bound)
            )
    return tuple(layers), tuple(refused)


def _examination(
    checkpoint: Checkpoint, discriminator: Discriminator, results: Sequence[Measured | WeightError]
) -> Examination:
    layers, skipped = _sorted_out(discriminator.layers, results, discriminator.skipped)
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
