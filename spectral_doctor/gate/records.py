"""What the gate decides: problems, their keys, what was covered, and the outcome of a check."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spectral_doctor.gate.rules import Level, Rule
from spectral_doctor.records import CheckpointRef, Failure

if TYPE_CHECKING:
    from spectral_doctor.inspection import Inspection

_WRAPPER = re.compile(r"^(?:module\.|_orig_mod\.)+")
# Both `conv[group 2/4]` and `lstm[ih_l0 gate 1/4]`: the number goes, and what else the brackets say stays.
_NUMBERED_PART = re.compile(r"\[(?P<rest>[^\[\]]*?) ?\b(?:group|gate) \d+/\d+\]$")


@dataclass(frozen=True, order=True)
class Key:
    """What makes a problem the same one next time: rule, discriminator and layer, and no number measured.

    The layer's name is without wrappers (`module.`, `_orig_mod.`) and without the number of a group or gate.
    """

    rule: str
    discriminator: str
    layer: str

    @property
    def fingerprint(self) -> str:
        """The key as 64 hexadecimal digits, for formats that want a fingerprint."""
        text = "\0".join((self.rule, self.discriminator, self.layer))
        return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def normalised(layer: str) -> str:
    """A layer's name without what changes from one way of saving to another."""
    return _NUMBERED_PART.sub(lambda found: f"[{found['rest']}]" if found["rest"] else "", _WRAPPER.sub("", layer))


@dataclass(frozen=True)
class Problem:
    """One thing found: which rule, where, at which checkpoint, in words.

    `layer` is empty where the rule is about a discriminator, both names where it is about the files, which
    also have no checkpoint. `known`
    says that the baseline has it already, so that it no longer fails; `failure` is the file of SD302.
    """

    rule: Rule
    level: Level
    discriminator: str
    layer: str
    checkpoint: CheckpointRef | None
    step: int | None
    sentence: str
    known: bool = False
    failure: Failure | None = None

    @property
    def key(self) -> Key:
        """The problem's identity over runs."""
        return Key(self.rule.code, self.discriminator, normalised(self.layer))

    @property
    def fingerprint(self) -> str:
        """That of the key; of a file that was not read, which has no key of its own, that of its sentence."""
        key = self.key if self.rule.code != "SD302" else Key(self.rule.code, "", self.sentence)
        return key.fingerprint

    @property
    def fails(self) -> bool:
        """Whether the exit code is 1 for this problem."""
        return self.level is Level.FAIL and not self.known


@dataclass(frozen=True)
class Coverage:
    """How much of what should have been examined was: files, and weights in them."""

    files: int
    files_missed: int
    weights: int
    weights_missed: int

    @property
    def percent(self) -> float:
        """The smaller of the two shares, in percent; 0 where nothing was there to examine."""
        shares = [
            100.0 * done / (done + missed) if done + missed else 0.0
            for done, missed in ((self.files, self.files_missed), (self.weights, self.weights_missed))
        ]
        return min(shares)


@dataclass(frozen=True)
class CheckOutcome:
    """The decision on an inspection.

    `levels` holds every rule that was on. `fixed` are baseline entries whose discriminator was examined and
    that are gone; `kept` those whose discriminator was not examined. `error` is the sentence that says why
    nothing was examined, else empty, and `unreadable` whether that was for want of a file that can be read.
    `root` is the folder that report paths are relative to.
    """

    inspection: Inspection
    problems: tuple[Problem, ...]
    levels: Mapping[str, Level]
    coverage: Coverage
    with_baseline: bool = False
    fixed: tuple[Key, ...] = ()
    kept: tuple[Key, ...] = ()
    error: str = ""
    unreadable: bool = False
    root: str = ""

    @property
    def fails(self) -> bool:
        """Whether any problem makes the check fail."""
        return any(problem.fails for problem in self.problems)

    def count(self, level: Level) -> int:
        """How many problems of a level the baseline does not know."""
        return sum(problem.level is level and not problem.known for problem in self.problems)
