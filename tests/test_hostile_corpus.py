"""The corpus of files that run code when they are loaded plainly: here none of it runs."""

from __future__ import annotations

from pathlib import Path

from tests import hostile
from tests.benchmarks.hostile import examine, written_by_pickle


def test_nothing_in_the_corpus_runs(tmp_path: Path) -> None:
    """Every canary appears under `pickle.load`, and none under `inspect`; a whole D beside the code is reported."""
    cases = hostile.write_corpus(tmp_path / "files", tmp_path / "canaries")
    assert len(cases) == 4 * len(hostile.payloads(Path("x"))) >= 140
    assert written_by_pickle(tmp_path, cases) == set(cases)
    codes, executed = examine(cases, tmp_path / "files")
    assert executed == set()
    assert set(codes.values()) == {0, 4}
    refused = {name.removesuffix(", beside D") for name, code in codes.items() if code and name.endswith("beside D")}
    # An instruction that reaches outside the file is refused, whatever stands beside it.
    assert refused == {"a registered extension"}
    page = " ".join((Path(__file__).parent.parent / "docs" / "safety.md").read_text(encoding="utf-8").split())
    count = len(cases) // 4
    assert f"all {len(cases)} run under `pickle.load`, 0 of {len(cases)} run here" in page
    assert f"reported in {count - len(refused)} of {count} files" in page
