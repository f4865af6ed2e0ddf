"""How often the statement about modes is right, by tier of evidence, on runs whose truth is known.

    python tests/benchmarks/modes_accuracy.py tests/data/corpus-2.json.gz [--untouched tests/data/untouched.json.gz]

In the corpus that the formulas were fitted on, a run is scored by one fitted on the other half of the runs (even and
odd tens). In the untouched draw all are scored as shipped. Lost are MODES LOST and CONSTANT, kept is HEALTHY; a run
counts by its last checkpoint. ROC areas have a 95 % interval from resampling runs; "found at none" is the share of lost
runs above every healthy one. Outcomes of another kind stand in a table: what is said of them. Checkpoints whose
discriminator says nothing (STILL, UNTRAINED, …) or that lie outside what was fitted are NOT KNOWN, and counted.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spectral_doctor.diagnosis.formulas import FORMULAS
from spectral_doctor.diagnosis.model import OF_TIER, Formula
from spectral_doctor.diagnosis.records import Thresholds, Tier
from spectral_doctor.evaluation import Outcome
from tests.benchmarks.fit_modes import fit
from tests.benchmarks.modes import ModesRun, Row, read_modes_runs, rows_of

Floats = NDArray[np.float64]
RESAMPLES = 400
BINS = 5


@dataclass(frozen=True)
class Scored:
    """One checkpoint with the probability that a formula gives it; None outside what was fitted."""

    row: Row
    chance: float | None


def area(scores: Floats, truth: NDArray[np.bool_]) -> float:
    """The ROC area: how often a lost one scores above a kept one, ties counting half."""
    up, down = scores[truth], np.sort(scores[~truth])
    if not len(up) or not len(down):
        return math.nan
    return float((np.searchsorted(down, up, "left") + np.searchsorted(down, up, "right")).mean() / (2 * len(down)))


def interval(scores: Floats, truth: NDArray[np.bool_], runs: Sequence[int]) -> tuple[float, float]:
    """The middle 95 % of the area over resampled runs."""
    members: dict[int, list[int]] = {}
    for position, name in enumerate(runs):
        members.setdefault(name, []).append(position)
    groups, random = list(members.values()), np.random.default_rng(0)
    areas = []
    for _ in range(RESAMPLES):
        chosen = np.concatenate([groups[item] for item in random.integers(len(groups), size=len(groups))])
        areas.append(area(scores[chosen], truth[chosen]))
    low, high = np.nanquantile(areas, [0.025, 0.975])
    return float(low), float(high)


def found_at_none(scores: Floats, truth: NDArray[np.bool_]) -> float:
    """The share of lost ones above every kept one."""
    if truth.all() or not truth.any():
        return math.nan
    return float((scores[truth] > scores[~truth].max()).mean())


def calibration(chance: Floats, truth: NDArray[np.bool_], runs: Sequence[int]) -> float:
    """Expected calibration error over five bins, every run with the same weight."""
    counts = Counter(runs)
    weight = np.array([1 / counts[run] for run in runs])
    bins = np.minimum((chance * BINS).astype(int), BINS - 1)
    gaps = [
        weight[inside].sum()
        * abs(np.average(chance[inside], weights=weight[inside]) - np.average(truth[inside], weights=weight[inside]))
        for number in range(BINS)
        if (inside := bins == number).any()
    ]
    return float(sum(gaps) / weight.sum())


def scored(rows: Sequence[Row], tier: Tier, formula_of: Callable[[Row], Formula]) -> list[Scored]:
    """Every row with its probability."""
    found = []
    for row in rows:
        formula, values = formula_of(row), row.values[tier]
        outside = not row.complete(tier) or formula.outside(values, row.rank)
        found.append(Scored(row, None if outside else formula.probability(values)))
    return found


def figures(items: Sequence[Scored]) -> dict[str, float]:
    """The figures of one tier: over checkpoints, and over runs by their last."""
    known = [item for item in items if item.row.lost is not None and item.chance is not None]
    ends = [item for item in known if item.row.last]
    chance, truth, runs = _columns(known)
    last, ended, numbers = _columns(ends)
    thresholds = Thresholds()
    low, high = interval(last, ended, numbers)
    return {
        "checkpoints": len(known),
        "not_known": sum(item.chance is None for item in items),
        "roc_checkpoints": area(chance, truth),
        "runs_lost": int(ended.sum()),
        "runs_healthy": int((~ended).sum()),
        "roc_runs": area(last, ended),
        "roc_runs_low": low,
        "roc_runs_high": high,
        "found_at_no_false_alarm": found_at_none(last, ended),
        "called_lost_of_lost": float((last[ended] >= thresholds.lost_at).mean()) if ended.any() else math.nan,
        "called_lost_of_healthy": float((last[~ended] >= thresholds.lost_at).mean()) if (~ended).any() else math.nan,
        "calibration_error": calibration(chance, truth, runs),
    }


def _columns(items: Sequence[Scored]) -> tuple[Floats, NDArray[np.bool_], list[int]]:
    return (
        np.array([item.chance for item in items], dtype=float),
        np.array([bool(item.row.lost) for item in items], dtype=bool),
        [item.row.run for item in items],
    )


def words(items: Sequence[Scored]) -> dict[str, Counter[str]]:
    """What is said at the last checkpoint of runs of every outcome."""
    thresholds = Thresholds()
    said: dict[str, Counter[str]] = {}
    for item in items:
        if not item.row.last:
            continue
        word = "not known"
        if item.chance is not None:
            word = "lost" if item.chance >= thresholds.lost_at else "in doubt"
            word = word if item.chance >= thresholds.kept_below else "kept"
        said.setdefault(item.row.outcome.value, Counter())[word] += 1
    return said


def halves(rows: Sequence[Row], tier: Tier) -> Callable[[Row], Formula]:
    """The formula for a row: fitted on the half of the runs that its own is not in."""
    parts = [fit([row for row in rows if _half(row) != part], tier) for part in (0, 1)]
    return lambda row: parts[_half(row)]


def _half(row: Row) -> int:
    return (row.run // 10) % 2


def report(title: str, runs: Sequence[ModesRun], shipped: bool) -> dict[str, dict[str, float]]:
    """Print the table of one set of runs, and return its figures by tier."""
    rows = [row for run in runs for row in rows_of(run)]
    mute = len(runs) - sum(row.last for row in rows)
    print(
        f"\n{title}: {len(runs)} runs; the last discriminator of {mute} says nothing (still, untrained, not finite …)"
    )
    found: dict[str, dict[str, float]] = {}
    for tier in OF_TIER:
        formula_of = (lambda row, tier=tier: FORMULAS[tier]) if shipped else halves(rows, tier)
        items = scored(rows, tier, formula_of)
        found[tier.name] = figures(items)
        print(f"  {tier.value:42} {_line(found[tier.name])}")
        for outcome, counts in sorted(words(items).items()):
            print(f"      {outcome:14} {', '.join(f'{word} {count}' for word, count in sorted(counts.items()))}")
    return found


def _line(item: Mapping[str, float]) -> str:
    parts = (
        f"ROC runs {item['roc_runs']:.3f} ({item['roc_runs_low']:.3f}–{item['roc_runs_high']:.3f})",
        f"checkpoints {item['roc_checkpoints']:.3f}",
        f"{item['runs_lost']} lost and {item['runs_healthy']} healthy runs",
        f"{item['found_at_no_false_alarm']:.0%} found at no false alarm",
        f"called LOST: {item['called_lost_of_lost']:.0%} of lost, {item['called_lost_of_healthy']:.0%} of healthy",
        f"calibration error {item['calibration_error']:.3f}",
        f"{item['not_known']} checkpoints not known",
    )
    return "; ".join(parts)


def main() -> None:
    """Print the tables and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--untouched", type=Path)
    arguments = parser.parse_args()
    found = {"other half": report("each half by the other", read_modes_runs(arguments.corpus), shipped=False)}
    if arguments.untouched:
        found["untouched"] = report("untouched draw", read_modes_runs(arguments.untouched), shipped=True)
    kinds = {Outcome.MODES_LOST.value, Outcome.CONSTANT.value}
    print(f"\nlost: {', '.join(sorted(kinds))}; kept: {Outcome.HEALTHY.value}")
    print(json.dumps({part: {tier: _rounded(item) for tier, item in tiers.items()} for part, tiers in found.items()}))


def _rounded(item: Mapping[str, float]) -> dict[str, float | None]:
    return {key: None if math.isnan(value) else round(value, 4) for key, value in item.items()}


if __name__ == "__main__":
    main()
