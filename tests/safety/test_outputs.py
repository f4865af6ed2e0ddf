"""Names out of a file are text in every output: no control character, no markup, no formula, no command."""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from spectral_doctor.cli import app
from spectral_doctor.cli.outputs import FORMATS
from tests.builders import small_discriminator

# What a terminal, a page, a table, a spreadsheet, a log of GitHub, and XML each take for more than text.
NAMES = (
    "\x1b]0;title\x07\x1b[31m",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a|b](javascript:alert(1))`<b>`",
    '=HYPERLINK("http://x")',
    "+1+cmd|' /C calc'!A0",
    "\n::error file=x::title%0A",
    "]]><!ENTITY x SYSTEM 'file:///etc/passwd'>",
    "‮\u2066txt.exe",
    "\x00\x7f\x85\x9b31m",
    "${jndi:ldap://x}%n%s{{7*7}}",
)
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints of discriminators whose names, and whose layers' names, are of the worst."""
    folder = tmp_path_factory.mktemp("run")
    for step in (1, 2):
        content: dict[str, object] = {}
        for number, name in enumerate(NAMES):
            weights = small_discriminator(number + step)
            content[f"discriminator_{name}"] = {
                f"{name}.{key}": torch.full_like(value, float("nan")) if number == 2 else value
                for key, value in weights.items()
            }
        torch.save(content, folder / f"D_{step}.pt")
    return folder


@pytest.fixture(scope="module")
def history(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history in which every text is one of the worst."""
    document = json.loads(said("inspect", "--no-cache", "--format", "json", str(run)))
    for number, series in enumerate(document["series"]):
        bad = NAMES[number % len(NAMES)]
        series.update(why=bad, step_source=bad, run=bad, notes=[bad], name=f"D{bad}")
        series["checkpoints"] = [f"{bad}_{index}.pt" for index in range(len(series["steps"]))]
        series["skipped"] = [{"name": bad, "reason": bad, "kind": "UNKNOWN_LAYER"}]
        for layer in series["layers"]:
            layer.update(kind=bad, form=bad)
    path = tmp_path_factory.mktemp("history") / "history.json"
    path.write_text(json.dumps(document))
    return path


def said(*arguments: str) -> str:
    """What is printed on both streams, of a command that reports."""
    result = CliRunner().invoke(app, list(arguments), env={"NO_COLOR": "1"})
    assert result.exit_code in (0, 1), result.output
    assert "internal error" not in result.output
    return result.stdout


class Elements(HTMLParser):
    """The elements of a page that could run something, and the attributes that could."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.acting: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a script, and whatever acts or loads."""
        if tag == "script":
            self.scripts.append(tag)
        for name, value in attrs:
            if name.startswith("on") or (value or "").strip().lower().startswith(("javascript:", "http:", "data:text")):
                self.acting.append(f"{tag} {name}={value}")
        if tag in ("img", "iframe", "object", "embed", "link", "base", "meta") and dict(attrs).get("src"):
            self.acting.append(tag)


def of_page(text: str) -> Elements:
    """A page's elements."""
    parser = Elements()
    parser.feed(text)
    return parser


@pytest.mark.parametrize("source", ["run", "history"])
@pytest.mark.parametrize("name", [*FORMATS, "inspect", "explain", "layers", "inspect-json", "inspect-html", "plot"])
def test_names_are_text_in_every_output(request: pytest.FixtureRequest, tmp_path: Path, source: str, name: str) -> None:
    """Nothing that drives a terminal is in it, and it is what its format says that it is."""
    path = str(request.getfixturevalue(source))
    if name == "plot":
        text = plotted(path, tmp_path)
    elif name == "inspect-html":
        said("inspect", "--no-cache", path, "--html", str(tmp_path / "a.html"))
        text = (tmp_path / "a.html").read_text(encoding="utf-8")
    elif name.startswith("inspect") or name in ("explain", "layers"):
        options = {"explain": ["--explain"], "layers": ["--layers"], "inspect-json": ["--format", "json"]}.get(name, [])
        text = said("inspect", "--no-cache", path, *options)
    else:
        text = said("check", "--no-cache", path, "--format", name)
    assert not FORBIDDEN.search(text)
    check(name, text)


def plotted(path: str, folder: Path) -> str:
    """The picture of three of the discriminators, for a panel a layer takes its time."""
    document = json.loads(said("inspect", "--no-cache", "--format", "json", path))
    document["series"] = [document["series"][number] for number in (0, 8, 10)]
    (folder / "three.json").write_text(json.dumps(document))
    said("inspect", str(folder / "three.json"), "--plot", str(folder / "a.svg"))
    text = (folder / "a.svg").read_text(encoding="utf-8")
    elements = {element.tag.split("}")[-1] for element in ElementTree.fromstring(text).iter()}
    assert {"script", "foreignObject"}.isdisjoint(elements)
    return text


def check(name: str, text: str) -> None:
    """What is more to be said of one format."""
    if name in ("json", "sarif", "gitlab", "inspect-json"):
        json.loads(text)
    elif name == "jsonl":
        assert all(json.loads(line) for line in text.splitlines())
    elif name == "junit":
        ElementTree.fromstring(text)
    elif name == "csv":
        cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
        assert not [cell for cell in cells if cell[:1] in ("=", "+", "@", "\t", "\r") or cell.startswith("-=")]
    elif name in ("html", "inspect-html"):
        found = of_page(text)
        assert found.acting == []
        assert len(found.scripts) <= 1
    elif name == "github":
        assert all(
            line.startswith(("::error", "::warning", "::notice")) or not line.startswith("::")
            for line in text.splitlines()
        )
        assert not [line for line in text.splitlines() if line.startswith("::error file=x::")]
    elif name == "markdown":
        assert not re.search(r"(?<!\\)(<|\]\(|!\[)", text)


def test_what_acts_is_noticed() -> None:
    """The negative: a page that holds a name as it is has elements that act, and the pattern finds what drives."""
    raw = "".join(NAMES)
    assert of_page(raw).acting
    assert of_page(raw).scripts
    assert FORBIDDEN.search(raw)
