"""What a diagnosis costs as a series grows: the time per checkpoint, which must not depend on how many there are.

    python tests/benchmarks/incremental.py

Series of eleven layers are drawn, and each is diagnosed a few times from fresh records, so that nothing that a
spectrum remembers of itself is found a second time; the least time counts. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from spectral_doctor.diagnosis.rules import diagnose
from spectral_doctor.records import Spectrum
from spectral_doctor.trajectory.records import LayerTrajectory, SpectralTrajectory
from tests.builders import identity, series

LAYERS = 11
LENGTHS = (100, 200, 400, 1000)


def drawn_series(checkpoints: int, rank: int, seed: int = 0) -> SpectralTrajectory:
    """A series of eleven layers whose plateaus wander; the same for the same seed."""
    generator = random.Random(seed)
    layers = []
    for place in range(LAYERS):
        spectra = []
        level = 0.95
        for _ in range(checkpoints):
            level = min(1.0, max(0.1, level + generator.uniform(-0.02, 0.018)))
            tail = sorted((level * generator.uniform(0.3, 1.0) for _ in range(rank - 1)), reverse=True)
            spectra.append(Spectrum((1.0, *tail)))
        layers.append(LayerTrajectory(identity(f"block{place}", rank=rank), tuple(spectra), (0,) * checkpoints))
    return series(*layers)


def seconds(trajectory: SpectralTrajectory) -> float:
    """The processor time of one diagnosis, which other processes do not lengthen."""
    gc.collect()
    started = time.process_time()
    diagnose(trajectory)
    return time.process_time() - started


def main() -> None:
    """Print the time per checkpoint at each length, and the ratio of the longest to the shortest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rank", type=int, default=64, help="singular values a layer")
    parser.add_argument("--repeats", type=int, default=5, help="diagnoses of which the fastest counts")
    options = parser.parse_args()
    found = dict.fromkeys(LENGTHS, math.inf)
    for _ in range(options.repeats):
        # All lengths in turn, so that a busy machine is busy for each of them.
        for checkpoints in LENGTHS:
            taken = seconds(drawn_series(checkpoints, options.rank)) / checkpoints
            found[checkpoints] = min(found[checkpoints], taken)
    for checkpoints in LENGTHS:
        print(f"{checkpoints:5} checkpoints x {LAYERS} layers: {1e3 * found[checkpoints]:.3f} ms a checkpoint")
    ratio = found[LENGTHS[-1]] / found[LENGTHS[0]]
    figures = {
        "layers": LAYERS,
        "rank": options.rank,
        "seconds_per_checkpoint": found,
        "ratio_1000_to_100": ratio,
        "within_1.3": ratio <= 1.3,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
