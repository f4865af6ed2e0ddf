"""Which checkpoints make a series, in which order, and what is said about it."""

from __future__ import annotations

from spectral_doctor.records import StepClue
from spectral_doctor.trajectory.series import build_trajectories
from tests.builders import examination


def test_steps_are_sorted_as_numbers() -> None:
    """1 000 comes after 200, whatever the alphabet says."""
    (series,) = build_trajectories(examination(step, {"conv": 0.9}) for step in (1000, 200, 30))
    assert series.steps == (30, 200, 1000)
    assert series.checkpoints == ("run/netD_30.pth", "run/netD_200.pth", "run/netD_1000.pth")
    assert (series.step_unit, series.step_source, series.notes) == ("step", "file name", ())


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


def test_a_file_without_a_step_is_left_out_of_a_series_that_has_them() -> None:
    """`netD_best.pth` beside numbered files is not on the axis."""
    items = [examination(1, {"conv": 0.9}), examination(2, {"conv": 0.9}), examination(None, {"conv": 0.9})]
    (series,) = build_trajectories(items)
    assert series.steps == (1, 2)
    assert series.notes == ("netD_None.pth has no step (file name) and is left out of the series",)


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
        "the order is that of the steps (file name)",
    )


def test_a_fresh_clone_is_no_contradiction() -> None:
    """The nearest case where the clocks must not be blamed: files written within a minute, in any order."""
    items = [examination(1, {"conv": 0.9}, modified=30.0), examination(2, {"conv": 0.9}, modified=10.0)]
    assert build_trajectories(items)[0].notes == ()


def test_the_source_that_tells_files_apart_is_taken() -> None:
    """A folder number that all files share loses against the epoch that differs."""

    def clues(epoch: int) -> list[StepClue]:
        return [StepClue("a number in the folder name", "step", 162516), StepClue("key 'epoch'", "epoch", epoch)]

    items = [examination(None, {"conv": 0.9}, clues=clues(epoch)) for epoch in (20, 3)]
    (series,) = build_trajectories(items)
    assert (series.steps, series.step_unit, series.step_source) == ((3, 20), "epoch", "key 'epoch'")


def test_a_number_that_never_changes_is_no_step() -> None:
    """Two files that share their only number are ordered by time instead."""
    shared = [StepClue("a number in the folder name", "step", 162516)]
    items = [examination(None, {"conv": 0.9}, clues=shared, modified=float(time)) for time in (2, 1)]
    assert build_trajectories(items)[0].step_source == "modification time"


def test_two_runs_of_one_network_in_one_folder_are_told_apart_by_their_names() -> None:
    """Where steps clash, the file names decide; both runs keep all their steps."""
    items = [
        examination(step, {"conv": plateau}, name="netD").__class__(
            **{**vars(examination(step, {"conv": plateau})), "run_name": run, "path": f"run/{run}_{step}.pth"}
        )
        for run, plateau in (("a", 0.9), ("b", 0.5))
        for step in (1, 2)
    ]
    assert [item.checkpoints for item in build_trajectories(items)] == [
        ("run/a_1.pth", "run/a_2.pth"),
        ("run/b_1.pth", "run/b_2.pth"),
    ]
