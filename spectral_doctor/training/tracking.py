"""Where a run's numbers go beside its checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from spectral_doctor.errors import UsageError

Tracker = Callable[[int, Mapping[str, float]], None]


def tensorboard_tracker(folder: Path) -> Tracker:
    """A tracker that writes TensorBoard scalars into a folder; raises `UsageError` without the extra."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError(
            "--tensorboard needs the package tensorboard: pip install 'spectral-doctor[tensorboard]'."
        ) from error
    writer = SummaryWriter(str(folder))

    def track(step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    return track
