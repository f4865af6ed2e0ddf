"""What the reports of a check share: subjects, paths, titles, and the closing sentence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from spectral_doctor.errors import listed, printable
from spectral_doctor.gate.judging import coverage_words
from spectral_doctor.gate.records import CheckOutcome, Key, Problem
from spectral_doctor.gate.rules import RULES, Level
from spectral_doctor.records import CheckpointRef, Failure, RemotePath


def title(problem: Problem) -> str:
    """The rule in a few words: `SD101 discriminator collapsed`."""
    return f"{problem.rule.code} {problem.rule.title}"


def subject(discriminator: str, layer: str) -> str:
    """Where a problem is, printable; the empty string for one about the files."""
    return printable(f"{discriminator}: {layer}" if layer else discriminator)


def sentence(problem: Problem) -> str:
    """One problem as a sentence of its own, its subject in front."""
    where = subject(problem.discriminator, problem.layer)
    return printable(f"{where}: {problem.sentence}" if where else problem.sentence)


def key_words(key: Key) -> str:
    """A baseline entry in words: `SD101 discriminator collapsed: netD`."""
    return f"{key.rule} {RULES[key.rule].title}: {subject(key.discriminator, key.layer)}"


def by_rule(problems: Sequence[Problem]) -> list[tuple[Problem, ...]]:
    """Problems that are said once: of one rule, discriminator and level, or files refused for one reason; in order."""
    groups: dict[tuple[str, str, Level, bool], list[Problem]] = defaultdict(list)
    alone: list[tuple[Problem, ...]] = []
    for problem in problems:
        reason = None if problem.failure is None else problem.failure.reason
        shared = problem.discriminator if problem.rule.per_layer else reason
        if shared is not None:
            groups[(problem.rule.code, shared, problem.level, problem.known)].append(problem)
        else:
            alone.append((problem,))
    return sorted([*alone, *map(tuple, groups.values())], key=lambda group: problems.index(group[0]))


def group_sentence(group: Sequence[Problem]) -> str:
    """One sentence for a group from `by_rule`: the problem's own, or the layers with the first one's."""
    if len(group) == 1:
        return sentence(group[0])
    first = group[0]
    if first.failure is not None:
        return grouped_failures([item.failure for item in group if item.failure is not None])
    names = listed(problem.layer for problem in group)
    example = printable(f"{first.layer}: {first.sentence}")
    return f"{printable(first.discriminator)}: {len(group)} layers: {names}. {example}"


def grouped_failures(failures: Sequence[Failure]) -> str:
    """Files that could not be used for one reason, in one sentence: which, and why; `failures` is never empty."""
    if len(failures) == 1:
        return printable(failures[0])
    return printable(f"{len(failures)} files: {listed(item.name for item in failures)}: {failures[0].reason}")


def failures_by_reason(failures: Sequence[Failure]) -> list[list[Failure]]:
    """The failures of one reason together, in the order in which they came."""
    groups: dict[str, list[Failure]] = defaultdict(list)
    for failure in failures:
        groups[failure.reason].append(failure)
    return list(groups.values())


def relative_path(checkpoint: CheckpointRef | None, root: str) -> str:
    """Where a checkpoint lies as a report shows it: from `root` with `/` between, or its name where it lies outside.

    A URL is shown whole; nothing is shown for a problem without a checkpoint.
    """
    if checkpoint is None:
        return ""
    if isinstance(checkpoint.location, RemotePath):
        return str(checkpoint.location)
    absolute = Path(root, checkpoint.location)
    try:
        return absolute.relative_to(root).as_posix()
    except ValueError:
        return absolute.name


def conclusion(outcome: CheckOutcome) -> str:
    """The last line of a check: failed or passed, how many of what, and what was examined."""
    if outcome.error:
        return "NOTHING EXAMINED"
    failures, warnings = outcome.count(Level.FAIL), outcome.count(Level.WARN)
    known = sum(problem.known for problem in outcome.problems)
    counts = [f"{failures} failure{'' if failures == 1 else 's'}", f"{warnings} warning{'' if warnings == 1 else 's'}"]
    if outcome.with_baseline:
        counts += [f"{known} known", f"{len(outcome.fixed)} fixed"]
    word = "FAILED" if outcome.fails else "PASSED"
    return f"{word}: {', '.join(counts)}; examined {coverage_words(outcome.coverage)}"
