"""The page in a real browser: it works, reads and prints well, and nothing leaves it or gets into it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from spectral_doctor.diagnosis.records import LayerState
from spectral_doctor.inspection import Inspection, inspect_paths
from spectral_doctor.report.page import render_page
from spectral_doctor.trajectory.curves import read_curves
from tests.report.page.test_document import HOSTILE, inspection_named

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page

SAMPLES = Path(__file__).parent.parent.parent.parent / "sample_checkpoints"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium"),
]

# Every visible piece of text with the contrast of its colour to what is painted behind it.
CONTRASTS = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const [r, g, b, a = 1] = channels(getComputedStyle(at).backgroundColor);
      if (a > 0.99) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.data.trim();
    if (!text || element.closest("script, style, .unseen") || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const ink = channels(element instanceof SVGElement ? style.fill : style.color);
    const [low, high] = [luminance(ink), luminance(ground(element))].sort((a, b) => a - b);
    found.push([text, (high + 0.05) / (low + 0.05)]);
  }
  return found;
}"""
# The focused element: what it is, its name, and whether the focus can be seen.
FOCUSED = """() => {
  const at = document.activeElement;
  const style = getComputedStyle(at);
  const name = at.getAttribute("aria-label") || at.labels?.[0]?.textContent.trim() || at.textContent.trim();
  return [at.tagName.toLowerCase(), name, style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2];
}"""
CARDS = "[...document.querySelectorAll('.card:not([hidden])')].map((card) => card.dataset.name)"
ROWS = "[...document.querySelectorAll('.heat tbody tr:not([hidden])')].map((row) => row.dataset.name)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install '.[test]'")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def inspection() -> Inspection:
    """The collapsed sample run."""
    return inspect_paths([SAMPLES / "collapsed"])


