"""What the runs of the second corpus are: drawn settings, decided by (seed, index) alone.

Half of the runs, the even ones, have spectral norm. A third of the mixtures are stretched, shifted or of unequal
weights. `hard` runs are driven fast or with momentum: at gentle rates nearly all stay healthy.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

KINDS = {"mixture": 7, "image": 3}
CHECKPOINTS = 20


@dataclass(frozen=True)
class Draw:
    """A run before it is trained: its recipe, what of the recipe's settings is changed, its seed, where it is from."""

    recipe: str
    changes: dict[str, str]
    seed: int
    origin: str


def drawn(seed: int, index: int) -> Draw:
    """The run of an index; another `seed` draws another corpus."""
    source = random.Random(f"corpus 2/{seed}/{index}")
    kind = source.choices(list(KINDS), list(KINDS.values()))[0]
    recipe, chosen = (_mixture if kind == "mixture" else _image)(source)
    chosen["spectral_norm"] = index % 2 == 0
    chosen["save_every"] = int(str(chosen["steps"])) // CHECKPOINTS
    return Draw(recipe, {key: str(value) for key, value in chosen.items()}, 10_000 * seed + index, kind)


def _mixture(source: random.Random) -> tuple[str, dict[str, object]]:
    recipe = source.choice(("ring", "ring", "grid"))
    rate = 10 ** source.uniform(-3.4, -1.9)
    chosen: dict[str, object] = {
        "discriminator_channels": source.choice((16, 32, 64, 128)),
        "generator_channels": source.choice((32, 64, 128)),
        "latent_dim": source.choice((2, 8, 32)),
        "batch_size": source.choice((32, 64, 128)),
        "steps": source.choice((3000, 4000, 6000)),
        **_driven(source, rate),
    }
    geometry = source.choice(("", "", "stretch", "shift", "imbalance"))
    if geometry == "stretch":
        chosen["stretch"] = source.choice((2.0, 4.0, 8.0))
    elif geometry == "shift":
        chosen["shift"] = source.choice((1.0, 3.0))
    elif geometry:
        chosen["imbalance"] = source.choice((3.0, 10.0))
    return recipe, chosen


def _image(source: random.Random) -> tuple[str, dict[str, object]]:
    return source.choice(("stacked-glyphs", "stacked-digits")), {
        "network": source.choice(("resnet", "cnn", "cnn", "dcgan")),
        "discriminator_channels": source.choice((4, 8, 12, 16)),
        "generator_channels": source.choice((16, 24)),
        "latent_dim": source.choice((8, 16, 64)),
        "batch_size": 32,
        "steps": 800,
        "samples": 1500,
        **_driven(source, 10 ** source.uniform(-3.5, -1.6)),
    }


def _driven(source: random.Random, rate: float) -> dict[str, object]:
    ratio = source.choice((0.2, 0.5, 1.0, 1.0, 2.0))
    return {
        "loss": source.choice(("hinge", "logistic", "logistic", "least-squares")),
        "learning_rate_discriminator": round(rate, 6),
        "learning_rate_generator": round(rate * ratio, 6),
        "beta1": source.choice((0.0, 0.5, 0.5, 0.9)),
        "beta2": source.choice((0.9, 0.999, 0.999)),
        "n_dis": source.choice((1, 1, 1, 2)),
    }
