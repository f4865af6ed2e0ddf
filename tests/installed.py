"""An installed spectral-doctor tried from outside, with the standard library alone.

    python tests/installed.py /path/to/environment/bin/spectral-doctor

Runs in a folder of its own, with nothing of the checkout on the path: every verb's `--help`, `inspect` and `check` of a
file that is made here without any package, the version, and the one sentence of every extra that is not installed.
Prints what it tried, and last one JSON object; exits with 1 where something is not as it should be.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

VERBS = ("inspect", "check", "rule", "watch", "cache", "merge", "reference", "fix", "train", "recipes", "reproduce")
# What asks for a package that may be missing, the module it needs, and what the sentence then says.
EXTRAS = (
    (["inspect", "netD_1.safetensors", "--reconstruct"], "torch", "--reconstruct needs PyTorch: pip install torch"),
    (["inspect", "netD_1.safetensors", "--witness"], "torch", "--witness needs PyTorch: pip install torch"),
    (["recipes"], "torch", "recipes needs PyTorch: pip install torch"),
    (["reproduce", "ring", "-o", "tables"], "torch", "reproduce needs PyTorch: pip install torch"),
    (["fix", "netD_1.safetensors", "--mode", "static", "--dry-run"], "torch", "fix needs PyTorch: pip install torch"),
    (
        ["inspect", ".", "--scheduler", "tcp://127.0.0.1:1"],
        "distributed",
        "--scheduler needs dask.distributed: pip install 'spectral-doctor[dask]'",
    ),
    (
        ["inspect", ".", "--rows", "rows.parquet"],
        "pyarrow",
        "--rows FILE.parquet needs PyArrow: pip install 'spectral-doctor[parquet]'",
    ),
    (
        ["inspect", "s3://bucket/run"],
        "s3fs",
        "reading s3://bucket/run needs s3fs: pip install 'spectral-doctor[remote]' s3fs",
    ),
    *(
        (
            ["watch", ".", "--once", "--tracker", name],
            name,
            f"the tracker {name} needs {name}: pip install 'spectral-doctor[{name}]'",
        )
        for name in ("wandb", "mlflow", "trackio", "tensorboard")
    ),
)


def main(command: Path) -> int:
    """Try everything; returns the exit code."""
    python = command.with_name("python")
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        write_checkpoint(Path(folder) / "netD_1.safetensors")
        run = Runner(command, folder)
        for verb in VERBS:
            failures += run.expect([verb, "--help"], 0, "Usage:")
        failures += run.expect(["--version"], 0, "spectral-doctor ")
        failures += run.expect(["inspect", "netD_1.safetensors"], 0, " spectrum · modes ")
        failures += run.expect(["check", "netD_1.safetensors", "--format", "json"], 0, '"conclusion": "PASSED')
        failures += run.expect(["rule", "SD101"], 0, "SD101 spectrum collapsed")
        missing = 0
        for arguments, module, sentence in EXTRAS:
            if not is_there(python, module):
                missing += 1
                failures += run.expect(arguments, 2, f"error: {sentence}\n")
    for failure in failures:
        print(failure)
    figures = {"verbs": len(VERBS), "missing_extras": missing, "tried": run.tried, "failures": len(failures)}
    print(json.dumps(figures))
    return 1 if failures else 0


class Runner:
    """Runs the command in a folder and says where it does not do as expected."""

    def __init__(self, command: Path, folder: str) -> None:
        self.command, self.folder, self.tried = command, folder, 0

    def expect(self, arguments: list[str], code: int, words: str) -> list[str]:
        """What is wrong with a run: its exit code, its words, or a traceback; empty where nothing is."""
        self.tried += 1
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        result = subprocess.run(
            [str(self.command), *arguments],
            cwd=self.folder,
            env={**environment, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )
        output = result.stdout + result.stderr
        print(f"exit {result.returncode}  spectral-doctor {' '.join(arguments)}")
        if result.returncode == code and words in output and "Traceback" not in output:
            return []
        return [
            f"spectral-doctor {' '.join(arguments)}: exit {result.returncode}, not {code}, or not the words\n{output}"
        ]


def is_there(python: Path, module: str) -> bool:
    """Whether the environment has a module."""
    script = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    return subprocess.run([str(python), "-c", script], check=False).returncode == 0


def write_checkpoint(path: Path) -> None:
    """A discriminator of two layers as safetensors: 16×32 weights whose singular values are all but equal."""
    tensors = {f"{name}.weight": [_value(seed, index) for index in range(16 * 32)] for seed, name in enumerate("ab")}
    header, data = {}, b""
    for name, values in tensors.items():
        content = struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": [16, 32], "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def _value(seed: int, index: int) -> float:
    """One in a column of a row's own, and little noise elsewhere."""
    row, column = divmod(index, 32)
    noise = ((index * 2654435761 + seed * 40503) % 1000) / 20000
    return 1.0 + noise if column == row else noise


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
