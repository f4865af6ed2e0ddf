"""How often the diagnosis is right on runs whose truth is known, beside naive statistics of the same spectra.

    python tests/benchmarks/diagnostic_accuracy.py tests/data/corpus.json.gz tests/data/held-out.json.gz [DIR…]

Reads the forms that `labelled.py` names. A run that the shipped formula was fitted on (those in `--fitted`) is
never scored by it: it is scored by one fitted without its fifth of the runs (split by a hash of the run's
settings), and, in the table "leave one recipe out", without its recipe. All others are scored as shipped.

Positive are checkpoints, from a quarter of a run on, whose modes are lost; unclear ones are left out. A run counts
by its last checkpoint. ROC areas have a 90 % interval from resampling runs. All statistics are taken from the same
layers (rank ≥ 8) of the same checkpoints; runs without such a layer are counted and not scored. Every statistic is
turned so that higher means collapse as the papers or tools expect: areas below 0.5 point the wrong way.
The last line is one JSON object, over all runs given.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spectral_doctor.diagnosis.evidence import panel_of
from spectral_doctor.diagnosis.model import FORMULA, Formula
from spectral_doctor.diagnosis.records import Thresholds, Verdict
from spectral_doctor.diagnosis.rules import diagnose
from spectral_doctor.records import Spectrum
from tests.benchmarks.fit_diagnosis import evidence_of, fit
from tests.benchmarks.labelled import LabelledRun, read_runs

FITTED = Path(__file__).resolve().parents[1] / "data" / "corpus.json.gz"
FOLDS = 5
OURS = "this diagnosis"
RESAMPLES = 400
Floats = NDArray[np.float64]


def alpha(spectrum: Spectrum) -> float:
    """WeightWatcher's exponent: the power law fitted to the tail of σ², x_min by least Kolmogorov–Smirnov distance."""
    squares = np.sort(np.array(spectrum.relative) ** 2)
    squares = squares[squares > 1e-12]
    best, exponent = math.inf, math.nan
    for start in range(len(squares) - 1):
        tail = squares[start:]
        total = float(np.log(tail / tail[0]).sum())
        if total <= 0:
            continue
        slope = 1 + len(tail) / total
        model = 1 - (tail / tail[0]) ** (1 - slope)
        distance = float(np.abs(model - np.arange(len(tail)) / len(tail)).max())
        if distance < best:
            best, exponent = distance, slope
    return exponent


def rank_loss(spectrum: Spectrum) -> float:
    """WeightWatcher's rank loss: how many values fall below numpy's tolerance of a float32 matrix."""
    return float(sum(value <= spectrum.size * np.finfo(np.float32).eps for value in spectrum.relative))


NAIVE: dict[str, Callable[[Sequence[Spectrum]], float]] = {
    "worst layer, σ5/σ1": lambda spectra: -min(item.ratio(5) for item in spectra),
    "best layer, σ5/σ1": lambda spectra: -max(item.ratio(5) for item in spectra),
    "best layer, median σ/σ1": lambda spectra: -max(statistics.median(item.relative) for item in spectra),
    "best layer, stable rank/r": lambda spectra: -max(item.stable_rank / item.size for item in spectra),
    "best layer, effective rank/r": lambda spectra: -max(item.effective_rank / item.size for item in spectra),
    "mean alpha (low)": lambda spectra: -float(np.nanmean([alpha(item) for item in spectra])),
    "mean rank loss": lambda spectra: statistics.fmean(rank_loss(item) for item in spectra),
}


@dataclass(frozen=True)
class Scored:
    """One checkpoint: its run, its truth, whether it is the run's last, and its scores by statistic."""

    run: LabelledRun
    index: int
    collapsed: bool
    scores: Mapping[str, float]

    @property
    def last(self) -> bool:
        """Whether the run ends here."""
        return self.index == len(self.run.modes) - 1


def fold_of(run: LabelledRun) -> int:
    """The part of the runs that a run belongs to, from a hash of its settings."""
    return int(hashlib.sha256(run.key.encode()).hexdigest(), 16) % FOLDS


