"""Which activation, epsilon, upsampling and latent a generator was trained with, as its norms remember it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from itertools import product
from typing import TYPE_CHECKING

from spectral_doctor.arrays import Array
from spectral_doctor.generators.forward import ACTIVATIONS, UPSAMPLINGS, Manner, Pass, is_as_good
from spectral_doctor.generators.layers import WAY_OUT
from spectral_doctor.generators.records import NotRebuilt, Sampler
from spectral_doctor.generators.steps import (
    EPSILONS,
    HIDDEN,
    Activation,
    Residual,
    Step,
    Upsample,
    norms_of,
    up_to_norm,
)

if TYPE_CHECKING:
    from torch import Tensor

# Norms that judge a guess, the first of which sees no activation; and latents that they see.
_JUDGES = 3
_LATENTS = 256
LARGEST_MISMATCH = 0.5
# What generators without norms have between their layers where it is not ReLU.
_ALSO_USUAL = ("leaky relu 0.2",)


def settled(steps: Sequence[Step], latent_shape: tuple[int, ...]) -> Sampler | NotRebuilt:
    """A generator's steps ready to run, each choice made as its norms remember; or that no guess fits them."""
    import torch

    tensors: dict[Array, Tensor] = {}
    latents = {kind: drawn(latent_shape, _LATENTS, 0, uniform=kind) for kind in (False, True)}

    def best_of(candidates: Sequence[Manner], prefix: Sequence[Step]) -> Manner:
        scores: dict[Manner, float] = {}
        for manner in candidates:
            trial = Pass(manner, tensors=tensors)
            trial.settle(prefix, latents[manner.uniform])
            scores[manner] = sum(trial.mismatches)
        good = [manner for manner in candidates if is_as_good(scores[manner], min(scores.values()))]
        return min(good, key=lambda manner: (_oddness(manner), scores[manner]))

    with torch.inference_mode():
        # The first norm sees the latents through one layer as a rule, the next ones what is between layers.
        latent = best_of([Manner(), Manner(uniform=True)], up_to_norm(steps, 1)) if any(norms_of(steps)) else Manner()
        manner = best_of([replace(item, uniform=latent.uniform) for item in manners(steps)], up_to_norm(steps, _JUDGES))
        final = Pass(manner, tensors=tensors)
        chosen, _ = final.settle(steps, latents[manner.uniform])
    worst = max(final.mismatches, default=0.0)
    if worst > LARGEST_MISMATCH:
        return NotRebuilt(
            f"what its batch norms remember fits no guess of its activations and strides (mismatch {worst:.2g}, at "
            f"most {LARGEST_MISMATCH:g}); {WAY_OUT}"
        )

    def carried_out(given: Manner) -> Callable[[Tensor], Tensor]:
        return lambda latent: Pass(given, tensors=tensors).run(chosen, latent)

    untold = not final.mismatches and _has(steps, HIDDEN)
    others = {name: carried_out(replace(manner, activation=name)) for name in _ALSO_USUAL} if untold else {}
    return Sampler(carried_out(manner), _why(manner, chosen, final.mismatches), manner.uniform, others=others)


def manners(steps: Sequence[Step]) -> list[Manner]:
    """The manners that the norms of a generator can tell apart, the usual one first."""
    judged = len(list(norms_of(steps))) > 1
    activations = ACTIVATIONS if judged and _has(steps, HIDDEN) else ACTIVATIONS[:1]
    upsamplings = UPSAMPLINGS if judged and _has(steps, "") else UPSAMPLINGS[:1]
    return [Manner(activation, upsampling) for upsampling, activation in product(upsamplings, activations)]


def _oddness(manner: Manner) -> int:
    """In how many things a manner is not the usual one."""
    usual = Manner()
    return sum(getattr(usual, item.name) != getattr(manner, item.name) for item in fields(Manner))


def drawn(shape: tuple[int, ...], count: int, seed: int, *, uniform: bool = False) -> Tensor:
    """Latents (count, *shape), standard Gaussian, or uniform in [-1, 1]; the same for the same seed."""
    import torch

    random = torch.Generator().manual_seed(seed)
    if uniform:
        return 2 * torch.rand(count, *shape, generator=random) - 1
    return torch.randn(count, *shape, generator=random)


def _has(steps: Sequence[Step], activation: str) -> bool:
    """Whether there is an activation of that name, or an upsampling where none is named, in whatever way."""
    for step in steps:
        inner = step.main if isinstance(step, Residual) else [item for way in getattr(step, "ways", ()) for item in way]
        if inner and _has(inner, activation):
            return True
        if isinstance(step, Activation) and step.name == activation:
            return True
        if isinstance(step, Upsample) and not activation:
            return True
    return False


def _why(manner: Manner, steps: Sequence[Step], mismatches: Sequence[float]) -> str:
    latent = "latents uniform in [-1, 1]" if manner.uniform else "Gaussian latents"
    parts = [f"{manner.activation} between layers"] if _has(steps, HIDDEN) else []
    parts += [f"{manner.upsampling} upsampling"] if _has(steps, "") else []
    odd = sorted({norm.epsilon for norm in norms_of(steps)} - {EPSILONS[0]})
    parts += [f"epsilon {epsilon:g}" for epsilon in odd]
    ending = "tanh" if isinstance(steps[-1], Activation) and steps[-1].name == "tanh" else "nothing"
    guess = f"{', '.join(parts)}{', ' if parts else ''}{ending} at the end, {latent}"
    if mismatches:
        return f"{guess}: as its {len(mismatches)} batch norms remember it (mismatch {max(mismatches):.2g})"
    return f"{guess}: assumed, for the file does not hold them and no batch norm remembers"
