"""Whatever the workers and the shards, the result is that of one process over all files."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from spectral_doctor.errors import UnreadableCheckpoint, UsageError
from spectral_doctor.inspection import inspect_paths
from spectral_doctor.scaling import processes
from spectral_doctor.scaling.journal import read_journal
from spectral_doctor.scaling.merging import merge_rows
from spectral_doctor.scaling.records import Options, Scale, Shard
from spectral_doctor.scaling.running import inspect_at_scale, write_rows
from tests.builders import save, small_discriminator
from tests.scaling.cases import mixed_folder, text_of
from tests.scaling.deaths import doubled_unless_seven, killed_once


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all of these tests, which none of them changes."""
    return mixed_folder(tmp_path_factory.mktemp("mixed"))


@pytest.fixture(scope="module")
def golden(folder: Path) -> str:
    """What one process says of the folder."""
    return text_of(inspect_paths(folder))


@pytest.mark.parametrize("workers", [1, 2])
def test_rows_and_workers_change_nothing(folder: Path, golden: str, tmp_path: Path, workers: int) -> None:
    """Golden equality, at the first run and at the second, which finds the rows there."""
    rows = tmp_path / "rows.jsonl"
    scale = Scale(workers=workers, rows=rows)
    assert text_of(inspect_at_scale([folder], scale)) == golden
    size = rows.stat().st_size
    assert text_of(inspect_at_scale([folder], scale)) == golden
    # The second run adds what it saw and no layer.
    assert rows.read_bytes()[size:].count(b'"row": "layer"') == 0


def test_the_rows_are_the_same_whatever_the_workers(folder: Path, tmp_path: Path) -> None:
    """Byte for byte, in the same order."""
    files = [tmp_path / f"{workers}.jsonl" for workers in (1, 2)]
    for workers, file in enumerate(files, start=1):
        write_rows([folder], Scale(workers=workers, rows=file))
    assert files[0].read_bytes() == files[1].read_bytes()


def test_rows_in_parquet_are_as_exact(folder: Path, golden: str, tmp_path: Path) -> None:
    """Read back to the last bit, gone on from, merged, and plain columns to whoever reads Parquet."""
    parquet = pytest.importorskip("pyarrow.parquet")
    rows, lines = tmp_path / "rows.parquet", tmp_path / "lines.jsonl"
    assert text_of(inspect_at_scale([folder], Scale(rows=rows))) == golden
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]
    assert text_of(merge_rows([rows])) == golden
    written = write_rows([folder], Scale(rows=rows))
    # A history that cannot be read and files that hold no discriminator are known by content as well.
    assert (written.examined, written.kept) == (0, written.files)
    assert text_of(merge_rows([rows])) == golden
    write_rows([folder], Scale(rows=lines))
    layers = [row for part in read_journal(lines).files.values() for row in part if row["row"] == "layer"]
    table = [row for row in parquet.read_table(rows).to_pylist() if row["row"] == "layer"]
    for name in ("path", "network", "name", "singular_values", "non_finite", "at_bound"):
        assert [row[name] for row in table] == [row[name] for row in layers]


def test_a_killed_run_into_parquet_leaves_lines_to_go_on_from(
    folder: Path, golden: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The columns are written at the end, and what was examined before is not lost."""
    pytest.importorskip("pyarrow")
    rows = tmp_path / "rows.parquet"

    def killed(lines: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("spectral_doctor.scaling.parquet._write_parquet", killed)
    with pytest.raises(KeyboardInterrupt):
        write_rows([folder], Scale(rows=rows))
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet.jsonl"]
    assert write_rows([folder], Scale(rows=rows)).examined == 0
    assert text_of(merge_rows([rows])) == golden


def test_parquet_of_something_else_is_kept(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused as any other file that holds no rows; and without PyArrow the extra is named."""
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = tmp_path / "mine.parquet"
    parquet.write_table(arrow.table({"a": [1]}), rows)
    before = rows.read_bytes()
    with pytest.raises(UsageError, match=r"is there and holds no rows; name a new file\.$"):
        write_rows([folder], Scale(rows=rows))
    assert rows.read_bytes() == before
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError) as caught:
        write_rows([folder], Scale(rows=tmp_path / "new.parquet"))
    assert str(caught.value) == "--rows FILE.parquet needs PyArrow: pip install 'spectral-doctor[parquet]'"


