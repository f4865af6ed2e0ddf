"""What the generator's spectra add to the diagnosis: beside it, and in one formula with it.

    python tests/benchmarks/generator_evidence.py tests/data/corpus.json.gz tests/data/held-out.json.gz

The tool reads the discriminator alone. Here a second logistic formula takes its log-odds and the generator's mean
σ2/σ1, which `corpus.py` records. In the first file, the fitted one, both formulas score a run without its fifth
of the runs; the second file is scored by the formulas fitted on all of the first. Rows and truth are those of
`diagnostic_accuracy.py`. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.diagnostic_accuracy import FOLDS, OURS, Scored, figures_of, fold_of, formulas, score, table
from tests.benchmarks.labelled import read_runs

GENERATOR = "generator, mean σ2/σ1"
BOTH = "both in one formula"


def features(item: Scored) -> tuple[float, float]:
    """The diagnosis's log-odds and the generator's σ_2/σ_1."""
    chance = min(max(item.scores[OURS], 1e-6), 1 - 1e-6)
    return math.log(chance / (1 - chance)), -item.scores[GENERATOR]


def fitted(items: Sequence[Scored]) -> LogisticRegression:
    """Both pieces of evidence in one logistic formula, every run with the same weight."""
    counts = Counter(item.run.key for item in items)
    return LogisticRegression().fit(
        np.array([features(item) for item in items]),
        np.array([item.collapsed for item in items]),
        sample_weight=[1 / counts[item.run.key] for item in items],
    )


def with_both(items: Sequence[Scored], formula: LogisticRegression) -> list[Scored]:
    """The same checkpoints with the score of the common formula beside the others."""
    chances = formula.predict_proba(np.array([features(item) for item in items]))[:, 1]
    return [
        replace(item, scores={**_kept(item), BOTH: float(chance)}) for item, chance in zip(items, chances, strict=True)
    ]


def _kept(item: Scored) -> dict[str, float]:
    return {name: item.scores[name] for name in (OURS, GENERATOR)}


def main() -> None:
    """Score both files and print the tables and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fitted", type=Path)
    parser.add_argument("others", type=Path, nargs="*")
    arguments = parser.parse_args()
    runs = read_runs(arguments.fitted)
    by_run, _ = formulas(runs)
    own = [item for item in score(runs, by_run, naive=True) if GENERATOR in item.scores]
    crossed: list[Scored] = []
    for part in range(FOLDS):
        inside = [item for item in own if fold_of(item.run) == part]
        crossed += with_both(inside, fitted([item for item in own if fold_of(item.run) != part]))
    table(f"{arguments.fitted.name}, each run scored without its fifth", crossed)
    parts = {arguments.fitted.name: figures_of(crossed, BOTH)}
    whole = fitted(own)
    for path in arguments.others:
        scored = [item for item in score(read_runs(path), by_run, naive=True) if GENERATOR in item.scores]
        table(f"{path.name}, by the formulas fitted on {arguments.fitted.name}", with_both(scored, whole))
        parts[path.name] = figures_of(with_both(scored, whole), BOTH)
    rounded = {name: {key: round(value, 3) for key, value in figures.items()} for name, figures in parts.items()}
    print(json.dumps({"weights": [round(float(value), 3) for value in whole.coef_[0]], "parts": rounded}))


if __name__ == "__main__":
    main()
