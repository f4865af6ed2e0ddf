"""The ladder of rooms: a module imports only from lines above its own."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "spectral_doctor"

# One tuple a rung, lowest first; rooms of one rung do not import each other.
LADDER: tuple[tuple[str, ...], ...] = (
    ("version", "errors", "elements", "records", "threads", "signals"),
    ("arrays", "tables"),
    ("spectrum",),
    ("compensation", "evaluation"),
    ("checkpoints",),
    ("state_dicts",),
    ("parametrizations", "trajectory", "gan"),
    ("diagnosis", "veegan", "generators"),
    ("inspection", "training"),
    ("scaling", "witnessing"),
    ("treatment", "lightning", "gate", "following"),
    ("reproduction",),
    ("report",),
    ("cli", "pytest_plugin"),
)
THIRD_PARTIES = {
    "safetensors": ("checkpoints",),
    "fsspec": ("checkpoints",),
    "h5py": ("checkpoints",),
    "msgpack": ("checkpoints",),
    "onnx": ("checkpoints",),
    "threadpoolctl": ("threads",),
    "distributed": ("scaling",),
    "pyarrow": ("scaling",),
    # Beside `tables`, which imports it, `inspection` names its type.
    "pandas": ("tables", "inspection"),
    "typer": ("cli",),
    "rich": ("cli", "report"),
    "pytorch_lightning": ("lightning",),
    "pytest": ("pytest_plugin",),
    # The glyphs of the built-in image data are drawn with matplotlib's own fonts.
    "matplotlib": ("report", "gan"),
}
# The rooms of inspect, check and watch: importing one of them imports no PyTorch, through whatever it imports.
WITHOUT_TORCH = (
    "version",
    "errors",
    "elements",
    "records",
    "threads",
    "signals",
    "arrays",
    "tables",
    "spectrum",
    "compensation",
    "evaluation",
    "checkpoints",
    "state_dicts",
    "trajectory",
    "diagnosis",
    "generators",
    "inspection",
    "scaling",
    "witnessing",
    "gate",
    "following",
    "report",
    "cli",
    "pytest_plugin",
)
# Of these not one function may import it either; the others turn live tensors into arrays and back, in functions.
NEVER_TORCH = (
    *("errors", "records", "evaluation", "diagnosis", "gate", "report", "inspection", "scaling", "following", "cli"),
    "pytest_plugin",
)


def room_of(module: str) -> str:
    """The room of a dotted module name inside the package."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def rung_of(room: str) -> int:
    """The height of a room on the ladder."""
    return next(height for height, rooms in enumerate(LADDER) if room in rooms)


def imports_of(source: str) -> Iterator[str]:
    """Every module that a source text imports, at whatever depth of the code."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the room they come from"
            yield node.module or ""


def breaches(room: str, source: str) -> list[str]:
    """The imports by which a source text in a room breaks the ladder."""
    found = []
    for module in imports_of(source):
        top = module.split(".")[0]
        if top == "spectral_doctor":
            target = room_of(module)
            if target and target != room and rung_of(target) >= rung_of(room):
                found.append(f"{room} imports {module}")
        elif room not in THIRD_PARTIES.get(top, (room,)) or (top == "torch" and room in NEVER_TORCH):
            found.append(f"{room} imports {module}")
    return found


def sources() -> list[Path]:
    """Every module of the package that is on the ladder."""
    outside = {PACKAGE / "__init__.py", PACKAGE / "__main__.py"}
    return sorted(path for path in PACKAGE.rglob("*.py") if path not in outside)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_the_rungs_below(path: Path) -> None:
    """No room knows one that is built on it, and third parties stay in their rooms."""
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert breaches(room, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("spectrum", "from spectral_doctor.checkpoints.stores import Source"),
        ("records", "from spectral_doctor.errors import printable"),
        ("state_dicts", "from spectral_doctor.trajectory.records import Examination"),
        ("trajectory", "import h5py"),
        ("diagnosis", "import torch"),
        ("trajectory", "def f():\n    from rich.text import Text"),
        ("spectrum", "import safetensors.torch"),
        ("report", "from spectral_doctor.cli import main"),
    ],
)
def test_a_breach_is_noticed(room: str, source: str) -> None:
    """The check above fails where the ladder is broken."""
    assert len(breaches(room, source)) == 1


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_command_line_prints_or_exits(path: Path) -> None:
    """`print`, `sys.exit` and `typer.Exit` stand under `cli/` alone."""
    if path.is_relative_to(PACKAGE / "cli"):
        return
    calls = {
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    }
    assert calls.isdisjoint({"print", "sys.exit", "exit", "typer.Exit", "typer.echo"})


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_rooms_stay_small(path: Path) -> None:
    """A file has at most 300 lines and a function at most 45."""
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    # The verb functions of the command line are mostly their options' help.
    longest = 70 if path.is_relative_to(PACKAGE / "cli") else 45
    assert [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= longest] == []


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_and_version_import_neither_torch_nor_matplotlib(argument: str) -> None:
    """Asking what the tool is costs no heavy import."""
    script = (
        "import sys\n"
        f"sys.argv = ['spectral-doctor', '{argument}']\n"
        "from spectral_doctor.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code in (0, None), end.code\n"
        "heavy = {'torch', 'matplotlib', 'numpy', 'safetensors'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_a_verb_imports_no_other() -> None:
    """What `inspect` is waited for is its own: no other verb, no rules of the gate's, no processes."""
    loaded = loaded_by("inspect", str(PACKAGE.parent / "sample_checkpoints" / "healthy"), "--no-cache")
    verbs = {f"spectral_doctor.cli.{name}" for name in ("inspect", "check", "watch", "fix", "train")}
    assert verbs & loaded == {"spectral_doctor.cli.inspect"}
    assert {"spectral_doctor.gate.checking", "multiprocessing.process", "concurrent.futures.process"} & loaded == set()
    assert "spectral_doctor.cli.check" in loaded_by("check", "--help")


def test_what_a_worker_imports_again_is_not_the_command_line() -> None:
    """A spawned process imports its parent's main module, be it that of `python -m` or of the installed command."""
    script = (
        "import sys\nimport spectral_doctor.__main__\n"
        "print(*(name for name in sys.modules if name.startswith('spectral_doctor') or name == 'typer'))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert set(result.stdout.split()) == {"spectral_doctor", "spectral_doctor.version", "spectral_doctor.__main__"}
    project = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert 'spectral-doctor = "spectral_doctor.__main__:main"' in project


def loaded_by(*arguments: str) -> set[str]:
    """The modules that a run of the command line has imported when it ends."""
    script = (
        "import sys\nfrom spectral_doctor.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code in (0, None), end.code\n"
        "print('\\nloaded', *sys.modules)"
    )
    command = [sys.executable, "-c", script, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(result.stdout.splitlines()[-1].split()[1:])
