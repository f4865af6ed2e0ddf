"""One panel a layer: its relative spectra over the steps, beside where healthy plateaus lie."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from spectral_doctor.diagnosis.records import LayerFinding
from spectral_doctor.report.inks import MAP, ink, literally, state_mark
from spectral_doctor.report.shortening import shortened_apart

_LONGEST_TITLE = 27


def panel_titles(layers: Sequence[LayerFinding]) -> list[str]:
    """The layers' names in the room of a panel, no two alike."""
    return shortened_apart([layer.layer for layer in layers], _LONGEST_TITLE)


def draw_spectra(axes: Axes, finding: LayerFinding, steps: Sequence[int], title: str) -> None:
    """σ_j/σ_1 over the index j, early steps dark and late ones bright; the bar at k is where healthy σ_k/σ_1 lie."""
    layer = finding.trajectory
    span = max(steps[-1] - steps[0], 1)
    for step, spectrum in zip(steps, layer.spectra, strict=True):
        if spectrum is None:
            continue
        axes.plot(
            range(1, spectrum.size + 1),
            spectrum.relative,
            color=MAP((step - steps[0]) / span),
            linewidth=1.0,
            marker="." if spectrum.size < 12 else None,
            markersize=3,
        )
    reference = finding.reference
    if reference is not None and finding.state is not None:
        axes.vlines(finding.plateau_index, reference.low, reference.high, color=ink("range"), linewidth=6, zorder=0)
    color, sign = state_mark(finding.state)
    axes.set_title(f"{sign} {literally(title)}", fontsize=7.5, color=color)
    axes.set_ylim(0, 1.05)
    axes.set_xlim(0.5, layer.identity.rank + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
    axes.tick_params(labelsize=6)
    if any(spectrum is None for spectrum in layer.spectra):
        axes.text(0.5, 0.5, "NaN/Inf", transform=axes.transAxes, ha="center", color=ink("collapsed"), fontsize=8)
