"""Small files that claim much end in a sentence or a report, in seconds, and in a process of little memory."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.safety.bombs import BOMBS

ROOT = Path(__file__).parent.parent.parent
# Of address space: what Python, NumPy and h5py take, and half a gigabyte.
MOST_MEMORY = 2 * 2**30
LONGEST = 20.0
# What takes seconds to write or to read: those are in the benchmark `safety.py` alone.
SLOW = frozenset({"many_keys", "many_instructions", "many_tensors", "deflated", "long_index"})


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, float, str]]:
    """How each file ended: exit code, seconds of the processor, what was said."""
    folder = tmp_path_factory.mktemp("bombs")
    listing = {}
    for name in BOMBS.keys() - SLOW:
        write = BOMBS[name]
        (folder / name).mkdir()
        listing[name] = str(write(folder / name))
    (folder / "listing.json").write_text(json.dumps(listing))
    command = [sys.executable, "-m", "tests.safety.test_bombs", str(folder / "listing.json")]
    result = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=300)
    return {name: tuple(end) for name, end in json.loads(result.stdout).items()}


def test_each_ends_in_a_sentence_or_a_report(ends: dict[str, tuple[int, float, str]]) -> None:
    """No traceback, no want of memory, a code from the table, in seconds."""
    assert ends.keys() == BOMBS.keys() - SLOW
    assert len(ends) >= 25
    for name, (code, seconds, said) in ends.items():
        assert code in (0, 3, 4), f"{name}: {said}"
        assert "internal error" not in said, f"{name}: {said}"
        assert "not enough memory" not in said, f"{name}: {said}"
        assert seconds < LONGEST, f"{name} took {seconds:.1f} s"


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("laughs", 3, ""),
        ("long_number", 4, "a number of 2147483647 bytes"),
        ("many_members", 4, "list of members takes"),
        ("quine", 4, "it is a zip archive"),
        ("repeated", 3, ""),
        ("backwards", 4, "whose shape cannot be"),
        ("endless_header", 4, ""),
        ("absurd_shape", 4, "that cannot be"),
        ("long_name", 4, "the limit 'name' is 4096"),
        ("elsewhere", 3, ""),
        ("traversing", 0, "conv1"),
        ("not_a_number", 0, "NaN/Inf"),
        ("overlapping", 0, ""),
    ],
)
def test_what_is_said(ends: dict[str, tuple[int, float, str]], name: str, code: int, said: str) -> None:
    """The reason is the one that it is made for."""
    found, _, output = ends[name]
    assert (found, said in " ".join(output.split())) == (code, True), output


def test_nothing_is_written_where_a_member_points(ends: dict[str, tuple[int, float, str]]) -> None:
    """No archive is unpacked, so no member lands above it."""
    assert ends["traversing"][0] == 0
    assert not Path("/tmp/escaped").exists()
    assert not Path("/etc/escaped").exists()


def examine_all(listing: Path) -> dict[str, tuple[int, float, str]]:
    """Examine every file of a listing in this process."""
    from spectral_doctor.cli import app

    ends = {}
    for name, path in json.loads(listing.read_text()).items():
        start = time.process_time()
        result = CliRunner().invoke(app, ["inspect", "--no-cache", "--explain", path])
        ends[name] = (int(result.exit_code), time.process_time() - start, result.output[-3000:])
    return ends


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    print(json.dumps(examine_all(Path(sys.argv[1]))))
