"""A trend in one line of text."""

from __future__ import annotations

from collections.abc import Sequence

_LEVELS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float | None], width: int) -> str:
    """Draw values between 0 and 1 as at most `width` blocks, a missing one as `×`.

    A longer series is thinned to `width` evenly spaced values, the first and the last among them.
    """
    if len(values) > width:
        values = [values[round(index * (len(values) - 1) / (width - 1))] for index in range(width)]
    return "".join("×" if value is None else _LEVELS[_level(value)] for value in values)


def _level(value: float) -> int:
    return min(max(int(value * len(_LEVELS)), 0), len(_LEVELS) - 1)
