"""The page as text: what it says, that it asks for nothing, and that nothing in a file can become markup."""

from __future__ import annotations

import base64
import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from spectral_doctor.diagnosis.records import Diagnosis
from spectral_doctor.diagnosis.rules import diagnose
from spectral_doctor.inspection import Inspection
from spectral_doctor.records import CheckpointRef, Failure, LeftOut, SeriesId, SkippedLayer, SkipReason
from spectral_doctor.report.page import render_page
from spectral_doctor.report.page.palette import HEAT_LEVELS
from spectral_doctor.trajectory.curves import MetricCurve
from tests.builders import layer_over_steps, series
from tests.diagnosis.judging import judged
from tests.report.test_figures import shown_at

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><script src=//evil.example/x.js></script>",
    "</title><svg/onload=alert(1)>",
    "&lt;b&gt;&amp;",
    "a\x1b[31m\u202e\u2028\udc80\x00b",
    "javascript:alert(1)",
    "<!--",
    "]]>",
)
VOID = {"meta", "link", "input", "br", "img"}


class Page(HTMLParser):
    """The page as a strict parser sees it: its elements, its text outside scripts and styles, its open ends."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        assert len(dict(attrs)) == len(attrs), f"an attribute twice: {attrs}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Every end closes the innermost element."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note text that is shown."""
        if not self.open or self.open[-1] not in ("script", "style"):
            self.text.append(data)

    def named(self, tag: str) -> Iterator[dict[str, str | None]]:
        """The attributes of every element of a kind."""
        return (attributes for name, attributes in self.elements if name == tag)


def collapsing() -> Diagnosis:
    """A body that collapses at step 300, with a layer that was not finite once before."""
    return judged(
        layer_over_steps("block1.c1", [0.97, 0.98, 0.96, 0.45, 0.4]),
        layer_over_steps("block1.c2", [0.95, None, 0.95, 0.4, 0.2]),
        layer_over_steps("shortcut", [0.9, 0.8, 0.7, 0.6, 0.5], rank=3),
    )


def inspection_named(names: tuple[str, ...]) -> tuple[Inspection, tuple[MetricCurve, ...]]:
    """An inspection in which everything that comes from a file is one of ten names."""
    layers = [layer_over_steps(f"{name}.{index}", [0.97, 0.5, None]) for index, name in enumerate(names)]
    trajectory = replace(
        series(*layers),
        series=SeriesId(names[0]),
        why=names[1],
        step_unit=names[2],
        step_source=names[4],
        checkpoints=tuple(CheckpointRef(Path(names[place])) for place in (3, 0, 1)),
        skipped=tuple(SkippedLayer(name, SkipReason.NO_SPECTRUM, name) for name in names),
        notes=names,
    )
    curve = MetricCurve(names[0], (0, 100), (3.0, 4.0), True, names[1])
    left_out = tuple(LeftOut(name, name) for name in names)
    failures = tuple(Failure(name, name) for name in names)
    inspection = Inspection((diagnose(trajectory),), left_out, failures)
    return inspection, (curve,)


def page_of(diagnosis: Diagnosis, *curves: MetricCurve) -> str:
    """The page on one diagnosis."""
    return render_page(Inspection((diagnosis,), (), ()), [curves] if curves else ())


def shown(text: str) -> str:
    """All text of a page, in one line."""
    return " ".join(" ".join(Page(text).text).split())


def test_the_first_lines_are_both_statements_onset_and_where_to_go_back_to() -> None:
    """In this order, before any picture: the answers that a reader wants first."""
    diagnosis = collapsing()
    text = shown(page_of(diagnosis))
    text = text[text.index("spectral-doctor report") :]
    answers = (
        "▼ COLLAPSED spectrum · modes",
        "for netD",
        " ".join(diagnosis.summary.split()),
        "Since step 300 Not yet at 200.",
        f"Go back to step {diagnosis.advice.step} run/netD_{diagnosis.advice.step}.pth The last sound spectrum before",
        "Probability that modes are lost",
        "Best plateau now 0.40 At its best 0.98, at 100.",
        "5 checkpoints, step 0 to 400 (from file name).",
        "Over the run",
    )
    places = [text.index(answer) for answer in answers]
    assert places == sorted(places)
    assert places[0] < len("spectral-doctor report Dark colours ") + 1


