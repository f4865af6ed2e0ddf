"""Strangers' checkpoints: is every discriminator reported, every lone generator recognised, every σ right?

Both statements are printed with their sentence, and nobody's modes may be called kept from a discriminator alone.

    python tests/benchmarks/strangers.py ../shared/checkpoints

Reads MANIFEST.tsv in that folder (columns `path` and `kind`, which starts with D or G), runs the `inspect`
verb on every file, and compares every singular value with `numpy.linalg.svd` in float64. The last line is one
JSON object.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spectral_doctor.cli import app
from spectral_doctor.spectrum import singular_values
from spectral_doctor.state_dicts.loading import load_checkpoint


def exit_code_of(path: Path) -> tuple[int, str, list[str]]:
    """Run `inspect` on a file and return its exit code, both statements of its report and their sentences."""
    result = CliRunner().invoke(app, ["inspect", str(path), "--format", "json"])
    if result.exit_code:
        return result.exit_code, "", []
    found = [item["diagnosis"] for item in json.loads(result.stdout)["series"]]
    words = ", ".join(f"{item['spectrum']} / {item['modes']['statement']}" for item in found)
    return 0, words, [item["summary"] for item in found]


def worst_error(path: Path) -> tuple[float, int]:
    """The largest |σ − σ_numpy|/σ1 over all layers of a checkpoint, and the number of layers."""
    worst, count = 0.0, 0
    for discriminator in load_checkpoint(path).discriminators:
        for layer in discriminator.layers:
            matrix = layer.read()
            exact = np.linalg.svd(matrix.astype(np.float64), compute_uv=False)
            worst = max(worst, float(np.abs(singular_values(matrix) - exact).max() / exact[0]))
            count += 1
    return worst, count


def main() -> None:
    """Go through the manifest and print a line a file, then the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    counts: Counter[str] = Counter()
    verdicts: Counter[str] = Counter()
    worst, layers = 0.0, 0
    with (folder / "MANIFEST.tsv").open(encoding="utf-8") as manifest:
        for row in csv.DictReader(manifest, delimiter="\t"):
            path = folder / row["path"]
            code, verdict, sentences = exit_code_of(path)
            verdicts.update(verdict.split(", ") if verdict else ())
            kind = row["kind"][0]
            counts[kind] += 1
            counts[f"{kind} right"] += code == (0 if kind == "D" else 3)
            print(f"{kind} exit {code} {verdict or '-':20} {row['path']}")
            print("".join(f"    {sentence}\n" for sentence in sentences), end="")
            if code == 0:
                error, number = worst_error(path)
                worst, layers = max(worst, error), layers + number
    figures = {
        "discriminators_reported": f"{counts['D right']}/{counts['D']}",
        "generators_recognised": f"{counts['G right']}/{counts['G']}",
        "statements": dict(verdicts),
        "layers": layers,
        "largest_error": float(f"{worst:.3g}"),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
