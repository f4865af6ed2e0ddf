"""Every format of a check: the golden output, and what an independent reader of the format makes of it.

The golden files are what `render` gave and a person read; `python -m tests.report.test_check_formats` writes them
anew.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import junitparser
import pytest
from pydantic import ValidationError
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as SarifLog

from spectral_doctor.diagnosis.records import ModesStatement
from spectral_doctor.errors import NoCheckpoints
from spectral_doctor.gate.baseline import compared
from spectral_doctor.gate.judging import judge, nothing_examined
from spectral_doctor.gate.records import CheckOutcome, Key
from spectral_doctor.gate.rules import RULES, Level
from spectral_doctor.gate.settings import GateSettings
from spectral_doctor.records import CheckpointRef, Failure, RemotePath, SkippedLayer, SkipReason
from spectral_doctor.report.formats import RENDERERS
from tests.builders import layer_over_steps, series
from tests.gate.cases import TORN, collapsed, inspection_of, said

GOLDEN = Path(__file__).parent / "golden"
ENDINGS = {
    "text": "txt",
    "jsonl": "jsonl",
    "junit": "xml",
    "sarif": "sarif",
    "github": "github.txt",
    "gitlab": "gitlab.json",
    "markdown": "md",
    "csv": "csv",
}
HOSTILE = "\x1b[31m::error::x\n::warning::<b>|`@you`%0A,=1\udc80"


def outcome(*, baseline: bool = False) -> CheckOutcome:
    """A collapsed and a healthy discriminator and a torn file; with a baseline that has the collapse and a zero."""
    inspection = inspection_of(collapsed(), said(name="netD2"), failures=(TORN,))
    result = judge(inspection, GateSettings(level={"SD112": Level.WARN}), "/work")
    keys = frozenset({Key("SD101", "netD", ""), Key("SD204", "netD", "head"), Key("SD101", "netD3", "")})
    return compared(result, keys) if baseline else result


def healthy() -> CheckOutcome:
    """Nothing to say."""
    return judge(inspection_of(said()), GateSettings(), "/work")


def nothing() -> CheckOutcome:
    """Nothing examined."""
    return nothing_examined(NoCheckpoints(["runs"], 0), GateSettings(), "/work")


def hostile() -> CheckOutcome:
    """Names from a file that would like to be commands, markup, or formulas."""
    diagnosis = collapsed(HOSTILE)
    layers = tuple(replace(item, identity=replace(item.identity, name=HOSTILE)) for item in diagnosis.trajectory.layers)
    trajectory = replace(
        diagnosis.trajectory,
        layers=layers,
        checkpoints=(CheckpointRef(Path(HOSTILE)),) * 5,
        skipped=(SkippedLayer(HOSTILE, SkipReason.NO_SPECTRUM, HOSTILE),),
    )
    findings = tuple(replace(item, layers=(HOSTILE,)) for item in diagnosis.findings)
    pairs = zip(diagnosis.layers, layers, strict=True)
    named = tuple(replace(item, trajectory=layer) for item, layer in pairs)
    place = CheckpointRef(Path(HOSTILE))
    diagnosis = replace(
        diagnosis,
        trajectory=trajectory,
        findings=findings,
        layers=named,
        advice=replace(diagnosis.advice, checkpoint=place),
    )
    return judge(
        inspection_of(diagnosis, failures=(Failure(HOSTILE, HOSTILE),)), GateSettings(select=frozenset(RULES)), "/work"
    )


@pytest.mark.parametrize("name", ENDINGS)
def test_the_output_is_the_golden_one(name: str) -> None:
    """To the letter."""
    assert RENDERERS[name](outcome(baseline=True)) == (GOLDEN / f"check.{ENDINGS[name]}").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(set(RENDERERS) - {"html"}))
@pytest.mark.parametrize("case", [outcome, healthy, nothing, hostile])
def test_every_format_ends_with_a_line_and_holds_no_control_character(name: str, case: Any) -> None:
    """Whatever the names in the file are; nothing in them can be told from text of ours by a terminal."""
    text = RENDERERS[name](case())
    assert text.endswith("\n")
    assert [character for character in text if not character.isprintable() and character != "\n"] == []


def test_a_hostile_name_starts_no_workflow_command() -> None:
    """GitHub obeys every line of a log that begins with `::`, in whatever format it is printed."""
    for name in sorted(set(RENDERERS) - {"github", "html"}):
        assert not re.search(r"^\s*::", RENDERERS[name](hostile()), re.MULTILINE), name
    lines = RENDERERS["github"](hostile()).splitlines()
    assert all(re.match(r"::(error|warning|notice) title=(SD|spectral)[^:]*::", line) for line in lines)
    assert not any("%0A," in line for line in lines)


def test_github_escapes_properties_and_messages() -> None:
    """The percent sign, and in a property also colon and comma, as the runner reads them back."""
    result = outcome()
    problem = replace(result.problems[0], checkpoint=CheckpointRef(Path("a:b,c%.pt")), sentence="100 % of it: a, b.")
    assert RENDERERS["github"](replace(result, problems=(problem,))).splitlines()[0] == (
        "::error title=SD101 spectrum collapsed,file=a%3Ab%2Cc%25.pt::netD: 100 %25 of it: a, b."
    )


@pytest.mark.parametrize("case", [outcome, healthy, nothing, hostile, lambda: outcome(baseline=True)])
def test_sarif_is_valid(case: Any) -> None:
    """Classes generated from the official schema of SARIF 2.1.0, which forbid what it does not name, take it."""
    log = SarifLog.model_validate_json(RENDERERS["sarif"](case()))
    (run,) = log.runs
    assert run.tool.driver.rules is not None
    assert [rule.id for rule in run.tool.driver.rules] == list(RULES)
    for result in run.results or []:
        assert result.ruleIndex is not None
        assert run.tool.driver.rules[result.ruleIndex].id == result.ruleId


@pytest.mark.parametrize("case", [outcome, healthy, nothing, hostile, lambda: outcome(baseline=True)])
def test_sarif_passes_the_official_schema(case: Any) -> None:
    """The schema file itself, where one is at hand: SARIF_SCHEMA=sarif-schema-2.1.0.json python -m pytest …"""
    if not os.environ.get("SARIF_SCHEMA"):
        pytest.skip("SARIF_SCHEMA does not name the official schema file")
    schema = json.loads(Path(os.environ["SARIF_SCHEMA"]).read_text(encoding="utf-8"))
    jsonschema.Draft4Validator(schema).validate(json.loads(RENDERERS["sarif"](case())))


@pytest.mark.parametrize("change", ["unknown entry", "no text", "wrong level"])
def test_the_sarif_test_can_fail(change: str) -> None:
    """An entry that the schema does not have, a message without text, a level of another tool's."""
    document = json.loads(RENDERERS["sarif"](outcome()))
    result = document["runs"][0]["results"][0]
    result |= {"unknown entry": {"rule": "x"}, "no text": {"message": 3}, "wrong level": {"level": "fail"}}[change]
    with pytest.raises(ValidationError):
        SarifLog.model_validate(document)


