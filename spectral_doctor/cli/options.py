"""Options that several verbs have, said once."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

DiscriminatorKey = Annotated[
    str | None,
    typer.Option("--discriminator", metavar="KEY", help="The key that holds the discriminator, e.g. 'state_dict.D'."),
]
StepPattern = Annotated[
    str | None,
    typer.Option("--step", metavar="REGEX", help="Where the step stands in a path: its first group, as in D_([0-9]+)."),
]
ExcludedLayers = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="GLOB", help="Leave out layers whose name matches; may be repeated."),
]
WithoutCache = Annotated[
    bool, typer.Option("--no-cache", help="Neither use nor keep what was examined before; see cache info.")
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the recipe; may be repeated."),
]
RecipeName = Annotated[
    str | None, typer.Option("--recipe", help="What trained it, where the checkpoint does not tell.")
]
VeeganSettings = Annotated[
    list[str] | None, typer.Option("--veegan", metavar="KEY=VALUE", help="weight, warm_up, ramp, head, variant.")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]


class ReportFormat(Enum):
    """What `--format` can ask for where there are only numbers to tell."""

    TEXT = "text"
    JSON = "json"


Reporting = Annotated[ReportFormat, typer.Option("--format", help="How to report.")]
Formats = Annotated[
    list[str] | None,
    typer.Option("--format", metavar="FORMAT[:FILE]", help="text, json, jsonl, junit, sarif, github, … Repeatable."),
]
OutputFile = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="For the format without a file of its own.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="A line for each discriminator or finding, and no more.")]
Statistics = Annotated[bool, typer.Option("--statistics", help="Counts, in place of the text report.")]
Trackers = Annotated[
    list[str] | None,
    typer.Option(
        "--tracker", metavar="NAME", help="wandb, mlflow, tensorboard, trackio, or your FILE.PY:FUNCTION. Repeatable."
    ),
]


class WatchFormat(Enum):
    """What `watch --format` can ask for: lines for people, or a JSON object a line."""

    TEXT = "text"
    JSONL = "jsonl"


Watching = Annotated[WatchFormat, typer.Option("--format", help="Lines to read, or a JSON object a line.")]
HtmlFile = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Write the report as one HTML page, to look at and to keep."),
]
PlotFile = Annotated[
    Path | None, typer.Option("--plot", metavar="FILE", help="Draw the spectra to a png, svg or pdf file.")
]
FailingFrom = Annotated[
    str,
    typer.Option(
        "--fail-on",
        metavar="LEVELS",
        help="Exit with 1 from here on: collapsed or declining (spectrum), lost or doubt (modes), never.",
    ),
]
Sensitive = Annotated[
    bool, typer.Option("--sensitive", help="Early warning: modes lost from even odds on, a decline sooner.")
]
Explain = Annotated[
    bool,
    typer.Option("--explain", "--verbose", "-v", help="Say why, and list all that was left out."),
]
Witnessing = Annotated[
    bool, typer.Option("--witness", help="Ask the generator too: its spectra, and 768 of its samples.")
]
GeneratorFactory = Annotated[
    str | None,
    typer.Option("--generator", metavar="FILE:FACTORY", help="What builds the generator, where a file cannot tell."),
]
RealData = Annotated[
    str | None,
    typer.Option("--data", metavar="SOURCE", help="Real data beside its samples: a folder, .npz, .npy or recipe."),
]
Reconstructing = Annotated[
    bool, typer.Option("--reconstruct", help="Invert the last generator and test whether modes are missing.")
]
ReferenceFile = Annotated[
    Path | None,
    typer.Option("--reference", metavar="FILE", help="Hold layers against these ranges: see reference build."),
]
AllLayers = Annotated[bool, typer.Option("--layers", help="Show all layers, in place of the worst five.")]
Workers = Annotated[
    int, typer.Option("--workers", metavar="N", help="Examine with N processes side by side; the results are the same.")
]
Scheduler = Annotated[
    str | None,
    typer.Option("--scheduler", metavar="ADDRESS", help="Examine on the cluster of a dask.distributed scheduler."),
]
PartOf = Annotated[
    str | None, typer.Option("--shard", metavar="I/N", help="Only every N-th file, into --rows; then merge the rows.")
]
RowsFile = Annotated[
    Path | None,
    typer.Option("--rows", metavar="FILE", help="Append a row for every file, network and layer; go on from there."),
]
PlanOnly = Annotated[bool, typer.Option("--plan", help="Print files, networks and bytes; read no weight.")]
