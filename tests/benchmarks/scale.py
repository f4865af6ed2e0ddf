"""Two worker processes against one on a thousand small checkpoints, and what a 4 GB file costs to examine.

    python tests/benchmarks/scale.py [--files 1000] [--rounds 3] [--workers 2]

The checkpoints are a DCGAN's discriminator of 32, 64 and 128 channels, made here. `inspect --format json` runs as
whole processes, in turns, with one worker and with several, and so does the writing of rows alone; the medians are
compared, and the documents must be equal to the last bit; `processor` counts the seconds of all processes together,
which a busy machine leaves as they are. The 4 GB file is a safetensors file whose generator is a
hole; the bytes that the process asks its system for (`rchar`) and its peak memory are those of `inspect_paths` alone.
`busy` is the load of the machine before. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

LARGE = 4 * 2**30
DISTINCT = 50
SHAPES = {
    "0.weight": (32, 3, 4, 4),
    "2.weight": (64, 32, 4, 4),
    "4.weight": (128, 64, 4, 4),
    "6.weight": (1, 128, 4, 4),
}
READING = """
import json, resource, sys
from pathlib import Path
from spectral_doctor.inspection import inspect_paths
def asked(): return int(Path("/proc/self/io").read_text().split()[1])
import spectral_doctor.spectrum
before, memory = asked(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
inspect_paths(sys.argv[1])
print(json.dumps([asked() - before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory, memory]))
"""


def discriminator(seed: int) -> dict[str, np.ndarray]:
    """The weights of a small discriminator."""
    random = np.random.default_rng(seed)
    return {f"netD.{name}": random.standard_normal(shape, dtype=np.float32) for name, shape in SHAPES.items()}


def many(folder: Path, files: int) -> None:
    """So many checkpoints of one run; their contents repeat, which nothing here makes use of."""
    contents = []
    for seed in range(DISTINCT):
        save_file(discriminator(seed), folder / "one")
        contents.append((folder / "one").read_bytes())
    (folder / "one").unlink()
    for step in range(files):
        (folder / f"netD_{step}.safetensors").write_bytes(contents[step % DISTINCT])


def timed(*arguments: object) -> tuple[float, float, str]:
    """Seconds that a command takes as a whole process, those of processor with its workers', a digest of its output."""
    started, used = time.perf_counter(), processor()
    command = [sys.executable, "-m", "spectral_doctor", *map(str, arguments)]
    # As in an installation, modules are compiled once and not by every process.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    result = subprocess.run(command, check=True, capture_output=True, env=environment)
    return time.perf_counter() - started, processor() - used, hashlib.blake2b(result.stdout).hexdigest()


def processor() -> float:
    """Seconds of processor of all processes that have ended below this one."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def compared(folder: Path, rounds: int, workers: int) -> dict[str, object]:
    """One worker and several, in turns."""
    whole: dict[int, list[float]] = {1: [], workers: []}
    rows: dict[int, list[float]] = {1: [], workers: []}
    work: dict[int, list[float]] = {1: [], workers: []}
    outputs = set()
    for turn in range(rounds):
        for number in (1, workers):
            seconds, used, output = timed("inspect", folder, "--format", "json", "--workers", number)
            whole[number].append(seconds)
            work[number].append(used)
            outputs.add(output)
            file = folder.parent / f"{number}-{turn}.jsonl"
            rows[number].append(timed("inspect", folder, "--shard", "1/1", "--rows", file, "--workers", number)[0])
    medians = [statistics.median(times) for times in (whole[1], whole[workers], rows[1], rows[workers])]
    return {
        "seconds_one": round(medians[0], 2),
        "seconds_many": round(medians[1], 2),
        "speedup": round(medians[0] / medians[1], 2),
        "speedup_rows": round(medians[2] / medians[3], 2),
        "processor_one": round(statistics.median(work[1]), 2),
        "processor_many": round(statistics.median(work[workers]), 2),
        "identical": len(outputs) == 1,
    }


def large(path: Path) -> dict[str, object]:
    """Bytes read of a file whose generator is a hole of 4 GB, and the memory that examining takes."""
    weights = discriminator(0)
    header: dict[str, object] = {"netG.w": {"dtype": "F32", "shape": [LARGE // 4], "data_offsets": [0, LARGE]}}
    end = LARGE
    for name, weight in weights.items():
        header[name] = {"dtype": "F32", "shape": list(weight.shape), "data_offsets": [end, end + weight.nbytes]}
        end += weight.nbytes
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.seek(8 + len(text) + LARGE)
        file.writelines(weight.tobytes() for weight in weights.values())
    command = [sys.executable, "-c", READING, str(path)]
    read, grown, before = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    own = sum(weight.nbytes for weight in weights.values())
    return {
        "file_bytes": path.stat().st_size,
        "discriminator_bytes": own,
        "read_bytes": read,
        "peak_mb": round((before + grown) / 1024, 1),
        "peak_growth_mb": round(grown / 1024, 1),
    }


def main() -> None:
    """Print a line a figure, and all of them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    busy = round(os.getloadavg()[0], 2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run"
        folder.mkdir()
        many(folder, options.files)
        figures = {**large(Path(name) / "large.safetensors"), **compared(folder, options.rounds, options.workers)}
    for key, value in figures.items():
        print(f"{key:20} {value}")
    print(json.dumps({**figures, "files": options.files, "workers": options.workers, "busy": busy}))


if __name__ == "__main__":
    main()
