"""Speed and accuracy of the singular values of whole discriminators.

    python tests/benchmarks/spectra.py [--repeats N]

All convolutions of a DCGAN discriminator (64 … 512 channels) and of an SNGAN-ResNet discriminator (128
channels), three ways in turn within one run: ours as `inspect` has it (layers side by side, one BLAS thread
each), `torch.linalg.svdvals` and `numpy.linalg.svd(compute_uv=False)` in float32, layer by layer. Errors are
against numpy's SVD in float64, relative to σ1.
The last line is one JSON object. Time is only ever a ratio of two things measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spectral_doctor.arrays import live_arrays
from spectral_doctor.errors import WeightError
from spectral_doctor.spectrum import spectra_of
from spectral_doctor.state_dicts.matrices import collect_layers

ARCHITECTURES: dict[str, list[tuple[int, int]]] = {
    "dcgan": [(64, 3 * 16), (128, 64 * 16), (256, 128 * 16), (512, 256 * 16), (1, 512 * 16)],
    "sngan_resnet": [(128, 27), (128, 1152), (128, 3), (128, 1152), (128, 1152), (128, 128)] + 4 * [(128, 1152)],
}


def weights(shapes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """Gaussian matrices of the given shapes, always the same."""
    random = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=random) for shape in shapes]


Way = Callable[[Sequence[Tensor]], list[Any]]


def ours(matrices: Sequence[Tensor]) -> list[Any]:
    """The spectra of all matrices, as `inspect` takes them."""
    layers, _ = collect_layers(live_arrays({f"{index}.weight": matrix for index, matrix in enumerate(matrices)}))
    results = spectra_of(layers)
    return [item.spectrum.values for item in results if not isinstance(item, WeightError) and item.spectrum is not None]


WAYS: dict[str, Way] = {
    "ours": ours,
    "svdvals": lambda matrices: [torch.linalg.svdvals(matrix) for matrix in matrices],
    "numpy_svd": lambda matrices: [np.linalg.svd(matrix.numpy(), compute_uv=False) for matrix in matrices],
}


def seconds(way: Way, matrices: Sequence[Tensor]) -> float:
    """The time one pass over all matrices takes."""
    start = time.perf_counter()
    way(matrices)
    return time.perf_counter() - start


def largest_error(way: Way, matrices: Sequence[Tensor]) -> float:
    """The largest difference from the float64 SVD, relative to σ1, over all values of all matrices."""
    worst = 0.0
    for matrix, values in zip(matrices, way(matrices), strict=True):
        exact = np.linalg.svd(matrix.double().numpy(), compute_uv=False)
        worst = max(worst, float(np.abs(np.asarray(values, dtype=np.float64) - exact).max() / exact[0]))
    return worst


def measure(matrices: Sequence[Tensor], repeats: int) -> dict[str, float]:
    """Time the ways in turn, `repeats` times after a warm-up, and take medians of the ratios."""
    for way in WAYS.values():
        seconds(way, matrices)
    rounds = [{name: seconds(way, matrices) for name, way in WAYS.items()} for _ in range(repeats)]
    figures = {
        "seconds": statistics.median(item["ours"] for item in rounds),
        "speedup_over_svdvals": statistics.median(item["svdvals"] / item["ours"] for item in rounds),
        "lowest_speedup_over_svdvals": min(item["svdvals"] / item["ours"] for item in rounds),
        "speedup_over_numpy_svd": statistics.median(item["numpy_svd"] / item["ours"] for item in rounds),
        "largest_error": largest_error(WAYS["ours"], matrices),
        "largest_error_svdvals": largest_error(WAYS["svdvals"], matrices),
    }
    return {name: float(f"{value:.3g}") for name, value in figures.items()}


def main() -> None:
    """Measure both architectures and print a table, then the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    results = {name: measure(weights(shapes), repeats) for name, shapes in ARCHITECTURES.items()}
    for name, figures in results.items():
        print(name, *(f"{key} {value}" for key, value in figures.items()), sep="\n  ")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
