"""Where a run's numbers go beside its checkpoints: trackers by name, each imported when it is asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from spectral_doctor.errors import MissingExtra

Tracker = Callable[[int, Mapping[str, float]], None]
PROJECT = "spectral-doctor"
# What MLflow lets a metric be called.
_MLFLOW_REFUSES = re.compile(r"[^\w\-. /:]")


def named_trackers() -> dict[str, Callable[[Path], Tracker]]:
    """The trackers that `--tracker` knows by name; each takes the folder that TensorBoard's files would go into.

    wandb and trackio log into the run that is open, or begin one in the project "spectral-doctor"; MLflow logs into
    the active run, or begins one. Where they keep it is for their own variables to say (WANDB_MODE, WANDB_PROJECT,
    MLFLOW_TRACKING_URI). All raise `MissingExtra` where the package is not installed.
    """
    return {"wandb": _wandb, "mlflow": _mlflow, "tensorboard": TensorBoard, "trackio": _trackio}


class TensorBoard:
    """A tracker that writes TensorBoard scalars, and figures, into a folder; raises `MissingExtra` without it."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtra("the tracker tensorboard", "tensorboard", "'spectral-doctor[tensorboard]'") from error
        self._writer = SummaryWriter(str(folder))

    def __call__(self, step: int, values: Mapping[str, float]) -> None:
        """Write the numbers of a step."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def picture(self, name: str, figure: Any, step: int) -> None:
        """Write a matplotlib figure of a step as an image."""
        self._writer.add_figure(name, figure, step)
        self._writer.flush()


def _wandb(_: Path) -> Tracker:
    wandb = _imported("wandb")
    if wandb.run is None:
        wandb.init(project=None if _is_set("WANDB_PROJECT") else PROJECT)
    # The run that is open may count steps of its own, so that ours are an axis beside it.
    wandb.define_metric("spectral/step")
    wandb.define_metric("spectral/*", step_metric="spectral/step")
    return lambda step, values: wandb.log({"spectral/step": step, **_prefixed(values)})


def _trackio(_: Path) -> Tracker:
    trackio = _imported("trackio")
    run = trackio.init(project=PROJECT)
    return lambda step, values: run.log(_prefixed(values), step=step)


def _mlflow(_: Path) -> Tracker:
    mlflow = _imported("mlflow")

    def track(step: int, values: Mapping[str, float]) -> None:
        mlflow.log_metrics({_MLFLOW_REFUSES.sub("_", name): value for name, value in _prefixed(values).items()}, step)

    return track


def _imported(package: str) -> Any:
    try:
        return import_module(package)
    except ImportError as error:
        raise MissingExtra(f"the tracker {package}", package, f"'spectral-doctor[{package}]'") from error


def _is_set(variable: str) -> bool:
    import os

    return bool(os.environ.get(variable))


def _prefixed(values: Mapping[str, float]) -> dict[str, float]:
    return {f"spectral/{name}": value for name, value in values.items()}
