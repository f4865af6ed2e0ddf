"""Hold what is read without torch against torch.load, file by file and bit by bit.

    python tests/benchmarks/equality.py FOLDER

Every file below the folder that torch.load opens is read both ways; types, shapes and every bit must agree. The
last line is one JSON object. torch.load runs what is in a file: give it files you trust.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spectral_doctor.arrays import Array
from spectral_doctor.checkpoints.opening import open_path
from spectral_doctor.errors import DoctorError


def differences(path: Path, loaded: object = None) -> list[str]:
    """Where a file's tensors differ between torch.load (or what it gave before) and the reader; empty where nowhere.

    Raises `CheckpointError` where the reader refuses the file.
    """
    expected = dict(_tensors(_load(path) if loaded is None else loaded))
    found = dict(_arrays(open_path(path).tree))
    if () in expected:
        expected = {("tensor",): expected[()]}
    wrong = [f"{'.'.join(key)}: only one of the two has it" for key in sorted(expected.keys() ^ found.keys())]
    for key in expected.keys() & found.keys():
        reason = _difference(expected[key], found[key])
        wrong += [f"{'.'.join(key)}: {reason}"] if reason else []
    return wrong


def _load(path: Path) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=False)


def _tensors(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Tensor]]:
    if isinstance(value, nn.Module):
        value = value.state_dict()
    if isinstance(value, Tensor):
        yield path, value.detach()
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _tensors(item, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _tensors(item, (*path, str(index)))


def _arrays(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Array]]:
    if isinstance(value, Array):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _arrays(item, (*path, key))


def _difference(expected: Tensor, found: Array) -> str:
    if tuple(expected.shape) != found.shape:
        return f"shape {found.shape} in place of {tuple(expected.shape)}"
    dense = expected.dequantize() if expected.is_quantized else expected
    dense = dense if dense.layout == torch.strided else dense.to_dense()
    name = str(dense.dtype).removeprefix("torch.")
    if found.element.name != name:
        return f"type {found.element.name} in place of {name}"
    if found.element.decode is not None:
        dense = dense.float()
    return "" if _same_bits(dense.resolve_conj().resolve_neg().numpy(), np.asarray(found.read())) else "other values"


def _same_bits(one: np.ndarray, two: np.ndarray) -> bool:
    if one.dtype != two.dtype or one.shape != two.shape:
        return False
    if one.dtype.kind not in "fc":
        return bool(np.array_equal(one, two))
    # NaN has many bit patterns, and a conversion may keep any; all else must agree to the sign of zero.
    gone = np.isnan(one)
    return bool(np.array_equal(gone, np.isnan(two))) and one[~gone].tobytes() == two[~gone].tobytes()


def main() -> None:
    """Read every file both ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    files, equal, tensors = 0, 0, 0
    for path in sorted(item for item in parser.parse_args().folder.rglob("*") if item.is_file()):
        try:
            loaded = _load(path)
        except Exception:  # no torch file: nothing to hold against
            continue
        files += 1
        tensors += len(dict(_tensors(loaded)))
        try:
            wrong = differences(path, loaded)
        except DoctorError as error:
            wrong = [str(error)]
        equal += not wrong
        for line in wrong:
            print(f"{path}: {line}")
    print(json.dumps({"files": f"{equal}/{files}", "tensors": tensors}))


if __name__ == "__main__":
    main()
