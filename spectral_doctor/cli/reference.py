"""`spectral-doctor reference`: where healthy layers lie, and a reference of one's own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spectral_doctor.cli.boundary import speaking_plainly
from spectral_doctor.cli.options import ReportFormat, Reporting
from spectral_doctor.errors import UsageError, printable

if TYPE_CHECKING:
    from spectral_doctor.diagnosis.reference import Reference


def reference(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[build PATH...]", help="Nothing to list the ranges; `build` and your healthy runs."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The file that `build` writes.")
    ] = None,
    report_format: Reporting = ReportFormat.TEXT,
) -> None:
    """List where healthy layers' plateaus lie by kind of layer, or build such ranges from healthy runs of your own."""
    with speaking_plainly():
        from spectral_doctor.diagnosis.reference import Reference, reference_document

        if not words:
            shipped = Reference.shipped()
            text = json.dumps(reference_document(shipped), indent=1, ensure_ascii=False) + "\n"
            sys.stdout.write(text if report_format is ReportFormat.JSON else _table(shipped))
            return
        if words[0] != "build" or len(words) < 2 or output is None:
            raise UsageError("reference: expected nothing, or build PATH... -o FILE.")
        _build(words[1:], output)


def _build(paths: list[str], output: Path) -> None:
    from spectral_doctor.checkpoints.writing import write_atomically
    from spectral_doctor.cli.outputs import refuse_input
    from spectral_doctor.diagnosis.reference import FEWEST_OWN, built, healthy_samples, reference_document
    from spectral_doctor.inspection import inspect_paths

    refuse_input(output, paths)
    diagnoses = inspect_paths(paths).diagnoses
    samples = [sample for item in diagnoses for sample in healthy_samples(item.trajectory)]
    made = built(samples, fewest_layers=FEWEST_OWN, fewest_sources=1)
    if not made.ranges:
        raise UsageError(
            f"reference build: {len(diagnoses)} series have no class with {FEWEST_OWN} judged layers; name more runs."
        )
    text = json.dumps(reference_document(made), indent=1, ensure_ascii=False) + "\n"
    try:
        write_atomically(output, text.encode("utf-8"))
    except OSError as error:
        raise UsageError(f"--output {printable(output)}: cannot be written: {error.strerror}.") from error
    typer.echo(f"written: {printable(output)} ({len(made.ranges)} classes from {len(diagnoses)} series)", err=True)


def _table(shipped: Reference) -> str:
    width = max(len(name) for name, _ in shipped.ranges)
    lines = [f"{'healthy layers':{width}}  σk/σ1      layers  sources"]
    lines += [
        f"{name:{width}}  {one.low:.2f}–{one.high:.2f}  {one.count:6}  {one.sources:7}" for name, one in shipped.ranges
    ]
    end = "Eight of ten healthy layers lie in the range, one below; a source is a repository, recipe or paper."
    return "\n".join([*lines, end, ""])
