"""Tables trained in small: nothing twice, nothing stale, and what is resumed begins before the onset."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from spectral_doctor.checkpoints.training_state import read_state
from spectral_doctor.cli import app
from spectral_doctor.errors import UsageError
from spectral_doctor.reproduction import tables
from spectral_doctor.reproduction.files import packed, recorded, run_path, saved_runs, write_run
from spectral_doctor.reproduction.mixtures import RING
from spectral_doctor.reproduction.records import Arm, Run, Table
from spectral_doctor.reproduction.running import jobs_of, run_job
from spectral_doctor.reproduction.tables import TABLES, chosen_arms, chosen_table
from spectral_doctor.training.folder import saved_states
from spectral_doctor.treatment.records import Dose

SMALL = replace(
    RING,
    settings={**RING.settings, "steps": 4, "save_every": 2, "samples": 64, "batch_size": 8, "generator_channels": 8},
)
PLAIN_AND_R3 = replace(SMALL, arms=(SMALL.arm("plain"), SMALL.arm("R3")))


def trained(table: Table, folder: Path, seeds: int = 1) -> list[Run]:
    """Every run of a table, trained in this process."""
    runs = []
    for job in jobs_of(table, table.arms, seeds, folder):
        job.path.parent.mkdir(parents=True, exist_ok=True)
        run = run_job(job)
        assert run is not None
        runs.append(run)
    return runs


def test_every_arm_of_the_ring_trains_and_is_read_again(tmp_path: Path) -> None:
    """All eight methods make their steps, each leaves what it measured, and the same comes back from file."""
    runs = trained(SMALL, tmp_path)
    assert [run.arm for run in runs] == [arm.name for arm in SMALL.arms]
    assert all([point.step for point in run.points] == [0, 2, 4] and not run.fault for run in runs)
    assert saved_runs(SMALL, tmp_path) == {(run.arm, 0): run for run in runs}
    assert len({str(run.recorded) for run in runs}) == len(runs)


def test_a_run_is_the_same_again_and_another_with_another_seed(tmp_path: Path) -> None:
    """But for the seconds."""
    one, again = (trained(PLAIN_AND_R3, tmp_path / name, seeds=2) for name in ("one", "again"))
    assert [replace(run, seconds=0.0) for run in one] == [replace(run, seconds=0.0) for run in again]
    assert one[0].points != one[2].points


def test_a_run_with_other_settings_is_not_taken(tmp_path: Path) -> None:
    """Its arm or its table has changed since: it is trained again; a torn file too."""
    trained(PLAIN_AND_R3, tmp_path)
    longer = replace(PLAIN_AND_R3, settings={**PLAIN_AND_R3.settings, "steps": 6})
    assert saved_runs(longer, tmp_path) == {}
    other = replace(PLAIN_AND_R3, arms=(PLAIN_AND_R3.arms[0], replace(PLAIN_AND_R3.arms[1], changes={"pack": 2})))
    assert set(saved_runs(other, tmp_path)) == {("plain", 0)}
    run_path(PLAIN_AND_R3, "plain", 0, tmp_path).write_text("{")
    assert set(saved_runs(PLAIN_AND_R3, tmp_path)) == {("R3", 0)}


def test_a_resumed_arm_starts_where_the_other_was_sound(tmp_path: Path) -> None:
    """Without an onset from its end; with one from the last sound checkpoint, to the last step, under treatment."""
    sound = replace(
        SMALL,
        arms=(
            Arm("SN", {"spectral_norm": True}),
            Arm("SN, then static", {"spectral_norm": True}, dose=Dose("static"), resumes="SN"),
        ),
    )
    first, resumed = trained(sound, tmp_path)
    assert (first.onset, resumed.began, len(resumed.points)) == (None, 4, 1)
    job = jobs_of(sound, sound.arms, 1, tmp_path)[0]
    _collapse(job.states, from_step=3, steps=10)
    falling = replace(sound, settings={**sound.settings, "steps": 10, "save_every": 1})
    (job,) = [job for job in jobs_of(falling, falling.arms, 1, tmp_path) if job.arm.resumes]
    run = run_job(job)
    assert run is not None
    assert run.began < 4
    assert (run.points[0].step, run.last.step) == (run.began, 10)
    untreated = run_job(replace(job, arm=replace(job.arm, dose=None), path=tmp_path / "untreated.json"))
    assert untreated is not None
    assert untreated.points[0] == run.points[0]
    assert untreated.last.plateau != run.last.plateau


def _collapse(folder: Path, *, from_step: int, steps: int) -> None:
    """Copies of the run's last state as a series whose discriminator is of rank one from a step on."""
    content = read_state(saved_states(folder)[-1])
    for step in range(1, steps + 1):
        discriminator = dict(content["discriminator"])
        if step >= from_step:
            for key, value in discriminator.items():
                if value.ndim == 2:
                    discriminator[key] = torch.ones_like(value) + 0.01 * value
        torch.save({**content, "step": step, "discriminator": discriminator}, folder / f"step-{step:06d}.pt")


