"""Inert stand-ins for the value holders that training scripts save beside their weights.

A real file often carries an `argparse.Namespace`, a path, or a NumPy scalar. The restricted loader of
torch refuses these by name. They are let through here as placeholders that keep nothing and call nothing:
the class that the file names is never imported, so not even its constructor runs.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

_SCALAR_CODES = {"f8": "d", "f4": "f", "i8": "q", "i4": "i", "u8": "Q", "u4": "I", "b1": "?"}


class Placeholder:
    """Stands where a file has a value holder; accepts any construction and keeps only its arguments."""

    def __init__(self, *arguments: object) -> None:
        self.arguments = arguments

    def __setstate__(self, state: object) -> None:
        """Drop the state."""


def numpy_scalar(dtype: object, raw: object = b"") -> float | int | None:
    """Decode a pickled NumPy number from its dtype placeholder and its bytes; None where it is another thing."""
    code = dtype.arguments[0] if isinstance(dtype, Placeholder) and dtype.arguments else None
    layout = _SCALAR_CODES.get(str(code))
    if layout is None or not isinstance(raw, bytes) or len(raw) != struct.calcsize(f"<{layout}"):
        return None
    number: float | int = struct.unpack(f"<{layout}", raw)[0]
    return number


PLACEHOLDERS: tuple[tuple[Callable[..., Any], str], ...] = (
    (Placeholder, "argparse.Namespace"),
    (Placeholder, "pathlib.PosixPath"),
    (Placeholder, "pathlib.WindowsPath"),
    (Placeholder, "pathlib.PurePosixPath"),
    (Placeholder, "pathlib.PureWindowsPath"),
    (Placeholder, "pathlib._local.PosixPath"),
    (Placeholder, "pathlib._local.WindowsPath"),
    (Placeholder, "numpy.dtype"),
    (Placeholder, "numpy.ndarray"),
    (Placeholder, "numpy.core.multiarray._reconstruct"),
    (Placeholder, "numpy._core.multiarray._reconstruct"),
    (numpy_scalar, "numpy.core.multiarray.scalar"),
    (numpy_scalar, "numpy._core.multiarray.scalar"),
)
