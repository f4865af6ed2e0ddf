"""The parts of the page against independent oracles: escaping, scales, colours, shortened names."""

from __future__ import annotations

import html
import math
from itertools import combinations

import pytest

from spectral_doctor.report.page.charts import thinned
from spectral_doctor.report.page.drawing import Axis, Line, plot, step_axis, step_label, step_ticks, value_axis
from spectral_doctor.report.page.heat import heat_level
from spectral_doctor.report.page.layers import LONGEST_NAME, short_names
from spectral_doctor.report.page.markup import Markup, escaped, tag
from spectral_doctor.report.page.palette import FAN_LEVELS, HEAT_LEVELS, colours, contrast, theme_css

TEXT_ON = {
    "ground": ("ink", "muted", "collapsed", "declining", "healthy", "unclear"),
    "card": ("ink", "muted", "collapsed", "declining", "healthy", "unclear"),
    "collapsed-ground": ("ink", "muted", "collapsed"),
    "declining-ground": ("ink", "muted", "declining"),
    "healthy-ground": ("ink", "muted", "healthy"),
    "unclear-ground": ("ink", "muted", "unclear"),
}


def test_text_is_escaped_and_markup_is_not() -> None:
    """What goes in as text comes out as the same text; only `tag` makes markup."""
    nasty = "<a href=\"x\" title='y'>&amp;"
    assert html.unescape(escaped(nasty)) == nasty
    assert not set("<>\"'") & set(escaped(nasty))
    assert tag("p", nasty, tag("b", "x"), title=nasty) == Markup(
        f'<p title="{escaped(nasty)}">{escaped(nasty)}<b>x</b></p>'
    )
    assert tag("input", class_="a", hidden=True, checked=False, value=None, data_x=3) == (
        '<input class="a" hidden data-x="3">'
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_can_be_read_on_its_ground(theme: str) -> None:
    """Text has a contrast of 4.5 and lines that carry meaning one of 3, in both themes (WCAG 2.2, 1.4.3, 1.4.11)."""
    palette = colours(theme)
    for ground, inks in TEXT_ON.items():
        for ink in inks:
            assert contrast(palette[ink], palette[ground]) >= 4.5, (ground, ink)
    for level in range(HEAT_LEVELS):
        assert contrast(palette[f"heat-ink-{level}"], palette[f"heat-{level}"]) >= 4.5
    for line in (*(f"fan-{level}" for level in range(FAN_LEVELS)), "best", "edge", "quiet"):
        assert contrast(palette[line], palette["card"]) >= 3, line
    assert all(f"--{name}:{value};" in theme_css() for name, value in palette.items())


# How the three kinds of colour blindness see linear RGB: Machado, Oliveira & Fernandes, IEEE TVCG 2009, severity 1.
SIGHT = {
    "full": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}
STATES = ("collapsed", "declining", "healthy", "unclear", "muted")


def seen(colour: str, sight: str) -> tuple[float, float, float]:
    """A colour in CIELAB (D65) as somebody with that sight sees it."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    told = [min(max(dot(row, linear), 0.0), 1.0) for row in SIGHT[sight]]
    to_xyz = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.072175), (0.0193339, 0.119192, 0.9503041))
    white = (0.95047, 1.0, 1.08883)
    shares = [dot(row, told) / most for row, most in zip(to_xyz, white, strict=True)]
    x, y, z = (share ** (1 / 3) if share > 0.008856 else 7.787 * share + 16 / 116 for share in shares)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def dot(row: tuple[float, ...], values: list[float]) -> float:
    """The sum of the products."""
    return sum(one * other for one, other in zip(row, values, strict=True))


def nearest(palette: dict[str, str]) -> float:
    """The smallest distance (CIE 1976) between two states' colours, whoever looks at them."""
    return min(
        math.dist(seen(palette[first], sight), seen(palette[second], sight))
        for first, second in combinations(STATES, 2)
        for sight in SIGHT
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nobody_mistakes_one_state_for_another(theme: str) -> None:
    """No two states' colours come closer than 15 for any kind of sight; 2.3 is a difference that is just seen."""
    assert nearest(colours(theme)) >= 15


def test_red_and_green_of_one_lightness_would_be_noticed() -> None:
    """The palette before this one: to a deuteranope collapsed and declining were one colour."""
    before = {"collapsed": "#a3201a", "declining": "#7a5200", "healthy": "#1b6637", "unclear": "#5b3f80"}
    assert nearest({**before, "muted": "#565c68"}) < 5


def test_contrast_is_that_of_the_standard() -> None:
    """Known pairs: black on white 21, the grey #767676 on white 4.54, a colour on itself 1."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#ffffff", "#767676") == pytest.approx(4.54, abs=0.005)
    assert contrast("#a3201a", "#a3201a") == 1


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_ramps_rise_steadily(theme: str) -> None:
    """Late spectra are brighter than early ones, and a lost plateau stands out more from the ground."""
    palette = colours(theme)
    fan = [contrast(palette[f"fan-{level}"], "#000000") for level in range(FAN_LEVELS)]
    assert fan == sorted(fan)
    heat = [contrast(palette[f"heat-{level}"], palette["ground"]) for level in range(HEAT_LEVELS)]
    assert heat == sorted(heat, reverse=True)


def test_axes_put_values_where_they_belong() -> None:
    """Linear, logarithmic, cut off at the ends, and a single step in the middle."""
    assert [Axis(0, 10).at(value) for value in (0, 5, 10, 20, -3)] == [0, 0.5, 1, 1, 0]
    assert Axis(1, 100, log=True).at(10) == pytest.approx(0.5)
    assert Axis(1, 100, log=True).at(0) == 0
    assert step_axis([7]).at(7) == 0.5
    assert step_axis([100, 0, 50]).at(25) == 0.25


@pytest.mark.parametrize(
    ("values", "low", "high", "log"),
    [
        ([0.2, 3.7], 0, 4, False),
        ([850.0, 912.0], 0, 1000, False),
        ([], 0, 1, False),
        ([0.0, 0.0], 0, 1, False),
        ([2.0, 900.0], 1, 1000, True),
        ([0.0, 1.0, 900.0], 1, 1000, True),
        ([-2.0, 3.0], -2, 3, False),
        ([-2.0], -2, 0, False),
        ([1e-300, 1e308], 1e-300, 1e308, True),
    ],
)
def test_axes_hold_their_values(values: list[float], low: float, high: float, log: bool) -> None:
    """From 0 to a round number, in decades where the values span more than two."""
    axis = value_axis(values)
    assert (axis.low, axis.high) == pytest.approx((low, high))
    assert axis.log is log
    assert all(math.isfinite(axis.at(value)) for value in values)
    assert not value_axis(values, may_be_log=False).log


def test_step_labels_leave_each_other_room() -> None:
    """The first and the last always; those between only where there is room; thousands without loss."""
    steps = [1, 10, 100, 1000, 100_000]
    assert [text for _, text in step_ticks(step_axis(steps), steps)] == ["1", "100k"]
    even = list(range(0, 1001, 125))
    assert [text for _, text in step_ticks(step_axis(even), even)] == ["0", "250", "500", "750", "1000"]
    assert step_ticks(step_axis([5]), [5]) == [(5.0, "5")]
    assert [step_label(step) for step in (9000, 25_000, 12_500)] == ["9000", "25k", "12500"]


def test_a_plot_breaks_where_values_are_missing_and_loses_no_point() -> None:
    """Two stretches are two lines; a point that stands alone is a dot; a missing one is marked."""
    lines = [Line([0, 1, 2, 3, 4, 5], [0.5, 0.5, None, 1.0, None, 0.0], "course")]
    drawn = plot("text", "small", Axis(0, 5), Axis(0, 1), lines=lines, lost=[2, 4])
    assert drawn.count("<polyline") == 1
    assert 'points="0,500 200,500"' in drawn
    assert drawn.count("<circle") == 2
    assert 'cx="60%" cy="0%"' in drawn
    assert 'cx="100%" cy="100%"' in drawn
    assert drawn.count(">×<") == 2


@pytest.mark.parametrize(("count", "most"), [(5, 10), (10, 10), (11, 10), (1000, 24)])
def test_thinning_keeps_both_ends(count: int, most: int) -> None:
    """In order, without repetition, never more than asked for."""
    kept = thinned(range(count), most)
    assert (kept[0], kept[-1]) == (0, count - 1)
    assert kept == sorted(set(kept))
    assert len(kept) == min(count, most)


def test_heat_levels_span_the_scale() -> None:
    """0 and 1 are the ends; what rounding put outside stays inside."""
    assert [heat_level(value) for value in (0.0, 1.0, 1.0000001, -0.1)] == [0, HEAT_LEVELS - 1, HEAT_LEVELS - 1, 0]


def test_long_names_are_shortened_and_stay_apart() -> None:
    """Modules become initials from the outside in; where two would be the same, all stay whole."""
    assert short_names(["a.conv", "b"]) == ["a.conv", "b"]
    long = [f"discriminator.synthesis.blocks.{index}.residual.conv1.parametrizations.weight" for index in range(40)]
    shorts = short_names(long)
    assert shorts[7] == "d.s.b.7.r.c1.p.weight"
    assert len(set(shorts)) == 40
    assert max(map(len, shorts)) <= LONGEST_NAME
    twins = ["x" * 30 + "1" + "y" * 30, "x" * 30 + "2" + "y" * 30]
    assert short_names(twins) == twins
    assert short_names(["x" * 99]) == [f"{'x' * 17}…{'x' * 17}"]
