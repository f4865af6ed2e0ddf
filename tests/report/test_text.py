"""The report as a person sees it, to the letter."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from spectral_doctor.diagnosis.records import (
    Argument,
    Diagnosis,
    FindingKind,
    ModesEstimate,
    ModesStatement,
    Thresholds,
    Tier,
)
from spectral_doctor.diagnosis.rules import diagnose
from spectral_doctor.inspection import Inspection
from spectral_doctor.records import Certainty, Failure, FileState, LeftOut, SkippedLayer, SkipReason
from spectral_doctor.report.shortening import shortened, shortened_apart
from spectral_doctor.report.sparkline import sparkline
from spectral_doctor.report.text import render_text
from spectral_doctor.trajectory.records import LayerTrajectory, SpectralTrajectory
from tests.builders import identity, layer_over_steps, plateau_spectrum, series
from tests.diagnosis.judging import FIXED

ASKED = ("inspect", "run")


def report(trajectory: SpectralTrajectory, width: int = 80, **options: bool) -> str:
    """The text report on one series, held against the fixed reference, with nothing inferred about modes."""
    return render_text(Inspection((told(trajectory),), (), ()), width=width, asked=ASKED, **options)


def told(trajectory: SpectralTrajectory) -> Diagnosis:
    """The diagnosis of a series of which only the weights are asked."""
    found = diagnose(trajectory, reference=FIXED)
    return replace(
        found, modes=replace(found.modes, statement=ModesStatement.NOT_KNOWN, probability=None, why="as said")
    )


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
    """Both statements, since when, what happened, where to go back to, the layers, and what to type: to the letter."""
    assert report(collapsing()) == (
        "COLLAPSED spectrum · modes NOT KNOWN    netD · 5 checkpoints, step 0–400\n"
        "  since       step 300 (not yet at 200)\n"
        "  plateau     best layer 0.97 → 0.40  ███▆▄  healthy 0.60–1.00, n = 100\n"
        "  fell        step 200–300  the spectrum fell: DECLINING\n"
        "  modes       Whether modes are lost is not known: as said.\n"
        "  go back     step 200 (the last sound spectrum before step 300):\n"
        "              run/netD_200.pth\n"
        "  layer        matrix  norm   σ1  σk/σ1    healthy  deficit  trend  layer is\n"
        "  block1.c1    64×576  SN      1   0.40  0.60–1.00     0.58  ███▆▄  fallen\n"
        "  block1.c2    64×576  SN      1   0.20  0.60–1.00     0.78  ███▅▂  fallen\n"
        "  block1.c_sc    3×27  SN      1   0.50                0.29  █▇▆▅▅  rank 3\n"
        "  head            1×9  SN    0.9                       0.00  █████  rank 1\n"
        "\n"
        "More: --layers  --explain  --html FILE  --plot FILE\n"
        "Next: spectral-doctor rule SD101\n"
    )


def test_a_sound_report_names_what_to_build_on() -> None:
    """No onset and no event, but the latest checkpoint; and a command that fits."""
    assert report(series(layer_over_steps("conv", [0.96, 0.97]))) == (
        "SOUND spectrum · modes NOT KNOWN    netD · 2 checkpoints, step 0–100\n"
        "  plateau     best layer 0.96 → 0.97  ██  healthy 0.60–1.00, n = 100\n"
        "  modes       Whether modes are lost is not known: as said.\n"
        "  build on    step 100 (the latest): run/netD_100.pth\n"
        "  layer  matrix  norm  σ1  σk/σ1    healthy  deficit  trend  layer is\n"
        "  conv   64×576  SN     1   0.97  0.60–1.00     0.00  ██     in range\n"
        "\n"
        "More: --layers  --explain  --html FILE  --plot FILE\n"
        "Next: spectral-doctor inspect run --witness\n"
    )


def test_one_checkpoint_has_no_course() -> None:
    """Neither an onset, nor a trend, nor an arrow."""
    text = report(series(layer_over_steps("conv", [0.3])))
    assert "COLLAPSED spectrum · modes NOT KNOWN    netD · one checkpoint, step 0\n" in text
    assert "  plateau     best layer 0.30  healthy 0.60–1.00, n = 100\n" in text
    assert "→" not in text
    assert "since" not in text


def test_lost_modes_are_told_with_what_they_rest_on() -> None:
    """A probability in the first line, the tier below; the arguments under `--explain` alone."""
    argument = Argument("participation", -1.5, 2.1, "the samples' participation is -1.50")
    modes = ModesEstimate(ModesStatement.LOST, 0.934, Tier.SAMPLES, (argument,), "")
    inspection = Inspection((replace(told(collapsing()), modes=modes),), (), ())
    text = render_text(inspection)
    assert text.startswith("COLLAPSED spectrum · modes LOST 0.93    netD · 5 checkpoints, step 0–400\n")
    rests = "  rests on    D's spectra and samples of G; --data compares them with real data\n"
    assert rests in text
    assert "participation" not in text
    explained = " ".join(render_text(inspection, explain=True).split())
    assert (
        "modes Modes are probably lost: probability 0.93 by D's spectra and samples of G. For it: the samples' "
        "participation is -1.50 (+2.1)."
    ) in explained


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("explain", [False, True])
def test_every_line_fits_and_nothing_is_cut_but_names(width: int, explain: bool) -> None:
    """At 80 columns long names give way in the table, at 200 they are whole; every number and word is there in both.

    A name or path in a sentence is never broken, so that it can be copied: only such a word alone may stand out.
    """
    names = [f"discriminator.blocks.{index}.residual.convolution_1.weight_orig" for index in range(5)]
    trajectory = series(*(layer_over_steps(name, [0.97, 0.5 - index / 100, None]) for index, name in enumerate(names)))
    text = report(trajectory, width, explain=explain)
    assert all(len(line) <= width or len(line.split()) == 1 for line in text.splitlines())
    rows = [line for line in text.splitlines() if line.endswith("not finite")]
    assert len(rows) == 5
    assert all(re.search(r" 64×576 +SN +NaN/Inf +0\.60–1\.00 +█[▄▅]× +not finite$", row) for row in rows)
    whole = [name for name in names if any(row.startswith(f"  {name}  ") for row in rows)]
    assert whole == (names if width == 200 else [])


def test_the_widest_row_fits_eighty_columns() -> None:
    """Large matrices, sizes with exponents, long trends and words: the columns come closer before a name is lost."""
    plateaus = [0.97 - index / 100 for index in range(11)]
    wide = layer_over_steps("discriminator.body.conv", [*plateaus, None])
    shape = replace(wide.identity, matrix_shape=(4096, 36864))
    text = report(series(replace(wide, identity=shape), layer_over_steps("head", [*plateaus, 0.9])))
    (row,) = [line for line in text.splitlines() if line.endswith(" not finite")]
    assert re.match(r"  dis….+ 4096×36864 SN +NaN/Inf ", row)
    assert len(row) <= 80


def test_names_are_cut_in_the_middle_and_stay_apart() -> None:
    """Head and tail stay; where that would make two names one, what all begin with goes first."""
    assert shortened("block1.c1", 9) == "block1.c1"
    assert shortened("discriminator.body.c1", 12) == "dis….body.c1"
    ends = ["body.first.conv_1", "body.second.conv_2"]
    assert shortened_apart(ends, 12) == ["bod…t.conv_1", "bod…d.conv_2"]
    inner = [f"discriminator.blocks.{index}.residual.weight_orig" for index in (3, 4)]
    assert shortened_apart(inner, 16) == ["…3.re…eight_orig", "…4.re…eight_orig"]
    assert shortened_apart(["a", "b"], 16) == ["a", "b"]


def test_the_worst_five_layers_are_shown_until_all_are_asked_for() -> None:
    """Those whose plateau lies lowest above, or deepest below, their range; a line says that it is not all."""
    layers = [layer_over_steps(f"conv{index}", [0.9, 0.9 - index / 20]) for index in range(8)]
    few, every = report(series(*layers)), report(series(*layers), layers=True)
    assert "  worst 5 of 8 layers (--layers shows all)\n" in few
    assert [name for name in (f"conv{index}" for index in range(8)) if f"  {name} " in few] == [
        f"conv{index}" for index in range(3, 8)
    ]
    assert all(f"  conv{index} " in every for index in range(8))
    assert "worst" not in every
    assert "--layers" not in every
    assert "worst" not in report(series(*layers[:5]))


def test_explain_says_what_everything_rests_on() -> None:
    """How the network was recognised, where its steps come from, and the thresholds, wrapped under their bullets."""
    text, short = report(collapsing(), explain=True), report(collapsing())
    for words in ("  network     confirmed by key 'netD'\n", "  steps       from file name\n"):
        assert words in text
        assert words not in short
    flat = " ".join(text.split())
    for sentence in Thresholds().sentences():
        assert f"- {sentence}" in flat
    lines = text[text.index("Thresholds:\n") : text.index("σk/σ1: the plateau")].splitlines()
    assert all(line.startswith(("- ", "  ")) for line in lines[1:])
    assert "Thresholds" not in short
    assert text.endswith("More: --html FILE  --plot FILE\nNext: spectral-doctor rule SD101\n")


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
    text = render_text(Inspection((told(sound), told(broken)), (), ()))
    assert (
        "2 discriminators:\n"
        "- SOUND spectrum · modes NOT KNOWN  netD\n"
        "- NON-FINITE spectrum · modes NOT KNOWN, NON-FINITE  netD\n"
    ) in text
    fallen = told(series(layer_over_steps("b", [0.95, 0.6, 0.4])))
    overview = render_text(Inspection((fallen, fallen), (), ()))
    assert "\n- COLLAPSED spectrum since step 100 · modes NOT KNOWN  netD\n" in overview
    assert "discriminators:" not in report(sound)


def test_faults_stand_below_the_statements() -> None:
    """A layer that is not finite says so in its row and in a sentence; every label leaves room for its words."""
    text = report(series(layer_over_steps("a", [0.9, None]), layer_over_steps("b", [0.95, 0.96])))
    assert text.startswith("NON-FINITE spectrum · modes NOT KNOWN    netD")
    assert "NaN/Inf" in text
    assert "  spectrum    weights are NaN or infinite\n" in text
    assert "  non-finite  1 value is NaN or infinite in 'a' at step 100\n" in text
    assert all(len(kind.value) < 12 for kind in FindingKind)


@pytest.mark.parametrize("explain", [False, True])
def test_what_was_left_out_is_listed(explain: bool) -> None:
    """Their number; `explain` lists them by reason, and the tensors that were skipped."""
    files = tuple(LeftOut(f"run/log{index}.txt", "text file") for index in range(6))
    skipped = SkippedLayer("norm.weight", SkipReason.SCALE, "a normalisation's scale")
    trajectory = replace(collapsing(), skipped=(skipped,))
    text = render_text(
        Inspection((diagnose(trajectory),), files, (Failure("a.pt", "cannot be read."),)), explain=explain
    )
    text = " ".join(text.split())
    assert "Could not be used: a.pt: cannot be read." in text
    assert ("Skipped: norm.weight: a normalisation's scale." in text) is explain
    assert ("Left out: 6 parts (--explain names them)." in text) is not explain
    names = ", ".join(f"log{index}.txt" for index in range(6))
    assert (f"Left out: {names}: text file." in text) is explain


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


def test_a_network_that_is_inferred_is_said_to_be() -> None:
    """In its first lines, whatever was asked; one that a name confirms only under `--explain`."""
    trajectory = collapsing()
    inferred = replace(trajectory, certainty=Certainty.INFERRED, why="one output")
    text = " ".join(report(inferred).split())
    assert text.startswith(
        "COLLAPSED spectrum · modes NOT KNOWN netD · 5 checkpoints, step 0–400 · inferred from its shape: one output "
    )
    assert "confirmed by" not in report(trajectory)


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
