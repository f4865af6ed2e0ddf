"""Where a run's numbers go beside its checkpoints: trackers by name, each imported when it is asked for."""

from __future__ import annotations

import errno
import itertools
import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

from spectral_doctor.errors import MissingExtra

Tracker = Callable[[int, Mapping[str, float]], None]
PROJECT = "spectral-doctor"
# What MLflow lets a metric be called.
_MLFLOW_REFUSES = re.compile(r"[^\w\-. /:]")
_opened = itertools.count()


def named_trackers() -> dict[str, Callable[[Path], Tracker]]:
    """The trackers that `--tracker` knows by name; each takes the folder that TensorBoard's files would go into.

    wandb and trackio log into the run that is open, or begin one in the project "spectral-doctor"; MLflow logs into
    the active run, or begins one. Where they keep it is for their own variables to say (WANDB_MODE, WANDB_PROJECT,
    MLFLOW_TRACKING_URI). All raise `MissingExtra` where the package is not installed.
    """
    return {"wandb": _wandb, "mlflow": _mlflow, "tensorboard": TensorBoard, "trackio": _trackio}


class TensorBoard:
    """A tracker that writes TensorBoard scalars, and figures, into a folder; raises `MissingExtra` without it.

    One file of events a tracker, as TensorBoard names them. A step is written here and now and not by a thread of
    TensorBoard's, whose failure would be a traceback on the terminal; what a full disk refuses leaves no torn record.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._summary: Any = import_module("torch.utils.tensorboard").summary
            self._event: Any = import_module("tensorboard.compat.proto.event_pb2").Event
        except ImportError as error:
            raise MissingExtra("the tracker tensorboard", "tensorboard", "'spectral-doctor[tensorboard]'") from error
        folder.mkdir(parents=True, exist_ok=True)
        place = f"{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_opened)}"
        self._path = folder / f"events.out.tfevents.{place}"
        self._append(self._event(file_version="brain.Event:2", wall_time=time.time()))

    def __call__(self, step: int, values: Mapping[str, float]) -> None:
        """Write the numbers of a step; raises `OSError`."""
        self._summarize(step, *(self._summary.scalar(name, value) for name, value in values.items()))

    def picture(self, name: str, figure: Any, step: int) -> None:
        """Write a figure of a step, on one of matplotlib's Agg canvases, as an image; raises `OSError`."""
        import numpy as np

        figure.canvas.draw()
        pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]
        self._summarize(step, self._summary.image(name, pixels, dataformats="HWC"))

    def _summarize(self, step: int, *summaries: Any) -> None:
        now = time.time()
        self._append(*(self._event(summary=summary, step=step, wall_time=now) for summary in summaries))

    def _append(self, *events: Any) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        records = BytesIO()
        writer = RecordWriter(records)
        for event in events:
            writer.write(event.SerializeToString())
        with self._path.open("ab", buffering=0) as file:
            end = file.tell()
            try:
                if file.write(records.getvalue()) < records.tell():
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
            except OSError:
                file.truncate(end)
                raise


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
    return bool(os.environ.get(variable))


def _prefixed(values: Mapping[str, float]) -> dict[str, float]:
    return {f"spectral/{name}": value for name, value in values.items()}
