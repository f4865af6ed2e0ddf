"""A slice of the fuzzing, with seeds of its own: every reader, as many changed files as take a quarter minute."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from tests.safety.fuzzing import LONGEST, End, read, read_changed
from tests.safety.mutation import NUMBERS, change_json, change_pickle, change_table
from tests.safety.readers import Reader, readers

EACH = 30


@pytest.fixture(scope="module")
def every() -> dict[str, Reader]:
    """Every reader by its name."""
    return readers()


def test_the_good_files_are_read(every: dict[str, Reader], tmp_path: Path) -> None:
    """What is changed is whole before: else nothing would be reached."""
    for number, (name, reader) in enumerate(every.items()):
        for file, content in reader.files.items():
            path = tmp_path / str(number) / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        end = read(reader, tmp_path / str(number))
        assert (end.code, end.fault) == (0, ""), name


@pytest.mark.filterwarnings("ignore")
def test_changed_files_end_as_they_may(every: dict[str, Reader]) -> None:
    """No traceback, no hang, a code from the table; and the changes reach both what is read and what is refused."""
    assert len(every) >= 30
    codes: Counter[int] = Counter()
    faults: dict[str, End] = {}
    for name, reader in every.items():
        for number in range(EACH):
            end = read_changed(reader, f"ci-{name}-{number}")
            codes[int(end.code)] += 1
            if end.fault or end.seconds > LONGEST:
                faults[f"{name} {number}"] = end
    assert not faults
    assert {0, 2, 4} <= set(codes)


def test_a_change_is_the_same_for_the_same_seed(every: dict[str, Reader]) -> None:
    """So that the number of an input tells it again."""
    for reader in every.values():
        name = reader.changed[0]
        if reader.environment:
            continue  # a database writes its own times into itself
        content = reader.files[name]
        first, second = (reader.change(random.Random("7"), content) for _ in range(2))
        assert first == second


def test_the_outer_form_is_kept() -> None:
    """A changed table has right checksums, a changed pickle other instructions, a changed document is JSON again."""
    source = random.Random(0)
    from tests.safety.models import sorted_table

    table = sorted_table([(b"", b"\x08\x01"), (b"a", b"b" * 20)])
    assert change_table(source, table) != table
    assert any(change_pickle(source, b"\x80\x02K\x01.") != b"\x80\x02K\x01." for _ in range(20))
    assert any(change_json(source, b'{"a": [1, 2]}') != b'{"a": [1, 2]}' for _ in range(20))
    assert 2**64 - 1 in NUMBERS