def test_sarif_uris_are_relative_and_fingerprints_stay() -> None:
    """The same finding at another step, with other numbers, is the same alert; a file elsewhere keeps its name only."""
    later = replace(outcome(), problems=outcome().problems[:-1])
    before = json.loads(RENDERERS["sarif"](later))["runs"][0]["results"]
    elsewhere = CheckpointRef(Path("/elsewhere/netD 9.pth"))
    problems = tuple(replace(item, checkpoint=elsewhere, step=900, sentence="other") for item in later.problems)
    after = json.loads(RENDERERS["sarif"](replace(later, problems=problems)))["runs"][0]["results"]
    assert [item["partialFingerprints"] for item in before] == [item["partialFingerprints"] for item in after]
    assert len({item["partialFingerprints"]["spectralDoctorKey/v1"] for item in before}) == len(before)
    uris = [item["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for item in (before[0], after[0])]
    assert uris == ["run/netD_400.pth", "netD%209.pth"]


def test_a_checkpoint_in_a_bucket_keeps_its_url() -> None:
    """Whole in every format, and in SARIF relative to nothing; a local path is relative to the folder of the check."""
    result = outcome()
    bucket = CheckpointRef(RemotePath("s3://bucket/my run/netD 9.pth"))
    result = replace(result, problems=(replace(result.problems[0], checkpoint=bucket), result.problems[1]))
    remote, local = (
        item["locations"][0]["physicalLocation"]["artifactLocation"]
        for item in json.loads(RENDERERS["sarif"](result))["runs"][0]["results"]
    )
    assert remote == {"uri": "s3://bucket/my%20run/netD%209.pth"}
    assert local == {"uri": "run/netD_400.pth", "uriBaseId": "%SRCROOT%"}
    entry = json.loads(RENDERERS["gitlab"](result))[0]
    assert entry["location"]["path"] == "s3://bucket/my run/netD 9.pth"
    assert ",file=s3%3A//bucket/my run/netD 9.pth::" in RENDERERS["github"](result)


def test_files_refused_for_one_reason_are_one_annotation() -> None:
    """In the formats for people; in those for machines each file stays an entry of its own."""
    failures = tuple(Failure(f"{index}.pt", "cannot be read: it is empty.") for index in range(9))
    result = judge(inspection_of(said(), failures=failures), GateSettings(), "/work")
    names = "'0.pt', '1.pt', '2.pt', '3.pt', '4.pt', '5.pt' and 3 more"
    line = f"SD302 file not read: 9 files: {names}: cannot be read: it is empty."
    assert f"warn  {line}" in RENDERERS["text"](result).splitlines()
    assert RENDERERS["github"](result).count("::warning") == 1
    assert len(json.loads(RENDERERS["gitlab"](result))) == 9
    assert len(result.problems) == 9


@pytest.mark.parametrize("case", [outcome, healthy, nothing, hostile, lambda: outcome(baseline=True)])
def test_junit_is_read_back(case: Any) -> None:
    """junitparser counts what the suites say they hold."""
    result = case()
    xml = junitparser.JUnitXml.fromstring(RENDERERS["junit"](result).encode())
    suites = list(xml)
    assert len(suites) == len(result.inspection.diagnoses) + 1
    for suite in suites:
        cases = list(suite)
        kinds = [type(entry).__name__ for item in cases for entry in item.result]
        assert suite.tests == len(cases)
        assert (suite.failures, suite.skipped, suite.errors) == tuple(
            kinds.count(kind) for kind in ("Failure", "Skipped", "Error")
        )
    failing = sum(suite.failures + suite.errors for suite in suites)
    assert (failing > 0) is result.fails


def test_junit_has_a_case_for_every_rule_and_layer() -> None:
    """Failed, warned, known, not judged, skipped: each in its place."""
    xml = junitparser.JUnitXml.fromstring(RENDERERS["junit"](outcome(baseline=True)).encode())
    suites = {suite.name: {case.name: case for case in suite} for suite in xml}
    assert list(suites) == ["netD", "netD2", "files"]
    netd = suites["netD"]
    assert len(netd) == 8 + 5 * 3 + 2
    assert netd["SD201 weights not finite body.c2"].result[0].message == "1 value is NaN or infinite at step 400."
    assert netd["SD201 weights not finite body.c1"].result == []
    assert netd["SD203 layer unchanged head"].system_out == "warning: unchanged since step 200."
    assert netd["SD101 spectrum collapsed"].result[0].message.startswith("in the baseline: The spectrum is COLLAPSED")
    assert netd["SD112 layer fallen head"].result[0].message == "not judged: unchanged"
    for name in ("SD105 modes lost", "SD106 modes in doubt"):
        assert netd[name].result[0].message == "not known: it is not asked here"
    asked = judge(inspection_of(said(modes=ModesStatement.KEPT)), GateSettings(), "/work")
    (suite, _) = junitparser.JUnitXml.fromstring(RENDERERS["junit"](asked).encode())
    assert {case.name: case.result for case in suite}["SD105 modes lost"] == []
    assert netd["examined odd.weight"].result[0].message == "not examined: a meta tensor"
    assert netd["examined body.c2"].result[0].message == "nothing to examine: excluded by --exclude"


def test_gitlab_entries_are_complete_and_their_fingerprints_unique() -> None:
    """The five entries that GitLab asks for; two groups of one convolution are one entry."""
    layers = [layer_over_steps(f"c1[group {index}/2]", [0.9, None]) for index in (1, 2)]
    diagnosis = replace(said(), trajectory=series(*layers))
    diagnosis = replace(
        diagnosis,
        layers=tuple(replace(diagnosis.layers[0], trajectory=layer) for layer in layers),
        findings=tuple(
            replace(item, layers=tuple(layer.name for layer in layers)) for item in collapsed().findings[:1]
        ),
    )
    groups = judge(inspection_of(diagnosis), GateSettings(), "/work")
    assert len(groups.problems) == 2
    torn = judge(
        inspection_of(said(), failures=(Failure("a", "torn"), Failure("b", "torn"))),
        GateSettings(),
        "/work",
    )
    for result, count in ((groups, 1), (torn, 2), (outcome(), 5), (hostile(), None), (nothing(), 1), (healthy(), 0)):
        entries = json.loads(RENDERERS["gitlab"](result))
        assert count is None or len(entries) == count
        assert len({entry["fingerprint"] for entry in entries}) == len(entries)
        for entry in entries:
            assert sorted(entry) == ["check_name", "description", "fingerprint", "location", "severity"]
            assert entry["severity"] in {"info", "minor", "major", "critical", "blocker"}
            assert entry["location"]["path"]
            assert entry["location"]["lines"]["begin"] == 1


def test_markdown_shows_names_as_text() -> None:
    """No link, no mention, no HTML, no new cell."""
    text = RENDERERS["markdown"](hostile())
    for sign in "`<>@|":
        assert not re.search(rf"(?<!\\)(?:\\\\)*{re.escape(sign)}(you|b|/b)", text)
    tables = [line for line in text.splitlines() if line.startswith("|")]
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in tables}
    assert widths == {5, 8}


def test_csv_holds_every_layer_at_every_step() -> None:
    """The numbers of the spectra; empty where a weight is not finite; and no formula."""
    result = outcome()
    rows = list(csv.DictReader(io.StringIO(RENDERERS["csv"](result))))
    assert len(rows) == 3 * 5 + 2
    trajectory = result.inspection.diagnoses[0].trajectory
    spectrum = trajectory.layers[0].spectra[4]
    assert spectrum is not None
    row = rows[4]
    assert (row["layer"], row["step"], row["plateau"]) == ("body.c1", "400", "0.4")
    assert float(row["sigma_1"]) == spectrum.sigma_max
    assert float(row["deficit"]) == trajectory.layers[0].deficit(4)
    broken = rows[9]
    assert (broken["layer"], broken["sigma_1"], broken["plateau"], broken["non_finite"]) == ("body.c2", "", "", "1")
    formula = collapsed("=1+2")
    assert RENDERERS["csv"](judge(inspection_of(formula), GateSettings())).splitlines()[1].startswith("'=1+2,")


def test_json_is_a_history_and_the_decision(tmp_path: Path) -> None:
    """`inspect` reads it back; the entry `check` holds what was decided."""
    from spectral_doctor.trajectory.history import read_history

    result = outcome(baseline=True)
    path = tmp_path / "check.json"
    path.write_text(RENDERERS["json"](result))
    assert read_history(path)[0].layers == result.inspection.diagnoses[0].trajectory.layers
    check = json.loads(path.read_text())["check"]
    assert check["fails"] is True
    assert check["coverage"]["percent"] == pytest.approx(80.0)
    assert [(item["rule"], item["known"]) for item in check["findings"]] == [
        ("SD101", True),
        ("SD112", False),
        ("SD201", False),
        ("SD203", False),
        ("SD302", False),
    ]
    assert [item["rule"] for item in check["fixed"]] == ["SD204"]
    assert [item["discriminator"] for item in check["kept"]] == ["netD3"]


if __name__ == "__main__":
    for form, ending in ENDINGS.items():
        (GOLDEN / f"check.{ending}").write_text(RENDERERS[form](outcome(baseline=True)), encoding="utf-8")
