"""The report of a check in a terminal or a log: a line a discriminator, a line a problem."""

from __future__ import annotations

from collections import Counter

from spectral_doctor.diagnosis.records import Diagnosis
from spectral_doctor.errors import printable
from spectral_doctor.gate.records import CheckOutcome, Problem
from spectral_doctor.records import Certainty
from spectral_doctor.report.listing import recognised
from spectral_doctor.report.problems import by_rule, conclusion, group_sentence, key_words, title


def render_check(outcome: CheckOutcome) -> str:
    """Return the report as plain text; no line begins with a name from a file, which a CI log could obey."""
    lines = [_series(diagnosis) for diagnosis in outcome.inspection.diagnoses]
    lines += _problems(outcome)
    lines += [f"fixed  {key_words(key)}" for key in outcome.fixed]
    lines += [f"not examined  {key_words(key)}" for key in outcome.kept]
    codes = dict.fromkeys(problem.rule.code for problem in outcome.problems)
    lines.append(conclusion(outcome))
    if codes:
        lines.append(f"Next: spectral-doctor rule {' '.join(codes)}")
    return "\n".join(lines) + "\n"


def render_problems(outcome: CheckOutcome) -> str:
    """The problems alone, one a line; nothing where there is none: what `--quiet` leaves."""
    return "".join(f"{line}\n" for line in _problems(outcome))


def render_counts(outcome: CheckOutcome) -> str:
    """How often each rule was broken, the most frequent first, and the conclusion: what `--statistics` leaves."""
    counts = Counter((_mark(problem), title(problem)) for problem in outcome.problems)
    lines = [f"{count:6}  {mark:12}  {words}" for (mark, words), count in counts.most_common()]
    return "\n".join([*lines, conclusion(outcome)]) + "\n"


def _problems(outcome: CheckOutcome) -> list[str]:
    return [f"{_mark(group[0])}  {title(group[0])}: {group_sentence(group)}" for group in by_rule(outcome.problems)]


def _series(diagnosis: Diagnosis) -> str:
    trajectory = diagnosis.trajectory
    steps, unit = trajectory.steps, trajectory.step_unit
    when = "one checkpoint" if len(steps) == 1 else f"{len(steps)} checkpoints, {unit} {steps[0]} to {steps[-1]}"
    since = "" if diagnosis.onset is None or len(steps) == 1 else f" since {unit} {diagnosis.onset}"
    how = "" if trajectory.certainty is Certainty.CONFIRMED else f"; {recognised(trajectory)}"
    return f"{diagnosis.words_since(since)}  {printable(trajectory.discriminator)}: {when}{how}"


def _mark(problem: Problem) -> str:
    return f"{problem.level.value} (known)" if problem.known else problem.level.value
