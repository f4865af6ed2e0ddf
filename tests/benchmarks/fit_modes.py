"""Fit the formulas of `spectral_doctor/diagnosis/formulas.py` to the second corpus, and print that file.

    python tests/benchmarks/fit_modes.py tests/data/corpus-2.json.gz [--write]

Logistic regression by Newton's method on standardised evidence with a ridge of 1, every run with the same weight
however many of its checkpoints count. A term whose sign contradicts its mechanism is left out of its formula and
named: a shortfall, a fall, a growing layer and an energy distance may only speak for lost modes, a first layer that
keeps its plateau, samples that are widely spread, and real ones that are covered only against. The last line is one
JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spectral_doctor.diagnosis.model import OF_TIER, Formula, Term
from spectral_doctor.diagnosis.records import Tier
from tests.benchmarks.modes import Row, read_modes_runs, rows_of

_FOR = ("shortfall", "fall", "outgrowth", "ratio_fall", "loss", "energy")
_AGAINST = (
    "first",
    "ratio",
    "participation",
    "deviation",
    "coverage",
    "broad_coverage",
    "relative_vendi",
    "served",
    "evenness",
)
SIGNS = dict.fromkeys(_FOR, 1) | dict.fromkeys(_AGAINST, -1)
RIDGE = 1.0
# How far beyond the values that were fitted a formula may be asked, as a share of their range.
BEYOND = 0.1
# These are bounded where they are measured (`Evidence`), so that none of their values is beyond.
BOUNDED = ("shortfall", "fall", "outgrowth")
SOURCE = Path(__file__).resolve().parents[2] / "spectral_doctor" / "diagnosis" / "formulas.py"


def fit(rows: Sequence[Row], tier: Tier) -> Formula:
    """The formula of a tier, without the terms whose sign contradicts their mechanism."""
    known = [row for row in rows if row.lost is not None and row.complete(tier)]
    names = list(OF_TIER[tier])
    while True:
        formula = _fitted(known, tier, names)
        wrong = [item for item in formula.terms if item.weight * SIGNS.get(item.name, item.weight) <= 0]
        if not wrong:
            return formula
        names.remove(min(wrong, key=lambda item: item.weight * SIGNS.get(item.name, 1)).name)


def _fitted(known: Sequence[Row], tier: Tier, names: Sequence[str]) -> Formula:
    counts = Counter(row.run for row in known)
    weight = np.array([1 / counts[row.run] for row in known])
    weight *= len(weight) / weight.sum()
    values = np.array([[row.values[tier][name] for name in names] for row in known])
    labels = np.array([float(bool(row.lost)) for row in known])
    typical = np.average(values, axis=0, weights=weight)
    spread = np.sqrt(np.average((values - typical) ** 2, axis=0, weights=weight))
    spread[spread == 0] = 1.0
    # The weights of a run's checkpoints sum to one run's, so that the ridge counts runs.
    solution = newton((values - typical) / spread, labels, weight * len(counts) / len(weight))
    slopes = solution[1:] / spread
    low, high = values.min(axis=0), values.max(axis=0)
    beyond = BEYOND * (high - low)
    bounded = np.isin(names, BOUNDED)
    low[bounded], high[bounded], beyond[bounded] = -2.0, 2.0, 0.0
    columns = zip(names, slopes, typical, low - beyond, high + beyond, strict=True)
    terms = [Term(name, *(round(float(item), 3) for item in rest)) for name, *rest in columns]
    ranks = [row.rank for row in known]
    return Formula(round(float(solution[0]), 3), (min(ranks), max(ranks)), tuple(terms))


def newton(
    values: NDArray[np.float64], labels: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Minimise the weighted log loss plus RIDGE/2·|slopes|²; the first entry is the intercept, not shrunk."""
    design = np.column_stack([np.ones(len(values)), values])
    ridge = RIDGE * np.diag([0.0] + [1.0] * values.shape[1])
    solution = np.zeros(design.shape[1])
    for _ in range(100):
        chance = 1 / (1 + np.exp(-np.clip(design @ solution, -30, 30)))
        slope = design.T @ (weight * (chance - labels)) + ridge @ solution
        curvature = (design * (weight * chance * (1 - chance))[:, None]).T @ design + ridge
        step = np.linalg.solve(curvature + 1e-9 * np.eye(len(ridge)), slope)
        solution -= step
        if np.abs(step).max() < 1e-10:
            break
    return solution


def source_of(formulas: dict[Tier, Formula]) -> str:
    """The Python file that holds the formulas."""
    lines = [
        '"""The fitted formulas, printed by `python tests/benchmarks/fit_modes.py tests/data/corpus-2.json.gz`."""',
        "",
        "from __future__ import annotations",
        "",
        "from spectral_doctor.diagnosis.model import Formula, Term",
        "from spectral_doctor.diagnosis.records import Tier",
        "",
        "FORMULAS = {",
    ]
    for tier, formula in formulas.items():
        lines += [
            f"    Tier.{tier.name}: Formula(",
            f"        {formula.baseline},",
            f"        {formula.ranks},",
            "        (",
        ]
        for item in formula.terms:
            numbers = ", ".join(map(str, (item.weight, item.typical, item.lowest, item.highest)))
            lines.append(f'            Term("{item.name}", {numbers}),')
        lines += ["        ),", "    ),"]
    return "\n".join([*lines, "}", ""])


def main() -> None:
    """Fit, print the source and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--write", action="store_true", help="write the file in place of printing it")
    arguments = parser.parse_args()
    rows = [row for run in read_modes_runs(arguments.corpus) for row in rows_of(run)]
    formulas = {tier: fit(rows, tier) for tier in OF_TIER}
    source = source_of(formulas)
    if arguments.write:
        SOURCE.write_text(source, encoding="utf-8")
    print(source)
    known = [row for row in rows if row.lost is not None]
    dropped = {tier.name: sorted(set(OF_TIER[tier]) - {item.name for item in formulas[tier].terms}) for tier in OF_TIER}
    print(
        json.dumps(
            {
                "checkpoints": len(known),
                "lost": sum(bool(row.lost) for row in known),
                "runs": len({row.run for row in known}),
                "left out for their sign": dropped,
            }
        )
    )


if __name__ == "__main__":
    main()
