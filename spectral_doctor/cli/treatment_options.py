"""The options of `fix` that no other verb has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RunPaths = Annotated[list[Path], typer.Argument(metavar="PATH…", help="Checkpoints of one run: files or its folder.")]
Mode = Annotated[
    str | None,
    typer.Option("--mode", help="static or dynamic compensation; veegan; restart: a fresh discriminator; trial: all."),
]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="OUT", help="A file, or a folder.")]
WeightsOnly = Annotated[bool, typer.Option("--weights-only", help="Rewrite the checkpoint's weights, train nothing.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be raised and write nothing.")]
Steps = Annotated[int, typer.Option("--steps", min=1, help="Generator updates to resume for.")]
FromStep = Annotated[
    int | None, typer.Option("--from", metavar="STEP", help="Resume from (or rewrite) the checkpoint of this step.")
]
Fraction = Annotated[float, typer.Option("--fraction", help="Static: the share of values that become σ1.")]
Interval = Annotated[
    int | None, typer.Option("--interval", min=1, help="Every so many discriminator updates; 5, in the forward 1.")
]
Scale = Annotated[str | None, typer.Option("--scale", help="σ1: hold, one or free; static holds, dynamic is free.")]
EnvelopeKind = Annotated[str, typer.Option("--envelope", help="Dynamic: running, held, median or official.")]
Apply = Annotated[str, typer.Option("--apply", help="projection or parametrization.")]
ResetOptimizer = Annotated[
    bool, typer.Option("--reset-d-optimizer", help="With --weights-only: its moments start from zero.")
]
Companion = Annotated[
    str | None, typer.Option("--with", help="With --mode veegan: static or dynamic compensation as well.")
]
Detaching = Annotated[bool, typer.Option("--detach", help="Write plain G and D(x) of a treated run, train nothing.")]
Like = Annotated[Path | None, typer.Option("--like", metavar="FILE", help="With --detach: in the layout of this file.")]
GoingOn = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted fix in OUT.")]
Control = Annotated[
    bool, typer.Option("--control/--no-control", help="Continue the same checkpoint untreated too, to compare.")
]
Rate = Annotated[
    str | None,
    typer.Option("--rate", help="own, safe (a tenth, not below 1e-3) or a number; restart: safe, else own."),
]
Decay = Annotated[
    bool | None, typer.Option("--decay/--no-decay", help="Rates fall to zero over the second half; restart decays.")
]
Beta1 = Annotated[float | None, typer.Option("--beta1", help="Adam's, of restored optimizers too; restart: 0.")]
Revive = Annotated[
    bool | None,
    typer.Option("--revive/--no-revive", help="Draw the generator's dead units anew; restart does."),
]
RestartSettings = Annotated[
    list[str] | None, typer.Option("--restart", metavar="KEY=VALUE", help="gamma, anneal, warm_up.")
]
Arms = Annotated[
    str | None, typer.Option("--arms", metavar="A,B,…", help="With --mode trial: plain, calm, veegan+dynamic, …")
]
Share = Annotated[
    float, typer.Option("--share", metavar="F", help="With --mode trial: the part of the steps given to every arm.")
]
TrialWorkers = Annotated[
    int | None, typer.Option("--workers", min=1, metavar="N", help="With --mode trial: arms trained side by side.")
]
