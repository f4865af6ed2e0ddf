"""The report as a person sees it, to the letter."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spectral_doctor.diagnosis.rules import diagnose
from spectral_doctor.inspection import Inspection
from spectral_doctor.records import Certainty, Failure, FileState, LeftOut, SkippedLayer, SkipReason
from spectral_doctor.report.sparkline import sparkline
from spectral_doctor.report.text import render_text
from spectral_doctor.trajectory.records import LayerTrajectory, SpectralTrajectory
from tests.builders import identity, layer_over_steps, plateau_spectrum, series

THRESHOLDS = """\
Thresholds (what they cost in false alarms is measured in README)
- collapsed: probability 0.8 or more, and 0.5 at the one before
- declining: probability 0.5 or more in a series; with spectral norm also 0.25
and the best σ2/σ1 below 0.95 (rank ≥ 32; Liu et al. 2019)
- one checkpoint needs a judged layer of rank ≥ 16 to be called collapsed
- without spectral norm, one checkpoint of 0.25 or more, or a series in which
nothing changed for the worse, is not enough evidence
- judged are layers of rank ≥ 8 that move and are not clipped; under spectral
norm only the normalised ones
- exploding: σ1 has grown 3-fold since the checkpoint before, to its largest so
far
"""


def report(trajectory: SpectralTrajectory, **options: bool) -> str:
    """The text report on one series."""
    return render_text(Inspection((diagnose(trajectory),), (), ()), **options)


def collapsing() -> SpectralTrajectory:
    """A body that collapses at step 300, beside a shortcut and a head that are not judged."""
    head = LayerTrajectory(
        identity("head", kind="linear", rank=1),
        tuple(plateau_spectrum(1.0, 1, 0.5 + 0.1 * step) for step in range(5)),
        (0,) * 5,
    )
    return series(
        layer_over_steps("block1.c1", [0.97, 0.98, 0.96, 0.7, 0.4]),
        layer_over_steps("block1.c2", [0.95, 0.97, 0.95, 0.6, 0.2]),
        layer_over_steps("block1.c_sc", [0.9, 0.8, 0.7, 0.6, 0.5], rank=3),
        head,
    )


def test_the_report_of_a_collapse() -> None:
    """Table, verdict with its evidence, where to resume, thresholds: the golden report."""
    assert report(collapsing()) == (
        "netD: 5 checkpoints, step 0 to 400 (from file name); confirmed by key 'netD'\n"
        "layer            matrix  norm   σ1  σk/σ1  >0.9  deficit  trend     layer is\n"
        "─────────────────────────────────────────────────────────────────────────────\n"
        "block1.c1        64×576  SN      1   0.40  0.02     0.58  ███▆▄     collapsed\n"
        "block1.c2        64×576  SN      1   0.20  0.02     0.78  ███▅▂     collapsed\n"
        "block1.c_sc        3×27  SN      1   0.50  0.33     0.29  █▇▆▅▅     rank 3\n"
        "head                1×9  SN    0.9         1.00     0.00  █████     rank 1\n"
        "COLLAPSED  Even the best layers have lost their plateau since step 300: the best\n"
        "plateau, in block1.c1, is 0.40, down from 0.98 at 100. Probability of mode\n"
        "collapse 0.97. For it: the first layer's σ2/σ1 is 0.40 (+2.0); the better half\n"
        "of the layers falls 6.3 times as far short of a full plateau as random weights\n"
        "(+1.6).\n"
        "Resume from run/netD_200.pth (step 200), the last healthy checkpoint before the\n"
        "onset between step 200 and 300.\n"
        "\n" + THRESHOLDS
    )


def test_a_healthy_report_names_what_to_build_on() -> None:
    """No onset, no resume advice, but the latest good checkpoint."""
    text = report(series(layer_over_steps("conv", [0.96, 0.97])))
    assert "HEALTHY  No spectral collapse: 1 of 1 judged layers keep their plateau; the best\n" in text
    assert "Probability of mode collapse 0.17. Against it: the\nbetter half of the layers is 0.8 times as far" in text
    assert "Latest checkpoint to build on: run/netD_100.pth." in text


def test_every_line_fits_eighty_columns() -> None:
    """Also with long names, which keep their end."""
    long = series(layer_over_steps("discriminator.blocks.0.residual.convolution_1", [0.97, 0.5]))
    text = report(long)
    assert "…al.convolution_1" in text or "…" in text
    assert max(map(len, text.splitlines())) <= 80


def test_keys_cannot_drive_the_terminal() -> None:
    """Escape sequences and rich's own markup in a name are shown, not obeyed."""
    text = report(series(layer_over_steps("[bold]\x1b[2J", [0.97])))
    assert "\x1b" not in text
    assert r"[bold]\x1b[2J" in text


def test_grouped_convolutions_take_one_row() -> None:
    """The group with the lowest plateau stands for the layer."""
    groups = [layer_over_steps(f"conv[group {index}/2]", [value]) for index, value in ((1, 0.9), (2, 0.5))]
    rows = [line for line in report(series(*groups)).splitlines() if "groups)" in line]
    assert len(rows) == 1
    assert "0.50" in rows[0]


