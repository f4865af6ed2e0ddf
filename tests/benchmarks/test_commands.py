"""Every benchmark starts as the documentation names it: from the project's folder, as a script."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
COMMANDS = sorted(path for path in HERE.glob("*.py") if "argparse" in path.read_text() and path != Path(__file__))


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.stem)
def test_a_benchmark_says_what_it_does(path: Path) -> None:
    """`--help` needs all of its imports; nothing on the path but what the script itself puts there."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, str(path.relative_to(HERE.parents[1])), "--help"]
    result = subprocess.run(command, cwd=HERE.parents[1], env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert f"python tests/benchmarks/{path.name}" in result.stdout
