"""Changed files of every kind that the tool reads: does any of them end in a traceback, a hang, or a wrong exit code?

    python tests/benchmarks/fuzz.py [--inputs 100000] [--seconds 0] [--seed 0] [--only "torch zip"]

Each input is a small good file of one of the readers of `tests/safety/readers.py`, changed by a mutator that keeps the
outer form of its kind, and read by the tool's own command. Another process reads, so that one that dies is counted too
and the rest goes on; the number of the input tells it again. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


def work(first: int, count: int, seconds: float, seed: str, only: str) -> None:
    """Read inputs from a number on, and print a line of JSON for every hundred of them and for every fault."""
    from tests.safety.fuzzing import read_changed
    from tests.safety.readers import readers

    os.environ.update({"SPECTRAL_DOCTOR_CACHE": "off", "SPECTRAL_DOCTOR_DEBUG": "1"})
    found = {name: reader for name, reader in readers().items() if re.search(only, name)}
    names = list(found)
    until = time.monotonic() + seconds if seconds else float("inf")
    codes: Counter[str] = Counter()
    slowest, done = 0.0, 0
    number = first
    while number < count and time.monotonic() < until:
        name = names[number % len(names)]
        _say({"begun": number, "reader": name})
        end = read_changed(found[name], f"{seed}-{number}")
        codes[f"{name} {int(end.code)}"] += 1
        slowest, done, number = max(slowest, end.seconds), done + 1, number + 1
        if end.fault:
            _say({"number": number - 1, "reader": name, "fault": end.fault[-3000:]})
        if done == 100 or number == count:
            _say({"done": done, "codes": codes, "slowest": slowest, "peak": _peak()})
            codes, done = Counter(), 0
    _say({"done": done, "codes": codes, "slowest": slowest, "peak": _peak(), "end": number})


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _say(fact: Any) -> None:
    sys.stdout.write(json.dumps(fact) + "\n")
    sys.stdout.flush()


class Tally:
    """What has been seen."""

    def __init__(self) -> None:
        self.inputs, self.slowest, self.peak = 0, 0.0, 0.0
        self.codes: Counter[str] = Counter()
        self.faults: list[tuple[int, str, str]] = []

    def take(self, fact: dict[str, Any]) -> None:
        """Take a line of the process that reads."""
        if "fault" in fact:
            self.faults.append((fact["number"], fact["reader"], fact["fault"]))
            print(f"FAULT {fact['number']} {fact['reader']}: {fact['fault'].strip()}", flush=True)
        elif "done" in fact:
            self.inputs += fact["done"]
            self.codes.update(fact["codes"])
            self.slowest, self.peak = max(self.slowest, fact["slowest"]), max(self.peak, fact["peak"])
            if self.inputs % 5000 < 100:
                print(f"{self.inputs} inputs, {len(self.faults)} faults", flush=True)


def watch(arguments: argparse.Namespace) -> Tally:
    """Start processes that read until all is read, each after the one before has died."""
    tally, number = Tally(), arguments.first
    until = time.monotonic() + arguments.seconds if arguments.seconds else float("inf")
    while number < arguments.inputs and time.monotonic() < until:
        left = max(1.0, until - time.monotonic()) if arguments.seconds else 0.0
        command = [sys.executable, __file__, "--worker", "--first", str(number), "--inputs", str(arguments.inputs)]
        command += ["--seconds", str(left), "--seed", arguments.seed, "--only", arguments.only]
        with tempfile.TemporaryFile() as said:
            begun, name, ended = number, "", False
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=said, text=True)
            assert process.stdout is not None
            for line in process.stdout:
                fact = json.loads(line)
                begun, name = fact.get("begun", begun), fact.get("reader", name)
                ended = ended or "end" in fact
                tally.take(fact)
            code = process.wait()
            if ended:
                return tally
            said.seek(0)
            tally.take({"number": begun, "reader": name, "fault": f"died with {code}: {said.read()[-500:]!r}"})
            number = begun + 1
    return tally


def main() -> None:
    """Read what is asked for, and print the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--seed", default="0")
    parser.add_argument("--only", default="", help="only readers whose name this is found in")
    parser.add_argument("--first", type=int, default=0, help="the number to begin with")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.first, arguments.inputs, arguments.seconds, arguments.seed, arguments.only)
        return
    start = time.monotonic()
    tally = watch(arguments)
    codes: Counter[str] = Counter()
    for key, count in tally.codes.items():
        codes[key.rpartition(" ")[2]] += count
    figures = {
        "inputs": tally.inputs,
        "readers": len({key.rpartition(" ")[0] for key in tally.codes}),
        "faults": len(tally.faults),
        "exit_codes": dict(sorted(codes.items())),
        "slowest_seconds": round(tally.slowest, 2),
        "peak_mb": round(tally.peak),
        "seconds": round(time.monotonic() - start),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
