"""Whether what the optimizers' moments say earns a tier of its own: each tier of evidence with it and without.

    python tests/benchmarks/optimizers.py tests/data/corpus-2.json.gz

Added to a tier are, of D's and of G's Adam, ln of the moments' signal ‖m̂‖/‖√v̂‖, of the biases' size beside the
weights', and of the same of √v̂ (`laboratory.py` keeps them). Logistic regression of half of the runs (even and odd
tens) scores the other half; every run has the same weight. A run counts by its last checkpoint, lost are MODES LOST and
CONSTANT, kept is HEALTHY; "found" is the share of lost runs above every healthy one. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spectral_doctor.diagnosis.model import OF_TIER
from spectral_doctor.diagnosis.records import Tier
from tests.benchmarks.corpus_file import read_corpus
from tests.benchmarks.modes import Row, read_modes_runs, rows_of
from tests.benchmarks.modes_accuracy import area

SMALLEST = 1e-6
TIERS = (Tier.DISCRIMINATOR, Tier.GENERATOR, Tier.SAMPLES, Tier.DATA)
Floats = NDArray[np.float64]


def moments(statistics: Mapping[str, Any]) -> list[float]:
    """The logarithms of both optimizers' statistics; NaN before the first step."""
    found = [statistics[role] for role in ("discriminator", "generator")]
    names = ("signal", "bias", "bias_gradient")
    return [math.nan if item is None else math.log(max(item[name], SMALLEST)) for item in found for name in names]


def scores(values: Floats, lost: NDArray[np.bool_], runs: Sequence[int]) -> Floats:
    """The log-odds of every row, by a formula fitted on the runs of the other half."""
    half = np.array([run // 10 % 2 for run in runs])
    count = Counter(runs)
    weight = np.array([1 / count[run] for run in runs])
    found = np.zeros(len(values))
    for one in (0, 1):
        fitted = half != one
        centre, scale = values[fitted].mean(axis=0), values[fitted].std(axis=0) + np.finfo(np.float64).eps
        model = LogisticRegression(max_iter=5000)
        model.fit((values[fitted] - centre) / scale, lost[fitted], sample_weight=weight[fitted])
        found[~fitted] = model.decision_function((values[~fitted] - centre) / scale)
    return found


def figures(rows: Sequence[Row], added: Sequence[Sequence[float]], tier: Tier, with_moments: bool) -> dict[str, float]:
    """ROC area per run, and the share of lost runs found at no false alarm."""
    complete = [
        (row, [*(row.values[tier][name] for name in OF_TIER[tier]), *(extra if with_moments else ())])
        for row, extra in zip(rows, added, strict=True)
        if row.complete(tier) and not any(map(math.isnan, extra))
    ]
    lost, last = (np.array([getattr(row, name) for row, _ in complete]) for name in ("lost", "last"))
    found = scores(np.array([values for _, values in complete]), lost, [row.run for row, _ in complete])
    above = found[last & lost] > found[last & ~lost].max()
    return {"roc_runs": round(area(found[last], lost[last]), 3), "found": round(float(above.mean()), 3)}


def main() -> None:
    """Print every tier without and with the moments, and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    arguments = parser.parse_args()
    raw = {run["run"]: run["checkpoints"] for run in read_corpus(arguments.corpus)}
    rows = [row for run in read_modes_runs(arguments.corpus) for row in rows_of(run) if row.lost is not None]
    added = [moments(raw[row.run][row.index]["optimizers"]) for row in rows]
    told = {
        tier.name: {
            "without": figures(rows, added, tier, with_moments=False),
            "with": figures(rows, added, tier, with_moments=True),
        }
        for tier in TIERS
    }
    for name, item in told.items():
        parts = [f"{key}: ROC {one['roc_runs']}, found {one['found']}" for key, one in item.items()]
        print(f"{name:14}  {'  '.join(parts)}")
    print(json.dumps(told))


if __name__ == "__main__":
    main()
