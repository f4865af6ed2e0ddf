"""Pictures of a generator's samples."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

_SIDE = 8


def draw_samples(real: NDArray[np.floating[Any]], fake: NDArray[np.floating[Any]], title: str) -> Figure | None:
    """Draw samples beside real ones: points in a plane (n, 2), or a grid of images (n, 1 or 3, h, w) in [-1, 1].

    None for samples of another shape, which have no picture.
    """
    if fake.ndim == 2 and fake.shape[1] == 2:
        return _points(real, fake, title)
    if fake.ndim == 4 and fake.shape[1] in (1, 3):
        return _images(real, fake, title)
    return None


def has_picture(samples: NDArray[np.floating[Any]] | None) -> bool:
    """Whether samples are points in a plane, or images of one or three channels."""
    return samples is not None and (
        (samples.ndim == 2 and samples.shape[1] == 2) or (samples.ndim == 4 and samples.shape[1] in (1, 3))
    )


def draw_sheet(axes: Axes, samples: NDArray[np.floating[Any]]) -> None:
    """Draw the samples alone into axes: points in a plane, or a square sheet of images in [-1, 1]."""
    if samples.ndim == 2:
        axes.scatter(samples[:, 0], samples[:, 1], s=8, color="#1f2a44")
        axes.set_aspect("equal", adjustable="datalim")
        axes.tick_params(labelsize=6)
        return
    axes.imshow(tiled(samples, math.isqrt(len(samples))), interpolation="nearest", cmap="gray", vmin=0, vmax=1)
    axes.set_axis_off()


def _points(real: NDArray[np.floating[Any]], fake: NDArray[np.floating[Any]], title: str) -> Figure:
    figure = Figure(figsize=(4.5, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.scatter(real[:, 0], real[:, 1], s=14, color="#b9bec7", label="real")
    axes.scatter(fake[:, 0], fake[:, 1], s=5, color="#1a4f8b", label="generated")
    reach = 1.25 * float(np.abs(real).max())
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.set_title(title, fontsize=10)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=8, frameon=False, loc="upper right")
    return figure


def _images(real: NDArray[np.floating[Any]], fake: NDArray[np.floating[Any]], title: str) -> Figure:
    figure = Figure(figsize=(8, 4.3), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=10)
    for axes, images, name in zip(figure.subplots(1, 2), (real, fake), ("real", "generated"), strict=True):
        axes.imshow(tiled(images), interpolation="nearest", cmap="gray", vmin=0, vmax=1)
        axes.set_title(name, fontsize=9)
        axes.set_axis_off()
    return figure


def tiled(images: NDArray[np.floating[Any]], side: int = _SIDE) -> NDArray[np.floating[Any]]:
    """The first side² images in [-1, 1] as one picture in [0, 1], a line of pixels between them."""
    count, channels, height, width = min(len(images), side * side), *images.shape[1:]
    sheet = np.ones((side * (height + 1) - 1, side * (width + 1) - 1, channels))
    for index in range(count):
        row, column = divmod(index, side)
        top, left = row * (height + 1), column * (width + 1)
        sheet[top : top + height, left : left + width] = images[index].transpose(1, 2, 0) / 2 + 0.5
    return sheet.clip(0, 1).squeeze()
