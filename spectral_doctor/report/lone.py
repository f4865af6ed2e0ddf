"""What a terminal shows of generators without a discriminator."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from spectral_doctor.diagnosis.wording import modes_sentence
from spectral_doctor.errors import printable
from spectral_doctor.report.colors import MODES_COLORS, colored
from spectral_doctor.report.statements import witness_words
from spectral_doctor.witnessing import LoneGenerator


def render_lone(found: Sequence[LoneGenerator], *, width: int = 80, color: bool = False) -> str:
    """One statement a generator, and what its samples showed."""
    lines: list[str] = []
    for item in found:
        chance = "" if item.modes.probability is None else f" {item.modes.probability:.2f}"
        word = colored(item.modes.statement.value, MODES_COLORS[item.modes.statement], color)
        lines.append(f"modes {word}{chance}    a generator, no discriminator beside it")
        rows = [("file", printable(item.location)), ("witness", witness_words(item.witness))]
        rows.append(("modes", modes_sentence(item.modes)))
        for label, text in rows:
            lines += textwrap.wrap(
                text,
                width,
                initial_indent=f"  {label:12}",
                subsequent_indent=" " * 14,
                break_long_words=False,
                break_on_hyphens=False,
            )
        lines.append("")
    return "\n".join([*lines, "Next: --data FOLDER compares the samples with real data", ""])
