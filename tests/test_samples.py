"""The sample runs: small, loadable without running code, and what their folders' names say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from spectral_doctor.diagnosis.records import Verdict
from spectral_doctor.inspection import inspect_paths

SAMPLES = Path(__file__).parent.parent / "sample_checkpoints"
NAMES = ("healthy", "collapsed")


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_small_and_holds_tensors_only(name: str) -> None:
    """Under 3 MB, one file a step, each loadable with `weights_only=True`."""
    files = sorted((SAMPLES / name).iterdir())
    assert sum(path.stat().st_size for path in files) < 3_000_000
    record = json.loads((SAMPLES / name / "modes.json").read_text(encoding="utf-8"))
    steps = [row["step"] for row in record["checkpoints"]]
    checkpoints = [path for path in files if path.suffix == ".pt"]
    assert [path.name for path in checkpoints] == [f"step-{step:06d}.pt" for step in steps]
    for path, step in zip(checkpoints, steps, strict=True):
        content = torch.load(path, weights_only=True)
        assert sorted(content) == ["discriminator", "generator", "step"]
        assert content["step"] == step


@pytest.mark.parametrize(("name", "verdict"), [("healthy", Verdict.HEALTHY), ("collapsed", Verdict.COLLAPSED)])
def test_a_sample_is_what_its_name_says(name: str, verdict: Verdict) -> None:
    """The verdict on the spectra, and the modes that were measured on the samples."""
    (diagnosis,) = inspect_paths([SAMPLES / name]).diagnoses
    assert diagnosis.verdict is verdict
    assert diagnosis.findings == ()


def test_the_collapsed_run_lost_modes_and_the_healthy_one_did_not() -> None:
    """The ground truth beside the weights: a third of the best is lost in one run, a twentieth in the other."""
    kept = {}
    for name in NAMES:
        record = json.loads((SAMPLES / name / "modes.json").read_text(encoding="utf-8"))
        modes = [row["modes_captured"] for row in record["checkpoints"]]
        kept[name] = modes[-1] / max(modes)
    assert kept["collapsed"] < 0.7
    assert kept["healthy"] > 0.9
