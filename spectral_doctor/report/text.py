"""The report that a person reads in a terminal."""

from __future__ import annotations

import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from spectral_doctor.diagnosis.records import Diagnosis
from spectral_doctor.errors import printable
from spectral_doctor.inspection import Inspection
from spectral_doctor.records import LeftOut
from spectral_doctor.report.layer_table import layer_table
from spectral_doctor.report.problems import failures_by_reason, grouped_failures
from spectral_doctor.report.statements import headline, statements

_WORST = 5
_GLOSSARY = (
    "σk/σ1: the plateau, the k-th singular value over the largest (k = 5 from rank 8 on); healthy: where nine of ten "
    "such layers of healthy networks lie; deficit: the share of its best spectrum that a layer has lost; trend: σk/σ1 "
    "over the steps."
)


def render_text(
    inspection: Inspection, *, width: int = 80, color: bool = False, explain: bool = False, layers: bool = False
) -> str:
    """Return the whole report as text `width` columns wide: for every series both statements and its worst layers.

    `layers` shows all of them; `explain` what the statements rest on, the thresholds, and everything left out.
    """
    lines: list[str] = []
    for diagnosis in inspection.diagnoses:
        lines += statements(diagnosis, width, color, explain)
        lines += layer_table(diagnosis, width, color, None if layers or explain else _WORST)
        lines += _wrapped(_skipped(diagnosis, explain), width)
        lines.append("")
    if len(inspection.diagnoses) > 1:
        lines += [*_overview(inspection.diagnoses, color), ""]
    lines += _wrapped(_left_out(inspection.left_out, explain), width)
    for group in failures_by_reason(inspection.failures):
        sentences = [printable(item) for item in group] if explain else [grouped_failures(group)]
        lines += _wrapped([f"Could not be used: {sentence}" for sentence in sentences], width)
    if explain and inspection.diagnoses:
        lines += _wrapped(
            ["Thresholds:", *(f"- {one}" for one in inspection.diagnoses[0].thresholds.sentences())], width
        )
        lines += _wrapped([_GLOSSARY], width)
    if inspection.diagnoses:
        lines.append(_next(inspection, explain, layers))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _overview(diagnoses: Sequence[Diagnosis], color: bool) -> Iterator[str]:
    """One line a discriminator, where there are several: which of them it is."""
    yield f"{len(diagnoses)} discriminators:"
    for diagnosis in diagnoses:
        since = "" if diagnosis.onset is None else f" since {diagnosis.trajectory.step_unit} {diagnosis.onset}"
        faults = "".join(f", {finding.kind.value}" for finding in diagnosis.findings)
        yield f"- {headline(diagnosis, color, since)}{faults}  {printable(diagnosis.trajectory.discriminator)}"


def _next(inspection: Inspection, explain: bool, layers: bool) -> str:
    """What to type for more."""
    more = [word for word, said in (("--layers", layers or explain), ("--explain", explain)) if not said]
    troubled = any(item.onset is not None for item in inspection.diagnoses)
    return "Next: " + "  ".join([*more, "--html FILE", "spectral-doctor rule SD101" if troubled else "--plot FILE"])


def _skipped(diagnosis: Diagnosis, explain: bool) -> list[str]:
    if not explain:
        return []
    return _by_reason("Skipped", [(item.name, item.sentence) for item in diagnosis.trajectory.skipped])


def _left_out(left_out: Sequence[LeftOut], explain: bool) -> list[str]:
    """What was left out, by name where explained, else its number; files of formats that are not read by format."""
    closed = [item for item in left_out if item.format_name]
    others = [(item.name, item.reason) for item in left_out if not item.format_name]
    if explain:
        return _by_reason("Left out", [*others, *((item.name, item.reason) for item in closed)])
    counted = (
        [f"Left out: {len(others)} part{'' if len(others) == 1 else 's'} (--explain names them)."] if others else []
    )
    return [*counted, *_by_format(closed)]


def _by_format(closed: Sequence[LeftOut]) -> list[str]:
    """`Not read: 23 HDF5 files, 2 ONNX files: …`, one line a reason."""
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for item in closed:
        reasons[item.reason][item.format_name] += 1
    return [
        f"Not read: {', '.join(_counted(name, many) for name, many in counts.items())}: {_ended(reason)}"
        for reason, counts in reasons.items()
    ]


def _counted(name: str, count: int) -> str:
    return f"{count} {printable(name)}{'' if count == 1 else 's'}"


def _ended(reason: str) -> str:
    return f"{printable(reason.rstrip('.'))}."


def _by_reason(title: str, pairs: Sequence[tuple[str, str]]) -> list[str]:
    reasons: dict[str, list[str]] = defaultdict(list)
    for name, reason in pairs:
        reasons[reason].append(name)
    return [
        f"{title}: {', '.join(map(printable, dict.fromkeys(Path(path).name for path in paths)))}: {_ended(reason)}"
        for reason, paths in reasons.items()
    ]


def _wrapped(lines: Sequence[str], width: int) -> list[str]:
    return [
        part
        for line in lines
        for part in textwrap.wrap(
            line,
            width,
            subsequent_indent="  " if line.startswith("- ") else "",
            break_long_words=False,
            break_on_hyphens=False,
        )
        or [""]
    ]
