"""Time a second look at a series of 50 checkpoints through the cache, against one without, start-up left out.

    python tests/benchmarks/cache.py [--checkpoints 50] [--networks NAME …]

Random weights of `tests/benchmarks/verb.py`'s networks, in files that are left alone for some seconds. In one process
and for each network: `first` examines with an empty cache, `second` (median of five) finds it full, `copied` examines
copies in another folder, which are known by their content alone, `without` uses no cache, and `one_new` is a second
look at a series that has one checkpoint more. All results are compared, and must be equal to the last bit. One JSON
line a network; the last line holds them all.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spectral_doctor.inspection import Inspection, inspect_paths
from spectral_doctor.trajectory.cache import SpectraCache
from tests.benchmarks.verb import NETWORKS

ROUNDS = 5
Result = TypeVar("Result")


def timed(function: Callable[[], Result]) -> tuple[float, Result]:
    """How long a call takes, and what it gives."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def measured_layers(inspection: Inspection) -> list[object]:
    """The spectra of every series, without the paths."""
    return [item.trajectory.layers for item in inspection.diagnoses]


def look(folder: Path, cache: SpectraCache | None) -> tuple[float, Inspection]:
    """Examine a folder; the cache's file is opened anew, as another process would."""
    result = timed(lambda: inspect_paths(folder, cache=cache))
    if cache is not None:
        cache.close()
    return result


def written(folder: Path, name: str, numbers: range) -> None:
    """Checkpoints of random weights."""
    for number in numbers:
        torch.manual_seed(number)
        path = folder / f"netD_{1000 * (number + 1)}.pt"
        torch.save({"D": NETWORKS[name][0]()}, path)


def measured(name: str, count: int) -> dict[str, object]:
    """Everything about one network."""
    with tempfile.TemporaryDirectory() as temporary:
        run, copies = Path(temporary) / "run", Path(temporary) / "copies"
        run.mkdir()
        written(run, name, range(count))
        time.sleep(3.5)  # a file that changed just now is not trusted by its times
        cache = SpectraCache(Path(temporary) / "cache")
        inspect_paths(next(run.iterdir()))  # imports and warms up
        first, expected = look(run, cache)
        seconds = [look(run, cache) for _ in range(ROUNDS)]
        without, plain = look(run, None)
        shutil.copytree(run, copies)
        copied, other = look(copies, cache)
        if any(item != expected for _, item in seconds) or plain != expected:
            raise SystemExit("the cache changes the result")
        if measured_layers(other) != measured_layers(expected):
            raise SystemExit("the cache changes the result of copies")
        written(run, name, range(count, count + 1))
        new, _ = look(run, cache)
        second = statistics.median(taken for taken, _ in seconds)
        return {
            "network": name,
            "checkpoints": count,
            "file_mb": round(sum(path.stat().st_size for path in copies.iterdir()) / 2**20, 1),
            "cache_mb": round(cache.path.stat().st_size / 2**20, 1),
            "without": round(without, 3),
            "first": round(first, 3),
            "second": round(second, 4),
            "one_new": round(new, 3),
            "copied": round(copied, 3),
            "second_speedup": round(without / second, 1),
            "copied_speedup": round(without / copied, 1),
            "first_over_without": round(first / without, 3),
        }


def main() -> None:
    """Every network, one line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=["small", "sngan-resnet"])
    parser.add_argument("--checkpoints", type=int, default=50)
    arguments = parser.parse_args()
    results = []
    for name in arguments.networks:
        results.append(measured(name, arguments.checkpoints))
        print(json.dumps(results[-1]), flush=True)
    print(json.dumps({"networks": results, "rounds": ROUNDS}))


if __name__ == "__main__":
    main()
