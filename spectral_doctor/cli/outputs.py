"""Where reports go: one format to stdout, the others to files."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from spectral_doctor.errors import UsageError, listed, printable

# From the name of a format, and whether it goes to stdout, to its text.
Render = Callable[[str, bool], str]
FORMATS = ("text", "json", "jsonl", "junit", "sarif", "github", "gitlab", "markdown", "html", "csv")
SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
# GitHub drops a summary beyond 1 MiB whole.
LARGEST_SUMMARY = 1_000_000


@dataclass(frozen=True)
class Destination:
    """A format and the file that it is written to; None is stdout."""

    name: str
    file: Path | None


def destinations(
    formats: Sequence[str], output: Path | None, paths: Sequence[str], baseline: str | None = None
) -> tuple[Destination, ...]:
    """Parse `FORMAT` and `FORMAT:FILE`; `output` takes the one format without a file.

    Raises `UsageError`, also where a file is one that the paths stand for, or the baseline.
    """
    found: list[Destination] = []
    for text in formats or ("text",):
        name, colon, rest = text.partition(":")
        if name not in FORMATS or (colon and not rest):
            raise UsageError(
                f"--format {printable(text)}: expected FORMAT or FORMAT:FILE with one of {listed(FORMATS, 10)}."
            )
        found.append(Destination(name, Path(rest) if rest else None))
    loose = [item.name for item in found if item.file is None]
    if len(loose) > 1:
        raise UsageError(f"--format: only one can go to stdout, not {listed(loose)}; write the others as FORMAT:FILE.")
    if output is not None:
        if not loose:
            raise UsageError(f"--output {printable(output)}: every format has a file of its own already.")
        found = [Destination(item.name, item.file or output) for item in found]
    files = [item.file for item in found if item.file is not None]
    for file in files:
        _check_writable(file, paths, baseline)
    if len({file.resolve() for file in files}) < len(files):
        raise UsageError("--format: two formats are to be written to one file.")
    return tuple(found)


def write_reports(render: Render, places: Sequence[Destination], quiet: bool = False) -> None:
    """Render every format and write it; of `github` also the job summary, where a job has one."""
    from spectral_doctor.checkpoints.writing import write_atomically

    rendered = [(place, render(place.name, place.file is None)) for place in places]
    for place, text in rendered:
        if place.file is None:
            sys.stdout.write(text)
            continue
        try:
            write_atomically(place.file, text.encode("utf-8", "backslashreplace"))
        except OSError as error:
            raise UsageError(f"{printable(place.file)}: cannot be written: {error.strerror}.") from error
        if not quiet:
            typer.echo(f"written: {printable(place.file)} ({place.name})", err=True)
    if any(place.name == "github" for place in places):
        _append_summary(render("markdown", False))


def _append_summary(text: str) -> None:
    name = os.environ.get(SUMMARY_VARIABLE)
    if not name:
        return
    content = text.encode("utf-8", "backslashreplace")
    if len(content) > LARGEST_SUMMARY:
        content = content[:LARGEST_SUMMARY].rpartition(b"\n")[0] + b"\n\n(cut: the job summary holds no more)\n"
    try:
        with Path(name).open("ab") as file:
            file.write(content)
    except OSError as error:
        raise UsageError(f"{SUMMARY_VARIABLE} {printable(name)}: cannot be written: {error.strerror}.") from error


def _check_writable(file: Path, paths: Sequence[str], baseline: str | None) -> None:
    if file.is_dir():
        raise UsageError(f"{printable(file)}: is a folder; name a file to write the report to.")
    if not file.parent.is_dir():
        raise UsageError(f"{printable(file)}: the folder '{printable(file.parent)}' does not exist.")
    refuse_input(file, [*paths, *([baseline] if baseline and Path(baseline).is_file() else [])])


def refuse_input(file: Path, paths: Sequence[str]) -> None:
    """Refuse to write over a file that the paths name, or that is found below them; raises `UsageError`."""
    if file.exists() and file.resolve() in _read_from(paths):
        raise UsageError(f"{printable(file)}: is one of the inputs, which are never overwritten.")


def _read_from(paths: Sequence[str]) -> set[Path]:
    """Every file that is named, and every one below a folder or of a pattern that an examination opens."""
    from spectral_doctor.checkpoints.discovery import find_candidates

    found = find_candidates([path for path in paths if not Path(path).is_file()])
    opened = (candidate.ref.location for candidate in found.checkpoints)
    below = (*opened, *found.histories, *(Path(name) for name, _ in found.failures))
    return {path.resolve() for path in (*map(Path, paths), *below) if isinstance(path, Path)}
