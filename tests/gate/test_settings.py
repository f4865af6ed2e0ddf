"""Settings: three places, one order, and no key that is not known."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from spectral_doctor.errors import UsageError
from spectral_doctor.gate.checking import load_settings
from spectral_doctor.gate.rules import Level
from spectral_doctor.gate.settings import PARSERS, FailingModes, FailingSpectrum, FailOn, GateSettings

KEYS = (
    "'baseline', 'discriminator', 'exclude', 'exit-zero', 'fail-on', 'fail-on-coverage', 'format', 'ignore', "
    "'level', 'paths', 'per-layer-ignore', 'select', 'step'"
)

LEVELS = "never, or of collapsed, declining (spectrum) and lost, doubt (modes) one or two with a comma between"
COLLAPSED, DECLINING = FailOn(FailingSpectrum.COLLAPSED), FailOn(FailingSpectrum.DECLINING)


def load(folder: Path, options: dict[str, Any] | None = None, **environment: str) -> GateSettings:
    """The settings from a folder, environment variables by their last part, and options."""
    return load_settings(options or {}, {f"SPECTRAL_DOCTOR_{key}": value for key, value in environment.items()}, folder)


def own(folder: Path, text: str) -> Path:
    """A spectral-doctor.toml."""
    path = folder / "spectral-doctor.toml"
    path.write_text(text, encoding="utf-8")
    return path


def project(folder: Path, text: str) -> Path:
    """A pyproject.toml."""
    path = folder / "pyproject.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_setting_has_a_key_and_a_default() -> None:
    """The record and the keys that a file may hold are the same."""
    assert {item.name.replace("_", "-") for item in fields(GateSettings)} == set(PARSERS)


def test_without_any_place_there_are_defaults(tmp_path: Path) -> None:
    """Collapsed fails."""
    assert load(tmp_path) == GateSettings()
    assert GateSettings().fail_on == FailOn(FailingSpectrum.COLLAPSED, FailingModes.LOST)


def test_the_command_line_is_over_the_environment_is_over_the_file(tmp_path: Path) -> None:
    """Each place wins over the one below, key by key."""
    own(tmp_path, 'fail-on = "never"\nselect = ["SD1"]\nexit-zero = true\n')
    assert load(tmp_path).fail_on == FailOn()
    assert load(tmp_path, FAIL_ON="declining").fail_on == DECLINING
    above = load(tmp_path, {"fail-on": "collapsed", "select": None, "ignore": []}, FAIL_ON="declining", EXIT_ZERO="0")
    assert above.fail_on == COLLAPSED
    assert above.select == {f"SD{number}" for number in (*range(101, 108), 111, 112)}
    assert above.exit_zero is False


def test_tables_are_added_to_each_other(tmp_path: Path) -> None:
    """A level given on the command line leaves the file's other levels as they are."""
    own(tmp_path, '[level]\nSD202 = "fail"\nSD203 = "off"\n\n[per-layer-ignore]\n"body.*" = ["SD2"]\n')
    settings = load(tmp_path, {"level": ["SD203=warn,SD111=warn"], "per-layer-ignore": ["head:SD203"]})
    assert settings.level == {"SD202": Level.FAIL, "SD203": Level.WARN, "SD111": Level.WARN}
    assert settings.silences("SD201", "body.c1")
    assert settings.silences("SD203", "head")
    assert not settings.silences("SD201", "head")
    assert not settings.silences("SD101", "body.c1")


def test_a_glob_over_all_layers_silences_no_discriminator() -> None:
    """A rule without a layer is none of a layer's business."""
    settings = GateSettings(per_layer_ignore=(("*", frozenset({"SD101"})),))
    assert not settings.silences("SD101", "")


def test_the_nearest_file_is_taken(tmp_path: Path) -> None:
    """Upwards; spectral-doctor.toml before pyproject.toml; a pyproject.toml without the table is passed over."""
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    project(tmp_path, '[tool.spectral-doctor]\nfail-on = "never"\n')
    assert load(inner).fail_on == FailOn()
    project(inner, "[tool.ruff]\n")
    assert load(inner).fail_on == FailOn()
    own(tmp_path, 'fail-on = "declining"\n')
    assert load(inner).fail_on == DECLINING
    project(inner, "[tool.spectral-doctor]\n")
    assert load(inner).fail_on == GateSettings().fail_on


