"""Does compensation help before the onset? Narrow spectrally normalised ResNets whose spectra collapse, in pairs.

    python tests/benchmarks/onset.py [--table tests/benchmarks/results/reproduce/sr-gan.json]

`spectral-doctor reproduce sr-gan` trains them: two widths and two batches, each with several seeds; untreated,
under static or dynamic compensation from step 0, and resumed under it from the last sound checkpoint before the
onset. This command trains nothing. A pair is a treated run and the untreated one of the same cell and seed, both at
the last step: in how many the treated one has more solid modes, in how many fewer, and how likely so uneven a split
is by chance (two-sided sign test, without the draws). Also how many runs lost modes. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from math import comb
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spectral_doctor.reproduction.records import Run
from spectral_doctor.reproduction.summary import LOST_BELOW

TABLE = Path(__file__).parent / "results" / "reproduce" / "sr-gan.json"
UNTREATED = "SN"
ARMS = {
    "SN, then dynamic": "dynamic, before the onset",
    "SN, then static": "static, before the onset",
    "dynamic": "dynamic, from step 0",
    "static": "static, from step 0",
}


def sign_test(more: int, fewer: int) -> float:
    """The probability of a split at least so uneven where both are as likely: 2·Σ_{i≤min} C(n, i)/2ⁿ, at most 1."""
    count = more + fewer
    return min(1.0, 2 * sum(comb(count, index) for index in range(min(more, fewer) + 1)) / (1 << count))


def arm_of(run: Run) -> str:
    """The arm without its cell: the batch and the channels stand before it."""
    return run.arm.partition(" ")[2]


def figures(runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """For every arm the runs, and how many lost modes; for treated ones the pairs against the untreated run."""
    cells = {(run.arm.partition(" ")[0], run.seed, arm_of(run)): run for run in runs}
    found: dict[str, dict[str, Any]] = {}
    for arm in (UNTREATED, *ARMS):
        own = {key: run for key, run in cells.items() if key[2] == arm}
        pairs = [(run.last.solid, cells[cell, seed, UNTREATED].last.solid) for (cell, seed, _), run in own.items()]
        more, fewer = sum(ours > theirs for ours, theirs in pairs), sum(ours < theirs for ours, theirs in pairs)
        lost = sum(run.last.solid < LOST_BELOW * run.best.solid for run in own.values())
        found[arm] = {"runs": len(own), "lost": lost}
        if arm != UNTREATED:
            found[arm] |= {"more": more, "fewer": fewer, "p": round(sign_test(more, fewer), 3)}
    return found


def table(found: dict[str, dict[str, Any]]) -> list[str]:
    """A Markdown row an arm."""
    lines = [
        "| compensation | pairs | more solid modes | fewer | p | lost modes |",
        "|---|---:|---:|---:|---:|---:|",
        f"| none | | | | | {found[UNTREATED]['lost']} of {found[UNTREATED]['runs']} |",
    ]
    for arm, name in ARMS.items():
        row = found[arm]
        lines.append(
            f"| {name} | {row['runs']} | {row['more']} | {row['fewer']} | {row['p']:.3f} | "
            f"{row['lost']} of {row['runs']} |"
        )
    return lines


def read_runs(path: Path) -> list[Run]:
    """The runs of a table that `reproduce` wrote."""
    return [Run.read(content) for content in json.loads(path.read_text())["runs"]]


def main() -> None:
    """Print the table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=TABLE)
    found = figures(read_runs(parser.parse_args().table))
    print(*table(found), sep="\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
