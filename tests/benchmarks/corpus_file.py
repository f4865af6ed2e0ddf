"""The second corpus in one file: packed small, and read back."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

_DIGITS = 4


def pack(runs: Sequence[dict[str, Any]], path: Path) -> None:
    """Write runs into one gzipped JSON: spectra as steps downwards in thousandths, other numbers with four digits."""
    content = {"format": "corpus 2", "runs": [_packed(run) for run in runs]}
    text = json.dumps(content, separators=(",", ":"))
    beside = path.with_suffix(".tmp")
    beside.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    beside.replace(path)
    print(f"{path}: {len(runs)} runs, {path.stat().st_size / 1e6:.2f} MB")


def read_corpus(path: Path) -> list[dict[str, Any]]:
    """Runs as `laboratory.py` wrote them, with the digits that packing left; spectra in thousandths."""
    return list(_unpacked(json.loads(gzip.decompress(path.read_bytes()))["runs"]))


def _packed(run: dict[str, Any]) -> dict[str, Any]:
    checkpoints = [
        {
            **_short({key: value for key, value in item.items() if key != "spectra"}),
            "spectra": {
                role: {name: _steps(layer) for name, layer in layers.items()}
                for role, layers in item["spectra"].items()
            },
        }
        for item in run["checkpoints"]
    ]
    for item in checkpoints:
        if item["evaluation"]["modes"] > 100:
            item["evaluation"]["counts"] = []
    return {**run, "checkpoints": checkpoints}


def _unpacked(runs: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for run in runs:
        for item in run["checkpoints"]:
            for layers in item["spectra"].values():
                for name, layer in layers.items():
                    if layer is not None:
                        layers[name] = [layer[0], [1000 - fallen for fallen in accumulate(layer[1], initial=0)]]
        yield run


def _steps(layer: list[Any] | None) -> list[Any] | None:
    """A spectrum that begins with 1 000 as what it falls by from each value to the next."""
    if layer is None:
        return None
    sigma, values = layer
    return [sigma, [one - two for one, two in pairwise(values)]]


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_short(item) for item in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
