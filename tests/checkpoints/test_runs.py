"""Runs and their steps, read from sets of paths as real projects write them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from spectral_doctor.checkpoints.runs import BY_TIME, Run, Written, find_runs, step_pattern
from spectral_doctor.errors import UsageError
from spectral_doctor.records import StepClue


def runs(
    paths: Sequence[str],
    *,
    modified: Mapping[str, float] | None = None,
    keys: Mapping[str, Mapping[str, int]] | None = None,
    step: str | None = None,
) -> list[tuple[Run, list[str]]]:
    """The runs of these paths, each with its files in step order, and then those at its end."""
    files = [
        Written(
            Path(path),
            (modified or {}).get(path, 0.0),
            tuple(
                StepClue(f"key '{key}'", "epoch" if key in ("epoch", "ep") else "step", value)
                for key, value in (keys or {}).get(path, {}).items()
            ),
        )
        for path in paths
    ]
    found = find_runs(files, step_pattern(step) if step else None)
    return [(run, [paths[index] for index in (*(place for place, _ in run.steps), *run.ends)]) for run in found]


def numbers(run: Run) -> list[int]:
    """The steps of a run."""
    return [step for _, step in run.steps]


ONE_RUN = {
    "bare": (["D_10.pth", "D_2.pth"], "step", [2, 10]),
    "thousands": (["D_5k.pth", "D_100k.pth", "D_20k.pth"], "step", [5000, 20000, 100000]),
    "thousands beside hundreds": (["D_500.pth", "D_1k.pth"], "step", [500, 1000]),
    "unit behind": (["D_500_steps.pth", "D_1000_steps.pth"], "step", [500, 1000]),
    "epochs": (["netD_epoch_3.pth", "netD_epoch_20.pth"], "epoch", [3, 20]),
    "kimg": (["network-snapshot-000200.pkl", "network-snapshot-001000.pkl"], "kimg", [200, 1000]),
    "folders": (["checkpoint-500/D/m.pt", "checkpoint-1000/D/m.pt"], "step", [500, 1000]),
    "folders of thousands": (["100k/d/w.pth", "20k/d/w.pth"], "step", [20000, 100000]),
    "whole folders": (["1000/D.pth", "2000/D.pth"], "step", [1000, 2000]),
    "folders with a word": (["x_500/D.pth", "x_1000/D.pth", "x_1500/D.pth"], "step", [500, 1000, 1500]),
    "a scale and an epoch": (["D_epoch_4_1.pth", "D_epoch_4_2.pth", "D_epoch_4_100.pth"], "epoch", [1, 2, 100]),
    "a size and a step": (["D_256_1000.pth", "D_256_2000.pth"], "step", [1000, 2000]),
    "a date in the name": (["D_20240501_1.pth", "D_20240501_2.pth"], "step", [1, 2]),
    "a date above": (["20251212_162516/D_1.pth", "20251212_162516/D_2.pth"], "step", [1, 2]),
    "a score behind": (["D_1_fid12.3.pth", "D_2_fid9.8.pth"], "step", [1, 2]),
    "epoch and step": (["epoch=1-step=5.ckpt", "epoch=1-step=9.ckpt", "epoch=2-step=12.ckpt"], "step", [5, 9, 12]),
    "epoch folder, bare number": (["epoch_1/D_500.pth", "epoch_2/D_1000.pth"], "epoch", [1, 2]),
    "glued to a word": (["D10.pth", "D20.pth", "D30.pth"], "step", [10, 20, 30]),
    "best among them": (["D_epoch_1.pth", "D_epoch_2.pth", "D_best_epoch_3.pth"], "epoch", [1, 2, 3]),
}  # fmt: skip


@pytest.mark.parametrize("kind", ONE_RUN)
@pytest.mark.parametrize("seed", range(3))
def test_one_run(kind: str, seed: int) -> None:
    """The number that varies is the step, in whatever order the files come."""
    paths, unit, steps = ONE_RUN[kind]
    shuffled = random.Random(seed).sample(paths, len(paths))
    ((run, _),) = runs(shuffled)
    assert (run.unit, numbers(run)) == (unit, steps)


SEVERAL = {
    "folds": ([f"fold_{n}/netD.pth" for n in range(1, 6)], 5),
    "seeds in the name": (["netD_seed1.pth", "netD_seed2.pth"], 2),
    "names with a number": (["car1/D.pth", "car2/D.pth", "D.pth"], 3),
    "few folders with a word": (["car_1/D.pth", "car_2/D.pth"], 2),
    "small folders with a word": (["car_1/D.pth", "car_2/D.pth", "car_3/D.pth"], 3),
    "months": (["201910/D.pth", "201911/D.pth"], 2),
    "days": (["2024-05-01/D.pth", "2024-05-02/D.pth"], 2),
    "sampling rates": (["f0D32k.pth", "f0D40k.pth", "f0D48k.pth"], 3),
    "two discriminators": (["D1.pth", "D2.pth"], 2),
    "two scales with steps": (["netD_4_1.pth", "netD_4_2.pth", "netD_8_1.pth", "netD_8_2.pth"], 2),
    "folders that count themselves": (["1/D_10.pth", "1/D_20.pth", "2/D_10.pth", "2/D_20.pth"], 2),
    "seeds with steps": (["seed_1/D_10.pth", "seed_1/D_20.pth", "seed_2/D_10.pth", "seed_2/D_20.pth"], 2),
    "two names": (["a_1.pth", "a_2.pth", "b_1.pth", "b_2.pth"], 2),
}


@pytest.mark.parametrize("kind", SEVERAL)
def test_several_runs(kind: str) -> None:
    """What counts runs is no time: every file is in one run, and no run mixes two."""
    paths, count = SEVERAL[kind]
    found = runs(paths)
    assert len(found) == count
    assert sorted(path for _, files in found for path in files) == sorted(paths)
    assert {len(files) for _, files in found} == {len(paths) // count}


@pytest.mark.parametrize(
    "path",
    ["course_201910/D.pth", "201910/D.pth", "bgan32/D.pt", "D.pth", "ck/model_1.safetensors", "D1.pth", "x_500/D.pth"],
)
def test_a_single_file_without_a_step(path: str) -> None:
    """Nothing confirms that its number is one."""
    ((run, _),) = runs([path])
    assert (run.unit, run.source, numbers(run)) == ("checkpoint", "", [1])


@pytest.mark.parametrize(
    ("path", "unit", "step", "source"),
    [
        ("netD_90000_steps.pth", "step", 90000, "file name"),
        ("D_10.pth", "step", 10, "a number in the file name"),
        ("checkpoint-500/D/m.pt", "step", 500, "a number in the folder name"),
        ("epoch=3-step=4000.ckpt", "step", 4000, "file name"),
        ("network-snapshot-000200.pt", "kimg", 200, "file name"),
    ],
)
def test_a_single_file_with_a_step(path: str, unit: str, step: int, source: str) -> None:
    """The nearest cases where a single name says enough."""
    ((run, _),) = runs([path])
    assert (run.unit, run.source, numbers(run)) == (unit, source, [step])


def test_epoch_and_iteration_that_starts_again_count_together() -> None:
    """By epoch first; the places are counted, for no number in the names is the axis."""
    paths = [f"epoch_{epoch}_iter_{step}.pth" for epoch in (1, 2) for step in (500, 1000)]
    ((run, files),) = runs(list(reversed(paths)))
    assert files == paths
    assert (numbers(run), run.unit, run.source) == ([1, 2, 3, 4], "checkpoint", "epoch and step in the file name")


def test_times_in_names_are_an_order() -> None:
    """CKPT+date+time, a folder a checkpoint."""
    paths = ["s/CKPT+2024-05-02+01-00-00+00/D.ckpt", "s/CKPT+2024-05-01+23-00-00+00/D.ckpt"]
    ((run, files),) = runs(paths)
    assert (files, run.source) == (paths[::-1], "the time in the folder name")


def test_the_axis_of_the_names_wins_over_a_key_that_disagrees() -> None:
    """VITS writes its epoch under `iteration`: the file and the number in one sentence agree."""
    paths = ["D_0.pth", "D_1000.pth", "D_2000.pth"]
    keys = {path: {"iteration": place * 10} for place, path in enumerate(paths)}
    ((run, _),) = runs(paths, keys=keys)
    assert (run.source, numbers(run)) == ("a number in the file name", [0, 1000, 2000])


def test_a_key_that_agrees_gives_the_unit_and_the_steps_of_other_files() -> None:
    """The names say 1 and 2, the key says that these are epochs, and that the latest is the third."""
    keys = {"D_1.pth": {"epoch": 1}, "D_2.pth": {"epoch": 2}, "D_latest.pth": {"epoch": 3}}
    ((run, files),) = runs(list(keys), keys=keys)
    assert (run.unit, numbers(run), files) == ("epoch", [1, 2, 3], list(keys))


def test_a_key_counts_where_names_do_not() -> None:
    """Names without a number, states of one file, and a size that is the only number."""
    keys = {"a/D.pth": {"step": 20}}
    ((run, _),) = runs(["a/D.pth"], keys=keys)
    assert (run.source, numbers(run)) == ("key 'step'", [20])
    ((run, _),) = runs(["D_64.pth"], keys={"D_64.pth": {"epoch": 30}})
    assert (run.unit, numbers(run)) == ("epoch", [30])
    files = [Written(Path("latest.pth"), 0.0, (StepClue("key 'step'", "step", step),)) for step in (30, 10, 20)]
    (run,) = find_runs(files)
    assert run.steps == ((1, 10), (2, 20), (0, 30))


@pytest.mark.parametrize("word", ["final", "last", "latest"])
@pytest.mark.parametrize(("age", "is_end"), [(0.0, True), (50.0, True), (-30.0, True), (-1000.0, False)])
def test_the_final_file_is_the_end_of_its_run(word: str, age: float, is_end: bool) -> None:
    """When it was not written before the last that has a number; clones write all files within a minute."""
    paths = ["netD_epoch_10.pth", "netD_epoch_20.pth", f"netD_{word}.pth"]
    times = {"netD_epoch_10.pth": 1e6, "netD_epoch_20.pth": 1e6 + 100, f"netD_{word}.pth": 1e6 + 100 + age}
    ((run, files),) = runs(paths, modified=times)
    assert numbers(run) == [10, 20]
    assert (run.ends, len(run.apart)) == (((2,), 0) if is_end else ((), 1))
    assert files == paths[: 3 if is_end else 2]


@pytest.mark.parametrize(
    "paths",
    [
        ["epoch_10.pth", "epoch_20.pth", "epoch_last.pth"],
        ["D_epoch_10.pth", "D_epoch_20.pth", "D_epoch_final.pth"],
        ["10_net_D.pth", "20_net_D.pth", "latest_net_D.pth"],
        ["epoch=1-step=10.ckpt", "epoch=2-step=20.ckpt", "last.ckpt"],
        ["checkpoint-10/D.pt", "checkpoint-20/D.pt", "checkpoint-final/D.pt"],
        ["10k/d/D.pt", "20k/d/D.pt", "latest/d/D.pt"],
        ["step_10/D.pt", "step_20/D.pt", "step_latest/D.pt"],
        ["D_0.pth", "D_1000.pth", "D_2333333.pth"],
        ["seed_1/D_10.pth", "seed_1/D_20.pth", "seed_1/D_final.pth"],
    ],
)
def test_the_end_is_found_however_the_steps_are_written(paths: list[str]) -> None:
    """The word stands where the number stands."""
    ((run, files),) = runs(paths)
    assert (len(run.steps), run.ends, files) == (2, (2,), paths)


@pytest.mark.parametrize("other", ["D_finale.pth", "other_final.pth", "sub/D_final.pth"])
def test_a_final_file_of_another_name_is_another_run(other: str) -> None:
    """The nearest cases: another word, another network, another folder."""
    assert len(runs(["D_10.pth", "D_20.pth", other])) == 2


def test_a_file_without_a_word_is_the_end_only_when_it_is_newer() -> None:
    """`netD.pth` beside `netD_1.pth`, `netD_2.pth`."""
    paths = ["netD_1.pth", "netD_2.pth", "netD.pth"]
    assert runs(paths, modified={"netD.pth": 5.0})[0][0].ends == (2,)
    assert runs(paths, modified=dict.fromkeys(paths[:2], 5.0))[0][0].ends == ()


def test_a_key_that_rises_tells_the_end_better_than_clocks() -> None:
    """`latest` of an earlier step is no end, whatever the time of its copy."""
    paths = ["D_1000.pth", "D_2000.pth", "D_latest.pth"]
    keys = {"D_1000.pth": {"iteration": 10}, "D_2000.pth": {"iteration": 20}}
    for own, ends in ((25, (2,)), (20, ()), (15, ())):
        ((run, _),) = runs(paths, keys={**keys, "D_latest.pth": {"iteration": own}}, modified={"D_latest.pth": 9.0})
        assert run.ends == ends


@pytest.mark.parametrize("name", ["netD_best.pth", "netD_best3.pth", "netD_copy1.pth"])
def test_the_best_is_not_placed(name: str) -> None:
    """It is of some step in the middle; alone it is a checkpoint like any other."""
    ((run, _),) = runs(["netD_1.pth", "netD_2.pth", name], modified={name: 100.0})
    assert (numbers(run), run.ends, [index for index, _ in run.apart]) == ([1, 2], (), [2])
    ((run, _),) = runs([name])
    assert numbers(run) == [1]


def test_without_any_number_the_time_orders() -> None:
    """And the source says so."""
    files = [Written(Path("latest.pth"), time) for time in (9.0, 3.0)]
    (run,) = find_runs(files)
    assert (run.steps, run.source) == (((1, 1), (0, 2)), BY_TIME)


def test_a_pattern_says_where_the_step_stands() -> None:
    """Its first group, whatever the rules would have taken; files it does not match have no number."""
    paths = ["fold_1/D.pth", "fold_2/D.pth"]
    found = runs([f"x{n}_D_7.pth" for n in (3, 1, 2)], step=r"x(\d+)_")
    assert sorted(step for run, _ in found for step in numbers(run)) == [1, 2, 3]
    assert {run.source for run, _ in found} == {"--step"}
    ((run, _),) = runs(["D_10k_v_1.pth", "D_20k_v_1.pth"], step=r"D_(\d+k)")
    assert numbers(run) == [10_000, 20_000]
    assert len(runs(paths, step=r"nothing_(\d+)")) == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("D_(", "--step 'D_(': no regular expression: missing ), unterminated subpattern at position 2."),
        ("D_", "--step 'D_': it has no group; put the step in brackets, as in 'D_(\\d+)'."),
    ],
)
def test_a_pattern_that_is_none_is_said(text: str, sentence: str) -> None:
    """What is wrong with it, and the way out."""
    with pytest.raises(UsageError) as error:
        step_pattern(text)
    assert str(error.value) == sentence


@pytest.mark.parametrize("digits", [19, 300, 5000])
def test_absurd_numbers_are_names(digits: int) -> None:
    """No number of that size is a step, and none raises; the others keep theirs."""
    paths = [f"D_{'9' * digits}.pth", "D_1.pth", "D_2.pth"]
    found = runs(paths)
    assert sorted(numbers(run) for run, _ in found) == [[1], [1, 2]]
    assert len(runs(paths, step=r"D_(\d+)")) >= 1


def test_a_thousand_files_are_sorted_at_once() -> None:
    """Every step of a long run, and one run."""
    ((run, _),) = runs([f"run/netD_{step}.pth" for step in range(1000)])
    assert numbers(run) == list(range(1000))