@pytest.mark.parametrize(
    ("plateaus", "words"),
    [
        ([0.97, 0.96], "Since – No onset in this series. Build on step 100 run/netD_100.pth The latest."),
        ([0.97], "Since – One checkpoint shows no onset. Build on this checkpoint run/netD_0.pth"),
        ([0.5, 0.4], "Since step 0 or before Every checkpoint given is affected. Go back to nowhere No sound"),
        ([0.5], "Since unknown One checkpoint shows no onset."),
        ([None, None], "Go back to nowhere No sound checkpoint from before is among those given: add earlier ones."),
    ],
)
def test_advice_fits_what_is_known(plateaus: list[float | None], words: str) -> None:
    """Healthy, a single checkpoint, collapsed from the start, never finite."""
    assert words in shown(page_of(judged(layer_over_steps("conv", plateaus))))


def test_the_page_is_well_formed_and_asks_for_nothing() -> None:
    """Every element is closed; no address, no handler, no inline style: only its own sheet and script may run."""
    inspection, curves = inspection_named(HOSTILE)
    for text in (page_of(collapsing()), render_page(inspection, [curves])):
        page = Page(text)
        assert page.open == []
        for tag, attributes in page.elements:
            assert tag not in ("iframe", "object", "embed", "img", "image", "use", "base", "foreignobject")
            assert not {"src", "srcset", "style", "xlink:href", "action"} & attributes.keys()
            assert not [key for key in attributes if key.startswith("on")]
            assert (attributes.get("href") or "#").startswith("#") or attributes["href"] == "data:,"
        assert len(list(page.named("script"))) == len(list(page.named("style"))) == 1
        sheet_and_script = re.findall(r"<(style|script)>(.*?)</\1>", text, re.DOTALL)
        assert [name for name, _ in sheet_and_script] == ["style", "script"]
        assert not re.search(r"url\(|@import|https?:|fetch|XMLHttp|import\(|innerHTML|eval", str(sheet_and_script))
        (policy,) = (str(item["content"]) for item in page.named("meta") if "http-equiv" in item)
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "unsafe" not in policy


def test_names_from_files_are_text_and_never_markup() -> None:
    """Each attack is shown, escaped, and the page has the same elements as with harmless names."""
    inspection, curves = inspection_named(HOSTILE)
    page = Page(render_page(inspection, [curves]))
    text = "".join(page.text)
    for name in HOSTILE[:6]:
        assert name in text
    assert r"a\x1b[31m\u202e\u2028\udc80\x00b" in text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e\u2028\ud800-\udfff]", text)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    inspection, curves = inspection_named(tuple(f"name{index}" for index in range(len(HOSTILE))))
    harmless = Page(render_page(inspection, [curves]))
    assert [(name, list(kept)) for name, kept in page.elements] == [
        (name, list(kept)) for name, kept in harmless.elements
    ]


def test_the_same_input_gives_the_same_bytes() -> None:
    """No clock, no chance, no order of a set."""
    inspection, curves = inspection_named(HOSTILE)
    assert render_page(inspection, [curves]) == render_page(inspection, [curves])
    assert render_page(inspection, [curves]).encode("utf-8")
    assert page_of(collapsing()) != page_of(diagnose(series(layer_over_steps("conv", [0.97, 0.96]))))


