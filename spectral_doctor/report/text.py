"""The report that a person reads in a terminal."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from spectral_doctor.diagnosis.records import Diagnosis, FindingKind, LayerFinding, Verdict
from spectral_doctor.errors import printable
from spectral_doctor.inspection import Inspection
from spectral_doctor.records import LeftOut, SkippedLayer
from spectral_doctor.report.listing import FORMS, layer_rows, recognised
from spectral_doctor.report.problems import failures_by_reason, grouped_failures
from spectral_doctor.report.sparkline import sparkline

_STYLES = {
    Verdict.HEALTHY: "green",
    Verdict.DECLINING: "yellow",
    Verdict.COLLAPSED: "bold red",
    Verdict.NOT_ENOUGH_EVIDENCE: "magenta",
}
_FINDING_STYLES = {FindingKind.COMPENSATED: "bold cyan", FindingKind.CLIPPED: "bold cyan"}
# Spaces at the end of a line, also those that a colour code closes.
_TRAILING = re.compile(r"\s+((?:\x1b\[[0-9;]*m)*)\s*$")
_SHOWN = 4
_TREND_WIDTH = 8


def render_text(inspection: Inspection, *, width: int = 80, color: bool = False, explain: bool = False) -> str:
    """Return the whole report as text `width` columns wide: a table and a verdict for every series.

    `explain` lists everything that was left out.
    """
    console = Console(
        file=StringIO(),
        width=width,
        color_system="standard" if color else None,
        force_terminal=color,
        highlight=False,
        legacy_windows=False,
    )
    for diagnosis in inspection.diagnoses:
        for part in _diagnosis(diagnosis, width, explain):
            console.print(part)
    if len(inspection.diagnoses) > 1:
        console.print(_overview(inspection.diagnoses))
    for line in _left_out(inspection.left_out, explain):
        console.print(line)
    for group in failures_by_reason(inspection.failures):
        lines = [printable(item) for item in group] if explain else [grouped_failures(group)]
        for line in lines:
            console.print(Text.assemble(("Could not be used: ", "bold red"), line))
    if inspection.diagnoses:
        console.print(_thresholds(inspection.diagnoses[0]))
    file = console.file
    assert isinstance(file, StringIO)
    return "\n".join(_TRAILING.sub(r"\1", line) for line in file.getvalue().splitlines()) + "\n"


def _overview(diagnoses: Sequence[Diagnosis]) -> Text:
    """One line a discriminator, where there are several: which of them it is."""
    lines = [Text(f"{len(diagnoses)} discriminators:")]
    for diagnosis in diagnoses:
        since = "" if diagnosis.onset is None else f" since {diagnosis.trajectory.step_unit} {diagnosis.onset}"
        verdict = (diagnosis.verdict.value, _STYLES[diagnosis.verdict])
        name = printable(diagnosis.trajectory.discriminator)
        faults = "".join(f", {finding.kind.value}" for finding in diagnosis.findings)
        lines.append(Text.assemble("- ", verdict, f"{since}{faults}  {name}"))
    return Text("\n").join([*lines, Text("")])


def _diagnosis(diagnosis: Diagnosis, width: int, explain: bool) -> list[RenderableType]:
    trajectory = diagnosis.trajectory
    parts: list[RenderableType] = [_title(diagnosis)]
    parts.append(_table(diagnosis, width))
    parts.append(_verdict(diagnosis))
    parts += [
        Text.assemble(
            (finding.kind.value, _FINDING_STYLES.get(finding.kind, "bold red")), "  ", f"{printable(finding.sentence)}."
        )
        for finding in diagnosis.findings
    ]
    parts.append(_advice(diagnosis))
    parts += [Text(f"Note: {printable(note)}.") for note in trajectory.notes]
    parts += _skipped(trajectory.skipped, explain)
    parts.append(Text(""))
    return parts


def _title(diagnosis: Diagnosis) -> Text:
    trajectory = diagnosis.trajectory
    count = len(trajectory.steps)
    if count == 1:
        unit = trajectory.step_unit
        when = "one checkpoint" + (f", {unit} {trajectory.steps[0]}" if trajectory.step_source else "")
    else:
        when = f"{count} checkpoints, {trajectory.step_unit} {trajectory.steps[0]} to {trajectory.steps[-1]}"
        when += f" (from {printable(trajectory.step_source)})"
    return Text.assemble((printable(trajectory.discriminator), "bold"), f": {when}; {recognised(trajectory)}")


def _table(diagnosis: Diagnosis, width: int) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    layer_width = max(12, width - 65)
    table.add_column("layer", no_wrap=True, width=layer_width)
    table.add_column("matrix", justify="right", no_wrap=True)
    table.add_column("norm", no_wrap=True)
    table.add_column("σ1", justify="right", no_wrap=True)
    table.add_column("σk/σ1", justify="right", no_wrap=True)
    table.add_column(">0.9", justify="right", no_wrap=True)
    table.add_column("deficit", justify="right", no_wrap=True)
    table.add_column("trend", no_wrap=True, width=_TREND_WIDTH)
    table.add_column("layer is", no_wrap=True)
    for finding, name in layer_rows(diagnosis):
        table.add_row(*_cells(finding, name, layer_width))
    return table


def _cells(finding: LayerFinding, name: str, layer_width: int) -> list[Text]:
    layer = finding.trajectory
    spectrum = layer.spectra[-1]
    rows, columns = layer.identity.matrix_shape
    judged = Text(finding.reason, style="dim") if finding.verdict is None else _verdict_word(finding.verdict)
    plateau = finding.plateau[-1]
    return [
        Text(_shortened(printable(name), layer_width)),
        Text(f"{rows}×{columns}"),
        Text(FORMS.get(layer.identity.form, layer.identity.form)),
        Text("NaN/Inf", style="bold red") if spectrum is None else Text(_number(spectrum.sigma_max)),
        Text("" if plateau is None or finding.plateau_index < 2 else f"{plateau:.2f}"),
        Text("" if spectrum is None else f"{spectrum.plateau_width:.2f}"),
        Text("" if finding.deficit is None or len(layer.spectra) == 1 else f"{finding.deficit:.2f}"),
        Text(sparkline(finding.plateau, _TREND_WIDTH)),
        judged,
    ]


def _verdict_word(verdict: Verdict) -> Text:
    word = "not finite" if verdict is Verdict.NOT_ENOUGH_EVIDENCE else verdict.value.lower()
    return Text(word, style=_STYLES[verdict])


def _shortened(name: str, width: int) -> str:
    return name if len(name) <= width else f"…{name[len(name) - width + 1 :]}"


def _number(value: float) -> str:
    return f"{value:.3g}" if 0.001 <= value < 10_000 or value == 0 else f"{value:.1e}"


def _verdict(diagnosis: Diagnosis) -> Text:
    return Text.assemble((diagnosis.verdict.value, _STYLES[diagnosis.verdict]), "  ", diagnosis.summary)


def _advice(diagnosis: Diagnosis) -> Text:
    unit = diagnosis.trajectory.step_unit
    if diagnosis.onset is not None and diagnosis.resume_from is not None:
        return Text.assemble(
            ("Resume from ", "bold"),
            f"{printable(diagnosis.resume_from)} ({unit} {diagnosis.last_healthy}), the last healthy checkpoint "
            f"{'still there ' if diagnosis.healthy_is_gone else ''}"
            f"before the onset between {unit} {diagnosis.onset_after} and {diagnosis.onset}.",
        )
    if diagnosis.onset is not None and diagnosis.healthy_is_gone:
        return Text("The healthy checkpoints before the onset are no longer there as they were: none to resume from.")
    if diagnosis.onset is not None:
        return Text("No checkpoint before the onset is among those given: add earlier ones to find where to resume.")
    if diagnosis.resume_from is not None:
        return Text(f"Latest checkpoint to build on: {printable(diagnosis.resume_from)}.")
    return Text("No checkpoint can be recommended to resume from.")


def _skipped(skipped: Sequence[SkippedLayer], explain: bool) -> list[RenderableType]:
    return _by_reason("Skipped", [(item.name, item.sentence) for item in skipped], explain)


def _left_out(left_out: Sequence[LeftOut], explain: bool) -> list[RenderableType]:
    """What was left out; files of formats that are not read are counted by format."""
    closed = [item for item in left_out if item.format_name]
    others = [(item.name, item.reason) for item in left_out if not item.format_name or explain]
    return [*_by_reason("Left out", others, explain), *([] if explain else _by_format(closed))]


def _by_format(closed: Sequence[LeftOut]) -> list[RenderableType]:
    """`Not read: 23 HDF5 files, 2 ONNX files: …`, one line a reason."""
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for item in closed:
        reasons[item.reason][item.format_name] += 1
    return [
        Text(f"Not read: {', '.join(_counted(name, many) for name, many in counts.items())}: {_ended(reason)}")
        for reason, counts in reasons.items()
    ]


def _counted(name: str, count: int) -> str:
    return f"{count} {printable(name)}{'' if count == 1 else 's'}"


def _ended(reason: str) -> str:
    return f"{printable(reason.rstrip('.'))}."


def _by_reason(title: str, pairs: Sequence[tuple[str, str]], explain: bool) -> list[RenderableType]:
    reasons: dict[str, list[str]] = defaultdict(list)
    for name, reason in pairs:
        reasons[reason].append(name)
    lines: list[RenderableType] = []
    for reason, paths in reasons.items():
        names = list(dict.fromkeys(Path(path).name for path in paths))
        keys = {name.partition(": ")[2] for name in names}
        if len(names) > 1 and len(keys) == 1 and keys != {""} and not explain:
            names = [f"{keys.pop()} in {len(set(paths))} files"]
        shown = names if explain else names[:_SHOWN]
        more = f" and {len(names) - len(shown)} more (--explain lists them)" if len(shown) < len(names) else ""
        lines.append(Text(f"{title}: {', '.join(map(printable, shown))}{more}: {_ended(reason)}"))
    return lines


def _thresholds(diagnosis: Diagnosis) -> RenderableType:
    title = "Thresholds (what they cost in false alarms is measured in README)"
    lines = "\n".join(f"- {sentence}" for sentence in diagnosis.thresholds.sentences())
    return Padding(Text(f"{title}\n{lines}", style="dim"), (0, 0))
