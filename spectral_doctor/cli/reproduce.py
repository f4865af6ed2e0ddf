"""`spectral-doctor reproduce`: the papers' tables, trained here."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spectral_doctor.cli.boundary import ExitCode, speaking_plainly
from spectral_doctor.cli.options import Device
from spectral_doctor.errors import OutputNotWritable, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spectral_doctor.reproduction.records import Run, Table
    from spectral_doctor.reproduction.running import Job


def reproduce(
    name: Annotated[
        str, typer.Argument(metavar="TABLE", help="ring, grid, synthetic-1200d, stacked or sr-gan.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder of the table.")],
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=0, help="Runs an arm; as the table says if not given.")
    ] = None,
    processes: Annotated[int, typer.Option("--processes", min=1, help="Runs at a time.")] = 1,
    arms: Annotated[
        list[str] | None, typer.Option("--arm", metavar="ARM", help="Only this one; may be repeated.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="PATH", help="stacked: 28×28 digits of yours, npz or IDX files.")
    ] = None,
    device: Device = "cpu",
) -> None:
    """Train a TABLE of the papers, what is not in DIR yet, and write it as Markdown, picture and JSON.

    Runs that are in DIR already are not trained again, so an interrupted table goes on; --seeds 0 trains nothing.
    """
    with speaking_plainly(torch_for="reproduce"):
        from spectral_doctor.reproduction.running import jobs_of
        from spectral_doctor.reproduction.tables import chosen_arms, chosen_table

        table = chosen_table(name, data)
        jobs = jobs_of(table, chosen_arms(table, arms or ()), table.seeds if seeds is None else seeds, output, device)
        runs, complete = _trained(table, jobs, output, processes)
        if runs:
            typer.echo(_written(table, runs, output))
    if not runs:
        raise typer.Exit(ExitCode.NOTHING_EXAMINED)
    if not complete:
        raise typer.Exit(ExitCode.FINDINGS)


def _trained(table: Table, jobs: Sequence[Job], output: Path, processes: int) -> tuple[list[Run], bool]:
    """Every run of the table that there is, and whether none is missing that was asked for."""
    from spectral_doctor.reproduction.files import saved_runs
    from spectral_doctor.reproduction.running import train_missing

    runs = saved_runs(table, output)
    missing = [job for job in jobs if (job.arm.name, job.seed) not in runs]
    typer.echo(f"{table.name}: {len(runs)} runs on file, {len(missing)} to train", err=True)
    try:
        for count, run in enumerate(train_missing(missing, processes), start=1):
            if run is None:
                typer.echo(f"{count}/{len(missing)} a run was ended from outside; call again to train it", err=True)
                continue
            runs[run.arm, run.seed] = run
            typer.echo(
                f"{count}/{len(missing)} {run.arm}, seed {run.seed}: {run.last.solid} of {run.of} solid modes, "
                f"quality {run.last.quality:.0%}",
                err=True,
            )
    except OSError as error:
        raise OutputNotWritable(output, error) from error
    return list(runs.values()), all((job.arm.name, job.seed) in runs for job in jobs)


def _written(table: Table, runs: Sequence[Run], output: Path) -> str:
    """Write the table's three files, and what all tables of the folder say to the claims; the table, and where."""
    from spectral_doctor.report.figures import render_figure
    from spectral_doctor.report.reproduction import render_findings, render_page, render_table
    from spectral_doctor.report.reproduction_figures import draw_table
    from spectral_doctor.reproduction.claims import findings_of
    from spectral_doctor.reproduction.files import packed, saved_runs, write_table_file
    from spectral_doctor.reproduction.summary import summaries_of
    from spectral_doctor.reproduction.tables import TABLES

    summaries = summaries_of(table, runs)
    tables = {one.name: list(saved_runs(one, output).values()) for one in TABLES.values()} | {table.name: list(runs)}
    contents = {
        f"{table.name}.json": packed(table, runs),
        f"{table.name}.md": render_page(table, summaries).encode(),
        f"{table.name}.png": render_figure(draw_table(table, runs), "png"),
        "what-we-found.md": render_findings(findings_of(tables)).encode(),
    }
    for file, content in contents.items():
        write_table_file(output / file, content)
    lines = [render_table(table, summaries), f"Written to {printable(output)}: {', '.join(contents)}"]
    lacking = next((name for name, found in tables.items() if not found), "")
    if lacking:
        lines.append(f"Next: spectral-doctor reproduce {lacking} -o {shlex.quote(printable(output))}")
    return "\n".join(lines)
