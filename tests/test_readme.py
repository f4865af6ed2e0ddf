"""README and the pages that grew from it are a test: their output is the tool's, and nothing it offers is missing."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spectral_doctor.cli import app
from tests.test_architecture import LADDER

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def page(name: str) -> str:
    """The text of a page of the documentation."""
    return (DOCS / name).read_text(encoding="utf-8")


def transcripts(text: str = README) -> list[tuple[str, str]]:
    """Every command of a text's console blocks with the output printed below it."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


def test_the_first_run_prints_what_readme_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """The output below the first command is the output, to the letter, with exit code 0."""
    monkeypatch.chdir(ROOT)
    command, output = transcripts()[0]
    arguments = shlex.split(command.rsplit("&&", 1)[1])
    assert arguments[0] == "spectral-doctor"
    result = CliRunner().invoke(app, arguments[1:])
    assert result.exit_code == 0
    assert result.stdout == output


@pytest.mark.parametrize(
    ("verb", "name", "heading"),
    [
        ("inspect", "inspect.md", "| option |"),
        ("fix", "fix.md", "| option of `fix` |"),
        ("check", "guides/ci.md", "| option of `check` |"),
        ("watch", "guides/training-guard.md", "| option of `watch` |"),
        ("train", "laboratory.md", "| option of `train` |"),
    ],
)
def test_every_option_in_a_table_exists_and_every_option_is_in_one(verb: str, name: str, heading: str) -> None:
    """The option table of a verb and its `--help` name the same options."""
    result = CliRunner().invoke(app, [verb, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    offered = set(re.findall(r"--[a-z][a-z0-9-]+", result.stdout)) - {"--help"}
    table = re.search(re.escape(heading) + r".*?\n(\n|$)", page(name), re.DOTALL)
    assert table is not None
    rows = table.group().replace(r"\|", "/").strip().splitlines()
    first_column = " ".join(row.split("|")[1] for row in rows)
    assert set(re.findall(r"--[a-z][a-z0-9-]+", first_column)) == offered


def test_the_check_prints_what_the_guide_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """The output below the first `check` is the output, and its exit code 1."""
    monkeypatch.chdir(ROOT)
    text = page("guides/ci.md")
    command = next(command for command, _ in transcripts(text) if command.startswith("spectral-doctor check"))
    output = re.findall(r"<!-- output -->\n```text\n(.*?)```", text, re.DOTALL)[0]
    result = CliRunner().invoke(app, shlex.split(command)[1:])
    assert result.exit_code == 1
    assert result.stdout == output


def test_the_settings_in_the_guide_are_read(tmp_path: Path) -> None:
    """Every key in the example exists."""
    from spectral_doctor.gate.checking import load_settings

    (tmp_path / "pyproject.toml").write_text(re.findall(r"```toml\n(.*?)```", page("guides/ci.md"), re.DOTALL)[0])
    settings = load_settings({}, {}, tmp_path)
    assert settings.paths == (str(tmp_path / "runs/my_gan"),)
    assert settings.silences("SD203", "head.weight")


def test_the_formats_on_the_page_are_those_that_there_are() -> None:
    """The option's row, the command line, and the renderers."""
    from spectral_doctor.cli.outputs import FORMATS
    from spectral_doctor.report.formats import RENDERERS

    row = next(line for line in page("inspect.md").splitlines() if line.startswith("| `--format FORMAT[:FILE]`"))
    assert tuple(re.findall(r"`(\w+)`", row)) == FORMATS == tuple(RENDERERS)


def test_every_exit_code_is_in_the_table() -> None:
    """The table and the enumeration agree."""
    from spectral_doctor.cli.boundary import ExitCode

    table = re.search(r"\| exit code \|.*?\n\n", page("inspect.md"), re.DOTALL)
    assert table is not None
    rows = re.findall(r"^\| ([\d, ]+) \|", table.group(), re.MULTILINE)
    assert {int(code) for row in rows for code in row.split(",")} == set(ExitCode)


def test_every_verb_that_is_written_exists() -> None:
    """`spectral-doctor VERB` in a code block of README or of a page is a verb of the tool."""
    names = {"inspect", "fix", "train", "recipes", "check", "rule", "watch", "merge", "reference", "reproduce"}
    texts = [README, *(path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md")))]
    commands = [command for text in texts for command, _ in transcripts(text)]
    assert len(commands) > 80
    for command in commands:
        for verb in re.findall(r"^spectral-doctor ([a-z]+)", command):
            assert verb in names


def test_the_python_example_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The `>>>` block gives the output it shows."""
    import doctest

    monkeypatch.chdir(ROOT)
    results = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert results.attempted >= 4
    assert results.failed == 0


def test_the_package_ladder_that_is_drawn_names_every_room() -> None:
    """The drawing is the ladder that the test of imports holds the package to: the same rooms, the same rungs."""
    assert drawn_rungs(page("how-it-is-built.md")) == [set(rooms) for rooms in LADDER]


def drawn_rungs(text: str) -> list[set[str]]:
    """The rooms of each line of the drawing; a line that begins with `|` goes on with the rung above it."""
    drawing = text.split("# How it is built")[1].split("```text\n")[1].split("```")[0]
    rungs: list[set[str]] = []
    for line in filter(str.strip, drawing.splitlines()):
        if line.startswith("|"):
            rungs[-1] |= names_in(line[1:])
        elif not line.startswith(" "):
            rungs.append(names_in(line))
    return rungs


def names_in(line: str) -> set[str]:
    """The rooms that a line of the drawing begins with, before the spaces that part them from what they are."""
    return {name.removesuffix("/") for name in line.strip().split("  ")[0].split()}


def test_a_room_that_is_not_drawn_is_noticed() -> None:
    """A word of a sentence is no room, and a room in the wrong line is none either."""
    drawing = "low a/    rooms below: high\n| b       beside it\n          more of b\nhigh/     above\n"
    text = f"# How it is built\n```text\n{drawing}```"
    assert drawn_rungs(text) == [{"low", "a", "b"}, {"high"}]


def test_the_own_gan_of_the_guide_trains_and_is_inspected(tmp_path: Path) -> None:
    """The file printed under "Train it here" is short, runs as it stands, and its run can be inspected."""
    section = page("guides/your-own-gan.md").split("## Train it here")[1]
    source = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0]
    assert len(source.splitlines()) < 40
    (tmp_path / "my_gan.py").write_text(source)
    run = tmp_path / "run"
    arguments = ["train", f"{tmp_path / 'my_gan.py'}:MyGan", "-o", str(run), "--steps", "4", "--set", "save_every=2"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert CliRunner().invoke(app, [*arguments, "--resume", "--steps", "6"]).exit_code == 0
    inspected = CliRunner().invoke(app, ["inspect", str(run)])
    assert inspected.exit_code == 0
    assert "step 0–6" in inspected.stdout


def test_the_loop_of_the_page_runs() -> None:
    """The block under "In your own loop": after its steps half of the values are σ1."""
    import torch
    from torch import nn

    from spectral_doctor import spectrum_of

    source = re.findall(r"```python\n(.*?)```", page("fix.md").split("## In your own loop")[1], re.DOTALL)[0]
    torch.manual_seed(0)
    discriminator = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 8))
    optimizer = torch.optim.Adam(discriminator.parameters(), 0.05)
    discriminator(torch.randn(4, 6)).sum().backward()
    weight = discriminator.state_dict()["2.weight"]
    assert spectrum_of(weight).relative[3] < 0.999
    names = {"discriminator": discriminator, "discriminator_optimizer": optimizer, "steps": 5}
    exec(source, names)
    assert spectrum_of(weight).relative[3] > 1 - 1e-5
    assert len(names["monitor"].trajectory.steps) == 1  # type: ignore[attr-defined]
