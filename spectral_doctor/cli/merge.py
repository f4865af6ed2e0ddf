"""`spectral-doctor merge`: the rows of a job array's shards as the report of one run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spectral_doctor.cli.boundary import ExitCode, speaking_plainly
from spectral_doctor.cli.delivery import Amount, deliver, fails, presentation
from spectral_doctor.cli.options import (
    AllLayers,
    Explain,
    FailingFrom,
    Formats,
    HtmlFile,
    OutputFile,
    PlotFile,
    Quiet,
    Sensitive,
    Statistics,
    StepPattern,
)


def merge(
    rows: Annotated[
        list[Path], typer.Argument(metavar="ROWS...", help="The files that --rows wrote, one of every shard.")
    ],
    step_pattern: StepPattern = None,
    formats: Formats = None,
    output: OutputFile = None,
    html: HtmlFile = None,
    plot: PlotFile = None,
    fail_on: FailingFrom = "never",
    sensitive: Sensitive = False,
    layers: AllLayers = False,
    explain: Explain = False,
    quiet: Quiet = False,
    statistics: Statistics = False,
) -> None:
    """Report what the shards of one run found, as one run over all the files does; no checkpoint is opened."""
    with speaking_plainly():
        amount = Amount(layers, explain, quiet, statistics)
        wished = presentation(formats, output, amount, (plot, html), ("merge", *map(str, rows)), fail_on)
        from spectral_doctor.diagnosis.records import Thresholds
        from spectral_doctor.scaling.merging import merge_rows

        thresholds = Thresholds.sensitive() if sensitive else Thresholds()
        inspection = merge_rows(rows, step=step_pattern, thresholds=thresholds)
        deliver(inspection, {}, wished)
        if fails(inspection, wished.levels):
            raise typer.Exit(ExitCode.FINDINGS)
