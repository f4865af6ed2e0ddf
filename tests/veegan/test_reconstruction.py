"""The test by reconstruction: calibrated under its null, and loud where modes are missing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spectral_doctor.errors import NothingToExamine, UsageError
from spectral_doctor.gan.data import Mixture, grid, ring
from spectral_doctor.gan.recipes import BaseRecipe
from spectral_doctor.gan.settings import Settings
from spectral_doctor.veegan.reconstruction import energy_coefficient, examine_generator, inverse_of
from spectral_doctor.veegan.reconstructor import default_reconstructor, reconstructor_for
from spectral_doctor.veegan.records import Reconstruction

TWO = {"latent_dim": "2", "generator_channels": "64"}


class Painter(nn.Module):
    """A generator whose modes are known: the latent's first value chooses one of the means, the second moves."""

    def __init__(self, means: Tensor) -> None:
        super().__init__()
        self.means = nn.Parameter(means)

    def forward(self, latent: Tensor) -> Tensor:
        """A sample beside one of the means."""
        share = torch.special.ndtr(latent[:, 0])
        sample: Tensor = self.means[(share * len(self.means)).long().clamp_max(len(self.means) - 1)]
        return sample + 0.01 * latent


class OfMixture(BaseRecipe):
    """A recipe that learns a mixture."""

    def __init__(self, mixture: Mixture) -> None:
        super().__init__(Settings().changed(TWO))
        self.mixture = mixture

    def real(self, count: int, random: torch.Generator) -> Tensor:
        """Draw from the mixture."""
        return self.mixture.sample(count, random)


class OfItself(BaseRecipe):
    """A recipe whose real samples are the generator's own."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__(Settings().changed(TWO))
        self.generator = generator

    @torch.no_grad()
    def real(self, count: int, random: torch.Generator) -> Tensor:
        """G(z) for latents of its own."""
        sample: Tensor = self.generator(self.latent(count, random))
        return sample


def test_the_null_is_calibrated() -> None:
    """With G's own samples as the real ones the p-values of 40 seeds are uniform (Kolmogorov-Smirnov, α 1 %)."""
    generator = Painter(ring().means[:3])
    recipe = OfItself(generator)
    values = sorted(
        examine_generator(recipe, generator, steps=40, samples=100, splits=99, seed=seed).p_value for seed in range(40)
    )
    steps = np.arange(1, 41) / 40
    distance = max(np.abs(steps - values).max(), np.abs(steps - 1 / 40 - values).max())
    assert distance < 1.63 / math.sqrt(40)


@pytest.mark.parametrize(("kept", "missing"), [(8, False), (7, False), (4, True), (1, True)])
def test_missing_modes_are_found_and_a_whole_ring_is_not_accused(kept: int, missing: bool) -> None:
    """G paints so many of eight modes; one that is missing between two others is not seen, half of them are."""
    generator = Painter(ring().means[:kept])
    found = examine_generator(OfMixture(ring()), generator)
    assert found.modes_missing is missing, found
    assert (found.coefficient >= Reconstruction.MISSING_FROM) is missing
    if missing:
        assert found.p_value == pytest.approx(1 / 200)
        assert found.coefficient > found.null_quantile


def test_the_more_is_missing_the_larger_is_the_coefficient() -> None:
    """On the grid: all, 20, 10, 2 of 25 modes."""
    values = [
        examine_generator(OfMixture(grid()), Painter(grid().means[:kept]), steps=300, splits=19).coefficient
        for kept in (25, 20, 10, 2)
    ]
    assert values == sorted(values)
    assert values[0] < Reconstruction.MISSING_FROM < values[2]


def test_the_generator_is_not_touched() -> None:
    """Not its weights, not its batch norm, not its mode, not the process's randomness."""
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2)).train()
    before = {key: value.clone() for key, value in generator.state_dict().items()}
    randomness = torch.get_rng_state()
    examine_generator(OfMixture(ring()), generator, steps=5, samples=50, splits=9)
    assert all(torch.equal(value, before[key]) for key, value in generator.state_dict().items())
    assert all(module.training for module in generator.modules())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in generator.parameters())
    assert torch.equal(torch.get_rng_state(), randomness)


