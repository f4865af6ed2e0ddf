"""What samples show, against closed forms and what it must not change with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from spectral_doctor.evaluation.quality import Floats
from spectral_doctor.generators.evidence import evidence_of, repeated, witness
from spectral_doctor.generators.records import NotRebuilt, SampleEvidence
from tests.generators.modules import arrays_of, perceptron


def drawn(count: int, dimensions: int, seed: int = 0) -> Floats:
    """Standard Gaussian samples."""
    return np.random.default_rng(seed).standard_normal((count, dimensions))


@pytest.mark.parametrize("twins", [0, 1, 40])
def test_duplicates_are_samples_with_a_twin(twins: int) -> None:
    """Counted on both sides, however far out the samples lie; the negative: neighbours at a hundredth are none."""
    samples = drawn(100, 8) + 50
    samples[:twins] = samples[50 : 50 + twins] + 1e-5
    assert repeated(samples) == (2 * twins / 100, False)
    samples[:twins] += 0.02
    assert repeated(samples) == (0.0, False)


def test_a_constant_is_told_from_what_varies_little() -> None:
    """Below a thousandth of its length a generator's variation is none."""
    assert repeated(np.ones((50, 4))) == (1.0, True)
    assert repeated(np.zeros((50, 4))) == (1.0, True)
    assert repeated(100 + 1e-3 * drawn(50, 4)) == (1.0, True)
    assert not repeated(100 + drawn(50, 4))[1]


def test_the_whitened_participation_forgets_how_data_are_stretched() -> None:
    """Samples like the real ones fill every direction at every stretch; the plain participation falls."""
    stretch = np.geomspace(1, 30, 8)
    samples, real = drawn(768, 8), drawn(768, 8, 1)
    one = evidence_of(samples.astype(np.float32), 8, "", real).spread
    other = evidence_of((samples * stretch).astype(np.float32), 8, "", real * stretch).spread
    assert one.whitened == pytest.approx(1.0, abs=0.02)
    assert other.whitened == pytest.approx(one.whitened, abs=1e-5)
    assert other.participation < 0.7 < one.participation


def test_pictures_are_held_against_real_ones_in_their_many_dimensions() -> None:
    """Far more dimensions than samples: no matrix of dimensions by dimensions is made."""
    found = evidence_of(drawn(60, 50_000).astype(np.float32), 8, "", drawn(60, 50_000, 1)).spread
    assert found.whitened is not None


def test_a_generators_evidence_is_the_seeds_and_its_samples() -> None:
    """With real samples the distance to them; as a function they are asked for in the samples' own shape."""
    torch.manual_seed(0)
    network = arrays_of(perceptron(outputs=6))
    asked: list[tuple[int, ...]] = []

    def real(shape: tuple[int, ...]) -> Floats:
        asked.append(shape)
        return drawn(200, 6)

    one, again = witness(network, count=200, real=real), witness(network, count=200)
    assert isinstance(one, SampleEvidence)
    assert isinstance(again, SampleEvidence)
    assert asked == [(6,)]
    assert one.participation_between is not None
    assert one.participation_between[0] < one.participation_between[1]
    assert one.spread.participation in one.participation_between
    assert one.spread.participation == again.spread.participation
    assert one.spread.energy is not None
    assert again.spread.energy is None
    assert one.preview is not None
    assert (one.preview.shape, one.preview.dtype) == ((16, 6), np.dtype(np.float32))
    assert one.why == (
        "read as a chain of layers, relu between layers, nothing at the end, Gaussian latents: assumed, for the file "
        "does not hold them and no batch norm remembers"
    )


def test_a_generator_that_makes_one_thing_is_a_constant_one() -> None:
    """Whatever the latent."""
    module = perceptron(outputs=6)
    with torch.no_grad():
        next(module[2].parameters()).zero_()
    found = witness(arrays_of(module))
    assert isinstance(found, SampleEvidence)
    assert (found.constant, found.duplicates, found.spread.participation) == (True, 1.0, 0.0)


def test_what_cannot_be_rebuilt_gives_no_evidence() -> None:
    """But the reason."""
    assert isinstance(witness(arrays_of(nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 1, 3)))), NotRebuilt)