def score(runs: Sequence[LabelledRun], formula_of: Callable[[LabelledRun], Formula], naive: bool) -> list[Scored]:
    """Score every checkpoint that counts."""
    scored = []
    for run in runs:
        formula, panel = formula_of(run), panel_of(run.trajectory, Thresholds())
        for index, evidence in evidence_of(run).items():
            spectra = [item for layer in panel.layers if (item := layer.spectra[index])]
            scores = {OURS: formula.probability(evidence)}
            if naive:
                scores |= {name: statistic(spectra) for name, statistic in NAIVE.items()}
                scores |= _generator(run, index)
            scored.append(Scored(run, index, run.outcomes[index] == "collapsed", scores))
    return scored


def _generator(run: LabelledRun, index: int) -> dict[str, float]:
    """Evidence that the diagnosis does not use, where a file has it: the generator's spectra."""
    value = run.generator_sigma_2[index]
    return {} if value is None else {"generator, mean σ2/σ1": -value}


def area(scores: Floats, truth: NDArray[np.bool_]) -> float:
    """The ROC area: how often a collapsed checkpoint scores above a healthy one, ties counting half."""
    up, down = scores[truth], np.sort(scores[~truth])
    if not len(up) or not len(down):
        return math.nan
    return float((np.searchsorted(down, up, "left") + np.searchsorted(down, up, "right")).mean() / (2 * len(down)))


def interval(scores: Floats, truth: NDArray[np.bool_], runs: Sequence[str]) -> tuple[float, float]:
    """The middle 90 % of the area over resampled runs."""
    members: dict[str, list[int]] = {}
    for position, name in enumerate(runs):
        members.setdefault(name, []).append(position)
    groups, random = list(members.values()), np.random.default_rng(0)
    areas = []
    for _ in range(RESAMPLES):
        drawn = random.integers(len(groups), size=len(groups))
        chosen = np.concatenate([groups[item] for item in drawn])
        areas.append(area(scores[chosen], truth[chosen]))
    low, high = np.nanquantile(areas, [0.05, 0.95])
    return float(low), float(high)


def sensitivity(scores: Floats, truth: NDArray[np.bool_], false_alarms: float) -> float:
    """The largest share of collapsed ones found while at most this share of the healthy ones raises an alarm."""
    if truth.all() or not truth.any():
        return math.nan
    healthy = np.sort(scores[~truth])[::-1]
    return float((scores[truth] > healthy[int(false_alarms * len(healthy))]).mean())


def columns(scored: Sequence[Scored], name: str) -> tuple[Floats, NDArray[np.bool_], list[str]]:
    """Scores, truth and run of each checkpoint."""
    return (
        np.array([item.scores[name] for item in scored]),
        np.array([item.collapsed for item in scored], dtype=bool),
        [item.run.key for item in scored],
    )


FIGURES = (
    "roc_auc",
    "roc_auc_low",
    "roc_auc_high",
    "roc_auc_spectral_norm",
    "roc_auc_no_spectral_norm",
    "sensitivity_at_1pct_false_alarms",
    "sensitivity_at_5pct_false_alarms",
    "roc_auc_per_run",
    "sensitivity_at_1pct_false_alarms_per_run",
    "sensitivity_at_5pct_false_alarms_per_run",
)


def figures_of(scored: Sequence[Scored], name: str) -> dict[str, float]:
    """All figures of one statistic: over checkpoints, and over runs by their last checkpoint."""
    scores, truth, runs = columns(scored, name)
    normalised = columns([item for item in scored if item.run.normalised], name)
    plain = columns([item for item in scored if not item.run.normalised], name)
    ends, ended, _ = columns([item for item in scored if item.last], name)
    row = [area(scores, truth), *interval(scores, truth, runs), area(*normalised[:2]), area(*plain[:2])]
    row += [sensitivity(scores, truth, 0.01), sensitivity(scores, truth, 0.05)]
    row += [area(ends, ended), sensitivity(ends, ended, 0.01), sensitivity(ends, ended, 0.05)]
    return dict(zip(FIGURES, row, strict=True))