def test_options_reach_the_workers(folder: Path, tmp_path: Path) -> None:
    """A layer that is left out is left out everywhere, and rows of other options are not gone on with."""
    options = Options(exclude=("conv1*",))
    scale = Scale(workers=2, rows=tmp_path / "rows.jsonl")
    golden = text_of(inspect_paths(folder, exclude=("conv1*",)))
    assert text_of(inspect_at_scale([folder], scale, options=options)) == golden
    with pytest.raises(UsageError, match=r"its rows are of version .* name a new file\.$"):
        inspect_at_scale([folder], scale)


@pytest.mark.parametrize("count", [1, 3, 40])
def test_shards_merge_into_one_run(folder: Path, golden: str, tmp_path: Path, count: int) -> None:
    """In whatever order they are given; also where there are more shards than files."""
    files = [tmp_path / f"{number}.jsonl" for number in range(1, count + 1)]
    written = [
        write_rows([folder], Scale(shard=Shard(number, count), rows=file)) for number, file in enumerate(files, start=1)
    ]
    assert text_of(merge_rows(files[::-1])) == golden
    sizes = [item.files for item in written]
    assert max(sizes) - min(sizes) <= 1
    # Code, a generator, and a history that cannot be read; the torn file is found before anything is opened.
    assert sum(item.errors for item in written) == 3


def test_rows_written_into_the_examined_folder_change_nothing(tmp_path: Path) -> None:
    """A job array may write where it reads."""
    mixed_folder(tmp_path)
    golden = text_of(inspect_paths(tmp_path))
    files = [tmp_path / f"{number}.jsonl" for number in (1, 2)]
    for number, file in enumerate(files, start=1):
        write_rows([tmp_path], Scale(shard=Shard(number, 2), rows=file))
    assert text_of(merge_rows(files)) == golden


def test_a_merge_names_what_is_missing_or_mixed(folder: Path, tmp_path: Path) -> None:
    """A shard that is not there, one given twice, and one that saw other files."""
    files = [tmp_path / f"{number}.jsonl" for number in (1, 2, 3)]
    for number, file in enumerate(files, start=1):
        write_rows([folder], Scale(shard=Shard(number, 3), rows=file))
    with pytest.raises(UsageError, match=r"^merge: 1 of 3 shards are not given: 2/3\.$"):
        merge_rows([files[0], files[2]])
    with pytest.raises(UsageError, match=r"^merge: a shard is given twice\.$"):
        merge_rows([*files, files[0]])
    other = tmp_path / "other.jsonl"
    write_rows([folder / "run"], Scale(shard=Shard(2, 3), rows=other))
    with pytest.raises(UsageError, match=r"other\.jsonl: saw other files than "):
        merge_rows([files[0], other, files[2]])
    with pytest.raises(UnreadableCheckpoint, match=r"log\.txt: cannot be read: not a file of rows"):
        merge_rows([folder / "log.txt"])


