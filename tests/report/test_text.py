"""The report as a person sees it, to the letter."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from spectral_doctor.diagnosis.rules import diagnose
from spectral_doctor.inspection import Inspection
from spectral_doctor.records import Certainty, Failure, FileState, LeftOut, SkippedLayer, SkipReason
from spectral_doctor.report.sparkline import sparkline
from spectral_doctor.report.text import render_text
from spectral_doctor.trajectory.records import LayerTrajectory, SpectralTrajectory
from tests.builders import identity, layer_over_steps, plateau_spectrum, series


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


GOLDEN = """\
COLLAPSED spectrum · modes NOT KNOWN    netD · 5 checkpoints, step 0–400
  since       step 300 (not yet at 200)
  plateau     best layer 0.97 → 0.40  ███▆▄  healthy 0.80–1.00, n = 10
  fell        step 200–300  the spectrum fell: COLLAPSED
  modes       Whether modes are lost is not known: spectra alone do not decide
              it (probability 0.44).
  go back     step 200 (the last sound spectrum before step 300):
              run/netD_200.pth
  layer        matrix  norm   σ1  σk/σ1    healthy  deficit  trend  layer is
  block1.c1    64×576  SN      1   0.40  0.80–1.00     0.58  ███▆▄  fallen
  block1.c2    64×576  SN      1   0.20  0.80–1.00     0.78  ███▅▂  fallen
  block1.c_sc    3×27  SN      1   0.50                0.29  █▇▆▅▅  rank 3
  head            1×9  SN    0.9                       0.00  █████  rank 1

Next: --layers  --explain  --html FILE  spectral-doctor rule SD101
"""


def test_the_report_of_a_collapse() -> None:
    """Both statements, since when, where to go back to, the layers beside their ranges: the golden report."""
    assert report(collapsing()) == GOLDEN


def test_a_sound_report_names_what_to_build_on() -> None:
    """No onset, no way back, but the latest checkpoint."""
    text = report(series(layer_over_steps("conv", [0.96, 0.97])))
    assert text.startswith("SOUND spectrum · modes NOT KNOWN    netD · 2 checkpoints, step 0–100\n")
    assert "  build on    step 100 (the latest): run/netD_100.pth\n" in text
    assert "since" not in text


def test_every_line_fits_eighty_columns() -> None:
    """Also with long names, which keep their end."""
    long = series(layer_over_steps("discriminator.blocks.0.residual.convolution_1", [0.97, 0.5]))
    text = report(long)
    assert re.search(r"^  disc\S*…\S*volution_1  64×576", text, re.MULTILINE)
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
    assert (
        "2 discriminators:\n- SOUND spectrum · modes NOT KNOWN  netD\n- NON-FINITE spectrum · modes NOT KNOWN," in text
    )
    assert "discriminators:" not in report(sound)


def test_faults_stand_below_the_statements() -> None:
    """A layer that is not finite says so in its row and in a sentence."""
    text = report(series(layer_over_steps("a", [0.9, None]), layer_over_steps("b", [0.95, 0.96])))
    assert "NaN/Inf" in text
    assert "  non-finite  1 value is NaN or infinite in 'a' at step 100\n" in text


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
    assert ("Skipped: norm.weight: a normalisation's scale." in text) is explain
    assert "Could not be used: a.pt: cannot be read." in text
    assert ("Left out: 6 parts (--explain names them)." in text) is not explain
    assert ("Thresholds: - COLLAPSED: " in text) is explain
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
    assert "Left out: 1 part (--explain names them)." in text
    assert "d22.h5" not in text
    assert "d22.h5" in render_text(inspection, explain=True)


def test_the_first_line_says_that_a_network_is_inferred() -> None:
    """A name is said under --explain, a shape alone always."""
    trajectory = collapsing()
    assert "confirmed by" not in report(trajectory)
    assert "  network     confirmed by key 'netD'\n" in report(trajectory, explain=True)
    inferred = replace(trajectory, certainty=Certainty.INFERRED, why="one output")
    assert "netD · 5 checkpoints, step 0–400 · inferred from its shape: one output\n" in report(inferred)


def test_a_checkpoint_that_is_gone_is_not_advised() -> None:
    """The advice is the last sound one that is still there; or that none is."""
    trajectory = collapsing()
    refs = [replace(ref, state=FileState.OVERWRITTEN) for ref in trajectory.checkpoints]
    later = replace(trajectory, checkpoints=(*trajectory.checkpoints[:2], *refs[2:4], trajectory.checkpoints[4]))
    text = " ".join(report(later).split())
    assert "go back step 100 (the last sound spectrum before step 300): run/netD_100.pth" in text
    all_gone = replace(trajectory, checkpoints=(*refs[:4], trajectory.checkpoints[4]))
    text = " ".join(report(all_gone).split())
    assert "go back nowhere: the sound checkpoints before are no longer there as they were" in text


def test_the_worst_five_layers_are_shown_or_all() -> None:
    """With a line that says how to see the rest."""
    many = series(*(layer_over_steps(f"c{index}", [0.9, 0.5 + index / 100]) for index in range(8)))
    text = report(many)
    assert "  worst 5 of 8 layers (--layers shows all)\n" in text
    assert [line.split()[0] for line in text.splitlines() if line.startswith("  c")] == ["c0", "c1", "c2", "c3", "c4"]
    assert sum(line.startswith("  c") for line in report(many, layers=True).splitlines()) == 8


def test_a_wide_terminal_has_no_more_blanks() -> None:
    """At 200 columns lines are as long as what they say, and long names are whole."""
    name = "discriminator.blocks.0.residual.convolution_1"
    text = render_text(Inspection((diagnose(series(layer_over_steps(name, [0.97, 0.5]))),), (), ()), width=200)
    assert name in text
    assert max(map(len, text.splitlines())) < 140


def test_color_is_asked_for_and_never_guessed() -> None:
    """Without it there is no escape sequence; with it the text below is the same."""
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
