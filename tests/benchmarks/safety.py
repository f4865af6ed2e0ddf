"""Files that run code in every place, good files that look suspicious, and bombs; beside other tools where they are.

    python tests/benchmarks/safety.py [--scanners PYTHON] [FOLDER ...]

Every payload of `tests/safety` in every place is loaded as its users load it, in another process, to see its canary
appear; then it is examined with `inspect`. Good files, those of the FOLDERs too, must not be refused. Bombs must end in
seconds. With `--scanners`, a Python in which picklescan, modelscan and fickling (extra `bench`) are installed, these
are asked about the same files, and `torch.load(weights_only=True)` of this Python as well. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import resource
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spectral_doctor.cli import app
from spectral_doctor.errors import DoctorError, UnsafeCheckpoint
from spectral_doctor.inspection import inspect_paths
from tests.safety.bombs import BOMBS
from tests.safety.corpus import Case, examined, run_plainly, write_corpus
from tests.safety.good import write_good
from tests.safety.models import MODELS
from tests.safety.places import PLACES
from tests.safety.spellings import payloads
from tests.safety.test_bombs import examine_all

ROOT = Path(__file__).resolve().parents[2]
SCANNERS = ("picklescan", "modelscan", "fickling")


def of_payloads(folder: Path, python: Path | None) -> dict[str, object]:
    """Payloads in places: how many run plainly, how many here, and what others say."""
    cases = write_corpus(folder, list(payloads(Path("x"))), [*PLACES, *MODELS])
    ran = run_plainly(folder, cases)
    # What a payload starts may write its canary late; a second time tells.
    ran |= run_plainly(folder, [case for case in cases if str(case) not in ran])
    codes, executed = examined(folder, cases)
    for case in cases:
        if str(case) not in ran:
            print(f"does not run plainly: {case}")
        if codes[str(case)] == -1 or str(case) in executed:
            print(f"FAULT: {case}")
    shown = [case for case in cases if (PLACES.get(case.place) or MODELS[case.place]).shows]
    return {
        "files": len(cases),
        "payloads": len(payloads(Path("x"))),
        "places": len(PLACES) + len(MODELS),
        "run_plainly": f"{len(ran)}/{len(cases)}",
        "executed_here": f"{len(executed)}/{len(cases)}",
        "tracebacks": sum(code == -1 for code in codes.values()),
        "whole_D_reported": f"{sum(codes[str(case)] == 0 for case in shown)}/{len(shown)}",
        "weights_only": weights_only(cases, {str(case) for case in shown}),
        "scanners": {name: scanned(python, name, cases) for name in SCANNERS} if python else {},
    }


def weights_only(cases: Sequence[Case], shown: set[str]) -> dict[str, str]:
    """What `torch.load(weights_only=True)` makes of the same files: which it executes, and which D's it gives."""
    listing = [[str(case), str(case.path)] for case in cases]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(listing, file)
        file.flush()
        command = [sys.executable, __file__, "--load", file.name]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    given = set(json.loads(result.stdout.splitlines()[-1]))
    executed = sum(case.canary.exists() for case in cases)
    return {"executed": f"{executed}/{len(cases)}", "whole_D_loaded": f"{len(given & shown)}/{len(shown)}"}


def load_weights_only(listing: Path) -> None:
    """Load every file and print the names of those that load."""
    import torch

    given = []
    for name, path in json.loads(listing.read_text()):
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.load(path, weights_only=True)
            given.append(name)
    print(json.dumps(given))


