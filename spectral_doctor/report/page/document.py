"""The page: one file that asks for nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

from spectral_doctor.diagnosis.records import Diagnosis, SpectrumState
from spectral_doctor.inspection import Inspection
from spectral_doctor.report.page.layers import state_sign
from spectral_doctor.report.page.markup import Markup, joined, tag
from spectral_doctor.report.page.palette import theme_css
from spectral_doctor.report.page.series import reason_list, series_section
from spectral_doctor.report.problems import failures_by_reason, grouped_failures
from spectral_doctor.trajectory.curves import MetricCurve
from spectral_doctor.version import __version__

if TYPE_CHECKING:
    from spectral_doctor.witnessing import Testimony

_WORST_FIRST = (
    SpectrumState.NON_FINITE,
    SpectrumState.EXPLODED,
    SpectrumState.ZERO,
    SpectrumState.COLLAPSED,
    SpectrumState.DECLINING,
    SpectrumState.RECOVERING,
    SpectrumState.STILL,
    SpectrumState.NOT_JUDGED,
    SpectrumState.UNTRAINED,
    SpectrumState.CLIPPED,
    SpectrumState.COMPENSATED,
    SpectrumState.SOUND,
)


def render_page(
    inspection: Inspection,
    curves: Sequence[Sequence[MetricCurve]] = (),
    testimonies: Mapping[str, Sequence[Testimony]] | None = None,
) -> str:
    """Return the whole inspection as one HTML file, the same bytes for the same input.

    `curves` holds what was measured on the samples of each series, in the order of `inspection.diagnoses`
    (`read_curves` reads it); without it no metric is shown. `testimonies` holds samples of the generators, by
    discriminator. The page loads nothing and forbids itself to: its
    content security policy lets only its own style sheet and script run, named by their hashes.

    Raises `ValueError` where `curves` has another length than the diagnoses.
    """
    if not curves:
        curves = [()] * len(inspection.diagnoses)
    told = testimonies or {}
    style, script = theme_css() + _resource("page.css"), _resource("page.js")
    sections = [
        series_section(diagnosis, metrics, f"series-{index}", told.get(diagnosis.trajectory.discriminator, ()))
        for index, (diagnosis, metrics) in enumerate(zip(inspection.diagnoses, curves, strict=True), start=1)
    ]
    body = tag(
        "body",
        tag("a", "Skip to the statements", href="#main", class_="skip"),
        _banner(),
        tag("main", _overview(inspection.diagnoses), *sections, _not_examined(inspection), id="main", tabindex="-1"),
        _footer(inspection.diagnoses),
        tag("script", Markup(script)),
    )
    page = tag("html", _head(inspection.diagnoses, style, script), body, lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _head(diagnoses: Sequence[Diagnosis], style: str, script: str) -> Markup:
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", _title(diagnoses)),
        # Without one a browser asks for /favicon.ico where the page is served.
        tag("link", rel="icon", href="data:,"),
        tag("style", Markup(style)),
    )


def _title(diagnoses: Sequence[Diagnosis]) -> str:
    states = [item.spectrum for item in diagnoses]
    worst = next((state for state in _WORST_FIRST if state in states), None)
    name = diagnoses[0].trajectory.discriminator if len(diagnoses) == 1 else f"{len(diagnoses)} discriminators"
    return f"{worst.value if worst else 'Nothing examined'}: {name} (spectral-doctor)"


def _banner() -> Markup:
    toggle = tag("button", "Dark colours", type="button", id="theme", aria_pressed="false", hidden=True)
    return tag("header", tag("h1", "spectral-doctor report"), toggle, class_="banner")


def _overview(diagnoses: Sequence[Diagnosis]) -> Markup | None:
    """Where there are several discriminators: which of them it is, one line each."""
    if len(diagnoses) < 2:
        return None
    items = []
    for index, diagnosis in enumerate(diagnoses, start=1):
        trajectory = diagnosis.trajectory
        name = tag("a", trajectory.discriminator, href=f"#series-{index}", class_="code")
        parts = [f"since {trajectory.step_unit} {diagnosis.onset}"] if diagnosis.onset is not None else []
        parts += [finding.kind.value for finding in diagnosis.findings]
        sign = state_sign(diagnosis.spectrum, diagnosis.words)
        items.append(tag("li", sign, " ", name, " ", tag("span", ", ".join(parts), class_="muted")))
    title = tag("h2", f"{len(diagnoses)} discriminators", id="overview")
    return tag("nav", title, tag("ul", *items, class_="plain"), aria_labelledby="overview", class_="overview")


def _not_examined(inspection: Inspection) -> Markup | None:
    """What could not be used and what was left out, so that nothing vanishes without a word."""
    failures = [tag("li", grouped_failures(group)) for group in failures_by_reason(inspection.failures)]
    pairs = [(item.name, item.reason.rstrip(".")) for item in inspection.left_out]
    if not failures and not pairs:
        return None
    return tag(
        "section",
        tag("h2", "Not examined", id="not-examined"),
        joined([tag("h3", "Could not be used"), tag("ul", *failures, class_="findings")]) if failures else None,
        joined([tag("h3", "Left out"), reason_list(pairs)]) if pairs else None,
        aria_labelledby="not-examined",
    )


def _footer(diagnoses: Sequence[Diagnosis]) -> Markup:
    thresholds = dict.fromkeys(item.thresholds for item in diagnoses)
    parts = []
    for item in thresholds:
        parts.append(tag("h2", "Thresholds (what they cost in false alarms is measured in docs/accuracy.md)"))
        parts.append(tag("ul", *(tag("li", sentence) for sentence in item.sentences())))
    about = (
        "The state of a spectrum is a fact about weights. Lost modes are a fact about samples, and inferred here from "
        "what the first tile names; what a run measured of its samples is shown where the run has it. "
    )
    return tag("footer", *parts, tag("p", about, f"Written by spectral-doctor {__version__}."), class_="muted")


def _resource(name: str) -> str:
    return (files("spectral_doctor.report.page") / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}"
