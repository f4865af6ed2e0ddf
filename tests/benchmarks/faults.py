"""Broken machines: is anything lost where a verb is killed, or the disk is full or read-only, at any of its writes?

    python tests/benchmarks/faults.py [--every 1] [SCENARIO ...]

For every verb that writes (`tests/safety/faults.py`) and every n up to the number of its writes, flushes, renames and
removals: the process dies at the n-th (a write is done by half), or everything from the n-th on finds no room, or a
read-only disk. After each, inputs are as before, every output is the old one or the new one whole, and the same command
gives what an undisturbed run gives. Needs Linux and a C compiler. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.safety.faults import build, disturbed
from tests.safety.scenarios import scenarios


def main() -> None:
    """Disturb what is asked for, and print a line a scenario, then the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="SCENARIO", help=f"of {', '.join(scenarios())}")
    parser.add_argument("--every", type=int, default=1, help="only every so many writes")
    arguments = parser.parse_args()
    figures: dict[str, object] = {}
    points = runs = losses = 0
    with tempfile.TemporaryDirectory() as folder:
        library = build(Path(folder))
        if library is None:
            sys.exit("needs Linux and a C compiler")
        for name in arguments.names or scenarios():
            tally = disturbed(library, Path(folder) / "work", [name], arguments.every)[name]
            print(f"{name:20} {tally.points:4} writes {tally.runs:5} disturbed {len(tally.losses)} losses", flush=True)
            for loss in tally.losses:
                print(f"    {loss}")
            figures[name] = [tally.points, tally.runs, len(tally.losses)]
            points, runs, losses = points + tally.points, runs + tally.runs, losses + len(tally.losses)
    print(json.dumps({"verbs": len(figures), "writes": points, "disturbed": runs, "losses": losses, "each": figures}))


if __name__ == "__main__":
    main()
