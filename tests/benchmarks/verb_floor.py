"""The floor of `verb.py`, in a process that imports NumPy alone, and the launcher that measures a process' memory.

    python tests/benchmarks/verb_floor.py floor FOLDER one|all|pool
    python tests/benchmarks/verb_floor.py launch COMMAND …

`floor` reads bare float32 matrices, multiplies in float64 and takes the eigenvalues. `launch` runs a command and
prints its seconds and most memory: a process inherits its parent's peak until it is replaced, so a parent that holds
PyTorch cannot measure a small child. The last line is one JSON object.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def bare_matrices(folder: Path, checkpoints: int | None = None) -> Iterator[Any]:
    """The matrices as float32, read one after the other."""
    import numpy as np

    shapes = json.loads((folder / "shapes.json").read_text())[:checkpoints]
    with (folder / "matrices.bin").open("rb") as file:
        for rows, columns in (shape for one in shapes for shape in one):
            yield np.fromfile(file, dtype=np.float32, count=rows * columns).reshape(rows, columns)


def floor(folder: Path, setting: str) -> None:
    """Read, multiply in float64, take the eigenvalues: what no reader that does this can be under."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    def one(matrix: Any) -> Any:
        wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
        wide = wide.astype(np.float64)
        return np.sqrt(np.clip(np.linalg.eigvalsh(wide @ wide.T), 0, None))

    with threadpool_limits(None if setting == "all" else 1):
        if setting == "pool":
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
                list(pool.map(one, bare_matrices(folder)))
        else:
            for matrix in bare_matrices(folder):
                one(matrix)


def launch(command: list[str]) -> dict[str, float]:
    """How long a process takes, the time its threads computed, and the most memory (MB) that it held."""
    # As in an installation, modules are compiled once and not by every process.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} failed")
    return {
        "seconds": time.perf_counter() - start,
        "computed": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
    }


if __name__ == "__main__":
    if sys.argv[1] == "floor":
        floor(Path(sys.argv[2]), sys.argv[3])
        print(json.dumps({"setting": sys.argv[3]}))
    else:
        print(json.dumps(launch(sys.argv[2:])))
