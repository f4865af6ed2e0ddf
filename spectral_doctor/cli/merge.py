"""`spectral-doctor merge`: the rows of a job array's shards as the report of one run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spectral_doctor.cli.boundary import ExitCode, speaking_plainly
from spectral_doctor.cli.inspect import Presentation, check_outputs, deliver, fails
from spectral_doctor.cli.options import (
    AllLayers,
    Explain,
    FailingFrom,
    HtmlFile,
    PlotFile,
    ReportFormat,
    Reporting,
    Sensitive,
    StepPattern,
)
from spectral_doctor.gate.settings import FailOn


def merge(
    rows: Annotated[
        list[Path], typer.Argument(metavar="ROWS...", help="The files that --rows wrote, one of every shard.")
    ],
    step_pattern: StepPattern = None,
    report_format: Reporting = ReportFormat.TEXT,
    html: HtmlFile = None,
    plot: PlotFile = None,
    fail_on: FailingFrom = "never",
    sensitive: Sensitive = False,
    layers: AllLayers = False,
    explain: Explain = False,
) -> None:
    """Report what the shards of one run found, as one run over all the files does; no checkpoint is opened."""
    with speaking_plainly():
        check_outputs(plot, html, list(map(str, rows)))
        from spectral_doctor.diagnosis.records import Thresholds
        from spectral_doctor.scaling.merging import merge_rows

        thresholds = Thresholds.sensitive() if sensitive else Thresholds()
        inspection = merge_rows(rows, step=step_pattern, thresholds=thresholds)
        deliver(inspection, {}, Presentation(report_format, explain, layers, plot, html))
        if fails(inspection, FailOn.read(fail_on)):
            raise typer.Exit(ExitCode.FINDINGS)
