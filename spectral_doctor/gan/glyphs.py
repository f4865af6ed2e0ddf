"""Digits drawn with matplotlib's own fonts: image data without any download."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D
from numpy.typing import NDArray

from spectral_doctor.gan.data import StackedDigits

_FONTS = (
    ("DejaVu Sans", "normal"),
    ("DejaVu Sans", "bold"),
    ("DejaVu Sans Mono", "normal"),
    ("DejaVu Serif", "normal"),
    ("DejaVu Serif", "bold"),
    ("STIXGeneral", "normal"),
    ("cmr10", "normal"),
)
_OVERSAMPLING = 4


@lru_cache(maxsize=2)
def stacked_glyphs(side: int, images_per_digit: int, seed: int = 0) -> StackedDigits:
    """Draw every digit in many fonts under random affine jitter; the same for the same arguments."""
    random = np.random.default_rng(seed)
    bank = np.zeros((10, images_per_digit, side, side), dtype=np.float32)
    for digit in range(10):
        for index in range(images_per_digit):
            bank[digit, index] = _drawn(str(digit), side, random)
    return StackedDigits(torch.from_numpy(2 * bank - 1))


def _drawn(text: str, side: int, random: np.random.Generator) -> NDArray[np.float32]:
    family, weight = _FONTS[random.integers(len(_FONTS))]
    path = TextPath((0, 0), text, size=1, prop=FontProperties(family=family, weight=weight))
    box = path.get_extents()
    jitter = (
        Affine2D()
        .translate(-(box.x0 + box.x1) / 2, -(box.y0 + box.y1) / 2)
        .scale(random.uniform(0.85, 1.0) / box.height)
        .skew(random.uniform(-0.2, 0.2), 0)
        .rotate(random.uniform(-0.15, 0.15))
        .translate(0.5 + random.uniform(-0.06, 0.06), 0.5 + random.uniform(-0.04, 0.04))
    )
    figure = Figure(figsize=(1, 1), dpi=side * _OVERSAMPLING)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.add_patch(PathPatch(path, transform=jitter + axes.transData, color="black", linewidth=0))
    canvas.draw()  # type: ignore[no-untyped-call]
    ink = 1 - np.asarray(canvas.buffer_rgba(), dtype=np.float32)[..., 0] / 255  # type: ignore[no-untyped-call]
    coarse: NDArray[np.float32] = ink.reshape(side, _OVERSAMPLING, side, _OVERSAMPLING).mean(axis=(1, 3))
    return coarse
