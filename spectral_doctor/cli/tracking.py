"""Where a run's numbers go beside its checkpoints: a tracker by its name, or a function of the user's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from spectral_doctor.errors import UsageError, listed, printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spectral_doctor.training.records import Saved
    from spectral_doctor.training.state import TrainingState
    from spectral_doctor.training.tracking import TensorBoard, Tracker


def trackers(names: Sequence[str], folder: Path) -> list[Tracker]:
    """The trackers of `--tracker`; TensorBoard's files go into `folder`. Raises `UsageError`."""
    from spectral_doctor.training.tracking import named_trackers

    known = named_trackers()
    for name in names:
        if name not in known and ":" not in name:
            raise UsageError(
                f"--tracker {printable(name)}: expected one of {listed(known)}, or your own as FILE.PY:FUNCTION."
            )
    chosen = [(name, known[name](folder) if name in known else own_tracker(name)) for name in names]
    return [forgiven(f"--tracker {printable(name)}", tracker) for name, tracker in chosen]


def forgiven(name: str, tracker: Tracker) -> Tracker:
    """A tracker that is said to fail the first time it does and is not asked again: no run ends for its numbers."""
    failed = False

    def track(step: int, values: Mapping[str, float]) -> None:
        nonlocal failed
        if failed:
            return
        try:
            tracker(step, values)
        except Exception as error:
            failed = True
            typer.echo(
                f"{name}: {type(error).__name__}: {printable(error)} at step {step}; it gets no more numbers, the run "
                "goes on.",
                err=True,
            )

    return track


def own_tracker(name: str) -> Tracker:
    """A user's function `track(step, values)` from `file.py:attribute`; raises `UsageError`."""
    from spectral_doctor.gan.own import load_attribute

    tracker = load_attribute(name)
    if not callable(tracker):
        raise UsageError(f"--tracker {printable(name)}: expected a function that takes a step and a dict of numbers.")
    return tracker  # type: ignore[no-any-return]


def told(tracker: Tracker) -> Callable[[Saved], None]:
    """What a loop calls at a checkpoint so that a tracker gets its numbers."""
    from spectral_doctor.training.records import tracked_values

    return lambda saved: tracker(saved.step, tracked_values(saved))


def pictured(folder: Path, board: TensorBoard | None = None) -> Callable[[Saved], None]:
    """What a loop calls at a checkpoint so that its samples lie in a folder, and on a board, as a picture."""

    def draw(saved: Saved) -> None:
        _draw_samples(folder, saved.step, saved.snapshot.real, saved.snapshot.fake, board)

    return draw


def picture_anew(state: TrainingState, folder: Path) -> None:
    """Draw the samples of the checkpoint that a run goes on from, where it was stopped before they were drawn."""
    from spectral_doctor.training.loop import preview

    if not _picture(folder, state.step).exists():
        real, fake = (samples.cpu().numpy() for samples in preview(state))
        _draw_samples(folder, state.step, real, fake)


def _draw_samples(
    folder: Path, step: int, real: NDArray[Any], fake: NDArray[Any], board: TensorBoard | None = None
) -> None:
    from spectral_doctor.checkpoints.writing import write_atomically
    from spectral_doctor.report.figures import render_figure
    from spectral_doctor.report.samples import draw_samples

    figure = draw_samples(real, fake, f"step {step}")
    if figure is not None:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(_picture(folder, step), render_figure(figure, "png"))
        if board is not None:
            board.picture("samples", figure, step)


def _picture(folder: Path, step: int) -> Path:
    return folder / f"step-{step:06d}.png"
