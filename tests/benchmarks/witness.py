"""How much a wrong guess of what a file does not hold changes PR16, and how often batch norms tell the right one.

    python tests/benchmarks/witness.py [--steps 1500] [FOLDER ...]

Perceptrons with four activations are trained on the mixtures `ring` and `grid` at two rates each, at one of which they
lose modes; each checkpoint's PR16 (participation, 768 samples) is taken with the true activation and with every other.
Convolutional generators with batch norms are trained on glyphs; of them the activation that the witness finds is
counted. For FOLDERs of strangers' checkpoints every generator is rebuilt, and PR16 taken under each guess where no norm
remembers. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spectral_doctor.arrays import Array, live_arrays
from spectral_doctor.errors import DoctorError
from spectral_doctor.evaluation.spread import measured_spread
from spectral_doctor.gan.builtin import RECIPES
from spectral_doctor.gan.networks import ConvolutionalGenerator
from spectral_doctor.gan.settings import Settings
from spectral_doctor.generators.chain import chain
from spectral_doctor.generators.evidence import witness
from spectral_doctor.generators.finding import generators_of
from spectral_doctor.generators.fitting import drawn
from spectral_doctor.generators.forward import ACTIVATIONS, Manner, Pass
from spectral_doctor.generators.rebuild import rebuilt
from spectral_doctor.generators.records import NotRebuilt, Sampler
from spectral_doctor.training.loop import update
from spectral_doctor.training.state import TrainingState
from spectral_doctor.training.world import World

TRUTHS: Mapping[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky relu 0.2": lambda: nn.LeakyReLU(0.2),
    "elu": nn.ELU,
    "tanh": nn.Tanh,
}
FACTORS = (1.0, 5.0)
SAVED = 3


def participation(network: Mapping[str, Array], activation: str) -> float:
    """PR16 of a chain of layers with an activation that is given, whatever norms remember."""
    read = chain(network)
    assert not isinstance(read, NotRebuilt), read.reason
    shape, steps = read
    with torch.inference_mode():
        trial = Pass(Manner(activation))
        settled, _ = trial.settle(steps, drawn(shape, 256, 0))
        made = trial.run(settled, drawn(shape, 768, 0))
    return measured_spread(made.numpy(), int(np.prod(shape))).participation


def trained(name: str, settings: Settings, activation: Callable[[], nn.Module], seed: int) -> Iterator[nn.Module]:
    """A recipe's generator with another activation, at three steps of its training."""
    recipe = RECIPES[name].build(settings)
    built = recipe.networks

    def networks() -> tuple[nn.Module, nn.Module]:
        generator, discriminator = built()
        return with_activation(generator, activation), discriminator

    recipe.networks = networks  # type: ignore[method-assign]
    state = TrainingState.fresh(recipe, seed, name=name)
    for step in range(1, settings.steps + 1):
        update(state, World())
        if step % (settings.steps // SAVED) == 0:
            yield state.generator.eval()
            state.generator.train()


def with_activation(module: nn.Module, activation: Callable[[], nn.Module]) -> nn.Module:
    """A network with another activation in the place of every ReLU."""
    for name, part in list(module.named_children()):
        if isinstance(part, nn.ReLU):
            setattr(module, name, activation())
        else:
            with_activation(part, activation)
    return module


def perceptrons(steps: int) -> Iterator[tuple[str, dict[str, float]]]:
    """The true activation of every checkpoint, and its PR16 under every guess."""
    for name in ("ring", "grid"):
        for factor in FACTORS:
            base = RECIPES[name].settings
            settings = replace(base, steps=steps, learning_rate_generator=factor * base.learning_rate_generator)
            for seed, (truth, activation) in enumerate(TRUTHS.items()):
                for module in trained(name, settings, activation, seed):
                    network = live_arrays({key: value.clone() for key, value in module.state_dict().items()})
                    yield truth, {guess: participation(network, guess) for guess in ACTIVATIONS}


def convolutional(steps: int) -> Iterator[tuple[str, str, float]]:
    """The true activation of every checkpoint with norms, what the witness says, and by how much PR16 is off."""
    base = RECIPES["stacked-glyphs"].settings
    settings = replace(base, steps=steps, network="cnn", n_dis=1)
    for seed, (truth, activation) in enumerate(TRUTHS.items()):
        for module in trained("stacked-glyphs", settings, activation, seed):
            assert isinstance(module, ConvolutionalGenerator)
            network = live_arrays({key: value.clone() for key, value in module.state_dict().items()})
            made = rebuilt(network)
            assert not isinstance(made, NotRebuilt), made.reason
            sampler = made.ready()
            with torch.inference_mode():
                latent = drawn(made.latent_shape, 768, 0)
                true = measured_spread(module(latent).numpy(), made.latent_dim).participation
                found = np.nan
                if isinstance(sampler, Sampler):
                    found = measured_spread(sampler.forward(latent).numpy(), made.latent_dim).participation
            yield truth, sampler.why if isinstance(sampler, Sampler) else sampler.reason, abs(found - true)


def strangers(folders: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """What every generator of strangers' files gives."""
    for path in sorted(path for folder in folders for path in folder.rglob("*") if path.is_file()):
        try:
            networks = generators_of(path)
        except DoctorError:
            continue
        for network in networks:
            if network.location != str(path):
                continue
            evidence = witness(network.arrays)
            row: dict[str, Any] = {"file": "/".join(path.parts[-3:]), "key": network.name}
            if isinstance(evidence, NotRebuilt):
                yield row | {"not rebuilt": evidence.reason}
                continue
            row |= {"PR16": round(evidence.spread.participation, 3), "vendi": round(evidence.spread.vendi, 1)}
            row |= {"duplicates": round(evidence.duplicates, 3), "why": evidence.why}
            if not isinstance(chain(network.arrays), NotRebuilt):
                guesses = {guess: round(participation(network.arrays, guess), 3) for guess in ACTIVATIONS}
                row["PR16 by guess"] = guesses
            yield row


def main() -> None:
    """Train, rebuild, and print the tables and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--steps", type=int, default=1500)
    arguments = parser.parse_args()
    result: dict[str, Any] = {"strangers": list(strangers(arguments.folders))}
    for row in result["strangers"]:
        print(row)
    rows = list(perceptrons(arguments.steps))
    for truth, scores in rows:
        print(f"{truth:16s}", *(f"{guess} {score:6.3f}" for guess, score in scores.items()), flush=True)
    # ReLU is what is assumed where no norm remembers.
    assumed = {
        truth: [abs(scores["relu"] - scores[truth]) for other, scores in rows if other == truth] for truth in TRUTHS
    }
    true = [scores[truth] for truth, scores in rows]
    result["perceptrons"] = {
        "checkpoints": len(rows),
        "PR16 true, least to most": [round(min(true), 3), round(max(true), 3)],
        "off by, mean and most": {
            truth: [round(float(np.mean(values)), 3), round(max(values), 3)] for truth, values in assumed.items()
        },
    }
    told = list(convolutional(max(arguments.steps // 5, SAVED)))
    for truth, why, off in told:
        print(f"{truth:16s} off by {off:.3f}  {why}", flush=True)
    result["with norms"] = {
        "checkpoints": len(told),
        "activation found": sum(why.startswith(f"{truth} between") for truth, why, _ in told),
        "not rebuilt": sum("fits no guess" in why for _, why, _ in told),
        "PR16 off by, most": round(float(np.nanmax([off for *_, off in told])), 3),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