def test_every_figure_has_its_text_and_every_number_a_table() -> None:
    """A picture says what it shows; the heat map is a table with row and column heads; so are the numbers."""
    curve = MetricCurve("modes captured", (0, 200, 400), (3.0, 8.0, 2.0), True, "metric-modes.jsonl", 8.0)
    page = Page(page_of(collapsing(), curve))
    labels = [str(item.get("aria-label")) for item in page.named("svg") if item.get("role") == "img"]
    assert all(labels)
    course = "0.97 at step 0, highest 0.98 at 100, lowest 0.4 at 400, 0.4 at 400"
    assert labels[0].startswith(f"Plateau of the best layer: {course}. ")
    assert labels[0].endswith(" Onset at 300.")
    assert labels[1] == "Timeline: fell 200 to 300."
    assert labels[2].startswith("Probability that modes are lost: ")
    assert labels[3] == "modes captured: 3 at step 0, highest 8 at 200, lowest 2 at 400, 2 at 400."
    gap = "0.95 at step 0, highest 0.95 at 0, lowest 0.2 at 400, 0.2 at 400; not finite at 1 of 5 checkpoints"
    assert f"σk/σ1: {gap}." in labels
    silent = [item for item in page.named("svg") if item.get("role") != "img" and item.get("aria-hidden") != "true"]
    assert all(item.get("class") == "stretch" for item in silent)
    text = shown(page_of(collapsing(), curve))
    assert "2 of 8 at step 400; best 8 at 200; higher is better. From metric-modes.jsonl." in text
    assert re.search(r" 300 ▼ collapsed \S (not known|lost) [\d.–]+ 0\.450 block1\.c1 ", text)
    scopes = [item.get("scope") for item in page.named("th")]
    assert set(scopes) == {"row", "col"}


def test_a_layer_that_is_not_finite_is_said_to_be_so_everywhere() -> None:
    """In the heat map, in the numbers, and as a finding."""
    text = shown(page_of(collapsing()))
    assert "0.95 NaN 0.95 0.40 0.20" in text
    assert "100 NaN/Inf – – – –" in text
    assert "NON-FINITE 1 value is NaN or infinite in 'block1.c2' at step 100, and finite again at the last." in text


def test_a_layer_stands_beside_its_range() -> None:
    """With its state; one that is not judged has none."""
    text = shown(page_of(collapsing()))
    assert "▼ fallen σk/σ1 0.40 healthy 0.60–1.00 k 5 " in text
    assert "– not judged: rank 3 σk/σ1 0.50 healthy – k 2 " in text


def test_events_stand_beside_the_statements() -> None:
    """What happened in the series, and when; a run without an event has no such section."""
    assert re.search(
        r"Beside the statements FELL step 200–300: the spectrum fell: COLLAPSED\.", shown(page_of(collapsing()))
    )
    assert "Beside the statements" not in shown(page_of(judged(layer_over_steps("conv", [0.97, 0.96]))))


def test_a_layers_range_is_in_its_pictures() -> None:
    """A band of its height in the course of σk/σ1, and a bar at k in its spectra; only of a layer that is judged."""
    text = page_of(collapsing())
    for name, judged_layer in (("block1.c1", True), ("shortcut", False)):
        card = text[text.index(f">{name}</h4>") :].partition("<details>")[0]
        boxes = [
            dict(re.findall(r'(\w+)="([^"]*)"', box)) for box in re.findall(r'<rect class="box range"[^>]*>', card)
        ]
        assert len(boxes) == (2 if judged_layer else 0)
        # The fixed reference is 0.60 to 1.00, the axis 0 to 1.05.
        assert {(item["y"], item["height"]) for item in boxes} == ({("4.76%", "38.1%")} if judged_layer else set())


def test_probability_has_a_picture_of_its_own() -> None:
    """With where it becomes a word; a run of which it is nowhere known has none."""
    found = collapsing()
    told = replace(found, states=tuple(replace(state, probability=0.3) for state in found.states))
    assert "Probability that modes are lost: 0.3 at step 0" in page_of(told)
    unknown = replace(found, states=tuple(replace(state, probability=None) for state in found.states))
    assert "IN DOUBT between." not in page_of(unknown)
    assert "LOST from 0.8 on, KEPT below 0.2, IN DOUBT between." in page_of(told)


def test_the_heat_map_has_a_scale() -> None:
    """One block a level, from lost to whole, with its words."""
    page = Page(page_of(collapsing()))
    fills = [item["class"] for item in page.named("rect") if str(item.get("class")).startswith("fill-")]
    assert fills == [f"fill-{level}" for level in range(HEAT_LEVELS)]
    assert "Scale: 0 (lost) 1 (whole)." in shown(page_of(collapsing()))


