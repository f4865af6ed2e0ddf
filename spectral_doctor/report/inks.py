"""The colours and signs of pictures: those of the page on paper, and never one without the other."""

from __future__ import annotations

from matplotlib import colormaps
from matplotlib.colors import ListedColormap

from spectral_doctor.errors import printable
from spectral_doctor.report.page.palette import colours
from spectral_doctor.report.page.wording import State, mark

# The bright end of viridis is too pale to read on white.
MAP = ListedColormap(colormaps["viridis"].colors[:225])  # type: ignore[attr-defined]
_COLOURS = colours("light")


def ink(name: str) -> str:
    """A colour by its name in the page's palette."""
    return _COLOURS[name]


def state_mark(state: State | None) -> tuple[str, str]:
    """The colour and the sign of a statement, or of a layer; None is a layer that is not judged."""
    name, sign = mark(state)
    return ink("muted" if name == "not-judged" else name), sign


def literally(name: str) -> str:
    """A name as matplotlib shows it literally: escaped, and without the `$` that opens a formula."""
    return printable(name).replace("$", r"\$")
