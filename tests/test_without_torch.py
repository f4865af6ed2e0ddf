"""Reading needs no PyTorch: the verbs that read say the same without it, and those that train say what they need."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import requires
from pathlib import Path

import pytest

from tests.test_architecture import PACKAGE, WITHOUT_TORCH, sources

ROOT = PACKAGE.parent
SAMPLE = "sample_checkpoints/healthy"
# What a person without PyTorch has: every import of it fails as if it were not installed.
BLOCKED = (
    "import importlib.abc, sys\n"
    "class NotInstalled(importlib.abc.MetaPathFinder):\n"
    "    def find_spec(self, name, path, target=None):\n"
    "        if name.partition('.')[0] in ('torch', 'torchvision', 'torchgen'):\n"
    "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
    "sys.meta_path.insert(0, NotInstalled())\n"
)
RUN = "from spectral_doctor.cli import main\nmain()\n"
UNIMPORTED = "import atexit, os, sys\natexit.register(lambda: 'torch' in sys.modules and os._exit(99))\n"


def run(arguments: list[str], before: str = "") -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, after some lines of Python."""
    script = f"{before}import sys\nsys.argv = ['spectral-doctor', *{arguments!r}]\n{RUN}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", SAMPLE],
        ["inspect", SAMPLE, "--format", "json"],
        ["check", SAMPLE],
        ["check", SAMPLE, "--format", "sarif"],
        ["check", SAMPLE, "--format", "html"],
        ["watch", SAMPLE, "--once"],
        ["rule", "SD101"],
    ],
    ids=" ".join,
)
def test_a_verb_that_reads_says_the_same_without_torch(arguments: list[str]) -> None:
    """Byte for byte, with the same exit code; and where PyTorch is there, it stays unimported."""
    blocked, free = run(arguments, BLOCKED), run(arguments, UNIMPORTED)
    assert (blocked.returncode, blocked.stdout, blocked.stderr) == (0, free.stdout, free.stderr)
    assert free.returncode == 0
    assert "SD101" in blocked.stdout or "SOUND" in blocked.stdout