@pytest.mark.parametrize("shape", [(16, 1, 8, 8), (16, 3, 80, 80), (16, 2), (16, 7)])
def test_samples_of_the_generator_are_on_the_page(shape: tuple[int, ...]) -> None:
    """As pictures in the file itself, or as points; at most five sheets, the first and the last among them."""
    found = collapsing()
    rng = np.random.default_rng(0)
    told = [shown_at(step, rng.uniform(-1, 1, shape).astype(np.float32), 2.0) for step in range(0, 700, 100)]
    text = render_page(Inspection((found,), (), ()), testimonies={found.trajectory.discriminator: told})
    page = Page(text)
    assert ("Samples of the generator" in text) is (len(shape) == 4 or shape[1] == 2)
    pictures = list(page.named("img"))
    assert len(pictures) == (5 if len(shape) == 4 else 0)
    for picture in pictures:
        source = str(picture["src"])
        assert base64.b64decode(source.removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")
        assert str(picture["alt"]).startswith("16 samples of the generator at ")
    if "Samples of the generator" in text:
        captions = re.findall(r"step (\d+): about 7 kinds", shown(text))
        assert captions == ["0", "200", "300", "400", "600"]
    assert "Samples of the generator" not in page_of(found)


def test_what_was_not_examined_is_on_the_page() -> None:
    """Skipped tensors, left out files, failures, thresholds."""
    trajectory = replace(
        collapsing().trajectory, skipped=(SkippedLayer("norm.weight", SkipReason.SCALE, "a normalisation's scale"),)
    )
    failures = (Failure("a.pt", "cannot be read."), Failure("b.pt", "refused."), Failure("c.pt", "cannot be read."))
    inspection = Inspection((diagnose(trajectory),), (LeftOut("run/log.txt", "text file"),), failures)
    text = shown(render_page(inspection))
    assert "Skipped tensors a normalisation's scale (1) norm.weight" in text
    assert (
        "Could not be used 2 files: 'a.pt', 'c.pt': cannot be read. b.pt: refused. Left out text file (1) run/log.txt"
        in text
    )
    for sentence in inspection.diagnoses[0].thresholds.sentences():
        assert " ".join(sentence.split()) in text


def test_several_discriminators_begin_with_an_overview() -> None:
    """One line each, with a link to each; with one there is none."""
    sound = judged(layer_over_steps("conv", [0.96, 0.97]))
    text = render_page(Inspection((sound, collapsing()), (), ()))
    first, second = sound.words, collapsing().words
    assert f"2 discriminators ● {first} netD ▼ {second} netD since step 300, NON-FINITE" in shown(text)
    page = Page(text)
    anchors = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    links = [str(item["href"])[1:] for item in page.named("a")]
    assert {"series-1", "series-2"} <= set(links)
    assert set(links) <= anchors
    assert "discriminators" not in shown(page_of(sound))


def test_curves_belong_to_diagnoses() -> None:
    """As many as there are series, or none at all."""
    with pytest.raises(ValueError, match="zip"):
        render_page(Inspection((collapsing(),), (), ()), [(), ()])


def test_long_series_stay_readable() -> None:
    """A picture draws a few of the spectra and columns, the first, last and onset among them, and says so."""
    values = [0.97] * 150 + [0.4] * 150
    text = page_of(judged(layer_over_steps("conv", list(values), rank=512)))
    assert text.count('class="spectrum ') <= 24
    page = shown(text)
    assert re.search(r"6[01] of 300 checkpoints are shown; the layers' numbers have all", page)
    assert "The line marks the onset at 15000." in page
    # The numbers of all 300 are in the layer's table and in that of the checkpoints.
    assert len(re.findall(r'<th scope="row">\d+</th>', text)) == 600


def test_style_sheet_and_script_are_in_the_package() -> None:
    """Every file of the package that is no module is named in its package data, else an installation lacks it."""
    root = Path(__file__).parent.parent.parent.parent
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    package = root / "spectral_doctor"
    patterns = settings["tool"]["setuptools"]["package-data"]["spectral_doctor"]
    packaged = {path for pattern in patterns for path in package.glob(pattern)}
    others = {path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert packaged == others
    assert {path.name for path in others} >= {"page.css", "page.js"}