def test_the_command_trains_what_is_missing_and_writes_three_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First one seed, then another: the first is not trained again; with --seeds 0 nothing is, from the packed file."""
    monkeypatch.setitem(tables.TABLES, "ring", PLAIN_AND_R3)
    runner, arguments = CliRunner(), ["reproduce", "ring", "-o", str(tmp_path)]
    first = runner.invoke(app, [*arguments, "--seeds", "1", "--processes", "2"])
    assert first.exit_code == 0, first.output
    assert first.stderr.startswith("ring: 0 runs on file, 2 to train\n1/2 plain, seed 0: ")
    kept = run_path(PLAIN_AND_R3, "R3", 0, tmp_path)
    before = kept.stat().st_mtime_ns
    second = runner.invoke(app, [*arguments, "--seeds", "2", "--arm", "R3"])
    assert second.stderr.splitlines()[0] == "ring: 2 runs on file, 1 to train"
    assert kept.stat().st_mtime_ns == before
    for path in (tmp_path / "runs" / "ring").iterdir():
        path.unlink()
    third = runner.invoke(app, [*arguments, "--seeds", "0"])
    assert third.stderr == "ring: 3 runs on file, 0 to train\n"
    assert third.stdout == second.stdout
    assert third.stdout.splitlines()[0] in (tmp_path / "ring.md").read_text(encoding="utf-8")
    assert (tmp_path / "ring.png").read_bytes().startswith(b"\x89PNG")
    assert len(json.loads((tmp_path / "ring.json").read_text())["runs"]) == 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["best"], "no table is called 'best'; there are 'ring', 'grid', 'synthetic-1200d', 'stacked', 'sr-gan'."),
        (["ring", "--arm", "WGAN"], "--arm WGAN: no such arm; there are 'plain', 'SN', 'static', 'dynamic', "),
        (["ring", "--data", "there"], "--data: goes with the table 'stacked'."),
        (["stacked", "--data", "nowhere"], "--data nowhere: no such file or folder."),
    ],
)
def test_wrong_wishes_are_named(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    """A table, an arm or data there is not: exit 2 and nothing written."""
    result = CliRunner().invoke(app, ["reproduce", *arguments, "-o", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {sentence}")
    assert not (tmp_path / "out").exists()


def test_a_packed_file_of_something_else_is_not_written_over(tmp_path: Path) -> None:
    """It is named, and stays as it was."""
    (tmp_path / "ring.json").write_text("[1]")
    with pytest.raises(UsageError, match=r"ring\.json: not a table that `reproduce` wrote; move it away"):
        saved_runs(RING, tmp_path)
    result = CliRunner().invoke(app, ["reproduce", "ring", "--seeds", "0", "-o", str(tmp_path)])
    assert (result.exit_code, (tmp_path / "ring.json").read_text()) == (2, "[1]")


def test_nothing_on_file_and_nothing_trained_is_said(tmp_path: Path) -> None:
    """Exit 3, as where nothing could be examined."""
    result = CliRunner().invoke(app, ["reproduce", "ring", "--seeds", "0", "-o", str(tmp_path)])
    assert (result.exit_code, result.stdout) == (3, "")


def test_the_next_table_is_named_until_there_are_all(tmp_path: Path) -> None:
    """The first that the folder lacks, as a whole command."""
    stored = Path(__file__).parents[1] / "benchmarks" / "results" / "reproduce" / "ring.json"
    (tmp_path / "my tables").mkdir()
    (tmp_path / "my tables" / "ring.json").write_bytes(stored.read_bytes())
    result = CliRunner().invoke(app, ["reproduce", "ring", "--seeds", "0", "-o", str(tmp_path / "my tables")])
    assert result.exit_code == 0, result.output
    last = result.stdout.splitlines()[-1]
    assert last == f"Next: spectral-doctor reproduce grid -o '{tmp_path / 'my tables'}'"


def test_an_arm_brings_the_one_that_it_resumes() -> None:
    """Alone it could not be trained."""
    names = [arm.name for arm in chosen_arms(TABLES["sr-gan"], ["64-8 SN, then static"])]
    assert names == ["64-8 SN", "64-8 SN, then static"]
    assert chosen_arms(RING, []) == RING.arms


def test_mnist_is_a_table_of_its_own(tmp_path: Path) -> None:
    """On 28×28 digits with as many samples as the papers, under another name."""
    (tmp_path / "digits.npz").touch()
    table = chosen_table("stacked", tmp_path / "digits.npz")
    assert (table.name, table.recipe, table.settings["samples"]) == ("stacked-mnist", "stacked-mnist", 26000)


@pytest.mark.parametrize("name", TABLES)
def test_every_tables_arms_can_be_built(name: str) -> None:
    """Names are told apart by their files, settings exist, and a resumed arm is there."""
    table = TABLES[name]
    assert len({run_path(table, arm.name, 0, Path()) for arm in table.arms}) == len(table.arms)
    for arm in table.arms:
        assert json.loads(json.dumps(recorded(table, arm))) == recorded(table, arm)
        if arm.resumes:
            assert recorded(table, arm)["before"] == recorded(table, table.arm(arm.resumes))


def test_a_packed_table_comes_back(tmp_path: Path) -> None:
    """Runs in the order of arms and seeds, each as it was."""
    runs = trained(PLAIN_AND_R3, tmp_path, seeds=2)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "ring.json").write_bytes(packed(PLAIN_AND_R3, runs[::-1]))
    found = saved_runs(PLAIN_AND_R3, tmp_path / "other")
    assert list(found) == [("plain", 0), ("plain", 1), ("R3", 0), ("R3", 1)]
    assert {key: asdict(run) for key, run in found.items()} == {(run.arm, run.seed): asdict(run) for run in runs}
    write_run(runs[0], tmp_path / "one.json")
    assert Run.read(json.loads((tmp_path / "one.json").read_text())) == runs[0]