def test_the_history_of_a_watch_needs_no_torch(tmp_path: Path) -> None:
    """Written and gone on from, and the figure of its spectra drawn."""
    history, plot = str(tmp_path / "history.json"), str(tmp_path / "spectra.png")
    for _ in range(2):
        assert run(["watch", SAMPLE, "--once", "--history", history], BLOCKED).returncode == 0
    result = run(["inspect", history, "--plot", plot], BLOCKED)
    assert (result.returncode, result.stderr) == (0, f"written: {plot}\n")
    assert Path(plot).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["train", "ring", "-o", "OUT"], "train"),
        (["recipes"], "recipes"),
        (["reproduce", "ring", "-o", "OUT"], "reproduce"),
        (["fix", SAMPLE, "--mode", "static", "-o", "OUT"], "fix"),
        (["inspect", SAMPLE, "--reconstruct"], "--reconstruct"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_verb_that_trains_says_in_one_sentence_what_it_needs(arguments: list[str], what: str, tmp_path: Path) -> None:
    """Exit 2, nothing on stdout and nothing written."""
    output = tmp_path / "out"
    result = run([str(output) if item == "OUT" else item for item in arguments], BLOCKED)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"error: {what} needs PyTorch: pip install torch\n"
    assert not output.exists()


@pytest.mark.parametrize("missing", [("torch",), ("lightning", "pytorch_lightning")], ids=" and ".join)
def test_the_callback_says_in_one_sentence_what_it_needs(missing: tuple[str, ...]) -> None:
    """An ImportError, as whoever guards an import expects it, and one of ours, which says what to install."""
    script = (
        f"{BLOCKED.replace(repr('torch'), ', '.join(map(repr, missing)))}"
        "from spectral_doctor.errors import DoctorError\n"
        "try:\n    import spectral_doctor.lightning\n"
        "except ImportError as error:\n    assert isinstance(error, DoctorError)\n    print(error)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "spectral_doctor.lightning needs Lightning: pip install 'spectral-doctor[lightning]'\n"


def test_the_hook_blocks_torch() -> None:
    """The tests above would pass without it if PyTorch could still be imported."""
    script = f"{BLOCKED}\nimport torch"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "No module named 'torch'" in result.stderr


def test_the_names_that_read_are_imported_without_torch() -> None:
    """The library's own way in."""
    script = (
        f"{BLOCKED}import spectral_doctor\n"
        f"inspection = spectral_doctor.inspect_paths([{SAMPLE!r}])\n"
        "last = inspection.diagnoses[0].trajectory.checkpoints[-1]\n"
        "checkpoint = spectral_doctor.load_checkpoint(last.location)\n"
        "matrix = checkpoint.discriminators[0].layers[0].read()\n"
        "print(inspection.diagnoses[0].spectrum.value, spectral_doctor.spectrum_of(matrix).size)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "SOUND 9\n"


def test_the_install_for_reading_asks_for_all_but_torch() -> None:
    """requirements-reading.txt is what pyproject.toml asks for without PyTorch, and README names the file."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "requirements-reading.txt").read_text(encoding="utf-8").splitlines()
    listed = [line for line in lines if not line.startswith("#")]
    assert listed == [item for item in project["dependencies"] if not item.startswith("torch")]
    assert len(listed) == len(project["dependencies"]) - 1
    assert "requirements-reading.txt" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_check_imports_only_what_that_install_brings() -> None:
    """Every package that a check imports is one of the list, or is needed by one of them."""
    script = (
        "import sys\nfrom importlib.metadata import packages_distributions\nfrom spectral_doctor.cli import main\n"
        f"sys.argv = ['spectral-doctor', 'check', {SAMPLE!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "owners, modules = packages_distributions(), {name.partition('.')[0] for name in sys.modules}\n"
        "print('imported', *{owner.lower() for name in modules for owner in owners.get(name, ())})\n"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    imported = {name.replace("_", "-") for name in result.stdout.splitlines()[-1].split()[1:]}
    imported -= {"spectral-doctor", "setuptools"}
    assert "numpy" in imported
    assert imported <= brought_by(ROOT / "requirements-reading.txt")


def brought_by(file: Path) -> set[str]:
    """The packages of a list of requirements, and what they need in turn."""
    pending = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    found: set[str] = set()
    while pending:
        name = re.split(r"[<>=!~; \[(]", pending.pop())[0].lower().replace("_", "-")
        if name not in found:
            found.add(name)
            pending += [item for item in requires(name) or () if "extra ==" not in item and "; " not in item]
    return found


@cache
def loads(path: Path) -> tuple[str, ...]:
    """What importing a file imports."""
    return tuple(loaded_with(ast.parse(path.read_text(encoding="utf-8"))))


def loaded_with(tree: ast.Module) -> Iterator[str]:
    """What a module imports when it is imported itself: not in its functions, and not for the type checker alone."""
    pending: list[ast.stmt] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            pending += node.orelse
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        else:
            pending += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]


def file_of(module: str) -> Path | None:
    """The file of a module of the package; None for another's, and for a name that is no module."""
    parts = module.split(".")
    if parts[0] != "spectral_doctor":
        return None
    place = PACKAGE.joinpath(*parts[1:])
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


def way_to_torch(path: Path, seen: frozenset[Path] = frozenset()) -> list[str]:
    """The modules through which importing one imports PyTorch; empty where it does not."""
    for module in loads(path):
        if module.partition(".")[0] == "torch":
            return [str(path.relative_to(PACKAGE)), module]
        further = file_of(module)
        if further is not None and further not in seen:
            seen |= {path, further}
            rest = way_to_torch(further, seen)
            if rest:
                return [str(path.relative_to(PACKAGE)), *rest]
    return []


READERS = [path for path in sources() if path.relative_to(PACKAGE).parts[0].removesuffix(".py") in WITHOUT_TORCH]


@pytest.mark.parametrize("path", READERS, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_importing_a_room_that_reads_imports_no_torch(path: Path) -> None:
    """Through however many rooms."""
    assert way_to_torch(path) == []


def test_a_way_to_torch_is_noticed() -> None:
    """Through a room between, and not through what is for the type checker alone or in a function."""
    assert way_to_torch(PACKAGE / "training" / "loop.py")[-1].startswith("torch")
    source = (
        "if TYPE_CHECKING:\n    import torch\ndef f():\n    import torch\ntry:\n    import json\nexcept E:\n    pass"
    )
    assert list(loaded_with(ast.parse(source))) == ["json"]
