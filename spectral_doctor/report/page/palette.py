"""The colours of the page, in light and in dark, as custom properties of its style sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

FAN_LEVELS = 12
HEAT_LEVELS = 21

_LIGHT = {
    "ground": "#faf9f6",
    "card": "#ffffff",
    "ink": "#1c1f25",
    "muted": "#565c68",
    "line": "#dedbd3",
    "edge": "#85817a",
    "quiet": "#8a8f98",
    "best": "#1f2a44",
    "collapsed": "#8c0f1d",
    "collapsed-ground": "#fceeec",
    "declining": "#8f5800",
    "declining-ground": "#fbf3df",
    "healthy": "#0b5fa5",
    "healthy-ground": "#eaf2fa",
    "unclear": "#8a1be0",
    "unclear-ground": "#f5eefc",
    "range": "#d3e3f2",
}
_DARK = {
    "ground": "#131519",
    "card": "#1b1e24",
    "ink": "#e7e8eb",
    "muted": "#a5abb6",
    "line": "#31353e",
    "edge": "#7b818d",
    "quiet": "#767c88",
    "best": "#f0f1f4",
    "collapsed": "#ee7363",
    "collapsed-ground": "#2b1b1c",
    "declining": "#fae09a",
    "declining-ground": "#2a2314",
    "healthy": "#93c2fc",
    "healthy-ground": "#162230",
    "unclear": "#ef4afc",
    "unclear-ground": "#291c2e",
    "range": "#22384f",
}
# The spectrum fan, early to late; and the heat map, from a plateau that is lost to one that is whole.
_FAN = {"light": ("#2c1a5a", "#8c2981", "#d9542b", "#cf7a00"), "dark": ("#66719f", "#a266b5", "#f0775a", "#ffd873")}
_HEAT = {"light": ("#6d1226", "#c4523a", "#f0b98f", "#f4f1ea"), "dark": ("#ffc0a6", "#d0644c", "#6b3130", "#24282f")}


def colours(theme: str) -> dict[str, str]:
    """Every custom property of a theme ("light" or "dark") with its colour.

    `fan-0` … are the lines of a spectrum fan from the first checkpoint to the last, `heat-0` … the cells of
    the heat map from a plateau of 0 to one of 1, and `heat-ink-0` … the black or white that reads best on each.
    """
    base = dict(_LIGHT if theme == "light" else _DARK)
    base |= {f"fan-{index}": value for index, value in enumerate(_ramp(_FAN[theme], FAN_LEVELS))}
    for index, value in enumerate(_ramp(_HEAT[theme], HEAT_LEVELS)):
        base[f"heat-{index}"] = value
        base[f"heat-ink-{index}"] = max("#000000", "#ffffff", key=lambda ink: contrast(ink, value))
    return base


def theme_css() -> str:
    """The rules that set the colours: the system's choice, unless the reader made one; paper is light."""
    light, dark = _declarations(colours("light")), _declarations(colours("dark"))
    levels = [f".fan-{index}{{stroke:var(--fan-{index});fill:var(--fan-{index})}}" for index in range(FAN_LEVELS)]
    levels += [
        f".heat-{index}{{background:var(--heat-{index});color:var(--heat-ink-{index})}}" for index in range(HEAT_LEVELS)
    ]
    levels += [f".fill-{index}{{fill:var(--heat-{index})}}" for index in range(HEAT_LEVELS)]
    in_dark = f"{{color-scheme:dark;{dark}}}"
    return "\n".join(
        [
            f":root{{color-scheme:light;{light}}}",
            f"@media screen and (prefers-color-scheme:dark){{:root:not([data-theme=light]){in_dark}}}",
            f"@media screen{{:root[data-theme=dark]{in_dark}}}",
            *levels,
        ]
    )


def contrast(first: str, second: str) -> float:
    """The contrast ratio of two colours, (L1 + 0.05)/(L2 + 0.05) with relative luminances L1 ≥ L2 (WCAG 2)."""
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (channel / 255 for channel in _channels(colour))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _ramp(stops: Sequence[str], count: int) -> list[str]:
    """Colours at even distances along the straight lines between stops."""
    colours_found = []
    for index in range(count):
        place = index * (len(stops) - 1) / (count - 1)
        start = min(int(place), len(stops) - 2)
        pair = zip(_channels(stops[start]), _channels(stops[start + 1]), strict=True)
        mixed = [round(low + (high - low) * (place - start)) for low, high in pair]
        colours_found.append(f"#{mixed[0]:02x}{mixed[1]:02x}{mixed[2]:02x}")
    return colours_found


def _declarations(values: Mapping[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in values.items())
