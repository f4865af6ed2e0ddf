"""The habits of the front door: one set of formats, quiet and verbose, counts, links, whole names for programs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from spectral_doctor.cli import app
from spectral_doctor.cli.outputs import FORMATS
from spectral_doctor.cli.terminal import shows_links
from spectral_doctor.gate.rules import RULES
from spectral_doctor.report.links import linked
from spectral_doctor.report.shortening import shortened_apart
from tests.builders import save, sound_discriminator
from tests.cli.test_check import collapsed, healthy

SAMPLES = Path(__file__).parents[2] / "sample_checkpoints"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test in a folder of its own, outside any job."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


def run(*arguments: object, **environment: str) -> Result:
    """Run the command line."""
    return CliRunner().invoke(app, list(map(str, arguments)), env=environment)


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in ("text", "json")])
def test_inspect_writes_what_check_writes(name: str) -> None:
    """The same words on the same files, where both let the same levels fail; `inspect` keeps its own exit code."""
    path = collapsed(Path())
    asked, checked = (run(verb, path, "--format", name, "--fail-on", "collapsed,lost") for verb in ("inspect", "check"))
    assert (asked.stdout, asked.exit_code) == (checked.stdout, checked.exit_code)
    assert run("inspect", path, "--format", name).exit_code == 0


def test_inspect_writes_several_formats_at_once() -> None:
    """One to stdout, the others to their files, and `--output` takes the one without."""
    path = collapsed(Path())
    result = run("inspect", path, "--format", "text", "--format", "json:a.json", "--format", "csv:a.csv")
    assert result.exit_code == 0
    assert result.stdout.startswith("COLLAPSED spectrum")
    assert json.loads(Path("a.json").read_text())["series"][0]["diagnosis"]["spectrum"] == "COLLAPSED"
    assert Path("a.csv").read_text().startswith("discriminator,")
    assert run("inspect", path, "-o", "a.txt").stdout == ""
    assert Path("a.txt").read_text() == run("inspect", path).stdout
    refused = run("inspect", path, "-o", path)
    assert refused.exit_code == 2
    assert "is one of the inputs, which are never overwritten" in refused.output


def test_quiet_leaves_a_line_each() -> None:
    """Of `inspect` the headline, of `check` the finding; nothing of a check that found nothing."""
    path = collapsed(Path())
    assert run("inspect", path, "-q").output == "COLLAPSED spectrum · modes NOT KNOWN  netD\n"
    lines = run("check", path, "-q").output.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("fail  SD101 spectrum collapsed: netD: ")
    assert run("check", healthy(Path()), "-q").output == ""
    assert run("inspect", path, "-q", "--html", "a.html").output.count("\n") == 1


def test_verbose_is_explain_in_both_verbs() -> None:
    """`-v` of `check` stands above its own report."""
    path = collapsed(Path())
    explained = run("inspect", path, "--explain").stdout
    assert run("inspect", path, "-v").stdout == explained
    checked = run("check", path, "-v").stdout
    assert "Thresholds:" in checked
    assert checked.endswith(run("check", path).stdout)
    refused = run("inspect", path, "-v", "-q")
    assert refused.exit_code == 2
    assert "--explain and --quiet: one asks for more and one for less; choose one." in refused.output


def test_statistics_count() -> None:
    """States of `inspect`, rules of `check`, the most frequent first."""
    for index in range(2):
        folder = Path(f"run{index}")
        folder.mkdir()
        collapsed(folder)
    good = Path("good")
    good.mkdir()
    healthy(good)
    assert run("inspect", ".", "--statistics").stdout == (
        "     2  COLLAPSED spectrum\n     1  SOUND spectrum\n     3  modes NOT KNOWN\n"
    )
    counted = run("check", ".", "--statistics")
    assert counted.exit_code == 1
    assert counted.stdout.splitlines()[0] == "     2  fail          SD101 spectrum collapsed"
    assert counted.stdout.splitlines()[-1].startswith("FAILED: 2 failures")


def test_the_next_command_can_be_typed_as_it_stands() -> None:
    """It is a whole command with the paths that were given, quoted, and it runs."""
    folder = Path("a run")
    folder.mkdir()
    healthy(folder)
    (line,) = re.findall(r"^Next: spectral-doctor (.*)$", run("inspect", folder).stdout, re.MULTILINE)
    assert line == "inspect 'a run' --witness"
    (line,) = re.findall(r"^Next: spectral-doctor (.*)$", run("inspect", collapsed(Path())).stdout, re.MULTILINE)
    assert line == "rule SD101"
    assert run(*line.split()).exit_code == 0


def test_every_rule_is_told_as_json() -> None:
    """With all that the text says, in the order of the table."""
    for arguments in (["--all"], []):
        told = json.loads(run("rule", *arguments, "--format", "json").stdout)
        assert [item["code"] for item in told] == list(RULES)
    assert set(told[0]) == {"code", "title", "level", "per_layer", "explanation", "remedy"}
    assert [item["code"] for item in json.loads(run("rule", "sd102", "--format", "json").stdout)] == ["SD102"]
    every = run("rule", "--all").stdout
    assert all(f"{rule.code} {rule.title}" in every and rule.remedy in every for rule in RULES.values())
    assert run("rule", "--all", "SD101").exit_code == 2


def test_what_a_program_reads_is_never_cut() -> None:
    """Where stdout is no terminal, long layer names are whole and a headline is one line."""
    names = [f"stage_of_some_depth.block_with_a_long_name.{part}.convolution" for part in ("first", "second")]
    weight = next(tensor for tensor in sound_discriminator().values() if tensor.ndim == 4)
    tensors = {f"{name}.weight": weight + index for index, name in enumerate(names)}
    text = run("inspect", save(Path(), "netD.pth", tensors)).stdout
    assert all(f"  {name} " in text for name in names)
    assert text.splitlines()[0].count(" · ") == 2


def test_names_stay_apart_whatever_they_share() -> None:
    """At every width no two names become one; each fits, or stays whole where nothing else tells it from others."""
    names = [f"body.blocks.{a}.convs.{b}.parametrizations.weight" for a in range(3) for b in range(3)]
    uneven = [*names, "body.head.weight", "body.tail.weight"]
    for given in (names, uneven, [f"x{'a' * index}y" for index in range(30)]):
        for width in range(4, 60):
            cut = shortened_apart(given, width)
            assert len(set(cut)) == len(given), (width, cut)
            assert all(len(short) <= width or short == name for short, name in zip(cut, given, strict=True))
    # One name of another kind does not keep the others long.
    long = [f"discriminator.blocks.{a}.convs.{b}.parametrizations.weight.original" for a in range(3) for b in range(4)]
    assert shortened_apart([*long, "head"], 27) == [
        *(f"…{a}…{b}…" for a in range(3) for b in range(4)),
        "head",
    ]


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        ({}, False),
        ({"TERM": "xterm-256color"}, False),
        ({"TERM": "xterm-kitty"}, True),
        ({"TERM_PROGRAM": "vscode"}, True),
        ({"VTE_VERSION": "7600"}, True),
        ({"VTE_VERSION": "3405"}, False),
        ({"WT_SESSION": "1"}, True),
        ({"WT_SESSION": "1", "TERM": "dumb"}, False),
        ({"WT_SESSION": "1", "FORCE_HYPERLINK": "0"}, False),
        ({"FORCE_HYPERLINK": "1"}, True),
    ],
)
def test_links_are_for_terminals_that_show_them(environment: dict[str, str], shown: bool) -> None:
    """Told by their variables; the user decides."""
    assert shows_links(environment) is shown


def test_a_checkpoint_is_a_link_to_its_file() -> None:
    """Between OSC 8 marks; without the marks it is the same report, and without the wish there is none."""
    folder = Path("run")
    folder.mkdir()
    path = healthy(folder)
    plain, links = run("inspect", folder).stdout, run("inspect", folder, FORCE_HYPERLINK="1").stdout
    assert "\x1b" not in plain
    found = re.findall(r"\x1b\]8;;(file://[^\x1b]+)\x1b\\([^\x1b]+)\x1b\]8;;\x1b\\", links)
    assert [text for _, text in found] == [str(path)]
    assert found[0][0].endswith(str(path.resolve()))
    assert re.sub(r"\x1b\]8;;[^\x1b]*\x1b\\", "", links) == plain


def test_a_path_is_no_link_to_one_that_it_begins_with() -> None:
    """`run/a.pt` within `run/a.pth` or `other/run/a.pt` is no word of its own."""
    text = "run/a.pt, run/a.pth other/run/a.pt run/a.pt."
    marked = linked(text, {"run/a.pt": "file:///x"})
    assert marked.count("file:///x") == 2
    assert linked(text, {}) == text


def test_the_page_is_the_same_by_either_option() -> None:
    """With the generator's samples, where it was asked."""
    folder = SAMPLES / "collapsed"
    assert run("inspect", folder, "--witness", "--format", "html:a.html", "--html", "b.html", "-q").exit_code == 0
    page = Path("a.html").read_text()
    assert page == Path("b.html").read_text()
    assert "Samples of the generator" in page
    assert run("inspect", folder, "--format", "html").stdout.count("Samples of the generator") == 0
