"""One discriminator: both statements and what to do about them, the courses over the steps, and its layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from spectral_doctor.diagnosis.records import Diagnosis, ModesStatement
from spectral_doctor.records import CheckpointRef
from spectral_doctor.report.listing import recognised
from spectral_doctor.report.page.charts import metric_chart, plateau_chart, probability_chart, shared_axis
from spectral_doctor.report.page.heat import heat_map
from spectral_doctor.report.page.layers import LayerView, layer_card, layer_views, state_sign
from spectral_doctor.report.page.markup import Markup, joined, scroll_region, tag
from spectral_doctor.report.page.palette import FAN_LEVELS
from spectral_doctor.report.page.timeline import samples, timeline
from spectral_doctor.report.page.wording import advice, by_reason, mark, since, span
from spectral_doctor.trajectory.curves import MetricCurve

if TYPE_CHECKING:
    from spectral_doctor.witnessing import Testimony

MOST_ON_PAPER = 40
_SORTS = (
    ("order", "network order"),
    ("plateau", "plateau, lowest first"),
    ("deficit", "deficit, largest first"),
    ("name", "name"),
)
_STATE_WORDS = (
    ("collapsed", "fallen"),
    ("declining", "low"),
    ("healthy", "in range"),
    ("unclear", "not finite"),
    ("not-judged", "not judged"),
)


def series_section(
    diagnosis: Diagnosis, curves: Sequence[MetricCurve], prefix: str, testimonies: Sequence[Testimony] = ()
) -> Markup:
    """Everything on one discriminator; `prefix` tells its anchors from those of the others."""
    views = layer_views(diagnosis, prefix)
    return tag(
        "article",
        _statements(diagnosis, curves, prefix),
        _findings(diagnosis),
        _courses(diagnosis, curves, prefix),
        samples(testimonies, diagnosis.trajectory.step_unit, prefix),
        _layers(diagnosis, views, prefix),
        _skipped(diagnosis),
        tag("p", tag("a", "Back to the top", href="#main"), class_="muted back"),
        id=prefix,
        aria_labelledby=f"{prefix}-title",
    )


def _statements(diagnosis: Diagnosis, curves: Sequence[MetricCurve], prefix: str) -> Markup:
    """What a reader wants first: both statements, since when, and where to go back to."""
    trajectory = diagnosis.trajectory
    class_, sign = mark(diagnosis.spectrum)
    title = tag(
        "h2",
        tag(
            "span",
            tag("span", sign, aria_hidden="true"),
            f" {diagnosis.spectrum.value} spectrum · modes {diagnosis.modes.statement.value}",
            class_="statements",
        ),
        tag("span", " for ", class_="unseen"),
        tag("span", trajectory.discriminator, class_="code whose"),
        id=f"{prefix}-title",
    )
    return tag(
        "header",
        title,
        tag("p", diagnosis.summary, class_="evidence"),
        _answers(diagnosis, curves),
        tag("p", f"{span(trajectory)} A discriminator {recognised(trajectory)}.", class_="muted"),
        *(tag("p", f"Note: {note}.", class_="muted") for note in trajectory.notes),
        class_=f"hero is-{class_}",
    )


def _answers(diagnosis: Diagnosis, curves: Sequence[MetricCurve]) -> Markup:
    """Since when, where to go back to, and how far the plateau fell, one beside the other."""
    when, known = since(diagnosis)
    where, checkpoint, why = advice(diagnosis)
    path = None if checkpoint is None else tag("code", str(checkpoint), class_="path")
    last, probability = diagnosis.states[-1].best_plateau, diagnosis.probability
    answers = [
        ("Since", when, tag("p", known)),
        (
            "Build on" if diagnosis.advice.step == diagnosis.trajectory.steps[-1] else "Go back to",
            where,
            joined([path, tag("p", why)]),
        ),
        (
            "Probability that modes are lost",
            "–" if probability is None else f"{probability:.2f}",
            tag("p", _odds_words(diagnosis)),
        ),
        ("Best plateau now", "–" if last is None else f"{last:.2f}", tag("p", _plateau_words(diagnosis))),
        *(_metric_answer(curve) for curve in curves[:1]),
    ]
    return tag(
        "dl",
        *(tag("div", tag("dt", name), tag("dd", tag("strong", value), rest)) for name, value, rest in answers),
        class_="answers",
    )


def _metric_answer(curve: MetricCurve) -> tuple[str, str, Markup]:
    """The first metric of a run, for the reader who wants to know what the samples did."""
    value = f"{curve.values[-1]:.4g}" + ("" if curve.most is None else f" of {curve.most:.4g}")
    best = "" if curve.best is None else f"At its best {curve.best[1]:.4g}, at {curve.best[0]}."
    words = curve.name.replace(" ", "").isalpha()
    return curve.name.capitalize() if words else curve.name, value, tag("p", best)


def _odds_words(diagnosis: Diagnosis) -> str:
    modes, thresholds = diagnosis.modes, diagnosis.thresholds
    if modes.statement is ModesStatement.NOT_KNOWN:
        return f"Not known: {modes.why}."
    return f"By {modes.tier.value}. Lost from {thresholds.lost_at:g}, kept below {thresholds.kept_below:g}."


def _plateau_words(diagnosis: Diagnosis) -> str:
    known = [state for state in diagnosis.states if state.best_plateau is not None]
    if len(known) < 2:
        return ""
    best = max(known, key=lambda state: state.best_plateau or 0.0)
    return f"At its best {best.best_plateau:.2f}, at {best.step}."


def _findings(diagnosis: Diagnosis) -> Markup | None:
    if not diagnosis.findings and not diagnosis.events:
        return None
    unit = diagnosis.trajectory.step_unit
    items = [
        tag(
            "li",
            tag("strong", item.kind.value.upper()),
            f" {unit} {item.first}–{item.last}: {item.sentence}.",
            class_="finding",
        )
        for item in diagnosis.events
    ]
    items += [
        tag("li", tag("strong", item.kind.value), " ", f"{item.sentence}.", class_="finding")
        for item in diagnosis.findings
    ]
    return tag("section", tag("h3", "Beside the statements"), tag("ul", *items, class_="findings"))


def _courses(diagnosis: Diagnosis, curves: Sequence[MetricCurve], prefix: str) -> Markup | None:
    """Plateau and metrics over the steps, and the same as a table; nothing to draw with one checkpoint."""
    if len(diagnosis.trajectory.steps) == 1 and not curves:
        return None
    x = shared_axis(diagnosis.trajectory, curves)
    pictures: list[Markup | None] = [metric_chart(curve, diagnosis, x) for curve in curves]
    if len(diagnosis.trajectory.steps) > 1:
        pictures = [plateau_chart(diagnosis, x), timeline(diagnosis, x), probability_chart(diagnosis, x), *pictures]
    title = tag("h3", "Over the run", id=f"{prefix}-run")
    return tag("section", title, *pictures, _checkpoints(diagnosis, curves), aria_labelledby=f"{prefix}-run")


def _checkpoints(diagnosis: Diagnosis, curves: Sequence[MetricCurve]) -> Markup:
    """Every checkpoint as a row: both statements, best plateau, metrics, path."""
    names = [diagnosis.trajectory.step_unit, "spectrum", "modes", "probability", "best plateau", "in layer", "deficit"]
    names += [*(curve.name for curve in curves), "checkpoint"]
    words = ("spectrum", "modes", "in layer", "checkpoint")
    heads = [tag("th", name, scope="col", class_="words" if name in words else None) for name in names]
    measured = [dict(zip(curve.steps, curve.values, strict=True)) for curve in curves]
    # Where each checkpoint is a folder, the files in them have one name.
    unique = len({state.checkpoint.location.name for state in diagnosis.states}) == len(diagnosis.states)
    rows = []
    for state in diagnosis.states:
        cells: list[str] = [
            state_sign(state.spectrum, state.spectrum.value.lower()),
            state_sign(state.modes, state.modes.value.lower()),
            "–" if state.probability is None else f"{state.probability:.2f}",
            "–" if state.best_plateau is None else f"{state.best_plateau:.3f}",
            tag("span", state.best_layer, class_="code words"),
            "–" if state.deficit is None else f"{state.deficit:.3f}",
            *(f"{values[state.step]:.4g}" if state.step in values else "–" for values in measured),
            tag("span", _short_path(state.checkpoint, unique), class_="code words"),
        ]
        rows.append(tag("tr", tag("th", str(state.step), scope="row"), *(tag("td", cell) for cell in cells)))
    table = tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *rows), class_="numbers")
    name = "Every checkpoint as a table"
    on_paper = len(rows) <= MOST_ON_PAPER
    return tag("details", tag("summary", name), scroll_region(name, table), class_="on-paper" if on_paper else None)


def _short_path(checkpoint: CheckpointRef, unique: bool) -> str:
    place = checkpoint.location
    name = place.name if unique else f"{place.parent.name}/{place.name}"
    return name if checkpoint.is_present else f"{name} ({checkpoint.state.value})"


def _layers(diagnosis: Diagnosis, views: Sequence[LayerView], prefix: str) -> Markup:
    title = tag("h3", "Layers", id=f"{prefix}-layers")
    cards = tag("ul", *(layer_card(view, diagnosis) for view in views), class_="cards", data_sortable=True)
    return tag(
        "section",
        title,
        _tools(views, prefix),
        heat_map(diagnosis, views),
        _legend(diagnosis),
        cards,
        aria_labelledby=f"{prefix}-layers",
        data_filtered=True,
    )


def _tools(views: Sequence[LayerView], prefix: str) -> Markup:
    """Filter and sort; hidden where scripts do not run, for then nothing would happen."""
    counts = Counter(mark(view.finding.state)[0] for view in views)
    boxes = [
        tag("label", tag("input", type="checkbox", value=value, checked=True), f" {word} ({counts[value]})")
        for value, word in _STATE_WORDS
        if counts[value]
    ]
    search, sort = f"{prefix}-search", f"{prefix}-sort"
    options = [tag("option", text, value=value) for value, text in _SORTS]
    return tag(
        "form",
        tag(
            "p",
            tag("label", "Layer name contains", for_=search),
            tag("input", type="search", id=search, autocomplete="off", spellcheck="false"),
        ),
        tag("fieldset", tag("legend", "Layer is"), *boxes),
        tag("p", tag("label", "Sort by", for_=sort), tag("select", *options, id=sort, autocomplete="off")),
        tag("p", f"{len(views)} of {len(views)} layers shown", role="status", class_="muted"),
        class_="tools",
        role="search",
        aria_label="Filter and sort the layers",
        hidden=True,
    )


def _legend(diagnosis: Diagnosis) -> Markup:
    """How to read a card."""
    steps, unit = diagnosis.trajectory.steps, diagnosis.trajectory.step_unit
    text = "Each card: the singular values σj/σ1 over their index j; the light bar at k is where healthy ones lie. "
    if len(steps) == 1:
        return tag("p", text, class_="muted legend")
    width = 100 / FAN_LEVELS
    blocks = [
        tag("rect", class_=f"fan-{level}", x=f"{level * width:.2f}%", y="0", width=f"{width:.2f}%", height="100%")
        for level in range(FAN_LEVELS)
    ]
    scale = tag("svg", *blocks, class_="scale", aria_hidden="true")
    rest = " Below: σk/σ1, with its healthy range as a band, and σ1 over the steps"
    rest += "; the dotted line marks the onset." if diagnosis.onset is not None else "."
    return tag("p", text, f"Colour: {unit} {steps[0]} ", scale, f" {steps[-1]}.", rest, class_="muted legend")


def _skipped(diagnosis: Diagnosis) -> Markup | None:
    pairs = [(item.name, item.sentence) for item in diagnosis.trajectory.skipped]
    if not pairs:
        return None
    return tag("section", tag("h3", "Skipped tensors"), reason_list(pairs))


def reason_list(pairs: Sequence[tuple[str, str]]) -> Markup:
    """Names by the reason they share, folded away."""
    return joined(
        tag(
            "details",
            tag("summary", f"{reason} ", tag("span", f"({len(names)})", class_="muted")),
            tag("ul", *(tag("li", name, class_="code") for name in names), class_="plain"),
            class_="on-paper",
        )
        for reason, names in by_reason(pairs)
    )
