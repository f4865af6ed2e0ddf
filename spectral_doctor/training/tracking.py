"""Where a run's numbers go beside its checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from spectral_doctor.errors import UsageError

Tracker = Callable[[int, Mapping[str, float]], None]


class TensorBoard:
    """A tracker that writes TensorBoard scalars, and figures, into a folder; raises `UsageError` without the extra."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UsageError(
                "--tensorboard needs the package tensorboard: pip install 'spectral-doctor[tensorboard]'."
            ) from error
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
