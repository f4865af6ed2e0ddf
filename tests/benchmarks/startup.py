"""The processor time of `inspect` of one small file against that of `import torch` alone.

    python tests/benchmarks/startup.py [--rounds 7]

Both run as whole processes, in turns; the medians of their processor times (user and system) are compared. The
last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

INSPECT = ["-m", "spectral_doctor", "inspect"]
VERBS = {"import torch": ["-c", "import torch"], "--help": ["-m", "spectral_doctor", "--help"]}


def processor_time(arguments: list[str]) -> float:
    """Seconds of processor that a Python process takes, on one thread of BLAS."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # As in an installation, modules are compiled once and not by every process.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["OMP_NUM_THREADS"] = "1"
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Take turns, and compare medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "netD.pt"
        network = torch.nn.Sequential(*(torch.nn.Conv2d(16, 16, 3) for _ in range(3)), torch.nn.Conv2d(16, 1, 3))
        torch.save({"D": network.state_dict()}, path)
        commands = {"inspect": [*INSPECT, str(path)], **VERBS}
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(rounds + 1):
            for name, arguments in commands.items():
                times[name].append(processor_time(arguments))
    # The first of each warms the disk.
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    for name, seconds in medians.items():
        print(f"{name:14} {seconds:.3f} s of processor")
    ratio = medians["inspect"] / medians["import torch"]
    print(json.dumps({"inspect_over_import_torch": round(ratio, 3), "rounds": rounds}))


if __name__ == "__main__":
    main()
