"""Which checkpoints make a series, in which order, and what is said about it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import FrameType

import pytest

from spectral_doctor.checkpoints.runs import step_pattern
from spectral_doctor.records import Certainty, CheckpointRef, SeriesId, StepClue
from spectral_doctor.trajectory.records import Examination
from spectral_doctor.trajectory.series import build_trajectories, layer_trajectories
from tests.builders import examination


def test_steps_are_sorted_as_numbers() -> None:
    """1 000 comes after 200, whatever the alphabet says."""
    (series,) = build_trajectories(examination(step, {"conv": 0.9}) for step in (1000, 200, 30))
    assert series.steps == (30, 200, 1000)
    assert tuple(map(str, series.checkpoints)) == ("run/netD_30.pth", "run/netD_200.pth", "run/netD_1000.pth")
    assert (series.step_unit, series.step_source, series.notes) == ("step", "a number in the file name", ())


def test_two_networks_in_one_folder_are_split_and_never_mixed() -> None:
    """Changed shapes mean another run; both are reported, and the note names where they differ."""
    items = [examination(1, {"conv": 0.9}), examination(2, {"conv": 0.8}), examination(3, {"conv": 0.7}, rank=32)]
    first, second = build_trajectories(items)
    assert (first.steps, second.steps) == ((1, 2), (3,))
    assert first.notes == (
        "the files hold 2 different networks under one name, reported one by one; they differ in 'conv'",
    )
    assert first.discriminator == "netD (netD_2.pth)"
    assert second.discriminator == "netD (netD_3.pth)"


def test_layers_that_vanish_split_a_series() -> None:
    """A layer more or less is another network too."""
    items = [examination(1, {"a": 0.9, "b": 0.9}), examination(2, {"a": 0.9})]
    assert [item.steps for item in build_trajectories(items)] == [(1,), (2,)]


def test_layers_in_another_order_are_the_same_network() -> None:
    """The nearest case where a series must not split."""
    items = [examination(1, {"a": 0.9, "b": 0.5}), examination(2, {"b": 0.4, "a": 0.8})]
    (series,) = build_trajectories(items)
    by_name = {layer.name: [round(item.ratio(2), 2) for item in layer.spectra if item] for layer in series.layers}
    assert by_name == {"a": [0.9, 0.8], "b": [0.5, 0.4]}


def test_folders_are_runs() -> None:
    """Two folders are two series, named apart by where they differ."""
    items = [examination(1, {"conv": 0.9}, folder="a"), examination(1, {"conv": 0.9}, folder="b")]
    assert [item.discriminator for item in build_trajectories(items)] == ["netD (a)", "netD (b)"]


def test_a_step_that_appears_twice_is_told_and_the_later_file_kept() -> None:
    """Both the same and different content are said."""
    early, late = examination(5, {"conv": 0.9}, modified=1.0), examination(5, {"conv": 0.8}, modified=2.0)
    (series,) = build_trajectories([late, early])
    assert series.steps == (5,)
    assert series.notes == ("step 5 appears twice with different spectra: netD_5.pth is left out, netD_5.pth is kept",)
    spectrum = series.layers[0].spectra[0]
    assert spectrum is not None
    assert round(spectrum.ratio(2), 2) == 0.8


def named(name: str, plateau: float, modified: float = 0.0) -> Examination:
    """A checkpoint whose file has that name."""
    item = examination(None, {"conv": plateau}, modified=modified)
    return replace(item, ref=CheckpointRef(Path("run") / name))


def test_the_best_is_left_out_of_a_series_that_has_steps() -> None:
    """`netD_best.pth` beside numbered files is not on the axis, and the note says so."""
    items = [examination(1, {"conv": 0.9}), examination(2, {"conv": 0.9}), named("netD_best.pth", 0.8)]
    (series,) = build_trajectories(items)
    assert series.steps == (1, 2)
    assert series.notes == (
        "netD_best.pth is a best or a copy, and neither its name nor a key says of which step: "
        "it is left out of the series",
    )


def test_the_final_file_is_the_end_of_its_series() -> None:
    """It is what the user goes on with: it stands behind the last number, and the note says at which."""
    items = [named("netD_final.pth", 0.1), examination(10, {"conv": 0.9}), examination(20, {"conv": 0.8})]
    (series,) = build_trajectories(items)
    assert series.steps == (10, 20, 21)
    assert series.checkpoints[-1].name == "netD_final.pth"
    assert series.notes == (
        "netD_final.pth has no number and is the end of its run: it stands behind step 20, as step 21",
    )


def test_a_final_file_that_holds_the_last_weights_is_no_new_state() -> None:
    """The nearest case: the same spectra as the last number; and `latest` beside `final` counts once."""
    items = [examination(10, {"conv": 0.9}), examination(20, {"conv": 0.8}), named("netD_final.pth", 0.8)]
    (series,) = build_trajectories(items)
    assert series.steps == (10, 20)
    assert series.notes == ("netD_final.pth holds the same weights as netD_20.pth (step 20)",)
    ends = [named("netD_latest.pth", 0.5, 1.0), named("netD_final.pth", 0.5, 2.0)]
    (series,) = build_trajectories([*items[:2], *ends])
    assert series.steps == (10, 20, 21)
    assert series.checkpoints[-1].name == "netD_latest.pth"


def test_a_final_file_that_is_older_than_the_last_number_is_left_out() -> None:
    """It is of an earlier run, and said to be left out."""
    items = [
        named("netD_final.pth", 0.1, 1.0),
        examination(1, {"conv": 0.9}, modified=1e6),
        examination(2, {"conv": 0.9}, modified=1e6),
    ]
    (series,) = build_trajectories(items)
    assert series.steps == (1, 2)
    assert series.notes == (
        "netD_final.pth has no step (a number in the file name) and was written before the last that has one: "
        "it is left out of the series",
    )


def test_folds_are_series_of_one_checkpoint_each() -> None:
    """Nothing about a trend, and headings that tell them apart."""
    items = [replace(named("x.pth", 0.9), ref=CheckpointRef(Path(f"cv/fold_{n}/netD.pth"))) for n in range(1, 6)]
    found = build_trajectories(items)
    assert [item.steps for item in found] == [(1,)] * 5
    assert [item.discriminator for item in found] == [f"netD (fold_{n})" for n in range(1, 6)]
    assert [item.step_source for item in found] == [""] * 5


@pytest.mark.parametrize(
    ("paths", "runs"),
    [
        (("discriminator.pth", "car1/discriminator.pth", "car2/discriminator.pth"), [".", "car1", "car2"]),
        (("a/x/D.pth", "b/x/D.pth"), ["a", "b"]),
        (("a/u/y/D.pth", "b/v/y/D.pth"), ["a/u", "b/v"]),
        (("a/1/y/D.pth", "b/2/y/D.pth"), ["a", "b"]),
        (("a/D.pth", "b/c/D.pth"), ["a", "b/c"]),
        (("left_D.pth", "right_D.pth"), ["left_D", "right_D"]),
        (("exp/201910/D.pth", "exp/201911/D.pth"), ["201910", "201911"]),
    ],
)
def test_series_of_one_name_are_told_apart_by_what_differs(paths: tuple[str, ...], runs: list[str]) -> None:
    """The part of the path that is not the same everywhere; "." is the folder above the others."""
    items = [replace(named("x", 0.9), ref=CheckpointRef(Path("top") / path)) for path in paths]
    assert [item.series.run for item in build_trajectories(items)] == runs


def test_series_of_different_names_need_no_run() -> None:
    """The nearest case: their names tell them apart."""
    items = [examination(1, {"conv": 0.9}, name="netD_A"), examination(1, {"conv": 0.9}, name="netD_B")]
    assert [item.series for item in build_trajectories(items)] == [SeriesId("netD_A"), SeriesId("netD_B")]


def test_one_confirmed_file_confirms_its_series() -> None:
    """It is one network: what a name says in one file holds for all; where none does, the series is inferred."""
    inferred = [replace(examination(n, {"conv": 0.9}), certainty=Certainty.INFERRED, why="shape") for n in (1, 3)]
    (series,) = build_trajectories([inferred[0], examination(2, {"conv": 0.8}), inferred[1]])
    assert (series.certainty, series.why) == (Certainty.CONFIRMED, "key 'netD'")
    (series,) = build_trajectories(inferred)
    assert (series.certainty, series.why) == (Certainty.INFERRED, "shape")


def test_a_series_of_checkpoints_costs_its_checkpoints() -> None:
    """Four times the layers and checkpoints take no more than a few times sixteen of the work."""

    def cost(count: int) -> int:
        items = [examination(step, {f"layer{n}": 0.9 for n in range(count)}, rank=2) for step in range(count)]
        calls = 0

        def counting(frame: FrameType, event: str, argument: object) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        sys.setprofile(counting)
        try:
            build_trajectories(items)
        finally:
            sys.setprofile(None)
        return calls

    assert cost(80) < 20 * cost(20)


def test_without_any_step_the_modification_time_orders_and_the_note_warns() -> None:
    """The last resort, and said to be one."""
    items = [examination(None, {"conv": 0.5}, modified=9.0), examination(None, {"conv": 0.9}, modified=3.0)]
    (series,) = build_trajectories(items)
    assert (series.steps, series.step_unit, series.step_source) == ((1, 2), "checkpoint", "modification time")
    assert "ordered by modification time" in series.notes[0]
    first = series.layers[0].spectra[0]
    assert first is not None
    assert round(first.ratio(2), 1) == 0.9


def test_clocks_that_contradict_the_steps_are_told() -> None:
    """Written long before its predecessor: perhaps two runs, perhaps a copy."""
    items = [examination(1, {"conv": 0.9}, modified=1000.0), examination(2, {"conv": 0.9}, modified=10.0)]
    (series,) = build_trajectories(items)
    assert series.steps == (1, 2)
    assert series.notes == (
        "modification times contradict the steps (1 of 1 pairs): netD_2.pth was written before netD_1.pth; "
        "the order is that of the steps (a number in the file name)",
    )


def test_a_fresh_clone_is_no_contradiction() -> None:
    """The nearest case where the clocks must not be blamed: files written within a minute, in any order."""
    items = [examination(1, {"conv": 0.9}, modified=30.0), examination(2, {"conv": 0.9}, modified=10.0)]
    assert build_trajectories(items)[0].notes == ()


def test_the_source_that_tells_files_apart_is_taken() -> None:
    """A date above all files loses against the epoch that differs."""
    items = [
        replace(
            examination(None, {"conv": 0.9}, clues=[StepClue("key 'epoch'", "epoch", epoch)]),
            ref=CheckpointRef(Path(f"20251212_162516/{word}_D.pth")),
        )
        for epoch, word in ((20, "last"), (3, "best"))
    ]
    (series,) = build_trajectories(items)
    assert (series.steps, series.step_unit, series.step_source) == ((3, 20), "epoch", "key 'epoch'")


def test_two_runs_of_one_network_in_one_folder_are_told_apart_by_their_names() -> None:
    """The file names decide; both runs keep all their steps."""
    items = [named(f"{run}_{step}.pth", plateau) for run, plateau in (("a", 0.9), ("b", 0.5)) for step in (1, 2)]
    assert [tuple(map(str, item.checkpoints)) for item in build_trajectories(items)] == [
        ("run/a_1.pth", "run/a_2.pth"),
        ("run/b_1.pth", "run/b_2.pth"),
    ]
    assert [str(item.series) for item in build_trajectories(items)] == ["netD (a)", "netD (b)"]


def test_a_pattern_decides_where_the_step_stands() -> None:
    """`--step` as `inspect_paths` hands it on."""
    items = [named(f"D_{n}_of_{n * n}.pth", 0.9) for n in (1, 2, 3)]
    assert build_trajectories(items, step_pattern(r"of_(\d+)"))[0].steps == (1, 4, 9)
    assert build_trajectories(items, step_pattern(r"D_(\d+)"))[0].steps == (1, 2, 3)


def test_layers_are_transposed_by_name() -> None:
    """One course a layer, in the order of the first checkpoint, whatever that of the others."""
    first, second = (examination(None, plateaus).layers for plateaus in ({"a": 0.9, "b": 0.5}, {"b": 0.4, "a": 0.8}))
    courses = layer_trajectories([first, second])
    assert [layer.name for layer in courses] == ["a", "b"]
    assert [[round(item.ratio(2), 2) for item in layer.spectra if item] for layer in courses] == [
        [0.9, 0.8],
        [0.5, 0.4],
    ]
