"""The laws of the envelope and the deficit, against naive twins."""

from __future__ import annotations

import random

import pytest

from spectral_doctor.records import Spectrum
from spectral_doctor.trajectory.records import LayerTrajectory
from tests.builders import identity, layer_over_steps, series


def random_layer(rank: int, steps: int, seed: int) -> LayerTrajectory:
    """A layer whose spectra are drawn at random."""
    source = random.Random(seed)
    spectra = tuple(
        Spectrum(tuple(sorted((source.random() + 0.01 for _ in range(rank)), reverse=True))) for _ in range(steps)
    )
    return LayerTrajectory(identity("conv", rank=rank), spectra, (0,) * steps)


@pytest.mark.parametrize("rank", [1, 2, 8, 33])
@pytest.mark.parametrize("seed", range(5))
def test_the_envelope_is_the_running_maximum(rank: int, seed: int) -> None:
    """γ never falls, starts at 1, does not increase along j, and equals the maximum taken the long way."""
    layer = random_layer(rank, 6, seed)
    for time, envelope in enumerate(layer.envelopes):
        naive = [
            max(spectrum.values[j] / spectrum.values[0] for spectrum in layer.spectra[: time + 1] if spectrum)
            for j in range(rank)
        ]
        assert envelope == pytest.approx(naive)
        assert envelope[0] == 1.0
        assert list(envelope) == sorted(envelope, reverse=True)
        if time:
            assert all(now >= before for now, before in zip(envelope, layer.envelopes[time - 1], strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_the_deficit_is_the_dose_of_dynamic_compensation(seed: int) -> None:
    """1 − Σσ/Σγ is the nuclear norm that dynamic compensation adds, relative to the envelope's."""
    layer = random_layer(8, 6, seed)
    for time, spectrum in enumerate(layer.spectra):
        assert spectrum is not None
        raised = sum(best - value for best, value in zip(layer.envelopes[time], spectrum.relative, strict=True))
        deficit = layer.deficit(time)
        assert deficit == pytest.approx(raised / sum(layer.envelopes[time]))
        assert deficit is not None
        assert 0.0 <= deficit < 1.0


def test_a_layer_at_its_best_has_no_deficit_and_one_that_fell_has() -> None:
    """Zero while it rises; the lost share once it falls."""
    assert layer_over_steps("conv", [0.5, 0.7, 0.9]).deficit() == 0.0
    fallen = layer_over_steps("conv", [0.9, 0.45]).deficit()
    assert fallen is not None
    assert fallen > 0.4


def test_a_checkpoint_that_is_not_finite_adds_nothing() -> None:
    """Its deficit is unknown and the envelope stays what it was."""
    layer = layer_over_steps("conv", [0.9, None, 0.8])
    assert layer.deficit(1) is None
    assert layer.envelopes[1] == layer.envelopes[0]


def test_the_deficit_of_the_discriminator_weighs_layers_by_their_envelopes() -> None:
    """Over all layers: one sum over one sum, not a mean of ratios."""
    wide, narrow = layer_over_steps("wide", [0.9, 0.3], rank=64), layer_over_steps("narrow", [0.9, 0.9], rank=8)
    total = series(wide, narrow).deficit()
    now = sum(sum(layer.spectra[1].relative) for layer in (wide, narrow) if layer.spectra[1])
    best = sum(sum(layer.envelopes[1]) for layer in (wide, narrow))
    assert total == pytest.approx(1 - now / best)
    assert total != pytest.approx(((wide.deficit() or 0) + (narrow.deficit() or 0)) / 2, abs=0.05)
    assert series(layer_over_steps("conv", [None])).deficit() is None
