"""What inverting a generator shows, in words."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

from spectral_doctor.errors import printable

if TYPE_CHECKING:
    from spectral_doctor.veegan.records import Reconstruction


def render_reconstructions(found: Mapping[str, Reconstruction], *, width: int = 80) -> str:
    """A paragraph a checkpoint: the statement, then its evidence."""
    paragraphs = []
    for path, item in found.items():
        text = f"{_statement(item)} {printable(path)}: {_evidence(item)}"
        paragraphs.append(textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False))
    return "\n".join(paragraphs)


def _statement(item: Reconstruction) -> str:
    return "MODES MISSING (provisional)" if item.modes_missing else "NO SIGN OF MISSING MODES (provisional)"


def _evidence(item: Reconstruction) -> str:
    kind = "do not go" if item.p_value <= 0.01 else "go"
    size = f", {'at least' if item.modes_missing else 'below'} the {item.MISSING_FROM:g} that missing modes make"
    return (
        f"F, trained for {item.steps} steps as the inverse of the generator as it stands, gives back "
        f"{item.explained:.0%} of the latent's variance. Real samples {kind} where generated ones go: energy "
        f"coefficient {item.coefficient:.3f} (p = {item.p_value:.3f}, 99 % of {item.splits} pairs of held-out "
        f"generated sets of {item.samples} are below {item.null_quantile:.3f}){size if item.p_value <= 0.01 else ''}; "
        f"{item.outside:.0%} of the real samples are outside what the generator covers. The discriminator was not "
        f"asked. {item.seconds:.1f} s of processor time."
    )
