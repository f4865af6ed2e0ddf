"""JUnit XML: a test suite a discriminator, a test case a rule and layer."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from spectral_doctor.diagnosis.records import Diagnosis, ModesStatement
from spectral_doctor.errors import printable
from spectral_doctor.gate.records import CheckOutcome, Problem
from spectral_doctor.gate.rules import RULES, Level
from spectral_doctor.records import SkippedLayer

FILES = "files"
_JUDGING, _ABOUT_MODES = ("SD111", "SD112"), ("SD105", "SD106")


def render_junit(outcome: CheckOutcome) -> str:
    """A suite a discriminator and one for the files; every rule that is on is a case, for each layer where it is
    about layers.

    A failure is `<failure>`, a warning a passed case with its sentence in `<system-out>`, what the baseline knows
    and what could not be judged `<skipped>`.
    """
    root = ElementTree.Element("testsuites", name="spectral-doctor")
    for diagnosis in outcome.inspection.diagnoses:
        name = diagnosis.trajectory.discriminator
        mine = [problem for problem in outcome.problems if problem.discriminator == name]
        _suite(root, name, _discriminator_cases(diagnosis, outcome, mine))
    _suite(root, FILES, _file_cases(outcome))
    for key in ("tests", "failures", "skipped", "errors"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in root)))
    ElementTree.indent(root, " ")
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _suite(root: ElementTree.Element, name: str, cases: Sequence[ElementTree.Element]) -> None:
    suite = ElementTree.SubElement(root, "testsuite", name=printable(name), tests=str(len(cases)))
    for key, tag in (("failures", "failure"), ("skipped", "skipped"), ("errors", "error")):
        suite.set(key, str(sum(case.find(tag) is not None for case in cases)))
    for case in cases:
        case.set("classname", printable(name))
        suite.append(case)


def _discriminator_cases(
    diagnosis: Diagnosis, outcome: CheckOutcome, problems: Sequence[Problem]
) -> list[ElementTree.Element]:
    not_judged = {finding.layer: finding.reason for finding in diagnosis.layers if finding.state is None}
    cases = []
    for rule in (RULES[code] for code in outcome.levels if not code.startswith("SD3")):
        layers = [layer.name for layer in diagnosis.trajectory.layers] if rule.per_layer else [""]
        for layer in layers:
            found = [item for item in problems if item.rule is rule and item.layer == layer]
            case = _case(f"{rule.code} {rule.title}{f' {layer}' if layer else ''}", found)
            if rule.code in _JUDGING and layer in not_judged:
                ElementTree.SubElement(case, "skipped", message=f"not judged: {printable(not_judged[layer])}")
            if rule.code in _ABOUT_MODES and diagnosis.modes.statement is ModesStatement.NOT_KNOWN:
                ElementTree.SubElement(case, "skipped", message=f"not known: {printable(diagnosis.modes.why)}")
            cases.append(case)
    return [*cases, *(_skipped(item) for item in diagnosis.trajectory.skipped)]


def _skipped(skipped: SkippedLayer) -> ElementTree.Element:
    case = ElementTree.Element("testcase", name=printable(f"examined {skipped.name}"))
    what = "not examined" if skipped.reason.is_missed else "nothing to examine"
    ElementTree.SubElement(case, "skipped", message=printable(f"{what}: {skipped.sentence}"))
    return case


def _file_cases(outcome: CheckOutcome) -> list[ElementTree.Element]:
    codes = [code for code in outcome.levels if code.startswith("SD3")]
    return [
        _case(f"{code} {RULES[code].title}", [item for item in outcome.problems if item.rule.code == code])
        for code in codes
    ]


def _case(name: str, problems: Sequence[Problem]) -> ElementTree.Element:
    case = ElementTree.Element("testcase", name=printable(name))
    failing = [printable(problem.sentence) for problem in problems if problem.fails]
    known = [printable(problem.sentence) for problem in problems if problem.known]
    warned = [printable(problem.sentence) for problem in problems if problem.level is Level.WARN and not problem.known]
    if failing:
        # Nothing examined is no failed expectation: the check itself could not be made.
        tag = "error" if name.startswith("SD301") else "failure"
        element = ElementTree.SubElement(case, tag, message=failing[0], type=name.partition(" ")[0])
        element.text = "\n".join(failing)
    elif known:
        ElementTree.SubElement(case, "skipped", message=f"in the baseline: {known[0]}")
    if warned:
        ElementTree.SubElement(case, "system-out").text = "\n".join(f"warning: {text}" for text in warned)
    return case