def test_several_discriminators_end_in_an_overview() -> None:
    """Which of them it is, since when, and with which faults, in one line each."""
    sound = series(layer_over_steps("conv", [0.96, 0.97]))
    broken = series(layer_over_steps("a", [0.9, 0.8, None]), layer_over_steps("b", [0.95, 0.6, 0.4]))
    text = render_text(Inspection((diagnose(sound), diagnose(broken)), (), ()))
    assert "2 discriminators:\n- HEALTHY  netD\n- COLLAPSED since step 100, NON-FINITE  netD\n" in text
    assert "discriminators:" not in report(sound)


def test_faults_stand_below_the_verdict() -> None:
    """A layer that is not finite says so in its row and in a sentence."""
    text = report(series(layer_over_steps("a", [0.9, None]), layer_over_steps("b", [0.95, 0.96])))
    assert "NaN/Inf" in text
    assert "NON-FINITE  1 value is NaN or infinite in 'a' at step 100." in text


@pytest.mark.parametrize("explain", [False, True])
def test_what_was_left_out_is_listed(explain: bool) -> None:
    """By reason, a few names of each; `explain` lists them all."""
    files = tuple(LeftOut(f"run/log{index}.txt", "text file") for index in range(6))
    skipped = SkippedLayer("norm.weight", SkipReason.SCALE, "a normalisation's scale")
    trajectory = replace(collapsing(), skipped=(skipped,))
    text = render_text(
        Inspection((diagnose(trajectory),), files, (Failure("a.pt", "cannot be read."),)), explain=explain
    )
    text = " ".join(text.split())
    assert "Skipped: norm.weight: a normalisation's scale." in text
    assert "Could not be used: a.pt: cannot be read." in text
    assert ("and 2 more (--explain lists them): text file." in text) is not explain
    assert ("log5.txt" in text) is explain


def test_a_refusal_that_many_files_share_is_one_line() -> None:
    """With their number and a few names; another reason has its own line, and `explain` has a line a file."""
    many = [Failure(f"run/{index}.pt", "refused: it holds a whole module. Save its state dict.") for index in range(40)]
    failures = (*many[:20], Failure("a.pt", "cannot be read."), *many[20:])
    inspection = Inspection((diagnose(collapsing()),), (), failures)
    text = " ".join(render_text(inspection).split())
    names = ", ".join(f"'run/{index}.pt'" for index in range(6))
    shared = f"Could not be used: 40 files: {names} and 34 more: refused: it holds a whole module. Save its state dict."
    assert text.count("Could not be used: ") == 2
    assert shared in text
    assert "Could not be used: a.pt: cannot be read." in text
    assert " ".join(render_text(inspection, explain=True).split()).count("Could not be used: ") == 41


def test_formats_that_are_not_read_are_counted() -> None:
    """One line for all of them; `explain` names the files."""
    closed = [LeftOut(f"run/d{index}.h5", "not read here.", "HDF5 file") for index in range(23)]
    other = [LeftOut("run/d.onnx", "not read here.", "ONNX file"), LeftOut("run/log.txt", "text file")]
    inspection = Inspection((diagnose(collapsing()),), (*closed, *other), ())
    text = " ".join(render_text(inspection).split())
    assert "Not read: 23 HDF5 files, 1 ONNX file: not read here." in text
    assert "Left out: log.txt: text file." in text
    assert "d22.h5" not in text
    assert "d22.h5" in render_text(inspection, explain=True)


def test_the_first_line_says_how_the_network_was_recognised() -> None:
    """A name, or its shape alone."""
    trajectory = collapsing()
    run = "netD: 5 checkpoints, step 0 to 400 (from file name)"
    assert report(trajectory).startswith(f"{run}; confirmed by key 'netD'\n")
    inferred = replace(trajectory, certainty=Certainty.INFERRED, why="one output")
    assert " ".join(report(inferred).split()).startswith(f"{run}; inferred from its shape: one output")


def test_a_checkpoint_that_is_gone_is_not_advised() -> None:
    """The advice is the last healthy one that is still there, and says that a later one is not; or that none is."""
    trajectory = collapsing()
    refs = [replace(ref, state=FileState.OVERWRITTEN) for ref in trajectory.checkpoints]
    later = replace(trajectory, checkpoints=(*trajectory.checkpoints[:2], *refs[2:4], trajectory.checkpoints[4]))
    text = " ".join(report(later).split())
    assert "Resume from run/netD_100.pth (step 100), the last healthy checkpoint still there before the onset" in text
    all_gone = replace(trajectory, checkpoints=(*refs[:4], trajectory.checkpoints[4]))
    text = " ".join(report(all_gone).split())
    assert "The healthy checkpoints before the onset are no longer there as they were: none to resume from." in text


def test_color_is_asked_for_and_never_guessed() -> None:
    """Without it there is no escape sequence; with it the text below is the same."""
    import re

    plain = report(collapsing())
    colored = report(collapsing(), color=True)
    assert "\x1b[" not in plain
    assert "\x1b[" in colored
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == plain


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([0.0, 0.5, 1.0], "▁▅█"),
        ([None, 0.99], "×█"),
        ([], ""),
        ([index / 100 for index in range(101)], "▁▂▃▄▅▆▇█"),
    ],
)
def test_sparklines(values: list[float | None], line: str) -> None:
    """Levels, gaps, and thinning that keeps both ends."""
    assert sparkline(values, 8) == line
