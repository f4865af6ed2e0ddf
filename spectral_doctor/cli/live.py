"""What a run in training looks like in a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from spectral_doctor.errors import printable
from spectral_doctor.report.sparkline import sparkline
from spectral_doctor.report.training import checkpoint_line, layer_rows

if TYPE_CHECKING:
    from spectral_doctor.training.records import Saved, StepLosses


class Screen:
    """Lines on stdout; in a terminal, below them, something that is redrawn."""

    def __init__(self, console: Console | None, shown: RenderableType) -> None:
        self.console = console or Console(highlight=False)
        self.live = Live(shown, console=self.console, refresh_per_second=4)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self.console.is_terminal:
            self.live.stop()


class LiveView(Screen):
    """A line a checkpoint; below them the step, the losses and every layer's spectrum."""

    def __init__(self, steps: int, console: Console | None = None) -> None:
        self.trends: dict[str, list[float | None]] = {}
        self.progress = Progress(
            TextColumn("step"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}"),
        )
        self.task = self.progress.add_task("step", total=steps, losses="")
        super().__init__(console, self.progress)

    def step(self, step: int, losses: StepLosses) -> None:
        """Show a step and its losses."""
        text = f"loss D {losses.discriminator:.3f} G {losses.generator:.3f}"
        self.progress.update(self.task, completed=step, losses=text)

    def saved(self, saved: Saved) -> None:
        """Print a checkpoint's line and redraw the layers' table."""
        self.console.print(Text(checkpoint_line(saved)), soft_wrap=True)
        table = Table(box=None, pad_edge=False)
        for column in ("layer", "σ1", "σk/σ1", "trend"):
            table.add_column(column, justify="left" if column in ("layer", "trend") else "right")
        for name, sigma, plateau in layer_rows(saved):
            trend = self.trends.setdefault(name, [])
            trend.append(plateau)
            shown = ("—", "—") if sigma is None or plateau is None else (f"{sigma:.3g}", f"{plateau:.2f}")
            table.add_row(Text(printable(name)), *shown, sparkline(trend, 16))
        self.live.update(Group(table, self.progress))
