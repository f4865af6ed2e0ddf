"""GitLab's code quality report."""

from __future__ import annotations

import json

from spectral_doctor.gate.records import CheckOutcome
from spectral_doctor.gate.rules import Level
from spectral_doctor.report.problems import relative_path, sentence, title

_SEVERITY = {Level.FAIL: "critical", Level.WARN: "minor"}
# GitLab wants a file for every entry; a problem about the files as a whole has none.
_NO_FILE = "."


def render_gitlab(outcome: CheckOutcome) -> str:
    """A JSON list with one entry a problem; GitLab itself compares them with the target branch by fingerprint."""
    # GitLab refuses two entries of one fingerprint, as the groups of one convolution have.
    unique = {problem.fingerprint: problem for problem in reversed(outcome.problems)}
    entries = [
        {
            "description": f"{title(problem)}: {sentence(problem)}",
            "check_name": problem.rule.code,
            "fingerprint": problem.fingerprint,
            "severity": "info" if problem.known else _SEVERITY[problem.level],
            "location": {
                "path": relative_path(problem.checkpoint, outcome.root) or _NO_FILE,
                "lines": {"begin": 1},
            },
        }
        for problem in reversed(unique.values())
    ]
    return json.dumps(entries, indent=1) + "\n"
