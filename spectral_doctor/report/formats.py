"""Every format of a check by its name: one table, one line a format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from spectral_doctor.gate.records import CheckOutcome
from spectral_doctor.report.check import render_check
from spectral_doctor.report.findings import render_check_json, render_jsonl
from spectral_doctor.report.github import render_github
from spectral_doctor.report.gitlab import render_gitlab
from spectral_doctor.report.junit import render_junit
from spectral_doctor.report.markdown import render_markdown
from spectral_doctor.report.page import render_page
from spectral_doctor.report.rows import render_csv
from spectral_doctor.report.sarif import render_sarif
from spectral_doctor.trajectory.curves import read_curves


def _page(outcome: CheckOutcome) -> str:
    curves = [read_curves(diagnosis.trajectory) for diagnosis in outcome.inspection.diagnoses]
    return render_page(outcome.inspection, curves)


RENDERERS: Mapping[str, Callable[[CheckOutcome], str]] = MappingProxyType(
    {
        "text": render_check,
        "json": render_check_json,
        "jsonl": render_jsonl,
        "junit": render_junit,
        "sarif": render_sarif,
        "github": render_github,
        "gitlab": render_gitlab,
        "markdown": render_markdown,
        "html": _page,
        "csv": lambda outcome: render_csv(outcome.inspection),
    }
)
