"""Every payload in every place, as files on the disk, and what loading them plainly does."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from spectral_doctor.cli import app
from tests import stylegan
from tests.safety.models import MODELS
from tests.safety.places import PLACES
from tests.safety.spellings import payloads

ROOT = Path(__file__).parent.parent.parent
ACTING = "canary_when_imported.py"
IN_MODELS = "code"


@dataclass(frozen=True)
class Case:
    """A file that runs code: which payload stands in which place, what to examine, and what appears if it runs."""

    payload: str
    place: str
    path: Path
    canary: Path

    def __str__(self) -> str:
        return f"{self.payload}, {self.place}"


def write_corpus(folder: Path, titles: Iterable[str], places: Sequence[str]) -> list[Case]:
    """Write payloads in places; `places` may name those of models, which take code and no pickle."""
    (folder / "canaries").mkdir(parents=True)
    (folder / ACTING).write_text(
        "import os, pathlib\npathlib.Path(os.environ['CANARY']).write_text('executed')\nname = 1\n"
    )
    cases: list[Case] = []
    wanted = [(title, place) for place in places if place in PLACES for title in titles]
    wanted += [(IN_MODELS, place) for place in places if place in MODELS]
    for number, (title, place) in enumerate(wanted):
        canary, home = folder / "canaries" / str(number), folder / "files" / str(number)
        home.mkdir(parents=True)
        if place in MODELS:
            path = MODELS[place].write(home, canary)
        else:
            path = PLACES[place].write(home, payloads(canary)[title])
        cases.append(Case(title, place, path, canary))
    return cases


def run_plainly(folder: Path, cases: Sequence[Case]) -> set[str]:
    """The cases whose canary appears when another process loads them as their users do; the canaries are gone then."""
    listing = folder / "cases.json"
    listing.write_text(json.dumps([[case.place, str(case.path), str(case.canary)] for case in cases]))
    command = [sys.executable, "-m", "tests.safety.corpus", str(listing)]
    silent = subprocess.DEVNULL
    subprocess.run(command, cwd=ROOT, check=True, stdin=silent, stdout=silent, stderr=silent)
    return {str(case) for case in cases if _taken_away(case.canary)}


def examined(folder: Path, cases: Sequence[Case]) -> tuple[Mapping[str, int], set[str]]:
    """The exit code of `inspect` for every case, and the cases whose canary appeared."""
    sys.path.insert(0, str(folder))
    codes: dict[str, int] = {}
    try:
        for case in cases:
            os.environ["CANARY"] = str(case.canary)
            result = CliRunner().invoke(app, ["inspect", "--no-cache", str(case.path)])
            clean = "internal error" not in result.output and "Traceback" not in result.output
            codes[str(case)] = result.exit_code if clean else -1
    finally:
        sys.path.remove(str(folder))
        os.environ.pop("CANARY", None)
    return codes, {str(case) for case in cases if _taken_away(case.canary)}


def _taken_away(canary: Path) -> bool:
    there = os.path.lexists(canary)
    canary.unlink(missing_ok=True)
    return there


def load_all(listing: Path) -> None:
    """Load every file of a listing as its users do, whatever happens."""
    sys.path.insert(0, str(listing.parent))
    # What a payload of another system imports is there as this system's.
    sys.modules["nt"] = os
    with stylegan.named_as_in_the_files(), contextlib.redirect_stdout(io.StringIO()):
        for place, path, canary in json.loads(listing.read_text()):
            os.environ["CANARY"] = canary
            sys.modules.pop(Path(ACTING).stem, None)
            load = PLACES[place].load if place in PLACES else MODELS[place].load
            with contextlib.suppress(Exception):
                load(Path(path))


if __name__ == "__main__":
    load_all(Path(sys.argv[1]))
