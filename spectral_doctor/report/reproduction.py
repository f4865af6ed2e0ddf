"""A table of `reproduce` as Markdown, and what all of them say to the papers' claims."""

from __future__ import annotations

from collections.abc import Sequence

from spectral_doctor.reproduction.claims import Finding
from spectral_doctor.reproduction.records import Table
from spectral_doctor.reproduction.summary import Figure, Summary

_HEADS = (
    ("arm", "---"),
    ("runs", "---:"),
    ("solid modes, best", "---:"),
    ("last", "---:"),
    ("modes captured", "---:"),
    ("quality", "---:"),
    ("KL", "---:"),
    ("σ5/σ1", "---:"),
    ("lost modes", "---:"),
    ("spectrum fell", "---:"),
    ("published", "---"),
)


def render_table(table: Table, summaries: Sequence[Summary]) -> str:
    """One row an arm: means over its seeds, the lowest and the highest in brackets where they differ.

    But for "best" everything is of the last checkpoint. The column of published figures is left out where none are.
    """
    published = any(summary.arm.published for summary in summaries)
    heads = _HEADS if published else _HEADS[:-1]
    lines = [_line([name for name, _ in heads]), _line([rule for _, rule in heads])]
    lines += [_line([*_cells(summary), summary.arm.published][: len(heads)]) for summary in summaries]
    return "\n".join(lines) + "\n"


def render_page(table: Table, summaries: Sequence[Summary]) -> str:
    """The table with its title, what is the same for all arms, and how long a run took."""
    settings = ", ".join(f"{key}={value}" for key, value in table.settings.items() if key != "path")
    longest = max((summary.seconds for summary in summaries), default=0.0)
    parts = [
        f"# {table.title}",
        f"`spectral-doctor reproduce {table.name}`: recipe `{table.recipe}` with {settings}; a run took up to "
        f"{longest:.0f} seconds of processor.",
        render_table(table, summaries).rstrip(),
        *([table.note] if table.note else []),
    ]
    return "\n\n".join(parts) + "\n"


def render_findings(findings: Sequence[Finding]) -> str:
    """One row a claim: the paper's words, our figure, and agree, disagree or could not test."""
    lines = [_line(("paper", "claim", "here", "")), _line(["---"] * 4)]
    lines += [_line((item.paper, item.claim, item.ours, item.verdict.value)) for item in findings]
    return "\n".join(lines) + "\n"


def _cells(summary: Summary) -> list[str]:
    return [
        summary.arm.name,
        str(summary.runs),
        f"{_figure(summary.best_solid, '.1f')} of {summary.of}",
        _figure(summary.solid, ".1f"),
        _figure(summary.modes, ".1f"),
        _percent(summary.quality),
        _figure(summary.kl, ".2f"),
        "" if summary.plateau is None else _figure(summary.plateau, ".2f"),
        str(summary.lost),
        str(summary.fell),
    ]


def _figure(figure: Figure, form: str) -> str:
    low, high = (f"{value:{form}}".removesuffix(".0") for value in (figure.low, figure.high))
    middle = f"{figure.mean:{form}}".removesuffix(".0")
    return middle if low == high else f"{middle} ({low}–{high})"


def _percent(figure: Figure) -> str:
    scaled = Figure(100 * figure.mean, 100 * figure.low, 100 * figure.high)
    low, high = f"{scaled.low:.0f}", f"{scaled.high:.0f}"
    return f"{scaled.mean:.1f} %" if low == high else f"{scaled.mean:.1f} % ({low}–{high})"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
