"""Fit the formula of `spectral_doctor/diagnosis/model.py` to labelled runs, and print it as it stands there.

    python tests/benchmarks/fit_diagnosis.py tests/data/corpus.json.gz

Logistic regression by Newton's method on standardised evidence with a ridge of 1, every run with the same weight
however many of its checkpoints are judged. A sign that contradicts the mechanism is refused: a shortfall, layers
that stopped, one that outgrows the rest may only speak for a collapse, a first layer that keeps its second value
only against it. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spectral_doctor.diagnosis.evidence import Evidence, evidence_at, panel_of
from spectral_doctor.diagnosis.model import Formula, Term
from spectral_doctor.diagnosis.records import Thresholds
from tests.benchmarks.labelled import LabelledRun, read_runs

NAMES = tuple(field.name for field in fields(Evidence))
# Under spectral norm plateaus are higher by themselves, so the same one weighs more.
SIGNS = {"shortfall": 1, "first": -1, "still": 1, "outgrowth": 1, "normalised": 1}
RIDGE = 1.0


class WrongSign(Exception):
    """A fitted weight contradicts the mechanism."""


def evidence_of(run: LabelledRun) -> dict[int, Evidence]:
    """The evidence at every position that counts; none where no layer can be judged."""
    thresholds = Thresholds()
    panel = panel_of(run.trajectory, thresholds)
    found = {index: evidence_at(run.trajectory, panel, index, thresholds) for index in run.judged}
    return {index: item for index, item in found.items() if item is not None}


def fit(runs: Sequence[LabelledRun]) -> Formula:
    """Fit the formula; raises `WrongSign`."""
    rows: list[tuple[float, ...]] = []
    labels, weights = [], []
    for run in runs:
        evidence = evidence_of(run)
        for index, item in evidence.items():
            rows.append(item.values)
            labels.append(float(run.outcomes[index] == "collapsed"))
            weights.append(1 / len(evidence))
    weight = np.array(weights) * len(weights) / sum(weights)
    values = np.array(rows)
    typical = np.average(values, axis=0, weights=weight)
    spread = np.sqrt(np.average((values - typical) ** 2, axis=0, weights=weight))
    solution = _newton((values - typical) / spread, np.array(labels), weight)
    slopes = solution[1:] / spread
    for name, slope in zip(NAMES, slopes, strict=True):
        if slope * SIGNS[name] <= 0:
            raise WrongSign(f"{name}: {slope:+.2f}, expected the sign of {SIGNS[name]:+d}")
    terms = [Term(*item) for item in zip(NAMES, slopes.round(3).tolist(), typical.round(3).tolist(), strict=True)]
    return Formula(round(float(solution[0]), 3), tuple(terms))


def _newton(
    values: NDArray[np.float64], labels: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Minimise the weighted log loss plus RIDGE/2·|slopes|²; the first entry is the intercept, not shrunk."""
    design = np.column_stack([np.ones(len(values)), values])
    ridge = RIDGE * np.diag([0.0] + [1.0] * values.shape[1])
    solution = np.zeros(design.shape[1])
    for _ in range(50):
        chance = 1 / (1 + np.exp(-design @ solution))
        slope = design.T @ (weight * (chance - labels)) + ridge @ solution
        curvature = (design * (weight * chance * (1 - chance))[:, None]).T @ design + ridge
        step = np.linalg.solve(curvature, slope)
        solution -= step
        if np.abs(step).max() < 1e-10:
            break
    return solution


def main() -> None:
    """Fit, print the source lines and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", type=Path, nargs="+")
    runs = [run for path in parser.parse_args().paths for run in read_runs(path)]
    formula = fit(runs)
    print(f"FORMULA = Formula(\n    {formula.baseline},\n    (")
    for term in formula.terms:
        print(f'        Term("{term.name}", {term.weight}, {term.typical}),')
    print("    ),\n)")
    figures = {term.name: term.weight for term in formula.terms}
    print(json.dumps({"runs": len(runs), "baseline": formula.baseline, **figures}))


if __name__ == "__main__":
    main()