SCAN = """
import contextlib, io, json, os, sys
name, listing = sys.argv[1:3]
def picklescan(path):
    from picklescan.scanner import scan_directory_path, scan_file_path
    found = (scan_directory_path if os.path.isdir(path) else scan_file_path)(path)
    return "flagged" if found.issues_count else "error" if found.scan_err else "silent"
def modelscan(path):
    from modelscan.modelscan import ModelScan
    scanner = ModelScan()
    found = scanner.scan(path)
    if found["issues"]: return "flagged"
    return "error" if found.get("errors") or not found["summary"]["scanned"]["total_scanned"] else "silent"
def fickling(path):
    import zipfile
    from fickling.loader import scan_file, scan_zip_archive
    if os.path.isdir(path): path = os.path.join(path, ".metadata")
    if zipfile.is_zipfile(path):
        found = list(scan_zip_archive(path).values())
    else:
        found = [scan_file(path)]
    if not found: return "error"
    return "silent" if all(item.is_safe for item in found) else "flagged"
scan = {"picklescan": picklescan, "modelscan": modelscan, "fickling": fickling}[name]
said = []
for path in json.load(open(listing)):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try: said.append(scan(path))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt): raise
            said.append("error")
print(json.dumps(said))
"""


def scanned(python: Path, name: str, cases: Sequence[Case]) -> dict[str, object]:
    """How a scanner calls the files: flagged, silent (it saw nothing in a file that runs code), or an error."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump([str(case.path) for case in cases], file)
        file.flush()
        result = subprocess.run([python, "-c", SCAN, name, file.name], capture_output=True, text=True, check=False)
    if result.returncode:
        return {"not_run": result.stderr.strip().splitlines()[-1:]}
    said = json.loads(result.stdout.splitlines()[-1])
    passed = Counter(case.place for case, word in zip(cases, said, strict=True) if word == "silent")
    executed = sum(case.canary.exists() for case in cases)
    print(f"{name} silent, by place: {dict(passed.most_common())}")
    return {**Counter(said), "executed": executed}


def of_good_files(folder: Path, others: Sequence[Path]) -> dict[str, object]:
    """Good files: how many are refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        files = list(write_good(folder).values())
    named = [path for other in others for path in sorted(other.rglob("*")) if path.is_file()]
    refused: list[str] = []
    read = 0
    for path in (*files, *named):
        try:
            inspect_paths(path)
            read += 1
        except UnsafeCheckpoint as error:
            refused.append(str(error))
        except DoctorError as error:
            if path in files:
                refused.append(str(error))
    print("".join(f"refused: {sentence}\n" for sentence in refused), end="")
    return {
        "good": len(files),
        "others": len(named),
        "reported": read,
        "refused": f"{len(refused)}/{len(files) + len(named)}",
    }


def of_bombs(folder: Path) -> dict[str, object]:
    """Bombs: the longest, the largest, and how many ended in another way than they may."""
    listing: dict[str, str] = {}
    for name, write in BOMBS.items():
        (folder / name).mkdir(parents=True)
        listing[name] = str(write(folder / name))
    (folder / "listing.json").write_text(json.dumps(listing))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ends: Mapping[str, tuple[int, float, str]] = examine_all(folder / "listing.json")
    wrong = [name for name, (code, _, said) in ends.items() if code not in (0, 3, 4) or "internal error" in said]
    slowest = max(ends, key=lambda name: ends[name][1])
    for name, (code, seconds, _) in ends.items():
        print(f"{name:20} exit {code} {seconds:6.2f} s")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {
        "bombs": len(ends),
        "wrong": wrong,
        "slowest": [slowest, round(ends[slowest][1], 1)],
        "megabytes_more": grown // 1024,
    }


def main() -> None:
    """Go through all of it and print the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    parser.add_argument("--scanners", type=Path, metavar="PYTHON")
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.load is not None:
        load_weights_only(arguments.load)
        return
    # What is imported late would count as a bomb's.
    with contextlib.redirect_stdout(io.StringIO()):
        CliRunner().invoke(app, ["inspect", str(ROOT / "sample_checkpoints")])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = {
            "bombs": of_bombs(folder / "bombs"),
            "good_files": of_good_files(folder / "good", arguments.folders),
            "payloads": of_payloads(folder / "payloads", arguments.scanners),
        }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
