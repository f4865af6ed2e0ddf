"""A check as JSON: one document, or one line a fact."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from spectral_doctor.gate.records import CheckOutcome, Key, Problem
from spectral_doctor.report.document import inspection_document
from spectral_doctor.report.problems import conclusion


def render_check_json(outcome: CheckOutcome) -> str:
    """The document of `inspect --format json`, which `inspect` and `check` read back, with an entry `check`."""
    check = {
        "conclusion": conclusion(outcome),
        "fails": outcome.fails,
        "levels": {code: level.value for code, level in outcome.levels.items()},
        "coverage": {**vars(outcome.coverage), "percent": outcome.coverage.percent},
        "findings": [_finding(problem) for problem in outcome.problems],
        "fixed": [_key(key) for key in outcome.fixed],
        "kept": [_key(key) for key in outcome.kept],
    }
    return json.dumps({**inspection_document(outcome.inspection), "check": check}, indent=1, allow_nan=False) + "\n"


def render_jsonl(outcome: CheckOutcome) -> str:
    """One JSON object a line: every discriminator, every finding, every fixed one, and last the conclusion."""
    lines: list[dict[str, Any]] = []
    for diagnosis in outcome.inspection.diagnoses:
        trajectory = diagnosis.trajectory
        lines.append(
            {
                "type": "discriminator",
                "discriminator": trajectory.discriminator,
                "spectrum": diagnosis.spectrum.value,
                "modes": diagnosis.modes.statement.value,
                "tier": diagnosis.modes.tier.value,
                "probability": diagnosis.probability,
                "step_unit": trajectory.step_unit,
                "steps": list(trajectory.steps),
                "onset": diagnosis.onset,
                "last_healthy": diagnosis.last_healthy,
                "certainty": trajectory.certainty.value,
                "resume_from": None if diagnosis.resume_from is None else str(diagnosis.resume_from),
                "summary": diagnosis.summary,
            }
        )
    lines += [{"type": "finding", **_finding(problem)} for problem in outcome.problems]
    lines += [{"type": "fixed", **_key(key)} for key in outcome.fixed]
    lines.append({"type": "conclusion", "fails": outcome.fails, "conclusion": conclusion(outcome)})
    return "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines)


def finding_lines(problems: Sequence[Problem], outcome: CheckOutcome) -> list[str]:
    """One JSON object a finding, each with both statements on its discriminator and the checkpoint to resume from."""
    named = {item.trajectory.discriminator: item for item in outcome.inspection.diagnoses}
    lines = []
    for problem in problems:
        found = named.get(problem.discriminator)
        resume = None if found is None or found.resume_from is None else str(found.resume_from)
        words = {} if found is None else {"spectrum": found.spectrum.value, "modes": found.modes.statement.value}
        lines.append(json.dumps({"type": "finding", **_finding(problem), **words, "resume_from": resume}))
    return lines


def _finding(problem: Problem) -> dict[str, Any]:
    return {
        "rule": problem.rule.code,
        "title": problem.rule.title,
        "level": problem.level.value,
        "known": problem.known,
        "discriminator": problem.discriminator,
        "layer": problem.layer,
        "checkpoint": "" if problem.checkpoint is None else str(problem.checkpoint),
        "step": problem.step,
        "message": problem.sentence,
        "fingerprint": problem.fingerprint,
    }


def _key(key: Key) -> dict[str, str]:
    return {"rule": key.rule, "discriminator": key.discriminator, "layer": key.layer}
