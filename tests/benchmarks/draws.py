"""What the runs of the second corpus are: drawn settings, decided by (seed, index) alone.

Half of the runs, the even ones, have spectral norm. Mixtures have modes of several widths; two fifths of them are
stretched, shifted or of unequal weights. Images have one digit or two. Two thirds of the runs have two phases: after
the first the rates change, for good. So many learn first and then lose modes, which with constant settings few short
runs do.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

KINDS = {"ring": 12, "grid": 1, "digits": 5, "glyphs": 2}
CHECKPOINTS = 20


@dataclass(frozen=True)
class Draw:
    """A run before it is trained: recipe, what of its settings is changed, seed; what changes `later`, after a step."""

    recipe: str
    changes: dict[str, str]
    seed: int
    origin: str
    later: dict[str, str] = field(default_factory=dict)
    after: int = 0


def drawn(seed: int, index: int) -> Draw:
    """The run of an index; another `seed` draws another corpus."""
    source = random.Random(f"corpus 2/{seed}/{index}")
    kind = source.choices(list(KINDS), list(KINDS.values()))[0]
    normalised = index % 2 == 0
    # In so few steps no grid learns well enough to lose anything.
    phased = source.random() < 0.75 and kind != "grid"
    make = _mixture if kind in ("ring", "grid") else _image
    chosen = make(source, kind, normalised, phased)
    steps = int(str(chosen["steps"]))
    chosen |= {"spectral_norm": normalised, "save_every": steps // CHECKPOINTS}
    later = _later(source, kind, chosen) if phased else {}
    after = round(source.uniform(0.45, 0.65) * CHECKPOINTS) * (steps // CHECKPOINTS) if later else 0
    recipe = {"digits": "stacked-digits", "glyphs": "stacked-glyphs"}.get(kind, kind)
    texts = [{key: str(value) for key, value in changes.items()} for changes in (chosen, later)]
    return Draw(recipe, texts[0], 10_000 * seed + index, kind, texts[1], after)


def _mixture(source: random.Random, kind: str, normalised: bool, phased: bool) -> dict[str, object]:
    slowest, fastest = (-2.4, -2.0) if normalised else (-2.4, -1.9)
    rate = 10 ** source.uniform(slowest if phased else slowest - 0.4, fastest)
    narrow, wide = (0.01, 0.05) if kind == "ring" else (0.05, 0.12)
    chosen: dict[str, object] = {
        "standard_deviation": wide if phased else source.choice((narrow, wide, wide, wide)),
        "discriminator_channels": source.choice((16, 32, 64, 64, 128)),
        "generator_channels": source.choice((32, 64, 64, 128)),
        "latent_dim": source.choice((2, 8, 8, 32)),
        "batch_size": source.choice((32, 64, 64, 128)),
        "steps": 3000 if kind == "ring" else 4000,
        "r1": source.choice((0.0, 0.0, 0.1)) * (1 if kind == "ring" else 16),
        **_driven(source, rate, phased, normalised),
    }
    geometry = source.choice(("", "", "", "stretch", "shift", "imbalance"))
    if geometry == "stretch":
        chosen["stretch"] = source.choice((2.0, 4.0) if phased else (2.0, 4.0, 8.0))
    elif geometry == "shift":
        chosen["shift"] = source.choice((0.5, 1.0) if phased else (0.5, 1.0, 2.0))
    elif geometry:
        chosen["imbalance"] = source.choice((2.0, 3.0) if phased else (3.0, 10.0, 20.0))
    return chosen


def _image(source: random.Random, kind: str, normalised: bool, phased: bool) -> dict[str, object]:
    return {
        "network": source.choice(("resnet", "cnn", "dcgan", "dcgan")),
        "discriminator_channels": source.choice((8, 12, 16) if phased else (4, 8, 12, 16)),
        "generator_channels": source.choice((16, 24)),
        "latent_dim": source.choice((8, 16, 64)),
        "batch_size": 32,
        "steps": 600,
        "samples": 1500,
        "stack": 1 if phased else source.choice((1, 1, 1, 2)),
        **_driven(source, 10 ** source.uniform(-3.2, -2.3 if phased else -1.8), phased, False),
    }


def _driven(source: random.Random, rate: float, phased: bool, slow: bool) -> dict[str, object]:
    """Loss, rates and momentum: the discriminator's rate, and the generator's from a fifth of it to five times."""
    learning = (0.2, 0.33, 0.5) if slow else (0.5, 1.0, 1.0)
    ratio = source.choice(learning if phased else (*learning, 1.0, 2.0, 5.0))
    return {
        "loss": source.choice(("hinge", "logistic", "logistic", "least-squares")),
        "learning_rate_discriminator": round(rate, 6),
        "learning_rate_generator": round(rate * ratio, 6),
        "beta1": source.choice((0.0, 0.0, 0.0 if slow else 0.5) if phased else (0.0, 0.0, 0.5, 0.5, 0.9)),
        "beta2": source.choice((0.9, 0.99, 0.999)),
        "n_dis": 1,
    }


def _later(source: random.Random, kind: str, chosen: dict[str, object]) -> dict[str, object]:
    """What changes for good: the generator hurries, in one run of five both networks do, without a penalty any more."""
    hurried = {
        ("ring", False): (0.02, 0.03, 0.04, 0.05),
        ("ring", True): (0.015, 0.025, 0.04, 0.06),
        ("image", False): (0.02, 0.04, 0.08),
        ("image", True): (0.04, 0.08, 0.12),
    }[kind if kind == "ring" else "image", bool(chosen["spectral_norm"])]
    discriminator = float(str(chosen["learning_rate_discriminator"]))
    return {
        "learning_rate_generator": source.choice(hurried),
        "learning_rate_discriminator": round(discriminator * source.choice((1, 1, 1, 1, 3)), 6),
        "r1": 0.0,
    }
