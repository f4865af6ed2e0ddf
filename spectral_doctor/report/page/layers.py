"""One card a layer: what it is, its spectra over the steps, plateau and σ1, and the numbers behind them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from spectral_doctor.diagnosis.records import Diagnosis, LayerFinding
from spectral_doctor.errors import printable
from spectral_doctor.report.listing import FORMS, layer_rows
from spectral_doctor.report.page.charts import plateau_course, sigma_course, spectrum_fan
from spectral_doctor.report.page.markup import Markup, joined, scroll_region, tag
from spectral_doctor.report.page.wording import State, layer_state, mark, number

LONGEST_NAME = 35
# A module's name from its first letter to the number at its end.
_INITIAL = re.compile(r"^([^\W\d]).*?(\d*)$")


@dataclass(frozen=True)
class LayerView:
    """A layer as the page shows it: its finding, its name, its place in the network, its name in little room."""

    finding: LayerFinding
    name: str
    order: int
    anchor: str
    short: str

    @property
    def data(self) -> dict[str, str | int]:
        """The attributes that the page filters and sorts by; a value that is missing is the worst."""
        plateau, deficit = self.finding.plateau[-1], self.finding.deficit
        return {
            "data_name": printable(self.name),
            "data_state": mark(self.finding.state)[0],
            "data_order": self.order,
            "data_plateau": f"{-1.0 if plateau is None else plateau:.6f}",
            "data_deficit": f"{2.0 if deficit is None else deficit:.6f}",
        }


def layer_views(diagnosis: Diagnosis, prefix: str) -> list[LayerView]:
    """The layers of a diagnosis in network order."""
    rows = layer_rows(diagnosis)
    shorts = short_names([printable(name) for _, name in rows])
    return [
        LayerView(finding, name, order, f"{prefix}-layer-{order}", short)
        for order, ((finding, name), short) in enumerate(zip(rows, shorts, strict=True), start=1)
    ]


def short_names(names: Sequence[str]) -> list[str]:
    """Names of at most `LONGEST_NAME` characters, or as they are where two would become the same."""
    shorter = [_shortened(name) for name in names]
    return shorter if len(set(shorter)) == len(set(names)) else list(names)


def _shortened(name: str) -> str:
    """A long name with its modules written as initials, `a.b.39.c1.weight`, the outermost first; else cut."""
    parts = name.split(".")
    for place in range(len(parts) - 1):
        if len(".".join(parts)) > LONGEST_NAME:
            parts[place] = _INITIAL.sub(r"\1\2", parts[place])
    short = ".".join(parts)
    half = (LONGEST_NAME - 1) // 2
    return short if len(short) <= LONGEST_NAME else f"{short[:half]}…{short[-half:]}"


def state_sign(state: State | None, word: str = "") -> Markup:
    """A statement's sign, and its word; without a word the word is there for screen readers."""
    class_, sign = mark(state)
    spoken = word or ("not judged" if state is None else state.value.lower())
    return tag(
        "span",
        tag("span", sign, aria_hidden="true"),
        tag("span", f" {spoken}", class_=None if word else "unseen"),
        class_=f"sign is-{class_}",
    )


def layer_card(view: LayerView, diagnosis: Diagnosis) -> Markup:
    """The card of one layer."""
    trajectory = diagnosis.trajectory
    several = len(trajectory.steps) > 1
    heading = tag("h4", view.name, id=view.anchor, class_="code", tabindex="-1")
    has_plateau = several and view.finding.plateau_index > 1
    small = [plateau_course(view.finding, diagnosis)] if has_plateau else []
    small += [sigma_course(view.finding.trajectory, diagnosis)] if several else []
    return tag(
        "li",
        tag("div", heading, state_sign(view.finding.state, layer_state(view.finding)), class_="card-head"),
        _facts(view),
        spectrum_fan(view.finding, trajectory),
        tag("div", *small, class_="pair") if small else None,
        _numbers(view, diagnosis),
        class_="card",
        **view.data,
    )


def _facts(view: LayerView) -> Markup:
    identity, finding = view.finding.trajectory.identity, view.finding
    spectrum, plateau = view.finding.trajectory.spectra[-1], finding.plateau[-1]
    rows, columns = identity.matrix_shape
    facts = [
        ("σk/σ1", "NaN/Inf" if plateau is None else f"{plateau:.2f}" if finding.plateau_index > 1 else "–"),
        ("healthy", _healthy(finding)),
        ("k", str(finding.plateau_index)),
        (
            "deficit",
            "–" if finding.deficit is None or len(view.finding.trajectory.spectra) == 1 else f"{finding.deficit:.2f}",
        ),
        ("σ1", "NaN/Inf" if spectrum is None else number(spectrum.sigma_max)),
        ("matrix", f"{rows}×{columns}"),
        ("norm", FORMS.get(identity.form, identity.form)),
    ]
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in facts), class_="facts")


def _healthy(finding: LayerFinding) -> str:
    if finding.state is None or finding.reference is None:
        return "–"
    return f"{finding.reference.low:.2f}–{finding.reference.high:.2f}"


def _numbers(view: LayerView, diagnosis: Diagnosis) -> Markup:
    """The same as a table, for those who want the numbers and those who cannot see the pictures."""
    heads = [diagnosis.trajectory.step_unit, "σ1", "σ2/σ1", "σk/σ1", ">0.9", "deficit"]
    rows = []
    for index, step in enumerate(diagnosis.trajectory.steps):
        spectrum, deficit = view.finding.trajectory.spectra[index], view.finding.trajectory.deficit(index)
        cells = ["NaN/Inf"] + ["–"] * 4
        if spectrum is not None:
            plateau = view.finding.plateau[index] or 0.0
            cells = [number(spectrum.sigma_max)]
            cells += [f"{value:.3f}" for value in (spectrum.ratio(2), plateau, spectrum.plateau_width)]
            cells.append("–" if deficit is None else f"{deficit:.3f}")
        rows.append(tag("tr", tag("th", str(step), scope="row"), *(tag("td", cell) for cell in cells)))
    summary = tag("summary", "Numbers", tag("span", f" of {view.name}", class_="unseen"))
    table = tag(
        "table",
        tag("thead", tag("tr", *(tag("th", head, scope="col") for head in heads))),
        tag("tbody", joined(rows)),
        class_="numbers",
    )
    return tag("details", summary, scroll_region(f"Numbers of {view.name}", table))
