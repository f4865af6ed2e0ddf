"""GitHub's workflow commands, which become annotations of a run."""

from __future__ import annotations

from spectral_doctor.errors import printable
from spectral_doctor.gate.records import CheckOutcome, Problem
from spectral_doctor.gate.rules import Level
from spectral_doctor.report.problems import by_rule, conclusion, group_sentence, key_words, relative_path, title


def render_github(outcome: CheckOutcome) -> str:
    """One `::error` or `::warning` a problem, the layers of one rule together; `::notice` for the rest.

    GitHub shows ten of a kind a step; the job summary has them all.
    """
    lines = [_annotation(group, outcome.root) for group in by_rule(outcome.problems)]
    lines += [_command("notice", "fixed", "", key_words(key)) for key in outcome.fixed]
    lines.append(_command("notice", "spectral-doctor", "", conclusion(outcome)))
    return "\n".join(lines) + "\n"


def _annotation(group: tuple[Problem, ...], root: str) -> str:
    problem = group[0]
    command = "error" if problem.level is Level.FAIL else "warning"
    name = title(problem)
    if problem.known:
        command, name = "notice", f"{name} (known)"
    return _command(command, name, relative_path(problem.checkpoint, root), group_sentence(group))


def _command(command: str, name: str, file: str, message: str) -> str:
    properties = [f"title={_property(name)}"] + ([f"file={_property(file)}"] if file else [])
    return f"::{command} {','.join(properties)}::{_escaped(message)}"


def _escaped(text: str) -> str:
    return printable(text).replace("%", "%25")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