def table(title: str, scored: Sequence[Scored]) -> dict[str, float]:
    """Print a block: every statistic's figures; return those of the diagnosis."""
    if not scored:
        return {}
    truth = Counter(item.collapsed for item in scored)
    ended = Counter(item.collapsed for item in scored if item.last)
    print(
        f"\n{title}: {truth[True]} collapsed and {truth[False]} healthy checkpoints of "
        f"{len({item.run.key for item in scored})} runs; at the last {ended[True]} and {ended[False]} runs"
    )
    heads = ("ROC area (90 %)", "SN", "none", "at 1 %", "5 %", "run", "at 1 %", "5 %")
    print(f"{'':30} {heads[0]:>17}" + "".join(f" {head:>6}" for head in heads[1:]))
    found = {name: figures_of(scored, name) for name in scored[0].scores}
    for name, figures in found.items():
        first, low, high, *rest = figures.values()
        print(f"{name:30} {first:5.2f} ({low:.2f}–{high:.2f})" + "".join(f" {value:6.2f}" for value in rest))
    return found[OURS]


def reliability(scored: Sequence[Scored]) -> float:
    """Print how often a stated probability came true; return the mean gap, every run weighing the same."""
    counts = Counter(item.run.key for item in scored)
    chance, truth, runs = columns(scored, OURS)
    weight = np.array([1 / counts[run] for run in runs])
    bins = np.minimum((chance * 5).astype(int), 4)
    gap, cells = 0.0, []
    for number in range(5):
        inside = bins == number
        if inside.any():
            said = float(np.average(chance[inside], weights=weight[inside]))
            came = float(np.average(truth[inside], weights=weight[inside]))
            gap += float(weight[inside].sum() / weight.sum()) * abs(said - came)
            cells.append(f"said {said:.2f} true {came:.2f} ({inside.sum()})")
    print(f"calibration error {gap:.3f}: {'; '.join(cells)}")
    return gap


def verdicts(scored: Sequence[Scored], thresholds: Thresholds, title: str) -> dict[str, float]:
    """Print the verdicts of the shipped formula by truth, alarms in healthy runs, onset error and lead."""
    found = {
        item.run.key: [state.verdict for state in diagnose(item.run.trajectory, thresholds).states] for item in scored
    }
    rates = {}
    for truth in (True, False):
        ends = Counter(found[item.run.key][-1] for item in scored if item.last and item.collapsed is truth)
        total = max(sum(ends.values()), 1)
        shares = ", ".join(f"{verdict.value} {ends[verdict] / total:.2f}" for verdict in Verdict)
        print(f"{title}, runs that end {'collapsed' if truth else 'healthy  '} ({total}): {shares}")
        rates[truth] = ends[Verdict.COLLAPSED] / total
    healthy = {item.run.key for item in scored} - {item.run.key for item in scored if item.collapsed}
    alarmed = {item.run.key for item in scored if found[item.run.key][item.index] is Verdict.COLLAPSED}
    print(
        f"{title}, runs never collapsed but called COLLAPSED at some checkpoint: "
        f"{len(healthy & alarmed)} of {len(healthy)}"
    )
    _onsets({item.run.key: item.run for item in scored}.values(), found, title)
    return {"false_alarms_per_run": rates[False], "found_per_run": rates[True]}


def _onsets(runs: Iterable[LabelledRun], found: Mapping[str, Sequence[Verdict]], title: str) -> None:
    """Print how far the onset that was found lies from the fall of the modes, in checkpoints."""
    pairs = [(onset(run), first_alarm(found[run.key])) for run in runs]
    fell = [(fall, alarm) for fall, alarm in pairs if fall is not None]
    leads = [fall - alarm for fall, alarm in fell if alarm is not None]
    if leads:
        off = statistics.median(map(abs, leads))
        before, same = sum(lead > 0 for lead in leads), sum(lead == 0 for lead in leads)
        print(
            f"{title}, onset of {len(fell)} runs whose modes fell: {len(leads)} found, off by {off:g} checkpoints "
            f"(median); {before} before the fall, {same} at it, {len(leads) - before - same} after; median lead "
            f"{statistics.median(leads):g}"
        )


def onset(run: LabelledRun) -> int | None:
    """Where modes fell: the first of the collapsed checkpoints that end a run which had been better before."""
    index = len(run.outcomes)
    while index and run.outcomes[index - 1] == "collapsed":
        index -= 1
    return index if 1 < index < len(run.outcomes) else None


def first_alarm(found: Sequence[Verdict]) -> int | None:
    """The first of the DECLINING or COLLAPSED verdicts that end a run."""
    index = len(found)
    while index and found[index - 1] in (Verdict.DECLINING, Verdict.COLLAPSED):
        index -= 1
    return index if index < len(found) else None


