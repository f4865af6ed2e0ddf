"""What the second corpus holds: outcomes by recipe and spectral norm, courses, changes of label, and the negatives.

    python tests/benchmarks/outcomes.py tests/data/corpus-2.json.gz

Outcomes are worked out anew from the evaluations in the file by `spectral_doctor/evaluation/outcomes.py`.
A change of label is counted between neighbouring checkpoints, UNCLEAR and IMPRECISE being labels as any; from a quarter
of a run on (before, nothing has been learnt that could be lost), and over the whole run. The negatives are samples
whose outcome is known: noise, an untrained generator, a constant, one perfect mode, real data. The last line is one
JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spectral_doctor.evaluation import Course, Evaluation, Outcome, course, outcomes
from spectral_doctor.gan.builtin import RECIPES, MixtureRecipe, StackedDigitsRecipe
from spectral_doctor.gan.recipes import BaseRecipe
from tests.benchmarks.corpus_file import read_corpus

EVALUATED_FROM = 0.25


@dataclass(frozen=True)
class JudgedRun:
    """A run with the outcome of every checkpoint, its course, and how many of its labels change."""

    recipe: str
    normalised: bool
    steps: tuple[int, ...]
    outcomes: tuple[Outcome, ...]
    course: Course

    def neighbours(self, start: float) -> tuple[int, int]:
        """How many neighbouring checkpoints from a share of the run on differ in label, and how many there are."""
        first = start * self.steps[-1]
        late = [one for step, one in zip(self.steps, self.outcomes, strict=True) if step >= first]
        return sum(one is not two for one, two in pairwise(late)), max(len(late) - 1, 0)


def judged(run: dict[str, Any]) -> JudgedRun:
    """Apply the rule to a run of the corpus."""
    steps = tuple(int(item["step"]) for item in run["checkpoints"])
    found = outcomes([Evaluation.read(item["evaluation"]) for item in run["checkpoints"]], steps)
    return JudgedRun(run["recipe"], run["settings"]["spectral_norm"], steps, found, course(found))


def table(runs: Sequence[JudgedRun]) -> list[str]:
    """Outcomes at the last checkpoint by recipe and norm, then courses by outcome."""
    kinds = [one for one in Outcome if any(run.outcomes[-1] is one for run in runs)]
    rows = [f"{'at the last checkpoint':32} runs  " + "  ".join(one.value for one in kinds)]
    groups = sorted({(run.recipe, run.normalised) for run in runs})
    for recipe, normalised in groups:
        part = [run for run in runs if (run.recipe, run.normalised) == (recipe, normalised)]
        rows.append(_row(f"{recipe}, {'spectral norm' if normalised else 'none'}", part, kinds))
    rows += [_row("all", runs, kinds), ""]
    for way in Course:
        rows.append(_row(way.value, [run for run in runs if run.course is way], kinds))
    return rows


def _row(name: str, runs: Sequence[JudgedRun], kinds: Sequence[Outcome]) -> str:
    counts = Counter(run.outcomes[-1] for run in runs)
    return f"{name:32} {len(runs):4}  " + "  ".join(f"{counts[one]:{len(one.value)}}" for one in kinds)


def changes(runs: Sequence[JudgedRun], start: float) -> float:
    """The share of neighbouring checkpoints, from a share of the run on, with different labels."""
    found = [run.neighbours(start) for run in runs]
    return sum(changed for changed, _ in found) / max(sum(of for _, of in found), 1)


def negatives(name: str) -> dict[str, str]:
    """The outcome of samples whose truth is known, for one recipe."""
    settings = RECIPES[name].settings.changed({"samples": "2500"})
    recipe = RECIPES[name].build(settings)
    assert isinstance(recipe, BaseRecipe)
    random = torch.Generator().manual_seed(1)
    real = recipe.real(2500, random)
    torch.manual_seed(0)
    generator, _ = recipe.networks()
    low, high = real.min(), real.max()
    cases: dict[str, Tensor] = {
        "uniform noise": low + (high - low) * torch.rand(real.shape, generator=random),
        "untrained generator": recipe.sampled(generator),
        "constant": real[:1].expand(real.shape),
        "one perfect mode": _one_mode(recipe, random),
        "real data": recipe.real(2500, random),
    }
    found = {}
    for case, samples in cases.items():
        measured = evaluated(recipe, samples)
        # An untrained generator is one by its step.
        (outcome,) = outcomes([measured], [0] if case == "untrained generator" else [1])
        found[case] = f"{outcome.value} ({measured.modes_captured} captured, {measured.solid_modes} solid)"
    return found


def evaluated(recipe: BaseRecipe, samples: Tensor) -> Evaluation:
    """Evaluate samples as if they were the generator's."""
    measured = recipe.evaluate(_Fixed(samples))
    assert measured is not None
    return measured


class _Fixed(torch.nn.Module):
    """A generator that hands out fixed samples, in order, whatever the latents."""

    def __init__(self, samples: Tensor) -> None:
        super().__init__()
        self.samples, self.position = samples, 0
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, latents: Tensor) -> Tensor:
        """The next samples, one a latent."""
        self.position += len(latents)
        return self.samples[self.position - len(latents) : self.position]


def _one_mode(recipe: BaseRecipe, random: torch.Generator) -> Tensor:
    if isinstance(recipe, MixtureRecipe):
        mixture = recipe.mixture
        return mixture.means[:1] + mixture.standard_deviation * torch.randn(2500, 2, generator=random)
    assert isinstance(recipe, StackedDigitsRecipe)
    bank = recipe.data.bank
    return bank[4, torch.randint(bank.shape[1], (2500, recipe.settings.stack), generator=random)]


def main() -> None:
    """Print the tables and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--negatives", nargs="*", default=["ring", "grid", "stacked-digits", "stacked-glyphs"])
    arguments = parser.parse_args()
    runs = [judged(run) for run in read_corpus(arguments.corpus)]
    print("\n".join(table(runs)))
    late, whole = changes(runs, EVALUATED_FROM), changes(runs, 0.0)
    print(f"\nlabel changes between neighbours: {late:.1%} from a quarter of a run on, {whole:.1%} over all of it\n")
    known = {name: negatives(name) for name in arguments.negatives}
    for name, found in known.items():
        print(f"{name}: " + "; ".join(f"{case}: {outcome}" for case, outcome in found.items()))
    ends = Counter(run.outcomes[-1].value for run in runs)
    lost = [run for run in runs if run.outcomes[-1] is Outcome.MODES_LOST]
    figures = {
        "runs": len(runs),
        "spectral norm": sum(run.normalised for run in runs),
        "outcomes": dict(ends),
        "courses": dict(Counter(run.course.value for run in runs)),
        "modes lost that fell": sum(run.course is Course.FELL for run in lost),
        "label changes": round(late, 4),
        "label changes, whole run": round(whole, 4),
        "negatives": known,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
