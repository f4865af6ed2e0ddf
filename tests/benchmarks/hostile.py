"""Files that run code when they are loaded with pickle: does any of it run here?

    python tests/benchmarks/hostile.py

Every payload of `tests/hostile.py` stands alone in a pickle, beside a whole discriminator in a StyleGAN snapshot,
as the `.metadata` of a torch.distributed checkpoint, and within an otherwise well formed one. Each writes a
canary file of its own if it is obeyed. First all are loaded with plain `pickle.load` in another process, to see
the canaries appear; they are removed, and every file is examined with the `inspect` verb. The last line is one
JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spectral_doctor.cli import app
from tests import hostile, stylegan


def load_plainly(cases: Path) -> None:
    """Load every file with `pickle.load`, as its writer intends."""
    sys.path.insert(0, str(cases.parent / "files"))
    with stylegan.named_as_in_the_files(), contextlib.redirect_stdout(io.StringIO()):
        for path, canary in json.loads(cases.read_text()):
            os.environ["CANARY"] = canary
            sys.modules.pop("canary_when_imported", None)
            with contextlib.suppress(Exception), Path(path).open("rb") as file:
                pickle.load(file)


def written_by_pickle(folder: Path, cases: dict[str, tuple[Path, Path]]) -> set[str]:
    """The cases whose canary appears when they are loaded plainly; the canaries are gone afterwards."""
    listing = folder / "cases.json"
    listing.write_text(json.dumps([[str(path), str(canary)] for path, canary in cases.values()]))
    command = [sys.executable, "-m", "tests.benchmarks.hostile", "--load", str(listing)]
    root = Path(__file__).parent.parent.parent
    subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    appeared = {name for name, (_, canary) in cases.items() if canary.exists()}
    for _, canary in cases.values():
        canary.unlink(missing_ok=True)
    return appeared


def examine(cases: dict[str, tuple[Path, Path]], files: Path) -> tuple[dict[str, int], set[str]]:
    """The exit code of `inspect` for every case, and the cases whose canary appeared."""
    sys.path.insert(0, str(files))
    codes: dict[str, int] = {}
    try:
        for name, (path, canary) in cases.items():
            os.environ["CANARY"] = str(canary)
            codes[name] = CliRunner().invoke(app, ["inspect", str(path)]).exit_code
    finally:
        sys.path.remove(str(files))
        os.environ.pop("CANARY", None)
    return codes, {name for name, (_, canary) in cases.items() if canary.exists()}


def main() -> None:
    """Build the corpus, load it plainly elsewhere, examine it here, and print a line a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    load: Path | None = parser.parse_args().load
    if load is not None:
        load_plainly(load)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases = hostile.write_corpus(folder / "files", folder / "canaries")
        appeared = written_by_pickle(folder, cases)
        codes, executed = examine(cases, folder / "files")
    for case, code in codes.items():
        print(f"{'runs' if case in appeared else '-':5} {'EXECUTED' if case in executed else 'inert':9} {code}  {case}")
    whole = [code for case, code in codes.items() if case.endswith("beside D")]
    figures = {
        "cases": len(cases),
        "run_by_pickle": f"{len(appeared)}/{len(cases)}",
        "executed_here": f"{len(executed)}/{len(cases)}",
        "discriminators_read_beside_code": f"{whole.count(0)}/{len(whole)}",
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
