"""Every format of a check by its name: one table, one line a format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from spectral_doctor.errors import UsageError
from spectral_doctor.gate.records import CheckOutcome
from spectral_doctor.report.check import render_check
from spectral_doctor.report.findings import render_check_json, render_jsonl
from spectral_doctor.report.github import render_github
from spectral_doctor.report.gitlab import render_gitlab
from spectral_doctor.report.junit import render_junit
from spectral_doctor.report.markdown import render_markdown
from spectral_doctor.report.rows import render_csv
from spectral_doctor.report.sarif import render_sarif


def _page(outcome: CheckOutcome) -> str:
    # The page draws with matplotlib, which no other format needs.
    try:
        from spectral_doctor.report.page import render_page  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise UsageError("--format html: not in this build.") from error
    return str(render_page(outcome.inspection))


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