def limits(scored: Sequence[Scored], thresholds: Thresholds) -> None:
    """Print what the spectra cannot tell: collapses without a fall, and the surest alarms on healthy runs."""
    ended = [item for item in scored if item.last and item.collapsed]
    never = [item for item in ended if set(item.run.outcomes) == {"collapsed"}]
    likely = sum(item.scores[OURS] >= thresholds.declining_at for item in ended)
    print(
        f"of {len(ended)} runs that end collapsed {len(never)} never were better; {likely} have a probability of "
        f"{thresholds.declining_at:g} or more"
    )
    wrong = [item for item in scored if item.last and not item.collapsed]
    surest = sorted(wrong, key=lambda item: -item.scores[OURS])[:3]
    named = ", ".join(f"{item.run.name} {item.scores[OURS]:.2f} ({item.run.modes[-1]} modes)" for item in surest)
    print(f"the highest probabilities of runs that end healthy: {named}")


FormulaOf = Callable[[LabelledRun], Formula]


def formulas(fitted: Sequence[LabelledRun]) -> tuple[FormulaOf, FormulaOf]:
    """The formula for a run: without its fifth of the fitted runs, and without its recipe."""
    keys = {run.key for run in fitted}
    parts = [fit([run for run in fitted if fold_of(run) != part]) for part in range(FOLDS)] if fitted else []
    names = sorted({run.recipe for run in fitted})
    recipes = {name: fit([run for run in fitted if run.recipe != name]) for name in names}
    return (
        lambda run: parts[fold_of(run)] if run.key in keys else FORMULA,
        lambda run: recipes.get(run.recipe, FORMULA),
    )


def report(title: str, runs: Sequence[LabelledRun], by_run: FormulaOf, seen: bool) -> dict[str, float]:
    """Print all that is said of one set of runs; `seen` says that the shipped formula was fitted on them."""
    scored = score(runs, by_run, naive=True)
    figures = table(title, scored)
    some = {item.run.key for item in scored}
    unscored = sum(bool(run.judged) and run.key not in some for run in runs)
    unclear = sum(not run.judged for run in runs)
    print(f"not scored: {unscored} runs, for no layer has rank 8; {unclear} without a clear checkpoint")
    if scored:
        figures["calibration_error"] = reliability(scored)
        limits(scored, Thresholds())
        note = " (fitted on these runs)" if seen else ""
        for name, thresholds in (("default", Thresholds()), ("sensitive", Thresholds.sensitive())):
            rates = verdicts(scored, thresholds, f"{name}{note}")
            figures |= {f"{key}_{name}": value for key, value in rates.items()}
    return figures


def main() -> None:
    """Score each path given, then all of them, and print the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--fitted", type=Path, default=FITTED)
    arguments = parser.parse_args()
    fitted = read_runs(arguments.fitted) if arguments.fitted.exists() else []
    by_run, by_recipe = formulas(fitted)
    sets = {path: read_runs(path) for path in arguments.paths}
    parts: dict[str, dict[str, float]] = {}
    for path, runs in sets.items():
        seen = bool({run.key for run in runs} & {run.key for run in fitted})
        title = f"{path.name}, each run scored without its fifth" if seen else f"{path.name}, as shipped"
        parts[path.name] = report(title, runs, by_run, seen)
        if any(run.recipe in {item.recipe for item in fitted} for run in runs):
            left_out = score(runs, by_recipe, naive=False)
            parts[f"{path.name}, leave one recipe out"] = table(f"{path.name}, leave one recipe out", left_out)
            for recipe in sorted({run.recipe for run in runs}):
                table(f"{path.name}, without {recipe}", [item for item in left_out if item.run.recipe == recipe])
        wide = [run for run in runs if run.latent_dim > 2]
        if len(wide) < len(runs):
            table(f"{path.name}, latent size above 2", score(wide, by_run, naive=False))
    everything = [run for runs in sets.values() for run in runs]
    total = table("all", score(everything, by_run, naive=False))
    parts_rounded = {name: _rounded(figures) for name, figures in parts.items()}
    print(json.dumps(_rounded(total) | {"parts": parts_rounded}))


def _rounded(figures: Mapping[str, float]) -> dict[str, Any]:
    return {key: None if math.isnan(value) else round(value, 3) for key, value in figures.items()}


if __name__ == "__main__":
    main()
