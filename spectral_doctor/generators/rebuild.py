"""From the tensors of a generator to one that can be sampled, family by family."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from spectral_doctor.arrays import Array
from spectral_doctor.errors import WeightError
from spectral_doctor.generators.chain import chain
from spectral_doctor.generators.fitting import settled
from spectral_doctor.generators.layers import WAY_OUT
from spectral_doctor.generators.records import NotRebuilt, Rebuilt, Sampler
from spectral_doctor.generators.residual import has_blocks, residual
from spectral_doctor.generators.steps import Step
from spectral_doctor.generators.stylegan import is_stylegan, stylegan2

LARGEST_PARAMETERS = 200_000_000
_CONDITIONAL = frozenset(
    {"label_emb", "class_emb", "label_embedding", "embed_y", "shared_embedding", "emb_labels", "label_embed"}
)


def rebuilt(network: Mapping[str, Array]) -> Rebuilt | NotRebuilt:
    """Read a generator's tensors (dotted name → array) as a network that can be sampled; nothing is read or run yet.

    Known are a perceptron, a chain of (transposed) convolutions with batch norms (DCGAN, Radford et al. 2016),
    residual blocks (SNGAN, Miyato et al. 2018) and StyleGAN2 (Karras et al. 2020). Activations, strides, upsamplings
    and the latents' distribution are not stored: the usual ones are taken, and where batch norms remember statistics
    of training, those that they remember.
    """
    parameters = sum(array.size for array in network.values() if array.element.is_float)
    if parameters > LARGEST_PARAMETERS:
        return NotRebuilt(f"it has {parameters} values, and at most {LARGEST_PARAMETERS} are sampled here")
    if any(array.overlaps for array in network.values()):
        return NotRebuilt("a tensor of it claims more values than the file holds")
    if is_stylegan(network):
        return stylegan2(network, parameters)
    if any(not _CONDITIONAL.isdisjoint(key.split(".")) for key in network):
        return NotRebuilt(f"it takes a label beside the latent; {WAY_OUT}")
    family, read = ("residual blocks", residual) if has_blocks(network) else ("a chain of layers", chain)
    found = read(network)
    if isinstance(found, NotRebuilt):
        return found
    latent_shape, steps = found
    return Rebuilt(family, latent_shape, parameters, f"read as {family}", partial(_ready, steps, latent_shape))


def _ready(steps: tuple[Step, ...], latent_shape: tuple[int, ...]) -> Sampler | NotRebuilt:
    try:
        return settled(steps, latent_shape)
    except WeightError as error:
        return NotRebuilt(f"it cannot be run: {error}")
    except RuntimeError as error:
        # PyTorch's own word on shapes that do not go together.
        return NotRebuilt(f"its layers do not go together as they were read ({str(error).splitlines()[0]}); {WAY_OUT}")
