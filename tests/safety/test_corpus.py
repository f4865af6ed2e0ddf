"""Payloads in places: each runs where it is loaded plainly, and none of them here."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from spectral_doctor.inspection import inspect_paths
from tests.safety.corpus import Case, examined, run_plainly, write_corpus
from tests.safety.models import MODELS
from tests.safety.places import MARK, PLACES, replaced, seven_zip
from tests.safety.spellings import payloads

EVERYWHERE = ("a marshalled function", "PUT and MEMOIZE mixed")
# Where every payload is tried: in the pickle of the format that most files have, and in the one of several pickles.
WHOLE = ("an optimizer's state", "a legacy file's third stream")
# What stands outside the file, so that nothing of it is read; what changes a class itself; what breaks the pickle.
REFUSED = {"a registered extension", "names put on a class", "then nonsense", "then an end without a beginning"}
# What spoils the pickle that it stands in, and not one that is a stream of its own: the memo, and persistent ids.
SPOILING = {"STACK_GLOBAL from the memo", "a persistent id"}


def shows(case: Case) -> bool:
    """Whether a discriminator is to be reported beside the code."""
    place = PLACES.get(case.place) or MODELS[case.place]
    return place.shows


def test_no_payload_runs_in_any_place(tmp_path: Path) -> None:
    """Every place with three payloads: all run plainly, none here, and a whole discriminator is reported beside."""
    cases = write_corpus(tmp_path, EVERYWHERE, [*PLACES, *MODELS])
    assert len(cases) == len(EVERYWHERE) * len(PLACES) + len(MODELS)
    assert run_plainly(tmp_path, cases) == set(map(str, cases))
    codes, executed = examined(tmp_path, cases)
    assert executed == set()
    assert {str(case): codes[str(case)] for case in cases} == {str(case): 0 if shows(case) else 4 for case in cases}


@pytest.mark.parametrize("place", WHOLE)
def test_no_payload_of_any_kind_runs(tmp_path: Path, place: str) -> None:
    """Every payload in two places; what points outside the file, or breaks it, is refused in one sentence."""
    titles = list(payloads(Path("x")))
    assert len(titles) >= 90
    cases = write_corpus(tmp_path, titles, [place])
    # A process that a payload starts may write its canary only later than the next file is loaded.
    assert run_plainly(tmp_path, cases) >= {str(case) for case in cases if "copyreg" not in case.payload}
    codes, executed = examined(tmp_path, cases)
    assert executed == set()
    refused = {case.payload for case in cases if codes[str(case)] == 4}
    assert refused == (REFUSED | SPOILING if place == WHOLE[0] else REFUSED)
    assert set(codes.values()) == {0, 4}


def test_a_mark_is_replaced_once() -> None:
    """The payload's instructions stand where the mark was pushed, and the rest is as it was."""
    before = pickle.dumps({"a": MARK, "b": 1}, protocol=2)
    assert pickle.loads(replaced(before, b"K\x07")) == {"a": 7, "b": 1}
    with pytest.raises(AssertionError):
        replaced(pickle.dumps({"a": 1}), b"N")


def test_what_lies_in_another_file_is_not_followed(tmp_path: Path) -> None:
    """An external link is said to be left out, and the file it names is not opened."""
    (case,) = write_corpus(tmp_path, [], ["behind an external link in HDF5"])
    (case.path.parent / "elsewhere" / "other.h5").write_bytes(b"not opened")
    left_out = inspect_paths(case.path).left_out
    assert [item.reason for item in left_out] == ["a link to another place, which is not followed"]


def test_the_archive_of_7z_is_one() -> None:
    """The first bytes are 7z's, and the content stands behind the header of 32 bytes."""
    assert seven_zip("a", b"content")[:6] == b"7z\xbc\xaf\x27\x1c"
    assert seven_zip("a", b"content")[32:39] == b"content"
