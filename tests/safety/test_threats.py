"""The threat model is a test: every line of it names one that exists, and what it says of limits is so."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from spectral_doctor.checkpoints.formats.archives import LARGEST_DIRECTORY, LARGEST_EXPANSION, SMALL_MEMBER
from spectral_doctor.checkpoints.formats.hdf5 import MOST_OBJECTS
from spectral_doctor.checkpoints.limits import NAMES, VARIABLE, Limits
from spectral_doctor.checkpoints.pickle.machine import MOST_INSTRUCTIONS
from spectral_doctor.checkpoints.pickle.objects import MOST_PARTS

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def threats(text: str) -> list[tuple[str, str]]:
    """Every threat of the table, with the test that its line names."""
    table = re.search(r"\| threat \|.*?\n\n", text, re.DOTALL)
    assert table is not None
    rows = [re.split(r" *\| *", line.strip("| ")) for line in table.group().strip().splitlines()[2:]]
    return [(row[0], row[2].strip("`")) for row in rows]


@pytest.mark.parametrize(("threat", "test"), threats(TEXT))
def test_every_threat_names_a_test_that_exists(threat: str, test: str) -> None:
    """The file is there, and the function is in it."""
    path, _, name = test.partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {item.name for item in tree.body if isinstance(item, ast.FunctionDef)}


def test_there_are_threats_and_one_without_a_test_is_noticed() -> None:
    """The negative: a line whose third cell is empty names nothing."""
    assert len(threats(TEXT)) >= 15
    assert threats("| threat | a | b |\n| --- | --- | --- |\n| x | y | `tests/a.py::b` |\n\n") == [
        ("x", "tests/a.py::b")
    ]


def test_the_limits_are_those_that_the_code_has() -> None:
    """Names, defaults, the example, and the bounds that cannot be set."""
    table = re.search(r"\| limit \|.*?\n\n", TEXT, re.DOTALL)
    assert table is not None
    assert tuple(re.findall(r"^\| `(\w+)` \|", table.group(), re.MULTILINE)) == NAMES
    defaults = re.findall(r"\| ([^|]+) \|$", table.group(), re.MULTILINE)[2:]
    said = {"2 TiB": 2.0**41, "100000": 1e5, "4096": 4096.0, "2^30": 2.0**30, "3600": 3600.0}
    assert tuple(said[item] for item in defaults) == tuple(vars(Limits()).values())
    example = re.search(rf'{VARIABLE}="([^"]+)"', TEXT)
    assert example is not None
    assert Limits.of({VARIABLE: example.group(1)}).seconds == 60.0
    assert (MOST_INSTRUCTIONS, MOST_PARTS, LARGEST_DIRECTORY) == (5_000_000, 1_000_000, 16 * 2**20)
    assert (MOST_OBJECTS, LARGEST_EXPANSION, SMALL_MEMBER) == (100_000, 200, 256 * 2**20)
