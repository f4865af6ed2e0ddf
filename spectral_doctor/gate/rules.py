"""The rules of the gate: stable codes, what each means, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from spectral_doctor.errors import UsageError, listed, printable


class Level(Enum):
    """What a problem does to the exit code: 1, nothing, or it is not looked for."""

    FAIL = "fail"
    WARN = "warn"
    OFF = "off"


@dataclass(frozen=True)
class Rule:
    """One thing that the gate can find; `code` never changes its meaning.

    `per_layer` tells the rules that name a layer from those about a discriminator or about the files.
    """

    code: str
    title: str
    level: Level
    per_layer: bool
    explanation: str
    remedy: str


_ALL = (
    Rule(
        "SD101",
        "spectrum collapsed",
        Level.FAIL,
        False,
        "The better half of the discriminator's judged layers lies, taken together, below the range of such layers "
        "in healthy networks: it sees few directions. That is a fact about weights; whether modes are lost is "
        "SD105.",
        "Go back to the checkpoint that the message names, and resume from there with a lower discriminator learning "
        "rate or with spectral regularisation (spectral-doctor fix). Look at samples before you throw the run away.",
    ),
    Rule(
        "SD102",
        "spectrum declining",
        Level.WARN,
        False,
        "The better half of the layers has sunk near the lower end of its reference range, or under spectral norm the "
        "second singular value has left the first. It may stop by itself, or be the start of SD101.",
        "Keep the checkpoints from before the onset, and save and check more often. --fail-on declining stops here.",
    ),
    Rule(
        "SD103",
        "spectrum not judged",
        Level.WARN,
        False,
        "The weights were read and their spectrum could not be judged: no layer is large enough, finite and in "
        "training, or the weights are clipped, or a compensation has shaped them.",
        "Give the earlier checkpoints of the same run, so that a fall can be told from a level.",
    ),
    Rule(
        "SD104",
        "discriminator still",
        Level.WARN,
        False,
        "No layer has moved for half of the series or more: the discriminator is not learning, and its spectrum says "
        "nothing about modes.",
        "If its rate was decayed to zero on purpose, ignore the rule. If not, look whether its optimizer gets "
        "gradients; a discriminator that has stopped for good is helped by a fresh one only.",
    ),
    Rule(
        "SD105",
        "modes lost",
        Level.FAIL,
        False,
        "The probability that modes are lost is 0.8 or more, by the evidence that the message names. "
        "docs/accuracy.md says how often that was right. It is an inference about samples: the spectrum itself is "
        "SD101.",
        "Look at samples. Go back to the checkpoint that the message names. --witness asks the generator as well, "
        "which tells much more.",
    ),
    Rule(
        "SD106",
        "modes in doubt",
        Level.WARN,
        False,
        "The generator was asked, and the probability that modes are lost lies between 0.2 and 0.8.",
        "Look at samples, or ask the generator with --witness. --fail-on doubt stops here.",
    ),
    Rule(
        "SD107",
        "discriminator untrained",
        Level.WARN,
        False,
        "Every layer is as at initialisation: spectra and sizes of random weights. Nothing was learnt, or the wrong "
        "file was saved.",
        "Look whether the discriminator's parameters are in an optimizer that steps, and which state was saved.",
    ),
    Rule(
        "SD111",
        "layer below its range",
        Level.OFF,
        True,
        "One layer's plateau lies below the reference range. In healthy GANs single layers do that as well, so the "
        "rule is off until it is selected or given a level.",
        "Compare with a run that is known to be good before acting on it; a baseline holds what is normal in yours.",
    ),
    Rule(
        "SD112",
        "layer fallen",
        Level.OFF,
        True,
        "The plateau of one layer lies below the reference range and far under its own best. Off by default, for the "
        "reason given for SD111.",
        "Watch whether other layers follow.",
    ),
    Rule(
        "SD201",
        "weights not finite",
        Level.FAIL,
        True,
        "A weight holds NaN or infinity. Where the last checkpoint is finite again, the problem is a warning.",
        "Resume from a checkpoint before the step that is named; look for a learning rate too high, or half precision "
        "without loss scaling.",
    ),
    Rule(
        "SD202",
        "weights exploding",
        Level.WARN,
        True,
        "The largest singular value has grown several-fold since the checkpoint before, to the largest of any layer so "
        "far.",
        "Lower the discriminator's learning rate, or add spectral norm or a gradient penalty.",
    ),
    Rule(
        "SD203",
        "layer unchanged",
        Level.WARN,
        True,
        "All singular values are the same to the last bit as in an earlier checkpoint: the layer is not being trained.",
        "If it is frozen on purpose, ignore the rule for that layer. If not, look whether its parameters are in the "
        "optimizer and receive gradients.",
    ),
    Rule(
        "SD204",
        "layer zero",
        Level.WARN,
        True,
        "Every value of a weight is zero.",
        "A layer that starts at zero is fine at step 0. Later it means that nothing flows through it.",
    ),
    Rule(
        "SD205",
        "weights exploded",
        Level.FAIL,
        False,
        "A largest singular value is above 10 000, which no trained layer among hundreds of published ones comes near.",
        "Resume from an earlier checkpoint, with a lower discriminator rate, spectral norm or a gradient penalty.",
    ),
    Rule(
        "SD301",
        "nothing examined",
        Level.FAIL,
        False,
        "No discriminator was found, or no file could be read. Nothing examined is never healthy: the exit code is 3 "
        "or 4, and neither --ignore nor --exit-zero changes that.",
        "Follow the sentence of the message: name the right folder, or the discriminator's key with --discriminator.",
    ),
    Rule(
        "SD302",
        "file not read",
        Level.WARN,
        False,
        "A file is torn, unsafe or of a kind that is not opened, and others were examined without it.",
        "Write checkpoints so that an interruption leaves no half file, or name the good files only.",
    ),
    Rule(
        "SD303",
        "coverage too low",
        Level.FAIL,
        False,
        "Less than the share asked for with --fail-on-coverage was examined, of the checkpoint files or of the weights "
        "in them. Weights that were excluded on purpose, buffers and shared weights do not count.",
        "See what was skipped and why with spectral-doctor inspect --explain.",
    ),
)
RULES: dict[str, Rule] = {rule.code: rule for rule in _ALL}


def rule_named(code: str) -> Rule:
    """The rule of a code, whatever its case; raises `UsageError` that lists the codes."""
    rule = RULES.get(code.upper())
    if rule is None:
        raise UsageError(f"no rule is called '{printable(code)}'; there are {listed(RULES, len(RULES))}.")
    return rule


def matching(prefixes: Iterable[str], where: str) -> frozenset[str]:
    """The codes that begin with one of the prefixes (`SD2`, `SD101`); raises `UsageError` on one that none has."""
    codes: set[str] = set()
    for prefix in prefixes:
        found = {code for code in RULES if code.startswith(prefix.upper())} if prefix else set()
        if not found:
            raise UsageError(
                f"{where}: no rule begins with '{printable(prefix)}'; there are {listed(RULES, len(RULES))}."
            )
        codes |= found
    return frozenset(codes)