def test_a_shard_that_ended_early_is_a_failure_and_goes_on(folder: Path, golden: str, tmp_path: Path) -> None:
    """Every cut of the rows: what was not finished is said, and a second run ends at the same result."""
    rows = tmp_path / "rows.jsonl"
    total = write_rows([folder], Scale(rows=rows)).files
    content = rows.read_bytes()
    first = content.index(b"\n") + 1
    for cut in range(first, len(content), len(content) // 7):
        rows.write_bytes(content[:cut])
        done = len(read_journal(rows).files)
        if any(row["row"] == "layer" for part in read_journal(rows).files.values() for row in part):
            failures = [item.reason for item in merge_rows([rows]).failures]
            assert sum("shard 1/1 ended before it was examined" in item for item in failures) == total - done
        written = write_rows([folder], Scale(rows=rows))
        assert written.kept == done
        assert text_of(merge_rows([rows])) == golden


def test_a_changed_file_is_examined_again_and_its_old_rows_never_used(tmp_path: Path) -> None:
    """Known by content: a file of the same size and time with other bytes is another one."""
    paths = [save(tmp_path, f"run/netD_{step}.pth", small_discriminator(step)) for step in range(3)]
    rows = tmp_path / "rows.jsonl"
    write_rows([tmp_path / "run"], Scale(rows=rows))
    before = paths[1].stat()
    save(tmp_path, "run/netD_1.pth", small_discriminator(9))
    os.utime(paths[1], ns=(before.st_atime_ns, before.st_mtime_ns))
    assert paths[1].stat().st_size == before.st_size
    written = write_rows([tmp_path / "run"], Scale(rows=rows))
    assert (written.examined, written.kept) == (1, 2)
    assert text_of(merge_rows([rows])) == text_of(inspect_paths(tmp_path / "run"))
    # Cut behind the last run's own row: the old rows are out of date, and not taken for the file's.
    save(tmp_path, "run/netD_1.pth", small_discriminator(10))
    write_rows([tmp_path / "run"], Scale(rows=rows))
    content = rows.read_bytes()
    rows.write_bytes(content[: content.index(b"\n", content.rindex(b'{"row": "run"')) + 1])
    (failure,) = merge_rows([rows]).failures
    assert failure.name == str(paths[1])


def test_a_file_that_is_no_rows_file_is_never_appended_to(folder: Path, tmp_path: Path) -> None:
    """Not a checkpoint, not a note of the user's."""
    note = tmp_path / "notes.jsonl"
    note.write_text("{}\n")
    for path in (note, folder / "two.pth"):
        before = path.read_bytes()
        with pytest.raises(UsageError, match=r"^--rows .*: is there and holds no rows; name a new file\.$"):
            write_rows([folder], Scale(rows=path))
        assert path.read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="files are locked through fcntl")
def test_two_runs_do_not_write_into_one_file(folder: Path, golden: str, tmp_path: Path) -> None:
    """The later is refused before it changes a byte; a run that is killed leaves no lock, only half a line."""
    rows = tmp_path / "rows.jsonl"
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom spectral_doctor.scaling.journal import JournalWriter\n"
        "with JournalWriter(Path(sys.argv[1])) as writer:\n"
        '    writer._file.write(b\'{"row": "run", "schema": "spectral-doctor/rows/1", \')\n'
        "    writer._file.flush()\n    print('writing', flush=True)\n    time.sleep(60)\n"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", script, rows], stdout=subprocess.PIPE, cwd=root) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == b"writing\n"
            before = rows.read_bytes()
            with pytest.raises(UsageError, match=r"^--rows .*: another run writes there; wait or name a new file\.$"):
                write_rows([folder], Scale(rows=rows))
            assert rows.read_bytes() == before
        finally:
            other.kill()
    write_rows([folder], Scale(rows=rows))
    assert text_of(merge_rows([rows])) == golden


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/0", "-1/3"])
def test_a_shard_that_cannot_be_is_refused(text: str) -> None:
    """With what is expected."""
    with pytest.raises(UsageError, match=r"expected i/n with 1 ≤ i ≤ n, as in 2/8\.$"):
        Shard.parsed(text)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"workers": 0}, "--workers 0: expected 1 or more."),
        (
            {"workers": 2, "scheduler": "tcp://a:1"},
            "--scheduler and --workers: the cluster has workers of its own; give one of the two.",
        ),
    ],
)
def test_a_scale_that_cannot_be_is_refused(arguments: dict[str, object], sentence: str) -> None:
    """In one sentence."""
    with pytest.raises(UsageError) as caught:
        Scale(**arguments)  # type: ignore[arg-type]
    assert str(caught.value) == sentence