@pytest.fixture(scope="module")
def sample(inspection: Inspection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its page."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    text = render_page(inspection, [read_curves(item.trajectory) for item in inspection.diagnoses])
    path.write_text(text, encoding="utf-8")
    return path


class Opened:
    """A page in a tab of its own, and everything it did that it should not."""

    def __init__(self, browser: Browser, path: Path, **options: Any) -> None:
        self.page: Page = browser.new_page(**options)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", self._dismiss)
        self.page.goto(path.as_uri())

    def _dismiss(self, dialog: Dialog) -> None:
        self.complaints.append(dialog.message)
        dialog.dismiss()

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.page.close()


def test_it_renders_without_a_request_or_a_complaint(browser: Browser, sample: Path) -> None:
    """The file itself is all that is asked for, and the console stays empty."""
    with Opened(browser, sample) as tab:
        tab.page.wait_for_timeout(200)
        assert tab.requests == [sample.as_uri()]
        assert tab.complaints == []
        assert tab.page.title() == "COLLAPSED: discriminator (spectral-doctor)"
        box = tab.page.locator("h2").first.bounding_box()
        assert box is not None
        assert box["y"] < 200
        assert tab.page.locator(".plot svg[role=img]").count() == 4 + 10 + 10 + 11
        curve = tab.page.locator(".plot polyline.best").bounding_box()
        assert curve is not None
        assert curve["width"] > 900


def test_filter_by_name_and_state(browser: Browser, sample: Path, inspection: Inspection) -> None:
    """Cards and heat map show the same layers, and their number is announced."""
    others = [item.layer for item in inspection.diagnoses[0].layers if item.state is not LayerState.FALLEN]
    box = f"fallen ({11 - len(others)})"
    assert 1 < len(others) < 11
    with Opened(browser, sample) as tab:
        page = tab.page
        everything = page.evaluate(CARDS)
        assert len(everything) == 11
        page.get_by_label("Layer name contains").press_sequentially("C2")
        wanted = ["block1.c2", "block2.c2", "block3.c2", "block4.c2"]
        assert page.evaluate(CARDS) == page.evaluate(ROWS) == wanted
        assert page.get_by_role("status").text_content() == "4 of 11 layers shown"
        page.get_by_label("Layer name contains").fill("")
        page.get_by_label(box).uncheck()
        assert page.evaluate(CARDS) == page.evaluate(ROWS) == others
        page.get_by_label("Layer name contains").fill("nothing of that name")
        assert page.get_by_role("status").text_content() == "0 of 11 layers shown"
        page.get_by_label("Layer name contains").fill("")
        page.get_by_label(box).check()
        assert page.evaluate(CARDS) == everything
        assert tab.complaints == []


def test_sort(browser: Browser, sample: Path, inspection: Inspection) -> None:
    """Against Python's own order of the numbers in the diagnosis."""
    layers = inspection.diagnoses[0].layers
    names = [layer.layer for layer in layers]
    expected = {
        "plateau, lowest first": [x.layer for x in sorted(layers, key=lambda x: x.plateau[-1] or 0.0)],
        "deficit, largest first": [x.layer for x in sorted(layers, key=lambda x: -(x.deficit or 0.0))],
        # As a dictionary sorts: signs before digits.
        "name": sorted(names, key=lambda name: name.replace("_", " ")),
        "network order": names,
    }
    with Opened(browser, sample) as tab:
        for option, order in expected.items():
            tab.page.get_by_label("Sort by").select_option(label=option)
            assert tab.page.evaluate(CARDS) == order
            assert tab.page.evaluate(ROWS) == order


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_can_be_read_and_changed(browser: Browser, sample: Path, scheme: str) -> None:
    """The system decides, the button changes it; every text has a contrast of 4.5 in both."""
    with Opened(browser, sample, color_scheme=scheme) as tab:
        page = tab.page
        button = page.get_by_role("button", name="Dark colours")
        grounds = []
        for is_dark in (scheme == "dark", scheme != "dark"):
            assert button.get_attribute("aria-pressed") == str(is_dark).lower()
            grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            texts = page.evaluate(CONTRASTS)
            assert len(texts) > 500
            assert [(text, ratio) for text, ratio in texts if ratio < 4.5] == []
            button.click()
        assert len(set(grounds)) == 2
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == grounds[0]


def test_the_contrast_check_can_fail(browser: Browser, tmp_path: Path) -> None:
    """Pale grey on white is found, by the same script."""
    path = tmp_path / "pale.html"
    path.write_text("<body><p style='color: #aaa'>pale</p><p>dark</p>")
    with Opened(browser, path) as tab:
        assert [text for text, ratio in tab.page.evaluate(CONTRASTS) if ratio < 4.5] == ["pale"]


def test_the_keyboard_reaches_everything_in_order(browser: Browser, sample: Path) -> None:
    """Each stop has a name and a focus that can be seen; the first leads past the banner."""
    with Opened(browser, sample) as tab:
        boxes = [text.strip() for text in tab.page.locator("fieldset label").all_text_contents()]
        assert len(boxes) > 1
        stops = []
        for _ in range(7 + len(boxes)):
            tab.page.keyboard.press("Tab")
            stops.append(tab.page.evaluate(FOCUSED))
        assert [(tag, name) for tag, name, _ in stops] == [
            ("a", "Skip to the statements"),
            ("button", "Dark colours"),
            ("summary", "Every checkpoint as a table"),
            ("input", "Layer name contains"),
            *(("input", box) for box in boxes),
            ("select", "Sort by"),
            ("div", "Heat map of the plateau"),
            ("a", tab.page.locator(".heat a").first.get_attribute("aria-label")),
        ]
        assert all(visible for _, _, visible in stops)
        tab.page.keyboard.press("Enter")
        assert tab.page.evaluate("location.hash") == "#series-1-layer-1"
        tab.page.reload()
        tab.page.keyboard.press("Tab")
        tab.page.keyboard.press("Enter")
        assert tab.page.evaluate("document.activeElement.id") == "main"


def test_a_screen_reader_finds_landmarks_headings_and_names(browser: Browser, sample: Path) -> None:
    """The browser's own accessibility tree: landmarks, no heading level left out, a name for every control."""
    with Opened(browser, sample) as tab:
        session = tab.page.context.new_cdp_session(tab.page)
        nodes = session.send("Accessibility.getFullAXTree")["nodes"]
        seen = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]
        roles = {role for role, _ in seen}
        assert {"banner", "main", "contentinfo", "search", "article", "table", "rowheader", "columnheader"} <= roles
        assert len(seen) > 1000
        for role, name in seen:
            if role in ("button", "link", "textbox", "searchbox", "checkbox", "combobox", "image", "img", "region"):
                assert name, role
        titles = [" ".join(name.split()) for role, name in seen if role == "heading"]
        assert any(title.startswith("COLLAPSED") and title.endswith("for discriminator") for title in titles)
        levels = tab.page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map((item) => +item.tagName[1])")
        assert levels[:4] == [1, 2, 3, 3]
        assert all(later <= earlier + 1 for earlier, later in pairwise(levels))


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_is_wider_than_the_screen(browser: Browser, sample: Path, tmp_path: Path, width: int) -> None:
    """Only what scrolls in a box of its own may be; also with long names."""
    inspection, curves = inspection_named(tuple(f"{'long' * 30}{index}" for index in range(len(HOSTILE))))
    long = tmp_path / "long.html"
    long.write_text(render_page(inspection, [curves]), encoding="utf-8")
    for path in (sample, long):
        with Opened(browser, path, viewport={"width": width, "height": 800}) as tab:
            assert tab.page.evaluate("document.documentElement.scrollWidth") <= width


