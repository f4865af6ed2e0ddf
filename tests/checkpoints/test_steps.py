"""Steps, runs and roles, as real projects write them into names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from spectral_doctor.checkpoints.steps import run_folder, run_name, step_clues


@pytest.mark.parametrize(
    ("path", "unit", "step", "run"),
    [
        ("netD_90000_steps.pth", "step", 90000, "netD"),
        ("model=D-best-weights-step=2000.pth", "step", 2000, "model=D-weights"),
        ("network-snapshot-000200.pt", "kimg", 200, "network-snapshot"),
        ("network-snapshot-000200.pkl", "kimg", 200, "network-snapshot"),
        ("network-snapshot-000010240.pkl", "kimg", 10240, "network-snapshot"),
        ("000500.pt", "step", 500, ""),
        ("D_10.pth", "step", 10, "D"),
        ("10_net_D_A.pth", "step", 10, "net_D_A"),
        ("netD_epoch_3.pth", "epoch", 3, "netD"),
        ("epoch=3-step=4000.ckpt", "step", 4000, ""),
        ("epoch_00010_iteration_000000020_checkpoint.pt", "step", 20, "checkpoint"),
        ("checkpoint-12000steps.pkl", "step", 12000, "checkpoint"),
        ("do_00500000", "step", 500000, "do"),
        ("SNResNetProjectionDiscriminator_1000.npz", "step", 1000, "SNResNetProjectionDiscriminator"),
        ("net_d_left_eye_5000.pth", "step", 5000, "net_d_left_eye"),
        ("iter_100.pth", "step", 100, ""),
        ("100k/discriminator/weights.pth", "", None, "weights"),
        ("checkpoint-500/model.safetensors", "step", 500, "model"),
        ("run/100k/D.pth", "step", 100_000, "D"),
    ],
)
def test_a_name_says_its_step_and_its_run(path: str, unit: str, step: int | None, run: str) -> None:
    """The number that is a step, its unit, and what remains when it is taken away."""
    clues = step_clues(Path(path), {})
    assert (clues[0].unit, clues[0].value) == (unit, step) if step is not None else clues == ()
    assert run_name(Path(path)) == run


@pytest.mark.parametrize(
    "path",
    [
        "latest_net_D.pth",
        "netD_best.pth",
        "D_best3.pth",
        "D_copy1.pth",
        "D_2333333.pth",
        "model_1.safetensors",
        "discriminator_at_24fae3c0.pt",
        "bgan32/discriminator.pt",
        "discriminator.pth",
        "network-snapshot.pkl",
        "best_model.pkl",
    ],
)
def test_what_is_no_step_is_not_taken_for_one(path: str) -> None:
    """The nearest cases where a number or a word must not be a step."""
    assert step_clues(Path(path), {}) == ()


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"step": 7}, [("key 'step'", "step", 7)]),
        ({"steps": torch.tensor(7)}, [("key 'steps'", "step", 7)]),
        ({"global_step": 4.0, "epoch": 2}, [("key 'global_step'", "step", 4), ("key 'epoch'", "epoch", 2)]),
        ({"global_step": 8, "pytorch-lightning_version": "2.6"}, [("key 'global_step'", "optimizer step", 8)]),
        ({"cur_nimg": 64000}, [("key 'cur_nimg'", "image", 64000)]),
        ({"progress": {"cur_nimg": torch.tensor([4000])}}, [("key 'progress.cur_nimg'", "image", 4000)]),
        ({"progress": {"cur_tick": 3}}, []),
        ({"step": True, "epoch": 1.5, "iter": "3", "it": -1, "steps": float("nan")}, []),
        ({"step": torch.zeros(2)}, []),
    ],
)
def test_keys_say_the_step(tree: dict[str, Any], expected: list[tuple[str, str, int]]) -> None:
    """Whole numbers under the names that projects use, and nothing else."""
    clues = step_clues(Path("a.pt"), tree)
    assert [(clue.source, clue.unit, clue.value) for clue in clues] == expected


def test_step_folders_of_one_run_are_one_folder() -> None:
    """`checkpoint-500` and `checkpoint-1000` belong together; two experiments do not."""
    assert run_folder(Path("run/checkpoint-500/D.pt")) == run_folder(Path("run/checkpoint-1000/D.pt"))
    assert run_folder(Path("run_a/D.pt")) != run_folder(Path("run_b/D.pt"))
