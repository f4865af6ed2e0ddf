"""The joint discriminator D_ω(z, x), built around a D(x) that is there already."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from spectral_doctor.errors import UsageError, printable
from spectral_doctor.gan.networks import evaluating


class JointDiscriminator(nn.Module):
    """D_ω(z, x) = −D(x) + h(features(x), z), h a perceptron whose last layer is zero at first.

    So the joint logit is −D(x) exactly when it is attached: VEEGAN's positive class is the generated pair. The
    features are what goes into D's last layer with a weight matrix, caught on its way in, so D itself is neither
    changed nor copied. `sample` (n, …) is anything of the shape that D takes. Raises `UsageError` for a D
    that does not give one logit a sample.
    """

    def __init__(self, discriminator: nn.Module, sample: Tensor, latent_size: int, width: int = 128) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.latent_size = latent_size
        self.last = last_layer(discriminator, sample)
        with torch.no_grad(), evaluating(discriminator):
            _, features = self._scored(sample)
        self.head = nn.Sequential(nn.Linear(features.shape[1] + latent_size, width), nn.ReLU(), nn.Linear(width, 1)).to(
            features.device
        )
        nn.init.zeros_(self.head[2].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.head[2].bias)  # type: ignore[arg-type]

    def forward(self, latent: Tensor, x: Tensor) -> Tensor:
        """The joint logits (n,) of pairs of a latent (n, latent_size) and a sample (n, …)."""
        score, features = self._scored(x)
        correction: Tensor = self.head(torch.cat((features, latent), dim=1))
        return correction.squeeze(1) - score

    def _scored(self, x: Tensor) -> tuple[Tensor, Tensor]:
        caught: list[Tensor] = []

        def catch(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            caught.append(arguments[0])

        with self.discriminator.get_submodule(self.last).register_forward_pre_hook(catch):
            score: Tensor = self.discriminator(x)
        return score.flatten(), caught[-1].flatten(1)


def last_layer(discriminator: nn.Module, sample: Tensor) -> str:
    """The name of the layer with a weight matrix that runs last; raises `UsageError` for what is no plain D(x)."""
    ran: list[str] = []
    handles = [
        module.register_forward_pre_hook(lambda *_, name=name: ran.append(name))
        for name, module in discriminator.named_modules()
        if parametrize.is_parametrized(module) or not any(True for _ in module.children())
    ]
    try:
        with torch.no_grad(), evaluating(discriminator):
            output = discriminator(sample)
    finally:
        for handle in handles:
            handle.remove()
    if not isinstance(output, Tensor) or output.numel() != len(sample):
        shape = tuple(output.shape[1:]) if isinstance(output, Tensor) else type(output).__name__
        raise UsageError(f"VEEGAN needs a discriminator with one logit a sample; this one gives {printable(shape)}.")
    weighted = [index for index, name in enumerate(ran) if _has_matrix(discriminator.get_submodule(name))]
    if not weighted:
        raise UsageError("VEEGAN found no layer with a weight matrix in the discriminator, so it has no features.")
    behind = [discriminator.get_submodule(name) for name in ran[weighted[-1] + 1 :]]
    if any(isinstance(module, nn.Sigmoid) for module in behind):
        raise UsageError("the discriminator ends in a sigmoid; VEEGAN needs its logit: leave the sigmoid to the loss.")
    return ran[weighted[-1]]


def _has_matrix(module: nn.Module) -> bool:
    # A parametrised weight is not asked for: computing it moves the vectors of a spectral norm in training.
    if parametrize.is_parametrized(module, "weight"):
        return True
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and weight.ndim >= 2
