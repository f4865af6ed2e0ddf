"""The `reference` verb: the shipped ranges in words and as JSON, and a reference of one's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from spectral_doctor.cli import app
from spectral_doctor.diagnosis.reference import FEWEST_OWN, Reference, reference_document

ROOT = Path(__file__).resolve().parents[2]
HEALTHY = ROOT / "sample_checkpoints" / "healthy"
COLLAPSED = ROOT / "sample_checkpoints" / "collapsed"


def run(*words: str | Path) -> Result:
    """The verb with these words."""
    return CliRunner().invoke(app, ["reference", *map(str, words)])


def state_of(checkpoint: Path, reference: Path) -> str:
    """The state of one checkpoint's spectrum, held against a reference."""
    words = ["inspect", str(checkpoint), "--format", "json", "--reference", str(reference)]
    found: str = json.loads(CliRunner().invoke(app, words).stdout)["series"][0]["diagnosis"]["spectrum"]
    return found


def test_it_lists_every_class() -> None:
    """A line a class: its range, its layers, its sources."""
    result = run()
    assert result.exit_code == 0
    head, *lines, end = result.stdout.splitlines()
    assert head.split() == ["healthy", "layers", "σk/σ1", "layers", "sources"]
    assert end == "Eight of ten healthy layers lie in the range, one below; a source is a repository, recipe or paper."
    assert len({line.index("0.") for line in lines}) == 1
    shipped = Reference.shipped().ranges
    assert len(lines) == len(shipped)
    for line, (name, one) in zip(lines, shipped, strict=True):
        assert line.startswith(name)
        assert line[len(name) :].split() == [f"{one.low:.2f}–{one.high:.2f}", str(one.count), str(one.sources)]


def test_as_json_it_can_be_read_back(tmp_path: Path) -> None:
    """What `--format json` prints is a reference file."""
    result = run("--format", "json")
    assert result.exit_code == 0
    path = tmp_path / "shipped.json"
    path.write_text(result.stdout, encoding="utf-8")
    assert Reference.read(path) == Reference.shipped()


def test_one_of_ones_own_comes_from_the_last_checkpoint(tmp_path: Path) -> None:
    """Built from a healthy run, it calls that run's end sound and the collapsed run's end below it."""
    path = tmp_path / "mine.json"
    result = run("build", HEALTHY, "-o", path)
    assert result.exit_code == 0
    own = Reference.read(path)
    assert result.stderr == f"written: {path} ({len(own.ranges)} classes from 1 series)\n"
    for name, one in own.ranges:
        assert (one.sources, one.count >= FEWEST_OWN) == (1, True), name
    assert [item.name for item in tmp_path.iterdir()] == ["mine.json"]
    assert {folder: state_of(folder / "step-000700.pt", path) for folder in (HEALTHY, COLLAPSED)} == {
        HEALTHY: "SOUND",
        COLLAPSED: "COLLAPSED",
    }


def test_two_runs_are_two_sources(tmp_path: Path) -> None:
    """Each with one voice."""
    path = tmp_path / "mine.json"
    assert run("build", HEALTHY, COLLAPSED, "-o", path).exit_code == 0
    assert {one.sources for _, one in Reference.read(path).ranges} == {2}


def test_a_file_there_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    """A folder that cannot be written to keeps what it has, and the reason is said."""
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(reference_document(Reference.shipped())))
    result = run("build", HEALTHY, "-o", path / "below.json")
    assert result.exit_code == 2
    assert f"--output {path / 'below.json'}: cannot be written" in result.stderr
    assert Reference.read(path) == Reference.shipped()


def test_no_checkpoint_that_it_is_built_from_is_written_over(tmp_path: Path) -> None:
    """Named itself or found in a folder; the negative: a name beside them is written."""
    for path in HEALTHY.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    patient = max(path for path in tmp_path.iterdir() if path.suffix != ".json")
    content = patient.read_bytes()
    for words in ([tmp_path], [patient]):
        result = run("build", *words, "-o", patient)
        assert (result.exit_code, patient.read_bytes()) == (2, content)
        assert "is one of the inputs, which are never overwritten." in " ".join(result.output.split())
    assert run("build", tmp_path, "-o", tmp_path / "reference.json").exit_code == 0


@pytest.mark.parametrize("words", [["build"], ["build", str(HEALTHY)], ["list"], [str(HEALTHY), "-o", "x.json"]])
def test_other_words_are_refused(words: list[str]) -> None:
    """With what was expected; nothing is written."""
    result = run(*words)
    assert result.exit_code == 2
    assert result.stderr.strip().endswith("reference: expected nothing, or build PATH... -o FILE.")
    assert not Path("x.json").exists()


def test_nothing_to_build_from_is_said(tmp_path: Path) -> None:
    """A folder without checkpoints is no reference."""
    result = run("build", tmp_path, "-o", tmp_path / "mine.json")
    assert result.exit_code == 3
    assert not (tmp_path / "mine.json").exists()


def test_no_torch_is_waited_for() -> None:
    """Listing imports neither torch nor NumPy."""
    code = (
        "import sys; from typer.testing import CliRunner; from spectral_doctor.cli import app;"
        "assert CliRunner().invoke(app, ['reference']).exit_code == 0;"
        "print([name for name in ('torch', 'numpy', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
