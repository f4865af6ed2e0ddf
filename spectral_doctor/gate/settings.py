"""The settings of a check: from a file, from the environment, from the command line, in rising order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spectral_doctor.errors import UsageError, listed, printable
from spectral_doctor.gate.rules import RULES, Level, matching, rule_named
from spectral_doctor.records import is_remote

if TYPE_CHECKING:
    from spectral_doctor.diagnosis.records import Diagnosis, ModesStatement

PREFIX = "SPECTRAL_DOCTOR_"
# Variables of that prefix that are no settings of a check.
OTHER_VARIABLES = ("SPECTRAL_DOCTOR_DEBUG", "SPECTRAL_DOCTOR_CONFIG", "SPECTRAL_DOCTOR_CACHE")


class FailingSpectrum(Enum):
    """From which state of the spectrum on the exit code is 1."""

    COLLAPSED = "collapsed"
    DECLINING = "declining"
    NEVER = "never"


class FailingModes(Enum):
    """From which statement about modes on the exit code is 1."""

    LOST = "lost"
    DOUBT = "doubt"
    NEVER = "never"


@dataclass(frozen=True)
class FailOn:
    """From which state of the spectrum, and from which statement about modes, the exit code is 1."""

    spectrum: FailingSpectrum = FailingSpectrum.NEVER
    modes: FailingModes = FailingModes.NEVER

    @property
    def never(self) -> bool:
        """Whether neither statement ever fails."""
        return self == FailOn()

    def reached(self, diagnosis: Diagnosis) -> bool:
        """Whether a diagnosis fails; weights that are not finite or exploded at the last checkpoint always do."""
        if self.never:
            return False
        from spectral_doctor.diagnosis.records import SpectrumState

        sunk = {
            FailingSpectrum.NEVER: (),
            FailingSpectrum.COLLAPSED: (SpectrumState.COLLAPSED,),
            FailingSpectrum.DECLINING: (SpectrumState.COLLAPSED, SpectrumState.DECLINING),
        }[self.spectrum]
        broken = (*sunk, SpectrumState.NON_FINITE, SpectrumState.EXPLODED)
        return diagnosis.spectrum in broken or self.lost(diagnosis.modes.statement)

    def lost(self, statement: ModesStatement) -> bool:
        """Whether a statement about modes fails."""
        from spectral_doctor.diagnosis.records import ModesStatement

        doubt = self.modes is FailingModes.DOUBT and statement is ModesStatement.IN_DOUBT
        return doubt or (self.modes is not FailingModes.NEVER and statement is ModesStatement.LOST)

    @classmethod
    def read(cls, text: object, label: str = "--fail-on") -> FailOn:
        """Parse `collapsed`, `declining`, `lost`, `doubt` or `never`, several with commas, each also as `spectrum=…`.

        A statement that is not named never fails. Raises `UsageError`.
        """
        result = cls()
        for part in str(text).split(","):
            statement, equals, level = part.strip().rpartition("=")
            spectrum = next((item for item in FailingSpectrum if item.value == level), None)
            modes = next((item for item in FailingModes if item.value == level), None)
            if (equals and statement not in ("spectrum", "modes")) or (spectrum is None and modes is None):
                raise _unexpected(text, label, _FAIL_ON)
            if spectrum is not None and statement != "modes":
                result = replace(result, spectrum=spectrum)
            elif modes is not None and statement != "spectrum":
                result = replace(result, modes=modes)
            else:
                raise _unexpected(text, label, _FAIL_ON)
        return result


_FAIL_ON = "never, or of collapsed, declining (spectrum) and lost, doubt (modes) one or two with a comma between"


@dataclass(frozen=True)
class GateSettings:
    """Everything that a check can be told.

    `select` and `ignore` are codes, `level` the levels set one by one, `per_layer_ignore` pairs of a glob over
    layer names and the codes that it silences; `format` holds `FORMAT` or `FORMAT:FILE`.
    """

    paths: tuple[str, ...] = ()
    discriminator: str | None = None
    step: str | None = None
    exclude: tuple[str, ...] = ()
    fail_on: FailOn = FailOn(FailingSpectrum.COLLAPSED, FailingModes.LOST)
    fail_on_coverage: float | None = None
    exit_zero: bool = False
    select: frozenset[str] = frozenset()
    ignore: frozenset[str] = frozenset()
    level: Mapping[str, Level] = field(default_factory=dict)
    per_layer_ignore: tuple[tuple[str, frozenset[str]], ...] = ()
    baseline: str | None = None
    format: tuple[str, ...] = ()

    def level_of(self, code: str) -> Level:
        """The level of a rule under these settings; SD301 is always `fail`."""
        if code == "SD301":
            return Level.FAIL
        if code in self.ignore or (self.select and code not in self.select):
            return Level.OFF
        level = self.level.get(code)
        if level is None:
            level = self._by_fail_on(code, RULES[code].level)
            if level is Level.OFF and code in self.select:
                level = Level.WARN
        about_files = code.startswith("SD3")
        return Level.WARN if level is Level.FAIL and self.fail_on.never and not about_files else level

    def _by_fail_on(self, code: str, level: Level) -> Level:
        """The level of the rules of the two statements, which `--fail-on` moves; of others, their own."""
        spectrum, modes = self.fail_on.spectrum, self.fail_on.modes
        failing = {
            "SD101": spectrum is not FailingSpectrum.NEVER,
            "SD102": spectrum is FailingSpectrum.DECLINING,
            "SD105": modes is not FailingModes.NEVER,
            "SD106": modes is FailingModes.DOUBT,
        }
        if code not in failing:
            return level
        return Level.FAIL if failing[code] else Level.WARN

    def silences(self, code: str, layer: str) -> bool:
        """Whether a rule is ignored for a layer; a rule about a whole discriminator (no layer) never is."""
        return bool(layer) and any(code in codes and fnmatchcase(layer, glob) for glob, codes in self.per_layer_ignore)


@dataclass(frozen=True)
class Source:
    """Settings from one place as they stand there: value by key, and what to call a key in an error."""

    values: Mapping[str, Any]
    label: Callable[[str], str]
    folder: Path | None = None


def merged(*sources: Source) -> GateSettings:
    """Parse settings from several places; where two say the same key, the later wins.

    Of `level` and `per-layer-ignore` the later place adds to the earlier. Relative paths from a file count
    from the folder of that file. Raises `UsageError` that names the place, the key, and what was expected.
    """
    result: dict[str, Any] = {}
    for source in sources:
        for key, value in source.values.items():
            label = source.label(key)
            if key not in PARSERS:
                raise UsageError(f"{label}: unknown key; known are {listed(sorted(PARSERS), len(PARSERS))}.")
            parsed = PARSERS[key](value, label)
            if source.folder is not None:
                parsed = _from_folder(key, parsed, source.folder)
            name = key.replace("-", "_")
            if key == "level":
                parsed = {**result.get(name, {}), **parsed}
            elif key == "per-layer-ignore":
                parsed = (*result.get(name, ()), *parsed)
            result[name] = parsed
    return GateSettings(**result)


def from_environment(environment: Mapping[str, str]) -> Source:
    """The settings in variables `SPECTRAL_DOCTOR_…`; raises `UsageError` on one that is none."""
    names = {f"{PREFIX}{key.replace('-', '_').upper()}": key for key in PARSERS}
    mine = {name for name in environment if name.startswith(PREFIX)} - set(OTHER_VARIABLES)
    for name in sorted(mine):
        if name not in names:
            raise UsageError(f"{printable(name)}: unknown variable; known are {listed(sorted(names), len(names))}.")
    values = {names[name]: environment[name] for name in sorted(mine)}
    return Source(values, lambda key: f"{PREFIX}{key.replace('-', '_').upper()}")


def from_options(options: Mapping[str, Any]) -> Source:
    """The settings given on the command line: those that are not None or empty."""
    given = {key: value for key, value in options.items() if value is not None and value != []}
    return Source(given, lambda key: f"--{key}")


def _from_folder(key: str, parsed: Any, folder: Path) -> Any:
    if key == "paths":
        return tuple(path if is_remote(path) else str(folder / path) for path in parsed)
    if key == "baseline":
        return str(folder / parsed)
    if key == "format":
        pairs = [text.partition(":") for text in parsed]
        return tuple(f"{name}:{folder / file}" if colon else name for name, colon, file in pairs)
    return parsed


def _text(value: Any, label: str) -> str:
    if not isinstance(value, str) or not value:
        raise _unexpected(value, label, "a text")
    return value


def _texts(value: Any, label: str) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise _unexpected(value, label, "texts in a list, or separated by commas")
    return tuple(value)


def _codes(value: Any, label: str) -> frozenset[str]:
    texts = [part for text in _texts(value, label) for part in _texts(text, label)]
    return matching(texts, label)


def _percent(value: Any, label: str) -> float:
    try:
        number = float(str(value).removesuffix("%"))
    except ValueError:
        number = -1.0
    if isinstance(value, bool) or not 0.0 <= number <= 100.0:
        raise _unexpected(value, label, "a percentage between 0 and 100")
    return number


def _switch(value: Any, label: str) -> bool:
    known = {True: True, False: False, "1": True, "true": True, "0": False, "false": False}
    if not isinstance(value, bool | str) or value not in known:
        raise _unexpected(value, label, "true or false")
    return known[value]


def _levels(value: Any, label: str) -> dict[str, Level]:
    names = [item.value for item in Level]
    levels = {}
    for code, name in _pairs(value, label, ",", "=", "CODE=LEVEL"):
        if name not in names:
            raise _unexpected(name, f"{label} {printable(code)}", f"one of {listed(names)}")
        levels[rule_named(code).code] = Level(name)
    return levels


def _layer_ignores(value: Any, label: str) -> tuple[tuple[str, frozenset[str]], ...]:
    # Codes are separated by commas, so that several pairs in one text need another sign.
    pairs = _pairs(value, label, ";", ":", "GLOB:CODES")
    return tuple((glob, _codes(codes, f"{label} {printable(glob)}")) for glob, codes in pairs)


def _pairs(value: Any, label: str, between: str, within: str, form: str) -> list[tuple[str, Any]]:
    """The pairs of a table, of a text, or of a list of texts; a text is cut at its last sign, for globs hold any."""
    if isinstance(value, Mapping):
        return [(str(key), item) for key, item in value.items()]
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list):
        raise _unexpected(value, label, f"a table, or {form}")
    pairs = []
    for text in (part.strip() for item in texts for part in str(item).split(between)):
        first, found, second = text.rpartition(within)
        if not found or not first or not second:
            raise _unexpected(text, label, form)
        pairs.append((first, second))
    return pairs


def _unexpected(value: Any, label: str, expected: str) -> UsageError:
    return UsageError(f"{label}: expected {expected}, got '{printable(value)}'.")


PARSERS: dict[str, Callable[[Any, str], Any]] = {
    "paths": _texts,
    "discriminator": _text,
    "step": _text,
    "exclude": _texts,
    "fail-on": FailOn.read,
    "fail-on-coverage": _percent,
    "exit-zero": _switch,
    "select": _codes,
    "ignore": _codes,
    "level": _levels,
    "per-layer-ignore": _layer_ignores,
    "baseline": _text,
    "format": _texts,
}
