"""Curves of modes and FID: read from what lies beside the checkpoints, by step, and never trusted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from spectral_doctor.records import CheckpointRef
from spectral_doctor.trajectory.curves import MetricCurve, read_curves
from spectral_doctor.trajectory.records import SpectralTrajectory
from tests.builders import layer_over_steps, save, series

SAMPLES = Path(__file__).parent.parent.parent / "sample_checkpoints"


def run_at(folder: Path, names: list[str], steps: list[int]) -> SpectralTrajectory:
    """A series whose checkpoints lie in a folder under the given names."""
    made = series(layer_over_steps("conv", [0.9] * len(steps)), steps=steps)
    return replace(made, checkpoints=tuple(CheckpointRef(folder / name) for name in names))


def snapshots(folder: Path, steps: list[int]) -> SpectralTrajectory:
    """A series of StyleGAN snapshots."""
    return run_at(folder, [f"network-snapshot-{step:06d}.pkl" for step in steps], steps)


def record(step: int, **results: object) -> str:
    """One line of a StyleGAN metric file."""
    return json.dumps(
        {
            "results": results,
            "metric": "fid50k_full",
            "total_time": 61.2,
            "snapshot_pkl": f"network-snapshot-{step:06d}.pkl",
        }
    )


def evaluation(captured: int, quality: float | None) -> dict[str, object]:
    """What a training state holds of an evaluation."""
    return {
        "samples": 100,
        "modes": 8,
        "modes_captured": captured,
        "high_quality_fraction": quality,
        "kl": 0.1,
        "kl_floor": 0.035,
        "counts": [10] * 8,
    }


def test_stylegan_records_are_curves_by_snapshot(tmp_path: Path) -> None:
    """One curve a metric, in step order; of two lines on one snapshot the later one; which way is better."""
    lines = [record(400, fid50k_full=30.5), record(0, fid50k_full=200.0), record(400, fid50k_full=31.0)]
    (tmp_path / "metric-fid50k_full.jsonl").write_text("\n".join(lines) + "\n")
    both = record(400, pr50k3_full_precision=0.7, pr50k3_full_recall=0.4)
    (tmp_path / "metric-pr50k3_full.jsonl").write_text(both)
    (tmp_path / "metric-own.jsonl").write_text(record(400, own=1))
    fid, precision, recall, own = sorted(
        read_curves(snapshots(tmp_path, [0, 400])),
        key=lambda curve: ["fid50k_full", "pr50k3_full_precision", "pr50k3_full_recall", "own"].index(curve.name),
    )
    assert fid == MetricCurve("fid50k_full", (0, 400), (200.0, 31.0), False, "metric-fid50k_full.jsonl")
    assert fid.best == (400, 31.0)
    assert (precision.values, precision.higher_is_better) == ((0.7,), True)
    assert (recall.values, recall.best) == ((0.4,), (400, 0.4))
    assert (own.higher_is_better, own.best) == (None, None)


def test_a_torn_line_is_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    """A file that is being written, with numbers that are none, gives what it has and says what it lacks."""
    lines = [
        record(0, fid50k_full=9.0),
        record(100, fid50k_full=float("nan")),
        "[1]",
        record(200, fid50k_full=8.0)[:30],
    ]
    (tmp_path / "metric-fid50k_full.jsonl").write_text("\n".join(lines))
    (curve,) = read_curves(snapshots(tmp_path, [0, 100, 200]))
    assert (curve.steps, curve.values) == ((0,), (9.0,))
    assert curve.source == "metric-fid50k_full.jsonl, 2 lines that are no record left out"


def test_steps_in_another_unit_follow_the_checkpoints(tmp_path: Path) -> None:
    """Where the series counts in images, a snapshot has the step of its own checkpoint, or none."""
    lines = [record(100, fid50k_full=9.0), record(150, fid50k_full=8.5), record(200, fid50k_full=8.0)]
    (tmp_path / "metric-fid50k_full.jsonl").write_text("\n".join(lines))
    names = ["network-snapshot-000100.pkl", "network-snapshot-000200.pkl"]
    (curve,) = read_curves(run_at(tmp_path, names, [100_000, 200_000]))
    assert (curve.steps, curve.values) == ((100_000, 200_000), (9.0, 8.0))
    (kimg,) = read_curves(run_at(tmp_path, names, [100, 200]))
    assert kimg.steps == (100, 150, 200)


@pytest.mark.parametrize("as_folder", [False, True])
def test_the_evaluation_in_a_training_state_is_read(tmp_path: Path, as_folder: bool) -> None:
    """In both forms of a checkpoint; a state without an evaluation leaves a gap, a stranger's file is none."""
    steps, paths = [0, 10, 20, 30], []
    for step, captured in zip(steps, (1, 5, None, 8), strict=True):
        measured = None if captured is None else evaluation(captured, 0.25)
        content = {"format": "spectral-doctor/training/1", "evaluation": measured}
        name = f"step-{step:06d}/state.pt" if as_folder else f"step-{step:06d}.pt"
        save(tmp_path, name, content)
        paths.append(f"step-{step:06d}/discriminator.safetensors" if as_folder else name)
    modes, quality = read_curves(run_at(tmp_path, paths, steps))
    source = "the evaluation in the checkpoints"
    assert modes == MetricCurve("modes captured", (0, 10, 30), (1.0, 5.0, 8.0), True, source, 8.0)
    assert (quality.name, quality.values) == ("share of high-quality samples", (0.25,) * 3)
    stranger = save(tmp_path / "other", "step-000000.pt", {"format": "x", "evaluation": evaluation(3, None)})
    assert read_curves(run_at(stranger.parent, [stranger.name], [0])) == ()