def test_the_same_seed_gives_the_same_evidence() -> None:
    """Everything but the time it took."""
    recipe, generator = OfMixture(ring()), Painter(ring().means[:5])
    one, two = (examine_generator(recipe, generator, steps=20, samples=50, splits=9) for _ in range(2))
    assert (one.coefficient, one.p_value, one.outside, one.explained) == (
        two.coefficient,
        two.p_value,
        two.outside,
        two.explained,
    )


def test_f_inverts_a_generator_that_can_be_inverted() -> None:
    """A linear one is learnt almost wholly, one that ignores its latent not at all."""
    torch.manual_seed(0)
    linear = nn.Linear(2, 2)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[1.0, 0.5], [-0.5, 1.0]]))
    assert examine_generator(OfMixture(ring()), linear, samples=100, splits=9).explained > 0.95
    constant = nn.Linear(2, 2)
    nn.init.zeros_(constant.weight)
    found = examine_generator(OfMixture(ring()), constant, samples=100, splits=9)
    assert abs(found.explained) < 0.1


def test_a_generator_that_is_not_finite_has_nothing_to_reconstruct() -> None:
    """It says so instead of a statement."""
    generator = nn.Linear(2, 2)
    nn.init.constant_(generator.bias, math.nan)
    with pytest.raises(NothingToExamine, match="the generator's samples are NaN or infinite"):
        inverse_of(OfMixture(ring()), generator)


def test_the_energy_coefficient_is_its_formula() -> None:
    """Against sums over all pairs in NumPy; 0 for the same sample, 1 for two points apart."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(30, 3)), random.normal(1.0, size=(20, 3))

    def mean(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        return float(np.mean([np.linalg.norm(p - q) for p in a for q in b]))

    expected = (2 * mean(x, y) - mean(x, x) - mean(y, y)) / (2 * mean(x, y))
    assert energy_coefficient(torch.tensor(x), torch.tensor(y)) == pytest.approx(expected)
    assert energy_coefficient(torch.tensor(x), torch.tensor(x)) == pytest.approx(0.0, abs=1e-9)
    assert energy_coefficient(torch.zeros(4, 2), torch.ones(4, 2)) == pytest.approx(1.0)
    assert energy_coefficient(torch.zeros(4, 2), torch.zeros(4, 2)) == 0.0


@pytest.mark.parametrize(
    "shape", [(2,), (1200,), (3, 8, 8), (3, 28, 28), (1, 16, 32), (2, 3, 3), (4, 50), (1, 4, 4, 4)]
)
def test_there_is_a_reconstructor_for_every_shape(shape: tuple[int, ...]) -> None:
    """It gives the latent's size."""
    assert default_reconstructor(shape, 7, 8)(torch.randn(2, *shape)).shape == (2, 7)


def test_a_recipe_brings_its_own_reconstructor_and_latents_of_any_shape() -> None:
    """Latents (n, 3, 1, 1) as DCGANs have them; a reconstructor of another size is named."""

    class Own(OfMixture):
        """Latents with two axes of one."""

        size = 3

        def latent(self, count: int, random: torch.Generator) -> Tensor:
            """(count, 3, 1, 1)."""
            return torch.randn(count, 3, 1, 1, generator=random)

        def reconstructor(self) -> nn.Module:
            """Linear."""
            return nn.Linear(2, self.size)

    recipe, generator = Own(ring()), nn.Sequential(nn.Flatten(), nn.Linear(3, 2))
    assert isinstance(reconstructor_for(recipe, generator, 0), nn.Linear)
    assert 0 <= examine_generator(recipe, generator, steps=5, samples=50, splits=9).p_value <= 1
    recipe.size = 4
    with pytest.raises(UsageError) as caught:
        reconstructor_for(recipe, generator, 0)
    assert str(caught.value) == "the recipe's reconstructor gives (4,) a sample; expected the 3 values of a latent."
