"""An inspection delivered: its report in the formats that were asked for, pictures and pages beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from spectral_doctor.cli.outputs import Destination, destinations, write_reports
from spectral_doctor.cli.terminal import Terminal, host, terminal
from spectral_doctor.errors import UsageError, printable
from spectral_doctor.gate.settings import FailOn

if TYPE_CHECKING:
    from spectral_doctor.inspection import Inspection
    from spectral_doctor.veegan.records import Reconstruction
    from spectral_doctor.witnessing import Testimony


@dataclass(frozen=True)
class Amount:
    """How much of a text report is wanted: all layers, every reason, headlines alone, counts alone."""

    layers: bool = False
    explain: bool = False
    quiet: bool = False
    statistics: bool = False

    def __post_init__(self) -> None:
        chosen = [name for name in ("explain", "quiet", "statistics") if getattr(self, name)]
        if len(chosen) > 1:
            raise UsageError(f"--{chosen[0]} and --{chosen[1]}: one asks for more and one for less; choose one.")


@dataclass(frozen=True)
class Presentation:
    """How a report is shown: `asked` is the verb with the paths it was given, `levels` what fails."""

    places: tuple[Destination, ...]
    amount: Amount
    plot: Path | None
    html: Path | None
    asked: tuple[str, ...]
    levels: FailOn


def presentation(
    formats: Sequence[str] | None,
    output: Path | None,
    amount: Amount,
    pictures: tuple[Path | None, Path | None],
    asked: tuple[str, ...],
    fail_on: str,
) -> Presentation:
    """What was asked for, refused before the work of examining where it cannot be written; raises `UsageError`."""
    plot, html = pictures
    inputs = asked[1:]
    _check_output("--html", html, (".html", ".htm"), inputs)
    _check_output("--plot", plot, (".png", ".svg", ".pdf"), inputs)
    places = destinations(formats or (), output, [path for path in inputs if "://" not in path])
    return Presentation(places, amount, plot, html, asked, FailOn.read(fail_on))


def deliver(
    inspection: Inspection,
    found: Mapping[str, Reconstruction],
    wished: Presentation,
    testimonies: Mapping[str, Sequence[Testimony]] | None = None,
) -> None:
    """Print the report, and write what is asked for as files, saying where; `testimonies` have samples to show."""

    def render(name: str, to_stdout: bool) -> str:
        if name == "text":
            return _text(inspection, found, wished, terminal() if to_stdout else Terminal(80, False, False, True))
        if name == "json":
            from spectral_doctor.report.document import render_json

            return render_json(inspection, found) + "\n"
        if name == "html":
            return _page(inspection, testimonies or {})
        from spectral_doctor.gate.judging import judge
        from spectral_doctor.gate.settings import GateSettings
        from spectral_doctor.report.formats import RENDERERS

        return RENDERERS[name](judge(inspection, GateSettings(fail_on=wished.levels), str(Path.cwd())))

    write_reports(render, wished.places, wished.amount.quiet)
    if wished.plot is not None:
        _write_plot(inspection, wished.plot, wished.amount.quiet, testimonies or {})
    if wished.html is not None:
        _write_html(inspection, wished.html, wished.amount.quiet, testimonies or {})


def fails(inspection: Inspection, fail_on: FailOn) -> bool:
    """Whether a discriminator fails; one that is a discriminator by its shape alone never does."""
    from spectral_doctor.records import Certainty

    confirmed = (item for item in inspection.diagnoses if item.trajectory.certainty is Certainty.CONFIRMED)
    return any(fail_on.reached(item) for item in confirmed)


def _text(inspection: Inspection, found: Mapping[str, Reconstruction], wished: Presentation, shown: Terminal) -> str:
    from spectral_doctor.report.text import render_counts, render_headlines, render_text

    amount = wished.amount
    if amount.statistics:
        return render_counts(inspection)
    if amount.quiet:
        return render_headlines(inspection, shown.color)
    text = render_text(
        inspection,
        width=shown.width,
        color=shown.color,
        whole=shown.whole,
        explain=amount.explain,
        layers=amount.layers,
        asked=wished.asked,
    )
    if found:
        from spectral_doctor.report.reconstruction import render_reconstructions

        text += "\n" + render_reconstructions(found, width=shown.width) + "\n"
    return with_links(text, inspection, shown)


def with_links(text: str, inspection: Inspection, shown: Terminal) -> str:
    """A text with links to the files that it names, where the terminal shows them."""
    if not shown.links:
        return text
    from spectral_doctor.report.links import linked, links_of

    return linked(text, links_of(inspection, Path.cwd(), host()))


def _check_output(option: str, path: Path | None, endings: tuple[str, ...], inputs: Iterable[str]) -> None:
    if path is None:
        return
    if path.suffix.lower() not in endings:
        expected = f"{', '.join(endings[:-1])} or {endings[-1]}"
        raise UsageError(f"{option} {printable(path)}: expected a file that ends in {expected}.")
    if not path.parent.is_dir():
        raise UsageError(f"{option} {printable(path)}: the folder '{printable(path.parent)}' does not exist.")
    _refuse_input(option, path, inputs)


def _refuse_input(option: str, path: Path, inputs: Iterable[str]) -> None:
    if any(path.resolve() == _resolved(given) for given in inputs):
        raise UsageError(f"{option} {printable(path)}: is one of the inputs, which are never overwritten.")


def _resolved(given: str) -> Path | None:
    """A path without links; None where no file of this system can be called so, as a history may name one."""
    try:
        return Path(given).resolve()
    except (OSError, ValueError):
        return None


def _write_plot(
    inspection: Inspection, plot: Path, quiet: bool, testimonies: Mapping[str, Sequence[Testimony]]
) -> None:
    from spectral_doctor.report.figures import draw, render_figure

    figure = draw(inspection.diagnoses, testimonies)
    _write(inspection, "--plot", plot, render_figure(figure, plot.suffix.lower().removeprefix(".")), quiet)


def _write_html(
    inspection: Inspection, html: Path, quiet: bool, testimonies: Mapping[str, Sequence[Testimony]]
) -> None:
    _write(inspection, "--html", html, _page(inspection, testimonies).encode("utf-8"), quiet)


def _page(inspection: Inspection, testimonies: Mapping[str, Sequence[Testimony]]) -> str:
    from spectral_doctor.report.page import render_page

    return render_page(inspection, [diagnosis.curves for diagnosis in inspection.diagnoses], testimonies)


def _write(inspection: Inspection, option: str, path: Path, content: bytes, quiet: bool) -> None:
    """Write a file that is no checkpoint found in the folders given; what is there before stays until the end."""
    from spectral_doctor.checkpoints.writing import write_atomically

    for diagnosis in inspection.diagnoses:
        _refuse_input(option, path, map(str, (ref.location for ref in diagnosis.trajectory.checkpoints)))
    try:
        write_atomically(path, content)
    except OSError as error:
        raise UsageError(f"{option} {printable(path)}: cannot be written: {error.strerror}.") from error
    if not quiet:
        typer.echo(f"written: {printable(path)}", err=True)
