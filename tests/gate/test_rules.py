"""The registry: stable codes, and what is said about each."""

from __future__ import annotations

import re

import pytest

from spectral_doctor.errors import UsageError
from spectral_doctor.gate.rules import RULES, Level, matching, rule_named
from tests.test_docs import generated

NUMBERS = (*range(101, 108), 111, 112, *range(201, 206), 301, 302, 303)
CODES = ", ".join(f"'SD{number}'" for number in NUMBERS)


def test_codes_are_stable() -> None:
    """A code, once given, keeps its meaning: this list only grows."""
    assert {code: rule.title for code, rule in RULES.items()} == {
        "SD101": "spectrum collapsed",
        "SD102": "spectrum declining",
        "SD103": "spectrum not judged",
        "SD104": "discriminator still",
        "SD105": "modes lost",
        "SD106": "modes in doubt",
        "SD107": "discriminator untrained",
        "SD111": "layer below its range",
        "SD112": "layer fallen",
        "SD201": "weights not finite",
        "SD202": "weights exploding",
        "SD203": "layer unchanged",
        "SD204": "layer zero",
        "SD205": "weights exploded",
        "SD301": "nothing examined",
        "SD302": "file not read",
        "SD303": "coverage too low",
    }


@pytest.mark.parametrize("code", RULES)
def test_every_rule_explains_itself(code: str) -> None:
    """Sentences with an end, and something to do."""
    rule = RULES[code]
    assert rule.explanation.endswith(".")
    assert rule.remedy.endswith(".")


def test_every_rule_is_on_the_page_of_rules_with_its_level() -> None:
    """The table and the registry agree."""
    page = generated().pages()["reference/rules.md"]
    rows = re.findall(r"^\| \[(SD\d{3})\]\(#sd\d{3}\) \| (\w+) \| ([^|]+) \|", page, re.MULTILINE)
    assert [(code, level, title.strip()) for code, level, title in rows] == [
        (rule.code, rule.level.value, rule.title) for rule in RULES.values()
    ]


def test_a_rule_is_found_by_its_code() -> None:
    """Whatever the case; an unknown code lists those that there are."""
    assert rule_named("sd101") is RULES["SD101"]
    assert RULES["SD111"].level is Level.OFF
    with pytest.raises(UsageError) as error:
        rule_named("SD999")
    assert str(error.value) == f"no rule is called 'SD999'; there are {CODES}."


def test_prefixes_select_families() -> None:
    """`SD2` is all of SD2xx; a prefix of nothing is an error and not an empty selection."""
    assert matching(["SD2", "sd101"], "--select") == {"SD101", "SD201", "SD202", "SD203", "SD204", "SD205"}
    for wrong in ("SD9", ""):
        with pytest.raises(UsageError) as error:
            matching([wrong], "--select")
        assert str(error.value) == f"--select: no rule begins with '{wrong}'; there are {CODES}."
