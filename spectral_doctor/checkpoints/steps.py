"""What a checkpoint's own keys say of its training step."""

from __future__ import annotations

from collections.abc import Mapping

from spectral_doctor.arrays import Array
from spectral_doctor.errors import WeightError
from spectral_doctor.records import StepClue

# No run counts so far; what is larger is something else, or hostile.
LARGEST_STEP = 10**18
_KEYS = (
    (
        "step",
        ("global_step", "step", "steps", "total_it", "iteration", "iterations", "iter", "it", "current_iter", "n_iter"),
    ),
    ("image", ("cur_nimg",)),
    ("epoch", ("epoch", "epochs", "ep")),
)
STEP_KEYS = frozenset(key for _, keys in _KEYS for key in keys)


def step_clues(tree: Mapping[str, object]) -> tuple[StepClue, ...]:
    """Collect the whole numbers in a checkpoint that may be its training step, the most trustworthy first.

    Steps and iterations come before images and epochs. What is negative, broken or beyond any run is no step.
    """
    # Lightning counts the steps of all optimizers together: two a batch in a GAN (Lightning #17958).
    lightning = "pytorch-lightning_version" in tree
    progress = tree.get("progress")
    clues: list[StepClue] = []
    for unit, keys in _KEYS:
        for key in keys:
            value = _whole_number(tree.get(key))
            if value is not None:
                own_unit = "optimizer step" if lightning and key == "global_step" else unit
                clues.append(StepClue(f"key '{key}'", own_unit, value))
    # Projected GAN keeps its counters together, and its file is always called the same.
    images = _whole_number(progress.get("cur_nimg")) if isinstance(progress, Mapping) else None
    if images is not None:
        clues.append(StepClue("key 'progress.cur_nimg'", "image", images))
    return tuple(clues)


def _whole_number(value: object) -> int | None:
    if isinstance(value, Array):
        if value.size != 1 or value.element.is_complex:
            return None
        try:
            value = value.read().reshape(-1)[0].item()
        except WeightError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= LARGEST_STEP and float(value).is_integer() else None
