"""What the fuzzer found, each as a small file: all of these ended in an internal error, or reached the terminal."""

from __future__ import annotations

import io
import json
import re
import sqlite3
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file
from typer.testing import CliRunner

from spectral_doctor.cli import app
from spectral_doctor.trajectory.cache import FILE, VARIABLE, _sum
from tests.builders import small_discriminator


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A file with which nothing is wrong."""
    path = tmp_path / "good" / "netD_1.safetensors"
    path.parent.mkdir()
    save_file(small_discriminator(), path)
    return path


def said(*arguments: object, code: int, **environment: str) -> str:
    """What the tool says, all of it; it ends with that code and without a fault of its own."""
    result = CliRunner().invoke(app, list(map(str, arguments)), env=environment)
    assert "internal error" not in result.output
    assert result.exit_code == code, result.output
    return result.output


def test_an_array_whose_header_ends_within_a_bracket(tmp_path: Path) -> None:
    """NumPy takes such a header for one of Python 2 and reads it with a tokenizer, whose error is no ValueError."""
    header = b"{'descr': '<f4', 'shape': (2,".ljust(117) + b"\n"
    with zipfile.ZipFile(tmp_path / "D.npz", "w") as archive:
        archive.writestr("weight.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    assert "numpy says of 'weight.npy'" in said("inspect", tmp_path / "D.npz", code=4)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "\ud800"])
def test_a_shard_whose_name_no_file_can_have(tmp_path: Path, name: str) -> None:
    """The system refuses to look for it, and it is missing like any other."""
    path = tmp_path / "D.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": {"weight": name}}))
    assert "is missing" in said("inspect", path, code=4)


@pytest.mark.parametrize("content", ['{"schema": 1e999}', "[" * 100_000, "[]", "3", '{"findings": []}'])
@pytest.mark.parametrize("option", ["--reference", "--baseline"])
def test_documents_of_another_form(good: Path, tmp_path: Path, option: str, content: str) -> None:
    """Nested without end, of infinite numbers, of no object."""
    (tmp_path / "other.json").write_text(content)
    verb = "inspect" if option == "--reference" else "check"
    assert f"{option} {tmp_path / 'other.json'}: " in said(verb, good, option, tmp_path / "other.json", code=2)


def test_a_reference_of_infinitely_many_layers(good: Path, tmp_path: Path) -> None:
    """A count that is no whole number."""
    shipped = json.loads((Path(__file__).parents[2] / "spectral_doctor/diagnosis/reference.json").read_text())
    name = next(iter(shipped["ranges"]))
    shipped["ranges"][name][2] = float("inf")
    (tmp_path / "r.json").write_text(json.dumps(shipped))
    assert "not a reference" in said("inspect", good, "--reference", tmp_path / "r.json", code=2)


@pytest.mark.parametrize("text", ["a = " + "1" * 5000, "a = " + "[" * 100_000])
def test_settings_that_python_itself_refuses(good: Path, tmp_path: Path, text: str) -> None:
    """A number of too many digits, lists in lists."""
    (tmp_path / "own.toml").write_text(text)
    assert "not valid TOML" in said("check", good, "--config", tmp_path / "own.toml", code=2)


def _rows(good: Path, tmp_path: Path) -> list[dict[str, Any]]:
    said("inspect", good, "--rows", tmp_path / "rows.jsonl", code=0)
    return [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("key", "value"),
    [("tool", None), ("options", None), ("shard", []), ("shard", [1, 2**62]), ("shard", [0, 0]), ("files", 7)],
)
def test_rows_whose_run_is_damaged(good: Path, tmp_path: Path, key: str, value: object) -> None:
    """Both verbs that read them say so; that of a run in so many parts that nobody could list them too."""
    rows = _rows(good, tmp_path)
    rows[0][key] = value
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if value == [1, 2**62]:
        assert "shards are not given: 2/" in said("merge", tmp_path / "rows.jsonl", code=2)
        return
    assert "not a file of rows" in said("merge", tmp_path / "rows.jsonl", code=4)
    assert "not a file of rows" in said("inspect", good, "--rows", tmp_path / "rows.jsonl", code=4)


def test_rows_of_a_file_that_are_damaged(good: Path, tmp_path: Path) -> None:
    """A run that goes on from them cannot take them over."""
    rows = _rows(good, tmp_path)
    layer = next(row for row in rows if row["row"] == "layer")
    del layer["matrix_shape"]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "a damaged row" in said("inspect", good, "--rows", tmp_path / "rows.jsonl", code=4)


@pytest.mark.parametrize("shape", [[0, 0], [0, 27], [-1, 27]])
def test_a_history_of_a_matrix_without_values(good: Path, tmp_path: Path, shape: list[int]) -> None:
    """It has no largest singular value."""
    history = json.loads(said("inspect", good, "--format", "json", code=0))
    history["series"][0]["layers"][0].update(matrix_shape=shape, singular_values=[[]])
    (tmp_path / "history.json").write_text(json.dumps(history))
    assert "layer 0: a matrix of" in said("inspect", tmp_path / "history.json", code=4)


def test_the_form_of_a_layer_reaches_the_terminal_as_text(good: Path, tmp_path: Path) -> None:
    """A history says it in a word of its own, which stood in the table as it was."""
    history = json.loads(said("inspect", good, "--format", "json", code=0))
    history["series"][0]["layers"][0]["form"] = "\x1b[31m‮"
    (tmp_path / "history.json").write_text(json.dumps(history))
    output = said("inspect", tmp_path / "history.json", code=0)
    assert "\\x1b[31m\\u202e" in output
    assert "\x1b" not in output


@pytest.mark.parametrize("content", [b"", b"\0" * 15, b"\0" * 17, b"\0" * 23])
def test_a_cache_whose_rows_are_cut_short_under_a_right_checksum(good: Path, tmp_path: Path, content: bytes) -> None:
    """Spectra that cannot be are measured again."""
    cache = str(tmp_path / "cache")
    before = said("inspect", good, code=0, **{VARIABLE: cache})
    connection = sqlite3.connect(Path(cache) / FILE)
    for (digest,) in connection.execute("SELECT digest FROM spectra").fetchall():
        connection.execute("UPDATE spectra SET content = ?, sum = ?", (content, _sum(digest, content)))
        connection.execute("UPDATE spectra SET sum = ? WHERE digest = ?", (_sum(digest, content), digest))
    connection.commit()
    connection.close()
    assert said("inspect", good, code=0, **{VARIABLE: cache}) == before


@pytest.mark.parametrize("document", [b"[]", b"{}", b'{"examinations": [{"layers": [[]]}]}', b"[" * 100_000])
def test_a_cache_that_remembers_another_form(good: Path, tmp_path: Path, document: bytes) -> None:
    """What was found in a file is looked for again."""
    cache = str(tmp_path / "cache")
    before = said("inspect", good, code=0, **{VARIABLE: cache})
    connection = sqlite3.connect(Path(cache) / FILE)
    for (state,) in connection.execute("SELECT state FROM seen").fetchall():
        checksum = _sum(state, document)
        connection.execute("UPDATE seen SET content = ?, sum = ? WHERE state = ?", (document, checksum, state))
    connection.commit()
    connection.close()
    assert said("inspect", good, code=0, **{VARIABLE: cache}) == before


def test_a_zip_without_end_is_one(tmp_path: Path) -> None:
    """The negative of all the above: a file with nothing wrong is read."""
    saved = io.BytesIO()
    with zipfile.ZipFile(saved, "w") as archive:
        archive.writestr("a.txt", b"")
    (tmp_path / "a.npz").write_bytes(saved.getvalue())
    assert "not a checkpoint" in said("inspect", tmp_path / "a.npz", code=4)


@pytest.mark.parametrize("unit", ["\x1b[31m", "a\nb", "$x", 7, "a b c"])
def test_a_history_whose_steps_count_what_is_no_unit(good: Path, tmp_path: Path, unit: object) -> None:
    """The unit stands in a dozen sentences, and under a picture, where `$` opens a formula."""
    history = json.loads(said("inspect", good, "--format", "json", code=0))
    history["series"][0]["step_unit"] = unit
    (tmp_path / "history.json").write_text(json.dumps(history))
    assert "which is no unit" in said("inspect", tmp_path / "history.json", code=4)


def test_a_history_of_files_that_no_system_can_have(good: Path, tmp_path: Path) -> None:
    """The page is written all the same: nothing of that name can be written over."""
    history = json.loads(said("inspect", good, "--format", "json", code=0))
    history["series"][0]["checkpoints"] = ["a\0b"]
    (tmp_path / "history.json").write_text(json.dumps(history))
    said("inspect", tmp_path / "history.json", "--html", tmp_path / "a.html", code=0)
    assert (tmp_path / "a.html").exists()


@pytest.mark.parametrize("folder", ["x" * 4000, "a\0b"])
def test_a_row_or_a_history_of_a_folder_that_no_system_can_have(good: Path, tmp_path: Path, folder: str) -> None:
    """Curves of metrics are looked for beside its checkpoints; the report is made without them."""
    rows = json.dumps(_rows(good, tmp_path))
    changed = json.loads(rows.replace(json.dumps(str(good))[1:-1], json.dumps(f"{folder}/{good.name}")[1:-1]))
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in changed))
    said("merge", tmp_path / "rows.jsonl", code=0)
    history = json.loads(said("inspect", good, "--format", "json", code=0))
    history["series"][0]["checkpoints"] = [f"{folder}/netD_1.pt"]
    (tmp_path / "history.json").write_text(json.dumps(history))
    said("inspect", tmp_path / "history.json", code=0)


@pytest.mark.parametrize("time", ["NaN", "Infinity", "1e999"])
def test_a_watched_history_whose_files_were_written_at_no_time(good: Path, tmp_path: Path, time: str) -> None:
    """It is refused before anything is examined: it could not be written again."""
    history, run = tmp_path / "history.json", tmp_path / "run"
    run.mkdir()
    (run / good.name).write_bytes(good.read_bytes())
    watching = ("watch", run, "--once", "--no-cache", "--history", history)
    said(*watching, code=0)
    history.write_text(re.sub(r'"modified": [-+.e\d]+', f'"modified": {time}', history.read_text()))
    before = history.read_bytes()
    assert "was written at no time" in said(*watching, code=4)
    assert history.read_bytes() == before


@pytest.mark.parametrize(("share", "code"), [("1e999", 4), ("NaN", 4), ("-0.5", 4), ("1.5", 4), ("0.5", 0)])
def test_a_history_whose_share_at_the_bound_is_none(good: Path, tmp_path: Path, share: str, code: int) -> None:
    """It went through the report into its JSON, as a number that JSON has no word for."""
    history = json.loads(said("inspect", good, "--format", "json", code=0))
    history["series"][0]["layers"][0]["at_bound"] = ["SHARE"]
    (tmp_path / "history.json").write_text(json.dumps(history).replace('"SHARE"', share))
    output = said("inspect", tmp_path / "history.json", "--format", "json", code=code)
    assert ("shares at the bound must lie between 0 and 1" in output) is (code == 4)