def test_images_have_no_quality(tmp_path: Path) -> None:
    """A value that is None is no curve."""
    save(tmp_path, "step-000000.pt", {"format": "spectral-doctor/training/1", "evaluation": evaluation(3, None)})
    (modes,) = read_curves(run_at(tmp_path, ["step-000000.pt"], [0]))
    assert modes.values == (3.0,)


def test_the_samples_modes_are_those_in_their_states() -> None:
    """The curves of the sample run equal what was measured when it was trained."""
    paths = sorted((SAMPLES / "collapsed").glob("step-*.pt"))
    states = [torch.load(path, weights_only=True) for path in paths]
    steps = [int(state["step"]) for state in states]
    solid, modes, quality = read_curves(run_at(SAMPLES / "collapsed", [path.name for path in paths], steps))
    assert (solid.name, modes.name) == ("solid modes", "modes captured")
    assert list(solid.values) == [state["evaluation"]["solid_modes"] for state in states]
    assert list(modes.values) == [state["evaluation"]["modes_captured"] for state in states]
    assert list(quality.values) == [state["evaluation"]["high_quality_fraction"] for state in states]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        '{"results": 3}',
        '{"results": {"fid": 1e999}, "snapshot_pkl": "network-snapshot-000000.pkl"}',
        "\udcff",
    ],
)
def test_a_record_that_is_none_gives_no_curve(tmp_path: Path, text: str) -> None:
    """Whatever lies there under that name, the diagnosis goes on without it."""
    (tmp_path / "metric-fid50k_full.jsonl").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert read_curves(snapshots(tmp_path, [0])) == ()


def test_hostile_numbers_give_no_curve(tmp_path: Path) -> None:
    """Numbers beyond any float, and a snapshot number beyond any step."""
    lines = [
        f'{{"results": {{"fid": {"9" * 400}}}, "snapshot_pkl": "a-1.pkl"}}',
        '{"results": {"fid": 1}, "snapshot_pkl": "a.pkl"}',
        '{"results": {"fid": true, "kid": "3"}, "snapshot_pkl": "a-1.pkl"}',
    ]
    (tmp_path / "metric-fid.jsonl").write_text("\n".join(lines))
    assert read_curves(snapshots(tmp_path, [0])) == ()


def test_checkpoints_that_are_not_there_have_no_curves(tmp_path: Path) -> None:
    """A history names files of another machine; a folder or a torn file in their place is no error."""
    assert read_curves(series(layer_over_steps("conv", [0.9]))) == ()
    (tmp_path / "step-000000.pt").write_bytes(b"PK\x03\x04torn")
    assert read_curves(run_at(tmp_path, ["step-000000.pt"], [0])) == ()
    torch.save({"evaluation": evaluation(1, 0.5)}, tmp_path / "step-000000.pt")
    assert read_curves(run_at(tmp_path, ["step-000000.pt"], [0])) == ()
