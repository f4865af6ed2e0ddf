"""The gate as CI runs it: exit codes, formats, settings, baseline."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from spectral_doctor.cli import app
from spectral_doctor.cli.boundary import ExitCode
from tests import hostile
from tests.builders import save, small_discriminator, small_generator, sound_discriminator
from tests.cli.test_inspect import COLLAPSED, as_spectral_norm, nan_weights, torn

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test in a folder of its own, outside any job."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


def check(*arguments: object, **environment: str) -> Result:
    """Run the verb."""
    return CliRunner().invoke(app, ["check", *map(str, arguments)], env=environment)


def collapsed(folder: Path = Path()) -> Path:
    """A discriminator that has collapsed."""
    return save(folder, "netD_1.pth", as_spectral_norm(COLLAPSED))


def healthy(folder: Path = Path()) -> Path:
    """One that has not."""
    return save(folder, "netD_1.pth", as_spectral_norm(sound_discriminator()))


def test_exit_0_and_1_follow_the_statements() -> None:
    """Collapsed fails by default; `never` and `--exit-zero` let it pass; healthy passes at every level."""
    bad, good = collapsed(Path("bad")), healthy(Path("good"))
    assert check(good).exit_code == ExitCode.HEALTHY
    assert check(bad).exit_code == ExitCode.FINDINGS
    for level, code in (("collapsed", 1), ("declining", 1), ("collapsed,lost", 1), ("lost", 0), ("never", 0)):
        assert check(bad, "--fail-on", level).exit_code == code
        assert check(good, "--fail-on", level).exit_code == 0
    assert check(bad, "--exit-zero").exit_code == 0
    assert check(bad, "--ignore", "SD101").exit_code == 0
    assert check(bad, "--select", "SD2").exit_code == 0
    assert check(bad, "--level", "SD101=warn").exit_code == 0


def test_weights_that_are_not_finite_fail() -> None:
    """SD201, unless it is ignored for that layer."""
    path = save(Path(), "netD.pt", nan_weights())
    result = check(path)
    assert result.exit_code == ExitCode.FINDINGS
    assert "fail  SD201 weights not finite: netD: conv2: 1 value is NaN or infinite at checkpoint 1." in result.stdout
    assert check(path, "--per-layer-ignore", "conv*:SD2").exit_code == ExitCode.HEALTHY
    assert check(path, "--fail-on", "never").exit_code == ExitCode.HEALTHY


def test_one_file_can_fail() -> None:
    """A single checkpoint suffices: exploded weights fail at every level but never, and their neighbour does not."""
    exploded = {name: 2e4 * tensor if tensor.ndim == 4 else tensor for name, tensor in sound_discriminator().items()}
    path = save(Path(), "netD_1.pth", as_spectral_norm(exploded))
    result = check(path)
    assert result.exit_code == ExitCode.FINDINGS
    assert result.stdout.startswith(
        "EXPLODED spectrum · modes NOT KNOWN  netD: one checkpoint\nfail  SD205 weights exploded: netD: "
    )
    for level in ("collapsed", "declining", "lost", "doubt"):
        assert check(path, "--fail-on", level).exit_code == ExitCode.FINDINGS
    assert check(path, "--fail-on", "never").exit_code == ExitCode.HEALTHY
    large = {name: 2e3 * tensor if tensor.ndim == 4 else tensor for name, tensor in sound_discriminator().items()}
    assert check(save(Path(), "netD_1.pth", as_spectral_norm(large))).exit_code == ExitCode.HEALTHY


def test_an_untrained_discriminator_is_told_and_does_not_fail() -> None:
    """Weights as they were drawn are no collapse; trained ones are not told."""
    result = check(save(Path(), "netD_1.pth", as_spectral_norm(small_discriminator())), "--fail-on", "declining,doubt")
    assert result.exit_code == ExitCode.HEALTHY
    assert "warn  SD107 discriminator untrained: netD: " in result.stdout
    assert "SD107" not in check(healthy()).stdout


@pytest.mark.parametrize("level", ["x", "collapsed,", "spectrum=lost", "COLLAPSED"])
@pytest.mark.parametrize("verb", ["check", "inspect", "watch"])
def test_fail_on_names_what_it_expects(verb: str, level: str) -> None:
    """The same sentence from every verb, before a report."""
    healthy(Path("run"))
    result = CliRunner().invoke(app, [verb, "run", "--fail-on", level])
    assert result.exit_code == ExitCode.USAGE
    assert result.stderr == (
        "error: --fail-on: expected never, or of collapsed, declining (spectrum) and lost, doubt (modes) one or two "
        f"with a comma between, got '{level}'.\n"
    )
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["no.pt"], "error: no.pt: no such file or folder, and no file matches it as a pattern.\n"),
        ([], "error: no path: name a file or folder, or set paths in the settings file.\n"),
        (["a.pt", "--update-baseline"], "error: --update-baseline: name the file with --baseline FILE.\n"),
        (
            ["a.pt", "--baseline", "no.json"],
            "error: --baseline no.json: no such file; --update-baseline writes it.\n",
        ),
        (
            ["a.pt", "--format", "xml"],
            "error: --format xml: expected FORMAT or FORMAT:FILE with one of 'text', 'json', 'jsonl', 'junit', "
            "'sarif', 'github', 'gitlab', 'markdown', 'html', 'csv'.\n",
        ),
        (
            ["a.pt", "--format", "text", "--format", "json"],
            "error: --format: only one can go to stdout, not 'text', 'json'; write the others as FORMAT:FILE.\n",
        ),
        (
            ["a.pt", "--format", "json:x", "-o", "y"],
            "error: --output y: every format has a file of its own already.\n",
        ),
        (
            ["a.pt", "--format", "json:x", "--format", "csv:./x"],
            "error: --format: two formats are to be written to one file.\n",
        ),
        (["a.pt", "-o", "no/x"], "error: no/x: the folder 'no' does not exist.\n"),
        (["a.pt", "-o", "a.pt"], "error: a.pt: is one of the inputs, which are never overwritten.\n"),
        (["a.pt", "-o", "."], "error: .: is a folder; name a file to write the report to.\n"),
        (
            ["a.pt", "--fail-on-coverage", "x"],
            "error: --fail-on-coverage: expected a percentage between 0 and 100, got 'x'.\n",
        ),
        (["a.pt", "--discriminator", "x"], "error: --discriminator 'x': no file has tensors below that key"),
        (["a.pt", "--config", "no.toml"], "error: no.toml: cannot be read: No such file or directory.\n"),
    ],
)
def test_exit_2_is_wrong_usage(arguments: list[str], sentence: str) -> None:
    """One sentence on stderr, nothing on stdout, and no file."""
    save(Path(), "a.pt", {"netD": small_discriminator()})
    result = check(*arguments)
    assert result.exit_code == ExitCode.USAGE
    assert result.stderr.startswith(sentence)
    assert result.stdout == ""
    assert [path.name for path in Path().iterdir()] == ["a.pt"]


def test_exit_2_for_an_unknown_key_in_the_settings_file() -> None:
    """Named, with those that are known."""
    Path("pyproject.toml").write_text("[tool.spectral-doctor]\nfailon = 'never'\n")
    result = check(healthy())
    assert result.exit_code == ExitCode.USAGE
    assert re.fullmatch(
        r"error: .*/pyproject\.toml \[tool\.spectral-doctor\]: failon: unknown key; known are 'baseline', .*\n",
        result.stderr,
    )


@pytest.mark.parametrize("forgiving", [[], ["--exit-zero"], ["--fail-on", "never"], ["--ignore", "SD301"]])
def test_exit_3_where_nothing_could_be_examined(forgiving: list[str]) -> None:
    """Nothing forgives it; the reports are written all the same and say so."""
    save(Path(), "netG.pt", small_generator())
    result = check("netG.pt", "--format", "text", "--format", "junit:a.xml", *forgiving)
    assert result.exit_code == ExitCode.NOTHING_EXAMINED
    assert "fail  SD301 nothing examined: netG.pt: only a generator is here" in result.stdout
    assert "NOTHING EXAMINED" in result.stdout
    assert "error: netG.pt: only a generator is here" in result.stderr
    assert 'errors="1"' in Path("a.xml").read_text()


def test_exit_4_where_the_only_file_is_torn_or_unsafe() -> None:
    """And nothing in it is run."""
    Path("torn").mkdir()
    for path in (torn(Path("torn")), hostile.only_code_zip(Path("netD.pt"), Path("canary"))):
        result = check(path, "--exit-zero")
        assert result.exit_code == ExitCode.UNREADABLE
        assert "fail  SD301 nothing examined" in result.stdout
    assert not Path("canary").exists()


def test_a_torn_file_beside_others_is_a_warning_until_coverage_is_asked_for() -> None:
    """One of two files: 50 %."""
    torn(Path())
    save(Path(), "netD_5.pth", as_spectral_norm(sound_discriminator()))
    assert check(".").exit_code == ExitCode.HEALTHY
    assert "warn  SD302 file not read: netD.pth: cannot be read" in check(".").stdout
    assert check(".", "--fail-on-coverage", "50").exit_code == ExitCode.HEALTHY
    result = check(".", "--fail-on-coverage", "51")
    assert result.exit_code == ExitCode.FINDINGS
    assert (
        "fail  SD303 coverage too low: 50 % was examined (1 of 2 checkpoints, 2 of 2 weights), "
        "--fail-on-coverage asks for 51 %.\n"
    ) in result.stdout
    assert check(".", "--level", "SD302=fail").exit_code == ExitCode.FINDINGS


def test_a_signal_is_130() -> None:
    """As of every verb."""
    from spectral_doctor import inspection

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inspection, "inspect_paths", interrupted)
        assert check(healthy()).exit_code == ExitCode.INTERRUPTED


def test_the_sample_that_collapsed_fails_and_says_where_to_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    """The output a user sees first; the words of the statements are the diagnosis's own."""
    monkeypatch.chdir(ROOT)
    result = check("sample_checkpoints/collapsed")
    assert result.exit_code == ExitCode.FINDINGS
    lines = result.stdout.splitlines()
    first = r"COLLAPSED spectrum since step \d+ · modes [A-Z (.0-9)]+  discriminator: \d+ checkpoints, step 0 to \d+$"
    assert re.match(first, lines[0])
    assert re.match(r"fail  SD101 spectrum collapsed: discriminator: .* Resume from sample_checkpoints/", lines[1])
    assert re.match(
        r"FAILED: \d failures?, \d warnings?; examined (\d+) of \1 checkpoints, (\d+) of \2 weights$", lines[-2]
    )
    assert lines[-1].startswith("Next: spectral-doctor rule SD101")
    assert check("sample_checkpoints/healthy").exit_code == ExitCode.HEALTHY


