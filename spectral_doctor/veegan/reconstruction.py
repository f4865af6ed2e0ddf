"""The diagnosis of VEEGAN's figure 1a: is F(x_real) still distributed as F(G(z)), with F the inverse of a frozen G?"""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Adam

from spectral_doctor.errors import NothingToExamine
from spectral_doctor.gan.networks import evaluating
from spectral_doctor.gan.recipes import Recipe
from spectral_doctor.veegan.objective import Objective
from spectral_doctor.veegan.reconstructor import flat, reconstructor_for
from spectral_doctor.veegan.records import Reconstruction

_BATCH = 128


@dataclass(frozen=True, eq=False)
class Inverse:
    """F for a frozen G; `generator` is a copy in evaluation mode, x is centred and scaled as its samples are."""

    generator: nn.Module
    reconstructor: nn.Module
    centre: Tensor
    scale: Tensor

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """F(x) (n, latent_size) of samples (n, …)."""
        guess: Tensor = self.reconstructor((x - self.centre) / self.scale)
        return flat(guess)

    @torch.no_grad()
    def generated(self, recipe: Recipe, count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Latents (count, latent_size) and G's samples from them."""
        parts = []
        for start in range(0, count, 500):
            latent = recipe.latent(min(500, count - start), random).to(self.centre.device)
            parts.append((flat(latent), self.generator(latent)))
        return torch.cat([latent for latent, _ in parts]), torch.cat([sample for _, sample in parts])


def inverse_of(recipe: Recipe, generator: nn.Module, *, steps: int = 800, seed: int = 0) -> Inverse:
    """Train a reconstructor on (G(z), z) by d alone; the generator itself is not touched.

    Raises `NothingToExamine` where G's samples are not finite, `UsageError` where a recipe's reconstructor does
    not fit.
    """
    frozen = copy.deepcopy(generator).eval().requires_grad_(False)
    random = torch.Generator().manual_seed(seed)
    device = next(frozen.parameters()).device
    with torch.no_grad():
        first = frozen(recipe.latent(500, random).to(device))
    if not bool(torch.isfinite(first).all()):
        raise NothingToExamine("the generator's samples are NaN or infinite, so there is nothing to reconstruct.")
    scale = first.std().clamp_min(torch.finfo(first.dtype).eps)
    inverse = Inverse(frozen, reconstructor_for(recipe, frozen, seed), first.mean(dim=0), scale)
    optimizer = Adam(inverse.reconstructor.parameters(), 1e-3)
    objective = Objective()
    for _ in range(steps):
        latent, fake = inverse.generated(recipe, _BATCH, random)
        guess = inverse.reconstructor((fake - inverse.centre) / inverse.scale)
        optimizer.zero_grad()
        objective.distance(latent, flat(guess)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    inverse.reconstructor.eval()
    return inverse


def examine_generator(
    recipe: Recipe,
    generator: nn.Module,
    *,
    steps: int = 800,
    samples: int = 500,
    splits: int = 199,
    seed: int = 0,
) -> Reconstruction:
    """Test whether F sends real samples where it sends generated ones; needs no discriminator.

    F(G(z)) is not N(0, I) itself where the latent has more dimensions than G uses, so the comparison is with
    held-out generated samples, and so is the null: `splits` random pairs of disjoint sets of them. Where modes are
    missing F has never seen their samples, and sends them elsewhere. Raises what `inverse_of` raises.
    """
    started = time.process_time()
    with evaluating(generator):
        inverse = inverse_of(recipe, generator, steps=steps, seed=seed)
    random = torch.Generator().manual_seed(seed + 1)
    latent, fake = inverse.generated(recipe, 4 * samples, random)
    held_out = inverse(fake)
    real = inverse(recipe.real(samples, random).to(inverse.centre.device))
    reference = held_out[:samples]
    coefficient = energy_coefficient(real, reference)
    null = torch.tensor(_null(held_out, samples, splits, random))
    nearest = torch.cdist(held_out[samples : 2 * samples], reference).amin(dim=1)
    outside = torch.cdist(real, reference).amin(dim=1) > nearest.quantile(0.99)
    residual = (latent - held_out).square().mean() / (latent - latent.mean(dim=0)).square().mean()
    return Reconstruction(
        coefficient=coefficient,
        null_quantile=float(null.quantile(0.99)),
        p_value=float((1 + (null >= coefficient).sum()) / (splits + 1)),
        outside=float(outside.double().mean()),
        explained=float(1 - residual),
        samples=samples,
        splits=splits,
        steps=steps,
        seconds=time.process_time() - started,
    )


def energy_coefficient(first: Tensor, second: Tensor) -> float:
    """H = (2 E‖X − Y‖ − E‖X − X'‖ − E‖Y − Y'‖) / (2 E‖X − Y‖) of samples (n, d), (m, d); 0 for equal distributions.

    V-statistics (each mean over all pairs), so H is never below 0 but for rounding, nor above 1.
    """
    across = 2 * torch.cdist(first, second).double().mean()
    within = torch.cdist(first, first).double().mean() + torch.cdist(second, second).double().mean()
    return float((across - within) / across) if float(across) > 0 else 0.0


def _null(held_out: Tensor, samples: int, splits: int, random: torch.Generator) -> list[float]:
    """The coefficient between pairs of disjoint random sets of generated samples, by one product of matrices."""
    count = len(held_out)
    orders = torch.stack([torch.randperm(count, generator=random) for _ in range(splits)], dim=1)
    one, two = (
        torch.zeros(count, splits, dtype=torch.float64).scatter_(0, orders[part], 1 / samples)
        for part in (slice(0, samples), slice(samples, 2 * samples))
    )
    distances = torch.cdist(held_out, held_out).double().cpu()
    to_one, to_two = distances @ one, distances @ two
    across = 2 * (one * to_two).sum(dim=0)
    within = (one * to_one).sum(dim=0) + (two * to_two).sum(dim=0)
    return torch.where(across > 0, (across - within) / across, 0.0).tolist()