def test_a_named_file_is_taken_alone(tmp_path: Path) -> None:
    """From the command line or the variable; a pyproject.toml without the table is then an error."""
    own(tmp_path, 'fail-on = "never"\n')
    other = tmp_path / "other.toml"
    other.write_text('discriminator = "D"\n')
    for settings in (
        load_settings({}, {}, tmp_path, other),
        load_settings({}, {"SPECTRAL_DOCTOR_CONFIG": str(other)}, tmp_path),
    ):
        assert (settings.discriminator, settings.fail_on) == ("D", GateSettings().fail_on)
    path = project(tmp_path, "[project]\n")
    with pytest.raises(UsageError) as error:
        load_settings({}, {}, tmp_path, path)
    assert str(error.value) == f"{path}: has no table [tool.spectral-doctor]."


def test_paths_count_from_the_file(tmp_path: Path) -> None:
    """A path in a file means the same wherever the check is started; one on the command line is left alone."""
    own(tmp_path, 'paths = ["runs"]\nbaseline = "known.json"\nformat = ["text", "sarif:a.sarif"]\n')
    settings = load(tmp_path)
    assert settings.paths == (str(tmp_path / "runs"),)
    assert settings.baseline == str(tmp_path / "known.json")
    assert settings.format == ("text", f"sarif:{tmp_path / 'a.sarif'}")
    assert load(tmp_path, {"paths": ["x"]}).paths == ("x",)


@pytest.mark.parametrize("url", ["memory://run", "s3://bucket/run/*.pt", "simplecache::s3://bucket/run"])
def test_a_url_in_a_file_stays_a_url(tmp_path: Path, url: str) -> None:
    """It counts from nowhere; a path beside it counts from the file, also one with a colon in its name."""
    own(tmp_path, f'paths = ["{url}", "runs", "exp:1/run"]\n')
    assert load(tmp_path).paths == (url, str(tmp_path / "runs"), str(tmp_path / "exp:1/run"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('fail_on = "never"', f"{{file}}: fail_on: unknown key; known are {KEYS}."),
        (
            'fail-on = "sometimes"',
            f"{{file}}: fail-on: expected {LEVELS}, got 'sometimes'.",
        ),
        ("fail-on-coverage = 101", "{file}: fail-on-coverage: expected a percentage between 0 and 100, got '101'."),
        ("fail-on-coverage = true", "{file}: fail-on-coverage: expected a percentage between 0 and 100, got 'True'."),
        ('exit-zero = "yes"', "{file}: exit-zero: expected true or false, got 'yes'."),
        ("exit-zero = 1", "{file}: exit-zero: expected true or false, got '1'."),
        ("exclude = 3", "{file}: exclude: expected texts in a list, or separated by commas, got '3'."),
        ('baseline = ""', "{file}: baseline: expected a text, got ''."),
        ('[level]\nSD101 = "error"', "{file}: level SD101: expected one of 'fail', 'warn', 'off', got 'error'."),
        ("level = 3", "{file}: level: expected a table, or CODE=LEVEL, got '3'."),
        ('level = ["SD101"]', "{file}: level: expected CODE=LEVEL, got 'SD101'."),
        ('per-layer-ignore = ["body"]', "{file}: per-layer-ignore: expected GLOB:CODES, got 'body'."),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    """File, key, what was expected, what came."""
    path = own(tmp_path, text)
    with pytest.raises(UsageError) as error:
        load(tmp_path)
    assert str(error.value) == sentence.format(file=path)


def test_the_table_of_a_project_is_named_in_an_error(tmp_path: Path) -> None:
    """pyproject.toml holds many tables."""
    path = project(tmp_path, "[tool.spectral-doctor]\nfailon = 1\n")
    with pytest.raises(UsageError, match="unknown key") as error:
        load(tmp_path)
    assert str(error.value) == f"{path} [tool.spectral-doctor]: failon: unknown key; known are {KEYS}."


def test_a_broken_file_is_an_error(tmp_path: Path) -> None:
    """Never passed over: it may hold the gate."""
    path = own(tmp_path, "fail-on = \n")
    with pytest.raises(UsageError, match="not valid TOML: Invalid value") as error:
        load(tmp_path)
    assert str(error.value).startswith(f"{path}: ")
    inner = tmp_path / "x"
    inner.mkdir()
    project(inner, "[tool]\nspectral-doctor = 3\n")
    with pytest.raises(UsageError, match=r"tool\.spectral-doctor is not a table\."):
        load(inner)
    with pytest.raises(UsageError, match="cannot be read: No such file or directory"):
        load_settings({}, {}, tmp_path, tmp_path / "no.toml")


def test_a_misspelt_variable_is_an_error(tmp_path: Path) -> None:
    """A gate that is thought to be set and is not would be worse than none; other tools' variables are left alone."""
    with pytest.raises(UsageError) as error:
        load(tmp_path, FAILON="declining")
    assert str(error.value).startswith("SPECTRAL_DOCTOR_FAILON: unknown variable; known are 'SPECTRAL_DOCTOR_BASELINE'")
    assert load_settings({}, {"SPECTRAL_DOCTOR_DEBUG": "1", "HOME": "/"}, tmp_path) == GateSettings()
    with pytest.raises(
        UsageError, match=r"^SPECTRAL_DOCTOR_FAIL_ON: expected never, or of collapsed, declining \(spectrum\) and"
    ):
        load(tmp_path, FAIL_ON="x")


@pytest.mark.parametrize(
    ("text", "spectrum", "modes"),
    [
        ("never", "never", "never"),
        ("collapsed", "collapsed", "never"),
        ("declining", "declining", "never"),
        ("lost", "never", "lost"),
        ("doubt", "never", "doubt"),
        ("collapsed,lost", "collapsed", "lost"),
        (" doubt , declining ", "declining", "doubt"),
        ("spectrum=collapsed,modes=doubt", "collapsed", "doubt"),
        ("modes=lost", "never", "lost"),
        ("spectrum=never,modes=lost", "never", "lost"),
    ],
)
def test_fail_on_names_one_or_both_statements(text: str, spectrum: str, modes: str) -> None:
    """What is not named never fails."""
    assert FailOn.read(text) == FailOn(FailingSpectrum(spectrum), FailingModes(modes))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sometimes",
        "collapsed,",
        "collapsed;lost",
        "spectrum=lost",
        "modes=collapsed",
        "layer=lost",
        "=lost",
        "LOST",
    ],
)
def test_what_fail_on_is_not_is_an_error(text: str) -> None:
    """It names the option, what was expected and what came; a level of the other statement is none of this one."""
    with pytest.raises(UsageError) as error:
        FailOn.read(text)
    assert str(error.value) == f"--fail-on: expected {LEVELS}, got '{text}'."