def test_several_formats_at_once() -> None:
    """One to stdout, the others to their files, and each is told on stderr."""
    result = check(collapsed(), "--format", "github", "--format", "sarif:a.sarif", "--format", "csv:a.csv")
    assert result.exit_code == ExitCode.FINDINGS
    assert result.stdout.startswith("::error title=SD101 spectrum collapsed,file=netD_1.pth::netD: ")
    assert json.loads(Path("a.sarif").read_text())["version"] == "2.1.0"
    assert Path("a.csv").read_text().startswith("discriminator,layer,step")
    assert result.stderr.splitlines() == [
        "written: a.sarif (sarif)",
        "written: a.csv (csv)",
        "FAILED: 1 failure, 0 warnings; examined 1 of 1 checkpoint, 1 of 1 weight",
    ]
    one = check("netD_1.pth", "--format", "json", "-o", "a.json", "--exit-zero")
    assert (one.exit_code, one.stdout) == (0, "")
    assert json.loads(Path("a.json").read_text())["check"]["fails"] is True
    assert check("a.json").exit_code == ExitCode.FINDINGS


def test_formats_can_stand_in_the_environment_and_in_the_file() -> None:
    """A CI job sets the format once."""
    path = collapsed()
    assert check(path, SPECTRAL_DOCTOR_FORMAT="github").stdout.startswith("::error")
    Path("spectral-doctor.toml").write_text('paths = ["netD_1.pth"]\nformat = ["jsonl"]\nexit-zero = true\n')
    result = check()
    assert result.exit_code == 0
    assert [json.loads(line)["type"] for line in result.stdout.splitlines()] == [
        "discriminator",
        "finding",
        "conclusion",
    ]