def test_a_worker_that_dies_costs_its_item_and_no_other() -> None:
    """The results are complete, in order, and the one that kills whoever has it is the lost one."""
    results = list(processes.in_processes(doubled_unless_seven, range(12), 2, lambda number: -number))
    assert results == [-7 if number == 7 else 2 * number for number in range(12)]


def test_an_item_whose_worker_was_killed_by_chance_is_done_again(tmp_path: Path) -> None:
    """Nothing is lost where the second try lives."""
    paths = [tmp_path / str(number) for number in range(4)]
    assert list(processes.in_processes(killed_once, paths, 2, lambda path: "lost")) == ["0", "1", "2", "3"]


def test_a_file_that_kills_its_worker_is_an_error_row(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told with a way out, does not end the run, and is tried again by the next one."""
    from spectral_doctor.scaling import tasks

    def first_is_lost(function: object, items: list[tasks.Task], workers: int, lost: object) -> object:
        return itertools.chain([tasks.lost(items[0])], map(tasks.do, items[1:]))

    monkeypatch.setattr("spectral_doctor.scaling.processes.in_processes", first_is_lost)
    rows = tmp_path / "rows.jsonl"
    inspection = inspect_at_scale([folder / "run"], Scale(workers=2, rows=rows))
    assert str(inspection.failures[0]) == (
        f"{folder / 'run/netD_0.pth'}: cannot be read: the worker process that examined it was killed, as when memory "
        "runs out. Run again with fewer workers."
    )
    assert len(inspection.diagnoses[0].trajectory.steps) == 5
    monkeypatch.undo()
    again = inspect_at_scale([folder / "run"], Scale(workers=1, rows=rows))
    assert text_of(again) == text_of(inspect_paths(folder / "run"))


@pytest.mark.slow
def test_a_cluster_with_a_killed_worker_gives_the_same(folder: Path, golden: str) -> None:
    """A real scheduler and two worker processes, one of which is killed while it examines."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        distributed.Client(cluster) as client,
    ):
        victim = next(iter(client.run(os.getpid).values()))
        killer = threading.Timer(0.3, os.kill, (victim, signal.SIGKILL))
        killer.start()
        started = time.monotonic()
        results = {text_of(inspect_at_scale([folder], Scale(scheduler=cluster.scheduler_address))) for _ in range(3)}
        killer.join()
        assert time.monotonic() - started > 0.3
        assert victim not in client.run(os.getpid).values()
    assert results == {golden}


@pytest.mark.slow
def test_what_a_killed_worker_of_a_cluster_had_is_done_by_another(tmp_path: Path) -> None:
    """A worker dies while it has the item, and the item is done all the same, in its place."""
    distributed = pytest.importorskip("distributed")
    from spectral_doctor.scaling.clusters import on_cluster

    paths = [tmp_path / str(number) for number in range(6)]
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as cluster:
        results = list(on_cluster(killed_once, paths, cluster.scheduler_address, lambda path: "lost"))
    assert (tmp_path / "1").exists()
    assert results == ["0", "1", "2", "3", "4", "5"]


@pytest.mark.slow
def test_no_scheduler_is_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none answers, and where dask is not installed."""
    pytest.importorskip("distributed")
    from spectral_doctor.scaling import clusters

    monkeypatch.setattr(clusters, "PATIENCE", "1s")
    with pytest.raises(UsageError, match=r"^--scheduler tcp://127\.0\.0\.1:9: no dask scheduler answers there\.$"):
        inspect_at_scale([folder], Scale(scheduler="tcp://127.0.0.1:9"))


def test_without_dask_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing else happens."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError) as caught:
        inspect_at_scale([folder], Scale(scheduler="tcp://127.0.0.1:9"))
    assert str(caught.value) == "--scheduler needs dask.distributed: pip install 'spectral-doctor[dask]'"
