"""Files nobody would write on purpose: whatever is in them, the end is a report or one sentence."""

from __future__ import annotations

import pickle
import random
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from spectral_doctor.errors import DoctorError
from spectral_doctor.inspection import inspect_paths
from spectral_doctor.report.document import render_json
from spectral_doctor.report.text import render_text
from tests.builders import small_discriminator

KEYS = (
    "D", "netD", "weight", "conv.weight", "conv.bias", "conv.weight_orig", "conv.weight_u", "conv.weight_v",
    "a.weight_g", "a.weight_v", "state_dict", "optimizer", "step", "", ".", "x.parametrizations.weight.original",
    "x.parametrizations.weight.original0", "x.parametrizations.weight.original1", "x.parametrizations.weight.0._u",
    "l.weight_ih_l0", "l.weight_hh_l0", "m.in_proj_weight", 0, None, "discriminators.0.w.weight",
    "discriminators.1.w.weight", "layer0.a.weight", "layer1.a.weight", "\x1b[0m.weight", "W", "u",
    "module.module.weight",
)  # fmt: skip
DTYPES = (torch.float32, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.complex64)


def strange_tensor(source: random.Random) -> Tensor:
    """A tensor of any rank, any type, any layout; perhaps empty, expanded, not finite, or without data."""
    shape = [source.choice([0, 1, 2, 3, 8, 9, 16]) for _ in range(source.choice([0, 1, 2, 2, 3, 4, 5]))]
    kind = source.random()
    if kind < 0.06:
        return torch.empty(shape, device="meta")
    if kind < 0.12:
        return torch.zeros(1).expand(50, 50)
    tensor = torch.full(shape, float("nan")) if kind < 0.18 else torch.randn(shape)
    if kind < 0.3 and len(shape) > 1:
        return tensor.to_sparse()
    return tensor.to(source.choice(DTYPES)) if kind > 0.5 else tensor


def strange_node(source: random.Random, depth: int = 0) -> object:
    """A tensor, a dict of more of the same, or a value that means nothing."""
    kind = source.random()
    if depth > 3 or kind < 0.55:
        return strange_tensor(source)
    if kind < 0.9:
        return {source.choice(KEYS): strange_node(source, depth + 1) for _ in range(source.randint(0, 7))}
    return source.choice([1, -1, 1.5, "text", None, True, [torch.ones(2, 2)], float("nan"), 10**30])


def examine(folder: Path) -> None:
    """Inspect a folder and render both reports; only a `DoctorError` may come out."""
    try:
        inspection = inspect_paths([folder])
    except DoctorError:
        return
    assert "\x1b" not in render_text(inspection, explain=True) + render_json(inspection)


@pytest.mark.parametrize("seed", range(80))
@pytest.mark.filterwarnings("ignore:.*[Ss]parse.*:UserWarning")
@pytest.mark.filterwarnings("ignore:Casting complex values:UserWarning")
def test_strange_contents_end_in_a_report_or_a_sentence(tmp_path: Path, seed: int) -> None:
    """Random trees of random tensors under the names that the layouts look for."""
    source = random.Random(seed)
    torch.manual_seed(seed)
    for index in range(source.randint(1, 3)):
        root = {source.choice(KEYS): strange_node(source) for _ in range(source.randint(0, 8))}
        torch.save(root, tmp_path / source.choice([f"netD_{index}.pt", f"a{index}.pt", f"G_{index}.pt"]))
    examine(tmp_path)


@pytest.mark.parametrize("file_format", ["zip", "legacy", "safetensors", "pickle"])
@pytest.mark.parametrize("seed", range(25))
def test_damaged_bytes_end_in_a_report_or_a_sentence(tmp_path: Path, file_format: str, seed: int) -> None:
    """A few bytes overwritten anywhere, as a bad disk or a bad copy does."""
    source = random.Random(seed)
    path = tmp_path / "netD_1.pt"
    if file_format == "safetensors":
        save_file(small_discriminator(), path)
    elif file_format == "pickle":
        path.write_bytes(pickle.dumps({"D": small_discriminator(), "step": 3}))
    else:
        torch.save(small_discriminator(), path, _use_new_zipfile_serialization=file_format == "zip")
    content = bytearray(path.read_bytes())
    for _ in range(source.randint(1, 8)):
        near_the_start = source.random() < 0.7
        content[source.randrange(min(2000, len(content)) if near_the_start else len(content))] = source.randrange(256)
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        examine(tmp_path)