def test_the_job_summary_is_appended_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other steps wrote stays; without the github format nothing is written."""
    summary = Path("summary.md")
    summary.write_text("# before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    path = collapsed()
    check(path)
    assert summary.read_text() == "# before\n"
    for _ in range(2):
        check(path, "--format", "github")
    text = summary.read_text()
    assert text.startswith("# before\n### spectral-doctor: FAILED: 1 failure")
    assert text.count("### spectral-doctor") == 2
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "no/summary.md")
    result = check(path, "--format", "github")
    assert result.exit_code == ExitCode.USAGE
    assert result.stderr.endswith(
        "error: GITHUB_STEP_SUMMARY no/summary.md: cannot be written: No such file or directory.\n"
    )


def test_a_summary_too_long_for_github_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond 1 MiB the whole of it would be dropped."""
    from spectral_doctor.cli import outputs

    monkeypatch.setattr(outputs, "LARGEST_SUMMARY", 200)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    check(collapsed(), "--format", "github")
    text = Path("summary.md").read_text()
    assert text.endswith("\n\n(cut: the job summary holds no more)\n")
    assert len(text.encode()) < 300


def test_a_baseline_from_first_to_last() -> None:
    """Written, known, worse, better; never written where it is only read."""
    bad = collapsed()
    written = check(bad, "--baseline", "known.json", "--update-baseline")
    assert written.exit_code == ExitCode.HEALTHY
    assert written.stderr == (
        "written: known.json (1 findings: 1 new, 0 known, 0 not examined this time and kept; 0 fixed and gone)\n"
    )
    content = Path("known.json").read_bytes()
    known = check(bad, "--baseline", "known.json")
    assert known.exit_code == ExitCode.HEALTHY
    assert "fail (known)  SD101" in known.stdout
    assert "PASSED: 0 failures, 0 warnings, 1 known, 0 fixed; examined" in known.stdout
    tensors = as_spectral_norm(COLLAPSED)
    tensors["conv.weight_orig"] = tensors["conv.weight_orig"].clone()
    tensors["conv.weight_orig"][0, 0, 0, 0] = float("nan")
    save(Path(), "netD_1.pth", tensors)
    worse = check(bad, "--baseline", "known.json")
    assert worse.exit_code == ExitCode.FINDINGS
    assert "fail  SD201" in worse.stdout
    healthy()
    better = check(bad, "--baseline", "known.json")
    assert better.exit_code == ExitCode.HEALTHY
    assert "fixed  SD101 spectrum collapsed: netD\n" in better.stdout
    assert Path("known.json").read_bytes() == content
    assert check(bad, "--baseline", "known.json", "--update-baseline").exit_code == ExitCode.HEALTHY
    assert json.loads(Path("known.json").read_text())["findings"] == []


