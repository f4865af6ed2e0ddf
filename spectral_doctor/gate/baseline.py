"""The problems that a project knows already, in a file that is kept with it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from spectral_doctor.errors import MALFORMED, UsageError, printable
from spectral_doctor.gate.records import CheckOutcome, Key
from spectral_doctor.gate.rules import rule_named

SCHEMA = "spectral-doctor-baseline/1"


def read_baseline(path: Path) -> frozenset[Key]:
    """The keys in a baseline file; raises `UsageError` where it is missing or is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise ValueError(f"its schema is '{document['schema']}', expected '{SCHEMA}'")
        return frozenset(_key(entry) for entry in document["findings"])
    except FileNotFoundError as error:
        raise UsageError(f"--baseline {printable(path)}: no such file; --update-baseline writes it.") from error
    except OSError as error:
        raise UsageError(f"--baseline {printable(path)}: cannot be read: {error.strerror}.") from error
    except MALFORMED as error:
        what = f"the entry {error} is missing" if isinstance(error, KeyError) else printable(error)
        raise UsageError(f"--baseline {printable(path)}: not a baseline: {what}.") from error


def render_baseline(keys: Iterable[Key]) -> str:
    """The text of a baseline file: keys in order, no numbers, so that it changes only when a finding does."""
    findings = [{"rule": key.rule, "discriminator": key.discriminator, "layer": key.layer} for key in sorted(set(keys))]
    return json.dumps({"schema": SCHEMA, "findings": findings}, indent=1, ensure_ascii=False) + "\n"


def compared(outcome: CheckOutcome, baseline: frozenset[Key]) -> CheckOutcome:
    """Mark the problems that a baseline has as known, and say which of its entries are gone.

    An entry whose discriminator was not examined this time is neither: it is kept. SD3xx, about what was
    not looked at, never become known.
    """
    problems = tuple(
        replace(item, known=True) if item.key in baseline and _can_be_known(item.key) else item
        for item in outcome.problems
    )
    gone = baseline - {item.key for item in problems}
    examined = {diagnosis.trajectory.discriminator for diagnosis in outcome.inspection.diagnoses}
    fixed = tuple(sorted(key for key in gone if key.discriminator in examined))
    kept = tuple(sorted(key for key in gone if key.discriminator not in examined))
    return replace(outcome, problems=problems, with_baseline=True, fixed=fixed, kept=kept)


def updated(outcome: CheckOutcome) -> frozenset[Key]:
    """The keys of the next baseline: all problems of now, and the entries that were not examined."""
    return frozenset(item.key for item in outcome.problems if _can_be_known(item.key)) | frozenset(outcome.kept)


def _can_be_known(key: Key) -> bool:
    return not key.rule.startswith("SD3")


def _key(entry: Any) -> Key:
    parts = (entry["rule"], entry["discriminator"], entry["layer"])
    if not all(isinstance(part, str) for part in parts):
        raise ValueError("rule, discriminator and layer are texts")
    rule_named(parts[0])
    return Key(*parts)
