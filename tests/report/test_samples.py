"""Pictures of samples: the shapes that have one, and the shapes that have none."""

from __future__ import annotations

import numpy as np
import pytest

from spectral_doctor.report.figures import render_figure
from spectral_doctor.report.samples import draw_samples


@pytest.mark.parametrize("shape", [(256, 2), (256, 1, 8, 8), (5, 3, 16, 12), (1, 3, 4, 4)])
def test_points_and_images_are_drawn(shape: tuple[int, ...]) -> None:
    """A picture in PNG, the same for the same samples."""
    samples = np.random.default_rng(0).uniform(-1, 1, shape)
    figures = [draw_samples(samples, samples[::-1], "step 1") for _ in range(2)]
    pictures = [render_figure(figure, "png") for figure in figures if figure is not None]
    assert len(pictures) == 2
    assert pictures[0] == pictures[1]
    assert pictures[0].startswith(b"\x89PNG")


@pytest.mark.parametrize("shape", [(4, 3), (4, 1200), (4, 2, 8, 8), (4, 16000)])
def test_other_shapes_have_no_picture(shape: tuple[int, ...]) -> None:
    """Neither points of a plane nor images."""
    assert draw_samples(np.zeros(shape), np.zeros(shape), "") is None
