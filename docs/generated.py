"""The reference pages, written from the code whenever the documentation is built: what they say is what there is."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import asdict, fields, is_dataclass
from enum import EnumMeta
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parent.parent
PICTURES = (
    *(_ROOT / "sample_checkpoints" / name for name in ("collapsed.png", "collapsed-page.png")),
    _ROOT / "tests" / "benchmarks" / "reconstruction.png",
    *sorted((_ROOT / "tests" / "benchmarks" / "results" / "reproduce").glob("*.png")),
)


def on_files(files: Any, config: Any) -> Any:
    """The hook of mkdocs: add every generated page, and the pictures that lie beside what they are of."""
    from mkdocs.structure.files import File

    for path, content in pages().items():
        files.append(File.generated(config, path, content=content))
    for picture in PICTURES:
        files.append(File.generated(config, f"pictures/{picture.name}", content=picture.read_bytes()))
    return files


def pages() -> dict[str, str]:
    """Every generated page by its path."""
    return {
        "reference/rules.md": rules(),
        "reference/options.md": options(),
        "reference/formats.md": formats(),
        "reference/recipes.md": recipes(),
        "reference/exit-codes.md": exit_codes(),
        "reference/python.md": python(),
    }


def rules() -> str:
    """What every code means and what to do, under a heading of its own that a link can name."""
    from spectral_doctor.gate.rules import RULES

    lines = ["# Rules", "", "`spectral-doctor rule --all` prints this page, `--format json` as JSON.", ""]
    lines += ["| code | level | finds |", "|---|---|---|"]
    lines += [f"| [{item.code}](#{item.code.lower()}) | {item.level.value} | {item.title} |" for item in RULES.values()]
    for item in RULES.values():
        about = "a layer" if item.per_layer else "a discriminator, or the files"
        lines += ["", f"## {item.code} {item.title} {{ #{item.code.lower()} }}", ""]
        lines += [f"Level *{item.level.value}* unless set otherwise; about {about}.", ""]
        lines += [_text(item.explanation), "", f"**What to do.** {_text(item.remedy)}"]
    return _page(lines)


def options() -> str:
    """The arguments and options of every verb, as `--help` has them."""
    from spectral_doctor.cli.verbs import Verbs

    group = Verbs(name="spectral-doctor")
    lines = ["# Options", "", "Every verb answers `--help`. An option that may be repeated says so.", ""]
    for verb in group.list_commands(None):
        command = group.commands[verb]
        lines += [f"## {verb}", "", _text(command.help or ""), "", "| option | meaning | default |", "|---|---|---|"]
        lines += [_option(parameter) for parameter in command.params]
        lines.append("")
    return _page(lines)


def formats() -> str:
    """The formats of reports, and the kinds of files that are read."""
    from spectral_doctor.checkpoints.formats import FORMATS
    from spectral_doctor.report.formats import RENDERERS
    from spectral_doctor.state_dicts.forms import __doc__ as forms

    lines = ["# Formats", "", "## Of reports", ""]
    lines += [
        "`--format NAME` goes to stdout, `--format NAME:FILE` to a file; several at once; the same for `inspect`,"
    ]
    lines += ["`check` and `merge`.", "", "| name | what it is for |", "|---|---|"]
    lines += [f"| `{name}` | {_REPORTS[name]} |" for name in RENDERERS]
    lines += [
        "",
        "## Of checkpoints",
        "",
        "A file is told by its content, never by its name; the first that fits has it.",
        "",
    ]
    lines += ["| room | reads |", "|---|---|"]
    for item in FORMATS:
        kind = type(item) if not inspect.isclass(item) else item
        room = kind.__module__.rpartition(".")[2]
        lines.append(f"| `{room}.{kind.__name__}` | {_text(_first(kind.__doc__))} |")
    lines += ["", "## Of weights", "", _text(_first(forms))]
    return _page(lines)


def recipes() -> str:
    """What `train` makes, with every setting."""
    from spectral_doctor.gan.patients import known_recipes

    lines = [
        "# Recipes",
        "",
        "`spectral-doctor recipes` prints this list. A setting is changed by `--set KEY=VALUE`.",
        "",
    ]
    for recipe in known_recipes().values():
        lines += [f"## {recipe.name}", "", _text(recipe.description), "", "| setting | value |", "|---|---|"]
        lines += [f"| `{key}` | `{value}` |" for key, value in asdict(recipe.settings).items()]
        lines.append("")
    return _page(lines)


def exit_codes() -> str:
    """The numbers a script sees, and the variables that settings are read from."""
    from spectral_doctor.cli.boundary import ExitCode
    from spectral_doctor.gate.settings import OTHER_VARIABLES, PARSERS, PREFIX

    lines = ["# Exit codes and variables", "", "## Exit codes", "", "| code | name | when |", "|---|---|---|"]
    lines += [f"| {code.value} | {code.name.lower().replace('_', ' ')} | {_CODES[code.name]} |" for code in ExitCode]
    lines += [
        "",
        "## Variables",
        "",
        "Settings of `check` and `watch`; the command line comes before, the settings file after.",
        "",
    ]
    lines += [f"- `{PREFIX}{key.replace('-', '_').upper()}`" for key in PARSERS]
    lines += [f"- `{name}`" for name in OTHER_VARIABLES]
    lines += [
        "- `NO_COLOR`, `FORCE_COLOR`, `FORCE_HYPERLINK`: colours, a bar and links where the terminal does not tell"
    ]
    return _page(lines)


def python() -> str:
    """The public names with their signatures and what they say of themselves."""
    import spectral_doctor

    lines = ["# Python", "", "`from spectral_doctor import …`. These names and signatures are held by a test.", ""]
    for name in spectral_doctor.__all__:
        if name != "__version__":
            lines += [*_described(name, getattr(spectral_doctor, name)), ""]
    return _page(lines)


def _described(name: str, item: Any) -> Iterator[str]:
    yield f"## {name}"
    yield ""
    if isinstance(item, EnumMeta):
        yield ", ".join(f"`{member}`" for member in item.__members__)
        yield ""
    elif not inspect.isclass(item) or not is_dataclass(item):
        yield f"```python\n{name}{_signature(item)}\n```"
        yield ""
    yield _text(inspect.getdoc(item) or "")
    if inspect.isclass(item) and is_dataclass(item):
        yield ""
        yield from (f"- `{field.name}: {field.type}`" for field in fields(item))


def _signature(item: Any) -> str:
    try:
        return str(inspect.signature(item))
    except ValueError:
        return "(…)"


def _option(parameter: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    if parameter.param_type_name == "argument":
        names = f"`{parameter.metavar or parameter.name.upper()}`"
    elif parameter.metavar:
        names += f" `{parameter.metavar}`"
    default = parameter.default
    shown = "" if default in (None, False, ()) or callable(default) else getattr(default, "value", default)
    return f"| {names} | {_text(getattr(parameter, 'help', '') or '')} | {_text(str(shown))} |".replace("\n", " ")


def _first(text: str | None) -> str:
    """The first paragraph."""
    return " ".join((text or "").strip().split("\n\n")[0].split())


def _text(text: str) -> str:
    """Text that stays text in a table of Markdown."""
    return text.replace("|", r"\|").replace("<", "&lt;").replace("*", r"\*")


def _page(lines: list[str]) -> str:
    return "\n".join(lines).rstrip() + "\n"


_REPORTS = {
    "text": "a person at a terminal, or a log",
    "json": "everything, with all singular values; `inspect` and `check` read it back as a history",
    "jsonl": "a line a fact: every discriminator, every finding, the conclusion",
    "junit": "CI servers that show tests: a suite a discriminator, a case a rule",
    "sarif": "code scanning of GitHub and others; fingerprints stay while numbers change",
    "github": "annotations of a job of GitHub, and its summary",
    "gitlab": "the code quality report of GitLab",
    "markdown": "a comment or a summary",
    "html": "one page to look at and keep, which loads nothing",
    "csv": "a row a layer and checkpoint, for a spreadsheet",
}
_CODES = {
    "HEALTHY": "something was examined, and nothing reaches `--fail-on`",
    "FINDINGS": "a finding at or above `--fail-on`; of `train`, a loss or weight that is not finite",
    "USAGE": "an unknown option, a path that does not exist, a package that is not installed",
    "NOTHING_EXAMINED": "no checkpoint, or no discriminator in any",
    "UNREADABLE": "the only files are unreadable, torn or unsafe; or an internal error",
    "INTERRUPTED": "SIGINT",
    "TERMINATED": "SIGTERM",
}
