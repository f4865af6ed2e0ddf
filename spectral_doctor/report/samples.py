"""Pictures of a generator's samples."""

from __future__ import annotations

from typing import Any

import numpy as np
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
        axes.imshow(_tiled(images), interpolation="nearest", cmap="gray", vmin=0, vmax=1)
        axes.set_title(name, fontsize=9)
        axes.set_axis_off()
    return figure


def _tiled(images: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """The first 64 images as one picture of 8 × 8, a line of pixels between them."""
    count, channels, height, width = min(len(images), _SIDE * _SIDE), *images.shape[1:]
    sheet = np.ones((_SIDE * (height + 1) - 1, _SIDE * (width + 1) - 1, channels))
    for index in range(count):
        row, column = divmod(index, _SIDE)
        top, left = row * (height + 1), column * (width + 1)
        sheet[top : top + height, left : left + width] = images[index].transpose(1, 2, 0) / 2 + 0.5
    return sheet.clip(0, 1).squeeze()
