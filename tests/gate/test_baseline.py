"""What a project knows already."""

from __future__ import annotations

from pathlib import Path

import pytest

from spectral_doctor.diagnosis.records import SpectrumState
from spectral_doctor.errors import UsageError
from spectral_doctor.gate.baseline import compared, read_baseline, render_baseline, updated
from spectral_doctor.gate.judging import judge, nothing_examined
from spectral_doctor.gate.records import CheckOutcome, Key
from spectral_doctor.gate.settings import GateSettings
from tests.gate.cases import TORN, collapsed, inspection_of, said

COLLAPSE, NAN, STILL = Key("SD101", "netD", ""), Key("SD201", "netD", "body.c2"), Key("SD203", "netD", "head")


def outcome() -> CheckOutcome:
    """The common case."""
    return judge(inspection_of(collapsed(), failures=(TORN,)), GateSettings())


def test_known_problems_do_not_fail_and_new_ones_do() -> None:
    """Known, new, fixed and not examined are told apart."""
    other, gone = Key("SD101", "netD2", ""), Key("SD202", "netD", "body.c1")
    result = compared(outcome(), frozenset({COLLAPSE, gone, other}))
    assert [(item.rule.code, item.known) for item in result.problems] == [
        ("SD101", True),
        ("SD201", False),
        ("SD203", False),
        ("SD302", False),
    ]
    assert (result.fixed, result.kept) == ((gone,), (other,))
    assert result.fails
    assert not compared(outcome(), frozenset({COLLAPSE, NAN})).fails


def test_a_worse_state_is_new() -> None:
    """A decline that is known does not excuse a collapse."""
    declining = judge(inspection_of(said(SpectrumState.DECLINING)), GateSettings())
    known = updated(compared(declining, frozenset()))
    assert known == {Key("SD102", "netD", "")}
    worse = compared(judge(inspection_of(said(SpectrumState.COLLAPSED)), GateSettings()), known)
    assert worse.fails
    assert worse.fixed == (Key("SD102", "netD", ""),)


def test_what_was_not_looked_at_never_becomes_known() -> None:
    """SD3xx stay out of the file, and one that was written in by hand is not believed."""
    result = compared(outcome(), frozenset({Key("SD302", "", "")}))
    assert "SD302" in {item.rule.code for item in result.problems}
    assert updated(result) == {COLLAPSE, NAN, STILL}
    assert not any(item.known for item in result.problems)


def test_the_file_comes_back_and_is_the_same_for_the_same_findings(tmp_path: Path) -> None:
    """In order, once each, without numbers."""
    text = render_baseline([STILL, COLLAPSE, COLLAPSE])
    assert text == (
        '{\n "schema": "spectral-doctor-baseline/1",\n "findings": [\n'
        '  {\n   "rule": "SD101",\n   "discriminator": "netD",\n   "layer": ""\n  },\n'
        '  {\n   "rule": "SD203",\n   "discriminator": "netD",\n   "layer": "head"\n  }\n ]\n}\n'
    )
    path = tmp_path / "known.json"
    path.write_text(text)
    assert read_baseline(path) == {COLLAPSE, STILL}


def test_an_update_keeps_what_was_not_examined() -> None:
    """A check of one run does not forget the others."""
    other = Key("SD101", "netD2", "")
    assert updated(compared(outcome(), frozenset({other, Key("SD204", "netD", "head")}))) == {
        COLLAPSE,
        NAN,
        STILL,
        other,
    }


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "no such file; --update-baseline writes it."),
        ("{", "not a baseline: Expecting property name enclosed in double quotes"),
        ("{}", "not a baseline: the entry 'schema' is missing."),
        ("[]", "not a baseline: list indices must be integers"),
        ('{"schema": "x"}', "not a baseline: its schema is 'x', expected 'spectral-doctor-baseline/1'."),
        (
            '{"schema": "spectral-doctor-baseline/1", "findings": [{"rule": "SD101"}]}',
            "not a baseline: the entry 'discriminator' is missing.",
        ),
        (
            '{"schema": "spectral-doctor-baseline/1", "findings": [{"rule": 1, "discriminator": "", "layer": ""}]}',
            "not a baseline: rule, discriminator and layer are texts.",
        ),
        (
            '{"schema": "spectral-doctor-baseline/1", "findings": [{"rule": "X1", "discriminator": "", "layer": ""}]}',
            "no rule is called 'X1'",
        ),
    ],
)
def test_a_file_that_is_no_baseline_is_an_error(tmp_path: Path, content: str | None, sentence: str) -> None:
    """Never taken for an empty one."""
    path = tmp_path / "known.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=r"^(--baseline|no rule)") as error:
        read_baseline(path)
    assert sentence in str(error.value)


def test_nothing_examined_is_never_known() -> None:
    """The one problem that no file can excuse."""
    nothing = nothing_examined(UsageError("x"), GateSettings())
    assert compared(nothing, frozenset({Key("SD301", "", "")})).fails
