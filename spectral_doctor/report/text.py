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
from spectral_doctor.report.next_step import next_command
from spectral_doctor.report.problems import failures_by_reason, grouped_failures
from spectral_doctor.report.statements import headline, statements

_WORST = 5
_GLOSSARY = (
    "σk/σ1: the plateau, the k-th singular value over the largest (k = 5 from rank 8 on); healthy: where nine of ten "
    "such layers of healthy networks lie; deficit: the share of its best spectrum that a layer has lost; trend: σk/σ1 "
    "over the steps."
)


def render_text(
    inspection: Inspection,
    *,
    width: int = 80,
    color: bool = False,
    whole: bool = False,
    explain: bool = False,
    layers: bool = False,
    asked: Sequence[str] = (),
) -> str:
    """Return the report as text `width` columns wide: for every series both statements and its worst layers.

    `layers` shows all of them; `explain` what the statements rest on, the thresholds, and everything left out. `whole`
    is for a reader that is a program: no name is cut, and a headline stays one line however long it is. `asked` is the
    verb and the paths that were given, for the command that comes next.
    """
    lines: list[str] = []
    most = None if layers or explain else _WORST
    for diagnosis in inspection.diagnoses:
        lines += statements(diagnosis, width, color, explain, whole)
        lines += layer_table(diagnosis, width, color, most, whole)
        lines += _wrapped(_skipped(diagnosis, explain), width)
        lines.append("")
    if len(inspection.diagnoses) > 1:
        lines += [*_overview(inspection.diagnoses, color), ""]
    lines += _wrapped(_beside(inspection, explain), width)
    if explain and inspection.diagnoses:
        lines += _wrapped(
            ["Thresholds:", *(f"- {one}" for one in inspection.diagnoses[0].thresholds.sentences())], width
        )
        lines += _wrapped([_GLOSSARY], width)
    if inspection.diagnoses:
        lines += _closing(inspection, explain, layers, asked)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def render_headlines(inspection: Inspection, color: bool = False) -> str:
    """A discriminator a line, and a line for every file that could not be used: what `--quiet` leaves."""
    lines = [_one_line(diagnosis, color) for diagnosis in inspection.diagnoses]
    lines += [f"could not be used  {printable(failure)}" for failure in inspection.failures]
    return "\n".join(lines) + "\n"


def render_counts(inspection: Inspection) -> str:
    """How many discriminators are in which state, the most frequent first: what `--statistics` leaves."""
    spectra = Counter(diagnosis.spectrum.value for diagnosis in inspection.diagnoses)
    modes = Counter(diagnosis.modes.statement.value for diagnosis in inspection.diagnoses)
    lines = [f"{count:6}  {state} spectrum" for state, count in spectra.most_common()]
    lines += [f"{count:6}  modes {statement}" for statement, count in modes.most_common()]
    if inspection.failures:
        lines.append(f"{len(inspection.failures):6}  could not be used")
    return "\n".join(lines) + "\n"


def _beside(inspection: Inspection, explain: bool) -> list[str]:
    """What was left out, and what could not be used."""
    lines = _left_out(inspection.left_out, explain)
    for group in failures_by_reason(inspection.failures):
        sentences = [printable(item) for item in group] if explain else [grouped_failures(group)]
        lines += [f"Could not be used: {sentence}" for sentence in sentences]
    return lines


def _overview(diagnoses: Sequence[Diagnosis], color: bool) -> Iterator[str]:
    """One line a discriminator, where there are several: which of them it is."""
    yield f"{len(diagnoses)} discriminators:"
    for diagnosis in diagnoses:
        yield f"- {_one_line(diagnosis, color)}"


def _one_line(diagnosis: Diagnosis, color: bool) -> str:
    """A discriminator in one line, whatever its length."""
    trajectory = diagnosis.trajectory
    known = diagnosis.onset is not None and len(trajectory.steps) > 1
    since = f" since {trajectory.step_unit} {diagnosis.onset}" if known else ""
    faults = "".join(f", {finding.kind.value}" for finding in diagnosis.findings)
    return f"{headline(diagnosis, color, since)}{faults}  {printable(trajectory.discriminator)}"


def _closing(inspection: Inspection, explain: bool, layers: bool, asked: Sequence[str]) -> Iterator[str]:
    """What else there is to ask for, and the command that comes next."""
    more = [word for word, said in (("--layers", layers or explain), ("--explain", explain)) if not said]
    yield "More: " + "  ".join([*more, "--html FILE", "--plot FILE"])
    command = next_command(inspection.diagnoses, asked)
    if command:
        yield f"Next: {command}"


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
