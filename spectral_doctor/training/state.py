"""The training state: everything a run is between two steps."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn
from torch.optim import Optimizer

from spectral_doctor.checkpoints.training_state import STATE_FORMAT, read_state
from spectral_doctor.errors import UsageError, listed, printable
from spectral_doctor.evaluation import Evaluation
from spectral_doctor.gan.losses import RELATIVISTIC
from spectral_doctor.gan.recipes import Recipe
from spectral_doctor.gan.settings import Settings
from spectral_doctor.training.pace import Pace
from spectral_doctor.training.randomness import captured_randomness, restore_randomness
from spectral_doctor.training.records import StepLosses
from spectral_doctor.training.world import World
from spectral_doctor.trajectory.monitor import SpectralMonitor


class Treatment(Protocol):
    """What is done to a discriminator after each of its updates, and all that decides how it goes on."""

    def step(self) -> object:
        """Take notice of one update of the discriminator."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        ...


class Method(Protocol):
    """What a step of training is where it is not the recipe's own, and all that it needs beside the run."""

    name: str

    def step(self, state: TrainingState, world: World) -> StepLosses:
        """Update discriminator and generator once."""
        ...

    def optimizers(self) -> tuple[tuple[Optimizer, ...], tuple[Optimizer, ...]]:
        """Those of networks of its own, on the generator's side and on the discriminator's."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        ...


@dataclass(eq=False)
class TrainingState:
    """A run between two steps: networks, the generator's average, optimizers, step, randomness, envelope.

    `name` is what the recipe was asked for by, so that a checkpoint tells how it can be resumed. Without a
    `method` a step is that of a plain GAN, without a `pace` the rates are those of the settings.
    """

    recipe: Recipe
    generator: nn.Module
    discriminator: nn.Module
    average: nn.Module | None
    generator_optimizer: Optimizer
    discriminator_optimizer: Optimizer
    random: torch.Generator
    step: int = 0
    name: str = ""
    seed: int = 0
    treatment: Treatment | None = None
    method: Method | None = None
    pace: Pace | None = None
    monitor: SpectralMonitor = field(init=False)

    def __post_init__(self) -> None:
        self.monitor = SpectralMonitor(self.discriminator)

    @classmethod
    def fresh(
        cls, recipe: Recipe, seed: int, device: torch.device | str | None = None, name: str = ""
    ) -> TrainingState:
        """Build a run's state before its first step; the seed decides the initial weights and all that is drawn.

        With the relativistic loss its method is that loss's step.
        """
        torch.manual_seed(seed)
        generator, discriminator = (network.to(device) for network in recipe.networks())
        optimizers = recipe.optimizers(generator, discriminator)
        average = copy.deepcopy(generator).requires_grad_(False) if recipe.settings.ema else None
        random = torch.Generator().manual_seed(seed)
        state = cls(recipe, generator, discriminator, average, *optimizers, random, 0, name, seed)
        if recipe.settings.loss == RELATIVISTIC:
            from spectral_doctor.training.relativistic import Relativistic

            state.method = Relativistic(state)
        return state

    def optimizers(self) -> tuple[tuple[Optimizer, ...], tuple[Optimizer, ...]]:
        """All optimizers, on the generator's side and on the discriminator's."""
        beside = ((), ()) if self.method is None else self.method.optimizers()
        return (self.generator_optimizer, *beside[0]), (self.discriminator_optimizer, *beside[1])

    def content(self, evaluation: Evaluation | None) -> dict[str, Any]:
        """Return the state as nested dicts of tensors and plain values, loadable with `weights_only=True`.

        `data` is the recipe's own position in its data, where it keeps one (`state_dict`).
        """
        keeps_position = getattr(self.recipe, "state_dict", None)
        return {
            "format": STATE_FORMAT,
            "step": self.step,
            "recipe": self.name,
            "seed": self.seed,
            "settings": asdict(self.recipe.settings),
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "generator_ema": None if self.average is None else self.average.state_dict(),
            "generator_optimizer": self.generator_optimizer.state_dict(),
            "discriminator_optimizer": self.discriminator_optimizer.state_dict(),
            "rng": {"training": self.random.get_state(), **captured_randomness()},
            "data": keeps_position() if keeps_position else None,
            "envelope": {
                name: torch.tensor(values, dtype=torch.float64) for name, values in self.monitor.envelope.items()
            },
            "treatment": None if self.treatment is None else self.treatment.state_dict(),
            "method": None if self.method is None else self.method.state_dict(),
            "pace": None if self.pace is None else asdict(self.pace),
            "evaluation": None if evaluation is None else asdict(evaluation),
        }

    def restore(self, content: Mapping[str, Any], path: Path) -> None:
        """Put a saved state back, to the last bit; raises `UsageError` where the settings build other networks.

        An average that the state did not have yet begins at its generator. `path` is where the state was saved.
        """
        for name in ("generator", "discriminator"):
            network: nn.Module = getattr(self, name)
            check_fit(network, content[name], path, name)
            network.load_state_dict(content[name])
        if self.average is not None:
            self.average.load_state_dict(content["generator_ema"] or content["generator"])
        self.generator_optimizer.load_state_dict(content["generator_optimizer"])
        self.discriminator_optimizer.load_state_dict(content["discriminator_optimizer"])
        self.random.set_state(content["rng"]["training"])
        restore_randomness(content["rng"])
        if content["data"] is not None:
            self.recipe.load_state_dict(content["data"])  # type: ignore[attr-defined]
        self.monitor.raise_envelope({name: values.tolist() for name, values in content["envelope"].items()})
        if self.treatment is not None and content["treatment"] is not None:
            self.treatment.load_state_dict(content["treatment"])
        if self.method is not None and content.get("method") is not None:
            self.method.load_state_dict(content["method"])
        self.step = int(content["step"])


def check_fit(network: nn.Module, tensors: Mapping[str, Any], path: Path, name: str) -> None:
    """Raise `UsageError` unless the saved tensors are those of the network, by their names and shapes."""
    own = network.state_dict()
    extra, lacking = sorted(tensors.keys() - own.keys()), sorted(own.keys() - tensors.keys())
    common = own.keys() & tensors.keys()
    shapes = [
        key for key in common if tuple(getattr(own[key], "shape", ())) != tuple(getattr(tensors[key], "shape", ()))
    ]
    if extra or lacking or shapes:
        raise UsageError(
            f"{printable(path)}: its {name} is not the recipe's: not in the recipe {listed(extra, 3) or 'nothing'}, "
            f"not in the file {listed(lacking, 3) or 'nothing'}, other shapes {listed(sorted(shapes), 3) or 'none'}."
        )


def load_state(state: TrainingState, path: Path) -> None:
    """Restore a run from one of its checkpoints.

    Raises `UnreadableCheckpoint` where it is none, and `UsageError` where it was trained with other settings.
    """
    content = read_state(path)
    if content["recipe"] != state.name:
        raise UsageError(
            f"{path}: trained by the recipe '{printable(content['recipe'])}', not '{printable(state.name)}'."
        )
    if content["treatment"] is not None and state.treatment is None:
        raise UsageError(f"{path}: a treated run; go on with `fix --resume`, not with `train`.")
    if content["treatment"] is None and state.treatment is not None:
        raise UsageError(f"{path}: a run without compensation; resume it as it was started.")
    if state.treatment is not None:
        before, applied = content["treatment"].get("apply"), state.treatment.state_dict()["apply"]
        if before != applied:
            raise UsageError(f"{path}: treated with --apply {printable(before)}, not {applied}; resume with the same.")
    saved, mode = (content.get("method") or {}).get("mode", "gan"), state.method.name if state.method else "gan"
    if saved != mode:
        raise UsageError(f"{path}: trained with --mode {printable(saved)}, not {mode}; resume with the same.")
    # A setting that is newer than the state had its default.
    before, now = {**asdict(Settings()), **content["settings"]}, asdict(state.recipe.settings)
    changed = [
        f"{printable(key)} was {before.get(key)!r}, is {now.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key) and key not in ("steps", "save_every")
    ]
    if changed:
        raise UsageError(f"{path}: trained with other settings ({'; '.join(changed)}); resume with the same ones.")
    _check_pace(state, content, path)
    state.restore(content, path)


def _check_pace(state: TrainingState, content: Mapping[str, Any], path: Path) -> None:
    saved = content.get("pace")
    before = None if saved is None else Pace(**saved)
    if state.pace is None:
        if before is not None:
            raise UsageError(f"{path}: trained at rates of its own; go on with `fix --resume`, with the same ones.")
        return
    changed = state.pace.differs(before)
    if changed:
        raise UsageError(f"{path}: trained at other rates ({'; '.join(changed)}); resume with the same ones.")


def is_finite(*losses: float) -> bool:
    """Say whether all of some losses are finite."""
    return all(math.isfinite(loss) for loss in losses)
