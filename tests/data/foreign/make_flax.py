# mypy: ignore-errors
"""Writes the small flax file of this folder, as flax itself writes it.

`pip install flax==0.12.8`, then `python make_flax.py` in this folder. `flax.npz` has what the discriminator answers.
"""

from __future__ import annotations

from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import serialization


class Discriminator(nn.Module):
    """A convolution with spectral norm, a transposed one, a dense layer."""

    @nn.compact
    def __call__(self, image: jax.Array, train: bool) -> jax.Array:
        """One value an image."""
        hidden = nn.SpectralNorm(nn.Conv(4, (3, 3), padding="VALID"))(image, update_stats=train)
        hidden = nn.ConvTranspose(5, (2, 2), padding="VALID", use_bias=False)(hidden)
        hidden = nn.BatchNorm(use_running_average=not train)(hidden)
        return nn.Dense(1)(hidden.reshape(hidden.shape[0], -1))


image = np.random.default_rng(0).normal(size=(2, 7, 7, 3)).astype(np.float32)
network = Discriminator()
variables = network.init(jax.random.PRNGKey(3), image, train=True)
_, changed = network.apply(variables, image, train=True, mutable=["batch_stats"])
variables = {"params": variables["params"], "batch_stats": changed["batch_stats"]}
state = {
    "step": 20,
    "discriminator": variables,
    "generator": {"params": {"Dense_0": {"kernel": jnp.ones((2, 3), jnp.bfloat16)}}},
    "discriminator_opt_state": {"0": {"mu": variables["params"], "count": jnp.int32(20)}},
}
Path("flax_20.msgpack").write_bytes(serialization.to_bytes(state))
np.savez("flax.npz", image=image, answer=np.asarray(network.apply(variables, image, train=False)))
print(jax.tree.map(jnp.shape, state))