def test_no_baseline_is_written_where_nothing_was_examined() -> None:
    """It would look as if everything were fixed."""
    save(Path(), "netG.pt", small_generator())
    result = check("netG.pt", "--baseline", "known.json", "--update-baseline")
    assert result.exit_code == ExitCode.NOTHING_EXAMINED
    assert not Path("known.json").exists()


def test_a_baseline_that_is_also_an_output_is_refused() -> None:
    """Outputs never replace inputs."""
    Path("known.json").write_text("{}")
    result = check(healthy(), "--baseline", "known.json", "--format", "json:known.json")
    assert result.stderr == "error: known.json: is one of the inputs, which are never overwritten.\n"
    assert Path("known.json").read_text() == "{}"


def test_no_report_replaces_a_checkpoint_in_a_folder_that_is_checked() -> None:
    """Found below a folder or by a pattern it is an input like one that is named; an earlier report is none."""
    path = healthy(Path("run"))
    torn(Path("run"))
    before = {file: file.read_bytes() for file in Path("run").iterdir()}
    for given in ("run", "run/*.pth", "run/netD_1.pth"):
        result = check(given, "--format", f"csv:{path}")
        assert result.exit_code == ExitCode.USAGE
        assert result.stderr == "error: run/netD_1.pth: is one of the inputs, which are never overwritten.\n"
    assert check("run", "-o", "run/netD.pth").exit_code == ExitCode.USAGE
    assert {file: file.read_bytes() for file in Path("run").iterdir()} == before
    for _ in range(2):
        assert check("run", "-o", "run/report.txt", "--baseline", "b.json", "--update-baseline").exit_code == 0


def test_layers_are_looked_at_where_they_are_selected() -> None:
    """SD111 is off until it is asked for, and then warns."""
    path = collapsed()
    assert "SD111" not in check(path).stdout
    result = check(path, "--level", "SD111=warn")
    assert re.search(r"warn  SD111 layer below its range: netD: conv: its plateau σ\d/σ1 is 0\.\d\d\.", result.stdout)
    assert check(path, "--level", "SD111=fail,SD101=off").exit_code == ExitCode.FINDINGS


def test_an_excluded_layer_is_left_out() -> None:
    """As in inspect."""
    tensors: dict[str, torch.Tensor] = {}
    for index in range(4):
        tensors |= as_spectral_norm({f"good{index}.weight": sound_discriminator(index)["conv2.weight"]})
    tensors |= as_spectral_norm(COLLAPSED)
    path = save(Path(), "netD_1.pth", tensors)
    assert check(path).exit_code == ExitCode.HEALTHY
    assert check(path, "--exclude", "good*").exit_code == ExitCode.FINDINGS


