"""SARIF 2.1.0, the exchange format of code scanning."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from spectral_doctor.errors import printable
from spectral_doctor.gate.records import CheckOutcome, Key, Problem
from spectral_doctor.gate.rules import RULES, Level, Rule
from spectral_doctor.records import is_remote
from spectral_doctor.report.problems import relative_path, sentence, subject
from spectral_doctor.version import __version__

SCHEMA_URI = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
FINGERPRINT = "spectralDoctorKey/v1"
_LEVEL = {Level.FAIL: "error", Level.WARN: "warning", Level.OFF: "none"}
_CODES = tuple(RULES)


def render_sarif(outcome: CheckOutcome) -> str:
    """One run with every rule and one result a problem.

    URIs are relative to the folder of the check; the fingerprint is that of the problem's key, so that an alert
    stays the same one while its numbers change. With a baseline, results are new, unchanged or absent.
    """
    run = {
        "tool": {
            "driver": {
                "name": "spectral-doctor",
                "semanticVersion": __version__,
                "version": __version__,
                "rules": [_rule(rule) for rule in RULES.values()],
            }
        },
        "invocations": [
            {
                "executionSuccessful": not outcome.error,
                "toolExecutionNotifications": [
                    {"level": "error", "message": {"text": printable(failure)}}
                    for failure in outcome.inspection.failures
                ],
            }
        ],
        "columnKind": "unicodeCodePoints",
        "results": [
            *(_result(problem, outcome) for problem in outcome.problems),
            *(_absent(key) for key in outcome.fixed),
        ],
    }
    return json.dumps({"$schema": SCHEMA_URI, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "name": "".join(word.capitalize() for word in rule.title.split()),
        "shortDescription": {"text": f"{rule.title.capitalize()}."},
        "fullDescription": {"text": rule.explanation},
        "help": {"text": rule.remedy},
        "defaultConfiguration": {
            "enabled": rule.level is not Level.OFF,
            "level": _LEVEL[Level.WARN if rule.level is Level.OFF else rule.level],
        },
    }


def _result(problem: Problem, outcome: CheckOutcome) -> dict[str, Any]:
    result = {
        "ruleId": problem.rule.code,
        "ruleIndex": _CODES.index(problem.rule.code),
        "level": _LEVEL[problem.level],
        "message": {"text": sentence(problem)},
        "partialFingerprints": {FINGERPRINT: problem.fingerprint},
        **_locations(problem.discriminator, problem.layer, relative_path(problem.checkpoint, outcome.root)),
    }
    if problem.step is not None:
        result["properties"] = {"step": problem.step}
    if outcome.with_baseline:
        result["baselineState"] = "unchanged" if problem.known else "new"
    return result


def _absent(key: Key) -> dict[str, Any]:
    return {
        "ruleId": key.rule,
        "ruleIndex": _CODES.index(key.rule),
        "level": "none",
        "kind": "pass",
        "message": {"text": f"{subject(key.discriminator, key.layer)}: no longer found."},
        "partialFingerprints": {FINGERPRINT: key.fingerprint},
        "baselineState": "absent",
        **_locations(key.discriminator, key.layer, ""),
    }


def _artifact(path: str) -> dict[str, str]:
    """A path relative to the folder of the check, or a URL, which is relative to nothing."""
    if is_remote(path):
        return {"uri": quote(path, safe=":/?#[]@!$&'()*+,;=%~", errors="backslashreplace")}
    return {"uri": quote(path, errors="backslashreplace"), "uriBaseId": "%SRCROOT%"}


def _locations(discriminator: str, layer: str, path: str) -> dict[str, Any]:
    location: dict[str, Any] = {}
    if path:
        # Code scanning asks for a line; a checkpoint has none, so it is the first.
        location["physicalLocation"] = {"artifactLocation": _artifact(path), "region": {"startLine": 1}}
    if discriminator:
        name = printable(f"{discriminator}.{layer}" if layer else discriminator)
        location["logicalLocations"] = [{"fullyQualifiedName": name, "kind": "object"}]
    return {"locations": [location]} if location else {}
