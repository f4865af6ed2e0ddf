"""Words in the colours of a terminal."""

from __future__ import annotations

from spectral_doctor.diagnosis.records import LayerState, ModesStatement, SpectrumState

_RED, _GREEN, _YELLOW, _MAGENTA, _CYAN = "1;31", "32", "33", "35", "36"
SPECTRUM_COLORS = {
    SpectrumState.SOUND: _GREEN,
    SpectrumState.DECLINING: _YELLOW,
    SpectrumState.RECOVERING: _YELLOW,
    SpectrumState.STILL: _YELLOW,
    SpectrumState.COLLAPSED: _RED,
    SpectrumState.EXPLODED: _RED,
    SpectrumState.NON_FINITE: _RED,
    SpectrumState.ZERO: _RED,
    SpectrumState.UNTRAINED: _MAGENTA,
    SpectrumState.NOT_JUDGED: _MAGENTA,
    SpectrumState.CLIPPED: _CYAN,
    SpectrumState.COMPENSATED: _CYAN,
}
MODES_COLORS = {
    ModesStatement.KEPT: _GREEN,
    ModesStatement.IN_DOUBT: _YELLOW,
    ModesStatement.LOST: _RED,
    ModesStatement.NOT_KNOWN: _MAGENTA,
}
LAYER_COLORS: dict[LayerState | None, str] = {
    LayerState.SOUND: _GREEN,
    LayerState.LOW: _YELLOW,
    LayerState.FALLEN: _RED,
    LayerState.NON_FINITE: _RED,
}


def colored(text: str, code: str | None, color: bool) -> str:
    """A text in a colour, or as it is."""
    return f"\x1b[{code}m{text}\x1b[0m" if color and code and text else text


def painted(line: str, length: int, code: str | None, color: bool) -> str:
    """A line whose last `length` characters are coloured."""
    return line[: len(line) - length] + colored(line[len(line) - length :], code, color) if length else line