def test_rule_explains_and_lists() -> None:
    """By code in any case; without a code the list; an unknown one is a usage error."""
    run = CliRunner()
    one = run.invoke(app, ["rule", "sd101"])
    assert one.exit_code == 0
    assert one.stdout.startswith(
        "SD101 spectrum collapsed (level fail)\n\nThe better half of the discriminator's judged layers lies, taken "
    )
    assert "\n\nWhat to do: Go back to the checkpoint" in one.stdout
    lines = run.invoke(app, ["rule"]).stdout.splitlines()
    assert lines[0] == "SD101  fail  spectrum collapsed"
    assert lines[4] == "SD105  fail  modes lost"
    assert lines[7] == "SD111  off   layer below its range"
    assert len(lines) == 17
    wrong = run.invoke(app, ["rule", "SD999"])
    assert wrong.exit_code == ExitCode.USAGE
    assert wrong.stderr.startswith("error: no rule is called 'SD999'; there are 'SD101', ")


def test_rule_needs_no_torch() -> None:
    """An explanation is there at once."""
    import subprocess
    import sys

    script = (
        "import sys\nsys.argv = ['spectral-doctor', 'rule', 'SD101']\nfrom spectral_doctor.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\nassert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, capture_output=True).returncode == 0


def test_shell_completion_is_there() -> None:
    """Typer's own option, in the help of the tool."""
    result = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert "--install-completion" in result.stdout


@pytest.mark.parametrize("verb", ["check", "inspect"])
def test_an_inferred_discriminator_never_fails(verb: str) -> None:
    """The same history fails where its network is confirmed; the first line says what it was inferred from."""
    collapsed(Path("run"))
    document = json.loads(CliRunner().invoke(app, ["inspect", "run", "--format", "json"]).stdout)
    arguments = [verb, "history.json", "--fail-on", "collapsed"]
    Path("history.json").write_text(json.dumps(document))
    assert CliRunner().invoke(app, arguments).exit_code == ExitCode.FINDINGS
    document["series"][0] |= {"certainty": "inferred", "why": "one output"}
    Path("history.json").write_text(json.dumps(document))
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert "COLLAPSED" in result.stdout
    assert "inferred from its shape: one output" in " ".join(result.stdout.split())
    every = [verb, "history.json", "--fail-on", "declining,doubt"]
    assert CliRunner().invoke(app, every).exit_code == 0


@pytest.mark.parametrize(
    ("statement", "level", "code"),
    [
        ("LOST", "lost", 1),
        ("LOST", "collapsed", 0),
        ("IN DOUBT", "lost", 0),
        ("IN DOUBT", "doubt", 1),
        ("LOST", "never", 0),
    ],
)
def test_a_generator_alone_fails_by_its_modes(
    statement: str, level: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no spectrum to judge; without `--witness` nothing was asked, and nothing could be examined."""
    from spectral_doctor import witnessing
    from spectral_doctor.diagnosis.records import ModesEstimate, ModesStatement, Tier
    from spectral_doctor.diagnosis.witness import Witness

    save(Path("g"), "netG.pt", small_generator())
    modes = ModesEstimate(ModesStatement(statement), 0.5, Tier.ALONE, (), "")
    lone = witnessing.LoneGenerator("g/netG.pt", modes, Witness(why="as said"), None)
    monkeypatch.setattr(witnessing, "alone", lambda *_: (lone,))
    result = CliRunner().invoke(app, ["inspect", "g", "--witness", "--fail-on", level])
    assert result.exit_code == code
    assert result.stdout.startswith(f"modes {statement} 0.50    a generator, no discriminator beside it\n")
    silent = CliRunner().invoke(app, ["inspect", "g", "--fail-on", level])
    assert silent.exit_code == ExitCode.NOTHING_EXAMINED


@pytest.mark.parametrize("verb", [["inspect"], ["check"], ["watch", "--once"]], ids=lambda verb: verb[0])
def test_a_pattern_says_where_the_step_stands(verb: list[str]) -> None:
    """With it the other number of the name is the step; one that is no pattern is a usage error."""
    Path("run").mkdir()
    for epoch, state in enumerate((1, 2, 3), start=7):
        save(Path("run"), f"netD_{epoch}_of_{100 * epoch}.pth", small_discriminator(state))
    told = CliRunner().invoke(app, [*verb, "run", "--step", r"of_(\d+)"])
    assert "900" in told.stdout
    assert " 9 " not in told.stdout
    wrong = CliRunner().invoke(app, [*verb, "run", "--step", "("])
    assert wrong.exit_code == ExitCode.USAGE
    assert wrong.stderr.startswith("error: --step '(': no regular expression: ")
