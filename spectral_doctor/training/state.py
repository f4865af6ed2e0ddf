"""The training state: everything a run is, in one file that holds tensors and plain values only."""

from __future__ import annotations

import copy
import io
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from spectral_doctor.checkpoints.reading import read_tree
from spectral_doctor.checkpoints.writing import write_atomically
from spectral_doctor.errors import UnreadableCheckpoint, UsageError, printable
from spectral_doctor.evaluation import Evaluation
from spectral_doctor.gan.recipes import Recipe

STATE_FORMAT = "spectral-doctor/training/1"
_FILE = re.compile(r"^step-(\d{6,})\.pt$")


@dataclass(eq=False)
class TrainingState:
    """A run between two steps: both networks, the generator's average, both optimizers, step and randomness."""

    recipe: Recipe
    generator: nn.Module
    discriminator: nn.Module
    average: nn.Module | None
    generator_optimizer: Optimizer
    discriminator_optimizer: Optimizer
    random: torch.Generator
    step: int = 0

    @classmethod
    def fresh(cls, recipe: Recipe, seed: int) -> TrainingState:
        """Build a run's state before its first step; the seed decides the initial weights and all that is drawn."""
        torch.manual_seed(seed)
        generator, discriminator = recipe.networks()
        optimizers = recipe.optimizers(generator, discriminator)
        average = copy.deepcopy(generator).requires_grad_(False) if recipe.settings.ema else None
        return cls(recipe, generator, discriminator, average, *optimizers, torch.Generator().manual_seed(seed))

    def content(self, evaluation: Evaluation | None) -> dict[str, Any]:
        """Return the state as nested dicts of tensors and plain values, loadable with `weights_only=True`."""
        return {
            "format": STATE_FORMAT,
            "step": self.step,
            "settings": asdict(self.recipe.settings),
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "generator_ema": None if self.average is None else self.average.state_dict(),
            "generator_optimizer": self.generator_optimizer.state_dict(),
            "discriminator_optimizer": self.discriminator_optimizer.state_dict(),
            "rng": {"training": self.random.get_state(), "torch": torch.get_rng_state()},
            "evaluation": None if evaluation is None else asdict(evaluation),
        }

    def restore(self, content: Mapping[str, Any]) -> None:
        """Put a saved state back, to the last bit."""
        self.generator.load_state_dict(content["generator"])
        self.discriminator.load_state_dict(content["discriminator"])
        if self.average is not None:
            self.average.load_state_dict(content["generator_ema"])
        self.generator_optimizer.load_state_dict(content["generator_optimizer"])
        self.discriminator_optimizer.load_state_dict(content["discriminator_optimizer"])
        self.random.set_state(content["rng"]["training"])
        torch.set_rng_state(content["rng"]["torch"])
        self.step = int(content["step"])


def save_state(state: TrainingState, path: Path, evaluation: Evaluation | None) -> None:
    """Write a run's state to a file, wholly or not at all; raises `OSError`."""
    buffer = io.BytesIO()
    torch.save(state.content(evaluation), buffer)
    write_atomically(path, buffer.getvalue())


def saved_states(folder: Path) -> list[Path]:
    """The state files of a run in step order."""
    files = [(int(match[1]), path) for path in folder.glob("step-*.pt") if (match := _FILE.match(path.name))]
    return [path for _, path in sorted(files)]


def load_state(state: TrainingState, path: Path) -> None:
    """Restore a run from one of its state files.

    Raises `UnreadableCheckpoint` where it is none, and `UsageError` where it was trained with other settings.
    """
    read_tree(path)  # refuses what is no checkpoint, or not safe, with its own sentence
    content = torch.load(path, weights_only=True)
    if not isinstance(content, dict) or content.get("format") != STATE_FORMAT:
        raise UnreadableCheckpoint(
            path, "not a training state of this version", "Start a run with `train RECIPE -o DIR`."
        )
    before, now = content["settings"], asdict(state.recipe.settings)
    changed = [
        f"{printable(key)} was {before.get(key)!r}, is {now.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key) and key not in ("steps", "save_every")
    ]
    if changed:
        raise UsageError(f"{path}: trained with other settings ({'; '.join(changed)}); resume with the same ones.")
    state.restore(content)


def is_finite(*losses: float) -> bool:
    """Say whether all of some losses are finite."""
    return all(math.isfinite(loss) for loss in losses)
