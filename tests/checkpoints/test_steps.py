"""What a checkpoint's own keys say of its step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spectral_doctor.arrays import Plain
from spectral_doctor.checkpoints.steps import LARGEST_STEP, step_clues


def array(*values: float) -> Plain:
    """A stored array."""
    return Plain(np.array(values if len(values) != 1 else values[0]))


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"step": 7}, [("key 'step'", "step", 7)]),
        ({"steps": array(7.0)}, [("key 'steps'", "step", 7)]),
        ({"global_step": 4.0, "epoch": 2}, [("key 'global_step'", "step", 4), ("key 'epoch'", "epoch", 2)]),
        ({"global_step": 8, "pytorch-lightning_version": "2.6"}, [("key 'global_step'", "optimizer step", 8)]),
        ({"cur_nimg": 64000}, [("key 'cur_nimg'", "image", 64000)]),
        ({"progress": {"cur_nimg": Plain(np.array([4000]))}}, [("key 'progress.cur_nimg'", "image", 4000)]),
        ({"total_it": 300, "ep": 3}, [("key 'total_it'", "step", 300), ("key 'ep'", "epoch", 3)]),
        ({"step": LARGEST_STEP}, [("key 'step'", "step", LARGEST_STEP)]),
        ({"progress": {"cur_tick": 3}}, []),
        ({"step": True, "epoch": 1.5, "iter": "3", "it": -1, "steps": float("nan")}, []),
        ({"step": array(0.0, 1.0)}, []),
        ({"step": float("inf"), "epoch": array(float("inf"))}, []),
    ],
)
def test_keys_say_the_step(tree: dict[str, Any], expected: list[tuple[str, str, int]]) -> None:
    """Whole numbers under the names that projects use, and nothing else."""
    assert [(clue.source, clue.unit, clue.value) for clue in step_clues(tree)] == expected


@pytest.mark.parametrize("value", [10**400, LARGEST_STEP + 1, -(10**400), 1e308])
def test_a_number_beyond_any_run_is_no_step(value: float) -> None:
    """It neither raises nor counts; a plain step beside it still does."""
    assert [clue.value for clue in step_clues({"step": value, "epoch": 3})] == [3]
