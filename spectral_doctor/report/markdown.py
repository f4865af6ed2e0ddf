"""The summary of a check as Markdown, for a job's page or a comment."""

from __future__ import annotations

import re
from collections.abc import Sequence

from spectral_doctor.diagnosis.records import Diagnosis, LayerFinding, ModesStatement
from spectral_doctor.errors import printable
from spectral_doctor.gate.records import CheckOutcome
from spectral_doctor.report.problems import by_rule, conclusion, group_sentence, key_words
from spectral_doctor.report.sparkline import sparkline

WORST = 5
_TREND = 12
# Everything that Markdown or HTML would read as more than text.
_MARKUP = re.compile(r"([\\`*_{}\[\]<>|#~$&!@]|:(?=/))")


def render_markdown(outcome: CheckOutcome) -> str:
    """A table of discriminators, one of findings, and of every discriminator the five lowest judged layers."""
    parts = [f"### spectral-doctor: {_text(conclusion(outcome))}"]
    if outcome.inspection.diagnoses:
        parts.append(_discriminators(outcome.inspection.diagnoses))
    if outcome.problems:
        rows = [
            (
                f"{group[0].level.value}{' (known)' if group[0].known else ''}",
                group[0].rule.code,
                group[0].rule.title,
                _text(group_sentence(group)),
            )
            for group in by_rule(outcome.problems)
        ]
        parts.append(_table(("level", "rule", "", "what"), rows))
    if outcome.fixed:
        parts.append("Fixed since the baseline:\n\n" + "\n".join(f"- {_text(key_words(key))}" for key in outcome.fixed))
    parts += [part for diagnosis in outcome.inspection.diagnoses if (part := _lowest(diagnosis))]
    return "\n\n".join(parts) + "\n"


def _discriminators(diagnoses: tuple[Diagnosis, ...]) -> str:
    rows = []
    for diagnosis in diagnoses:
        trajectory = diagnosis.trajectory
        resume = "—" if diagnosis.resume_from is None else printable(diagnosis.resume_from)
        best = [state.best_plateau for state in diagnosis.states]
        rows.append(
            (
                _text(trajectory.discriminator),
                diagnosis.spectrum.value,
                _modes(diagnosis),
                "—" if diagnosis.onset is None else f"{trajectory.step_unit} {diagnosis.onset}",
                f"{trajectory.step_unit} {trajectory.steps[-1]}",
                sparkline(best, _TREND),
                _text(resume),
            )
        )
    return _table(("discriminator", "spectrum", "modes", "since", "last", "best plateau", "resume from"), rows)


def _modes(diagnosis: Diagnosis) -> str:
    modes = diagnosis.modes
    told = modes.statement is not ModesStatement.NOT_KNOWN and modes.probability is not None
    return f"{modes.statement.value} {modes.probability:.2f}" if told else modes.statement.value


def _lowest(diagnosis: Diagnosis) -> str:
    judged = [finding for finding in diagnosis.layers if finding.state is not None]
    if not judged:
        return ""
    judged.sort(key=_last)
    rows = [
        (
            _text(finding.layer),
            "NaN/Inf" if finding.plateau[-1] is None else f"{finding.plateau[-1]:.2f}",
            "—" if finding.deficit is None else f"{finding.deficit:.2f}",
            sparkline(finding.plateau, _TREND),
        )
        for finding in judged[:WORST]
    ]
    count = f"{len(rows)} of {len(judged)} judged layers"
    name = _text(diagnosis.trajectory.discriminator)
    return f"Lowest plateaus of {name} ({count}):\n\n" + _table(("layer", "σk/σ1", "deficit", "trend"), rows)


def _last(finding: LayerFinding) -> float:
    return -1.0 if finding.plateau[-1] is None else finding.plateau[-1]


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(text: str) -> str:
    """Text that stays text: names from a file make no link, no image, no mention and no HTML."""
    return _MARKUP.sub(r"\\\1", printable(text))
