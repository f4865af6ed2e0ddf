"""The lowest versions that pyproject.toml allows, and the install without PyTorch: each in an environment of its own.

    python tests/benchmarks/floors.py [--dry-run] [--only lowest|reading]

`lowest` pins every dependency to its floor; `reading` is `pip install --no-deps .` with requirements-reading.txt. Each
is asked to check both samples and must exit with 0 and with 1. `--dry-run` only asks pip whether the floors go
together. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
READING = ROOT / "requirements-reading.txt"
SAMPLES = {"healthy": 0, "collapsed": 1}


def dependencies() -> list[str]:
    """What pyproject.toml asks for, as it stands there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [str(item) for item in project["dependencies"]]


def pinned(requirement: str) -> str:
    """A requirement at its floor: `numpy>=2.0` is `numpy==2.0.*`, the lowest release that was not taken back."""
    name, version = re.fullmatch(r"([\w-]+)>=([\d.]+)", requirement).groups()  # type: ignore[union-attr]
    return f"{name}=={version}" if version.count(".") > 1 else f"{name}=={version}.*"


def pip(python: Path, *arguments: str) -> tuple[bool, str]:
    """Whether pip could do it, and the last line that it said."""
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    return result.returncode == 0, f"{result.stdout}{result.stderr}".strip().rpartition("\n")[2]


def wanted(kind: str) -> list[list[str]]:
    """What pip is to install for an environment, call by call."""
    if kind == "reading":
        return [["-r", str(READING)], ["--no-deps", "."]]
    return [list(map(pinned, dependencies())), ["--no-deps", "."]]


def checked(python: Path) -> dict[str, int]:
    """The exit code of a check of each sample."""
    found = {}
    for sample in SAMPLES:
        command = [str(python), "-m", "spectral_doctor", "check", str(ROOT / "sample_checkpoints" / sample)]
        with tempfile.TemporaryDirectory() as elsewhere:
            found[sample] = subprocess.run(command, cwd=elsewhere, capture_output=True, check=False).returncode
    return found


def examined(kind: str, folder: Path) -> dict[str, object]:
    """Make an environment and ask it for its checks."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    for arguments in wanted(kind):
        done, said = pip(python, *arguments)
        if not done:
            return {"installs": False, "pip": said, "passes": False}
    torch = subprocess.run([str(python), "-c", "import torch"], capture_output=True, check=False).returncode == 0
    codes = checked(python)
    return {"installs": True, "torch": torch, "exit_codes": codes, "passes": codes == SAMPLES}


def resolved(kind: str) -> dict[str, object]:
    """Whether pip finds versions that go together, without installing any."""
    done, said = pip(Path(sys.executable), "--dry-run", "--ignore-installed", *wanted(kind)[0])
    return {"resolves": done, "pip": "" if done else said}


def main() -> None:
    """Print what each environment does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry-run", action="store_true", help="only ask pip whether the versions go together")
    parser.add_argument("--only", choices=("lowest", "reading"), help="one of the two environments")
    options = parser.parse_args()
    found = {}
    for kind in ("lowest", "reading") if options.only is None else (options.only,):
        with tempfile.TemporaryDirectory() as folder:
            found[kind] = resolved(kind) if options.dry_run else examined(kind, Path(folder) / "environment")
        print(f"{kind}: {found[kind]}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