def test_levels_follow_fail_on_selection_and_their_own_setting() -> None:
    """The order of what decides a level."""
    level = Level
    assert GateSettings().level_of("SD102") is level.WARN
    assert GateSettings(fail_on=DECLINING).level_of("SD102") is level.FAIL
    assert GateSettings().level_of("SD105") is level.FAIL
    assert GateSettings(fail_on=COLLAPSED).level_of("SD105") is level.WARN
    assert GateSettings().level_of("SD106") is level.WARN
    assert GateSettings(fail_on=FailOn(modes=FailingModes.DOUBT)).level_of("SD106") is level.FAIL
    assert GateSettings(fail_on=FailOn(modes=FailingModes.DOUBT)).level_of("SD101") is level.WARN
    assert GateSettings(fail_on=COLLAPSED).level_of("SD205") is level.FAIL
    assert GateSettings(fail_on=FailOn()).level_of("SD201") is level.WARN
    assert GateSettings(fail_on=FailOn(), level={"SD202": level.FAIL}).level_of("SD202") is level.WARN
    assert GateSettings(fail_on=FailOn()).level_of("SD303") is level.FAIL
    assert GateSettings().level_of("SD111") is level.OFF
    assert GateSettings(select=frozenset({"SD111"})).level_of("SD111") is level.WARN
    assert GateSettings(select=frozenset({"SD111"})).level_of("SD101") is level.OFF
    assert GateSettings(ignore=frozenset({"SD101"}), level={"SD101": level.FAIL}).level_of("SD101") is level.OFF
    assert GateSettings(level={"SD111": level.FAIL}).level_of("SD111") is level.FAIL
    assert GateSettings(ignore=frozenset({"SD301"}), fail_on=FailOn()).level_of("SD301") is level.FAIL