def test_it_prints(browser: Browser, sample: Path) -> None:
    """On paper it is light, without controls, with what was folded away; afterwards it is as before."""
    with Opened(browser, sample, color_scheme="dark") as tab:
        page = tab.page
        page.evaluate("addEventListener('afterprint', () => { window.folds = window.atPrint })")
        page.evaluate(
            "addEventListener('beforeprint', () => { window.atPrint = "
            "[...document.querySelectorAll('details.on-paper')].every((item) => item.open) })"
        )
        assert page.pdf(format="A4", print_background=True).startswith(b"%PDF-")
        assert page.evaluate("window.folds") is True
        assert page.locator("details[open]").count() == 0
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--ground')") == "#faf9f6"
        assert not page.get_by_role("button").is_visible()
        assert not page.get_by_role("search").is_visible()
        assert page.locator(".card").first.is_visible()


def test_without_scripts_everything_is_there(browser: Browser, sample: Path) -> None:
    """Only the controls are missing, which would do nothing."""
    with Opened(browser, sample, java_script_enabled=False) as tab:
        assert tab.page.locator(".card:visible").count() == 11
        assert tab.page.locator("form:visible, button:visible").count() == 0


def test_hostile_names_do_nothing(browser: Browser, tmp_path: Path) -> None:
    """No dialog, no request, no error; the names are there to be read, and can be searched for."""
    inspection, curves = inspection_named(HOSTILE)
    path = tmp_path / "hostile.html"
    path.write_text(render_page(inspection, [curves]), encoding="utf-8")
    with Opened(browser, path) as tab:
        tab.page.get_by_label("Layer name contains").fill('"><img')
        assert tab.page.evaluate(CARDS) == [f"{HOSTILE[1]}.1"]
        tab.page.get_by_label("Sort by").select_option(label="name")
        tab.page.mouse.move(300, 300)
        tab.page.wait_for_timeout(200)
        assert tab.requests == [path.as_uri()]
        assert tab.complaints == []


@pytest.mark.parametrize("has_policy", [True, False])
def test_the_policy_stops_what_would_get_past_the_escaping(
    browser: Browser, sample: Path, tmp_path: Path, has_policy: bool
) -> None:
    """Markup put in by force asks a server and runs a script only where the policy has been taken out."""
    asked: list[str] = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/beacon.png"
        attack = f'<script>document.title = "run"</script><img src="{address}" onerror="document.title = \'run\'">'
        text = sample.read_text(encoding="utf-8").replace("<main", f"{attack}<main")
        path = tmp_path / "forced.html"
        path.write_text(text if has_policy else text.replace("Content-Security-Policy", "x"), encoding="utf-8")
        with Opened(browser, path) as tab:
            tab.page.wait_for_timeout(300)
            title = tab.page.title()
        server.shutdown()
    assert (asked, title == "run") == (([], False) if has_policy else (["/beacon.png"], True))
