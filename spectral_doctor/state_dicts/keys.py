"""What the keys inside a checkpoint say: which part of the training a tensor belongs to."""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache

from spectral_doctor.state_dicts.words import Role, is_acronym, role_of, words_of


class Part(Enum):
    """What a tensor belongs to; the value is the reason a report gives for leaving it out."""

    DISCRIMINATOR = "a discriminator"
    GENERATOR = "the generator"
    OPTIMIZER = "optimizer or training state"
    FROZEN = "a frozen feature network"
    BACKBONE = "the backbone behind the discriminator's head"
    VALUE = "an actor or value network of reinforcement learning"
    COPY = "a moving average, or a copy of a network that stands elsewhere"
    UNKNOWN = "no key names it a discriminator"


# Segments of a dotted name are held to more than keys of a nested mapping, for `d1.conv.weight` is a layer.
_STRICT_D = re.compile(
    r"(nets?_?|models?_?|state_?|dict_?|patch_?)*V?D(_?[A-Z]|_\w+)?|nets?D\w*|(net|model|patch)s?_?d"
)
_STRICT_G = re.compile(r"(nets?_?|models?_?|state_?|dict_?|patch_?)*G(_?[A-Z]|_\w+)?|nets?G\w*|(net|model|patch)s?_?g")
_LONG_D = re.compile(r"\w*disc|\w*discriminators?|discs|discr|discrim\w*|critics?|adversary|netd|modeld")
_LONG_G = re.compile(r"gens?|\w*generators?|netg|modelg")
_COUNTED = re.compile(r"(use|num|n|has|is|with)_.*")
_NUMBERED_LAYER = re.compile(r"[dg]_?\d+")
# Consonants that end in d: multi-period discriminator and its kin. These are something else.
_SHORTENED = re.compile(r"[bcdfghjklmnpqrstvwxz]{1,7}d")
_NO_NETWORK = re.compile(r"std|sd|fwd|bwd|sgd|svd|hd|cmd|rnd|ssd|nd|dd|fd|kd|ld|md|pwd|wnd|gd|lstd")
_TRAINING = re.compile(
    r"\w*optim\w*|[dg]?opts?|sched|\w*schedulers?|sch|scalers?|rng|loops|callbacks|envelope|treatment|adam\w*"
)
_FROZEN = re.compile(r"perceptual|lpips\w*|vgg\w*|dinov?|inception\w*|arcface\w*|wavlm|hubert|clip|teacher")
_FROZEN_PAIRS = re.compile(
    r"(\w+ )*(feature net(work)?s?|identity loss|id loss|(fake|real) (unet|score|model)s?|pretrained \w+|frozen \w+)"
    r"( \w+)*"
)
_AVERAGES = frozenset({"ema", "swa", "target", "averaged"})
_VALUES = re.compile(r"value( (net|network|function|head|fn))+|vf( \w+)*|qf( \w+)*|q (net|network|function)( \w+)*")
_WEAK_VALUES = re.compile(r"value|critics?|q|v")
_ACTORS = frozenset({"actor", "actors", "policy", "policies", "pi"})
_HEAD = re.compile(r"(\w+ )*cls pred branch(es)?( \w+)*")
_PIECES = re.compile(
    r"\w*discriminators|discs|critics|blocks?|layers?|conv\w*|heads?|body|main|linear|fc|list|stages?|levels?|trunk|embed\w*|emb|proj\w*"
)
_GIVING_HEAD = re.compile(r"(gan|adv|dis|disc|discriminator|critic|cls|fake|judge) (heads?|branch(es)?)( \w+)*")
_MAKERS = re.compile(r"(en|de)coders?|enc|dec")


@lru_cache(maxsize=16384)
def part_of(segment: str, *, in_container: bool, at_top: bool = False) -> Part | None:
    """Say what one segment of a key names; None where it names no part of a training.

    `in_container` tells a key of a nested mapping from a segment of a flat dict's dotted name, `at_top` the
    first segment of such a name. One word of a name is enough in a nested mapping (`patch_d`, `disA`,
    `state_dict_D`); in a dotted name it has to be a long one, or a capital (`D_A`, `netD`).
    """
    words = words_of(segment)
    spoken = " ".join(words)
    if _HEAD.fullmatch(spoken) or spoken in ("adv losses", "mini discs"):
        return Part.DISCRIMINATOR
    if in_container and any(map(_TRAINING.fullmatch, words)):
        return Part.OPTIMIZER
    role = _role(segment, words, in_container=in_container, at_top=at_top)
    if _is_copy(segment, words, role):
        return Part.GENERATOR if role is Role.GENERATOR else Part.COPY
    if role is Role.UNKNOWN and (any(map(_FROZEN.fullmatch, words)) or _FROZEN_PAIRS.fullmatch(spoken)):
        return Part.FROZEN
    if _VALUES.fullmatch(spoken) or (words and words[0] in _ACTORS):
        return Part.VALUE
    if role is Role.UNKNOWN:
        return Part.GENERATOR if in_container and words and _MAKERS.fullmatch(words[0]) else None
    return Part.DISCRIMINATOR if role is Role.DISCRIMINATOR else Part.GENERATOR


def _role(segment: str, words: tuple[str, ...], *, in_container: bool, at_top: bool) -> Role:
    if _COUNTED.fullmatch(segment):
        return Role.UNKNOWN
    name = segment.strip("_").lower()
    if is_acronym(segment) or ((in_container or at_top) and _is_shortened(name)):
        return Role.DISCRIMINATOR
    if in_container:
        role = Role.UNKNOWN if _NUMBERED_LAYER.fullmatch(segment) else role_of(words)
        if role is not Role.UNKNOWN or len(words) > 2:
            return role
    beside_dis = words[:1] == ("dis",) and at_top and all(len(word) <= 2 for word in words[1:])
    discriminator = beside_dis or _says(segment, words, _STRICT_D, _LONG_D)
    generator = _says(segment, words, _STRICT_G, _LONG_G)
    if discriminator == generator:
        return Role.UNKNOWN
    return Role.DISCRIMINATOR if discriminator else Role.GENERATOR


def _says(segment: str, words: tuple[str, ...], short: re.Pattern[str], long: re.Pattern[str]) -> bool:
    if short.fullmatch(segment):
        return True
    ends = [word for word in words if not word.isdigit()]
    return bool(ends) and bool(long.fullmatch(ends[0]) or long.fullmatch(ends[-1]))


def _is_shortened(name: str) -> bool:
    return len(name) > 1 and bool(_SHORTENED.fullmatch(name)) and not _NO_NETWORK.fullmatch(name)


def _is_copy(segment: str, words: tuple[str, ...], role: Role) -> bool:
    if _AVERAGES.intersection(words):
        return True
    return role is Role.DISCRIMINATOR and words[-1:] in (("aug",), ("cl",))


@lru_cache(maxsize=16384)
def is_head(segment: str) -> bool:
    """Whether a segment names the small head that a diffusion critic's judgement comes from."""
    return bool(_HEAD.fullmatch(" ".join(words_of(segment))))


@lru_cache(maxsize=16384)
def may_be_head(segment: str) -> bool:
    """Whether a segment inside a discriminator names a head, which a foundation model may stand behind."""
    return bool(_GIVING_HEAD.fullmatch(" ".join(words_of(segment))))


@lru_cache(maxsize=16384)
def is_actor(segment: str) -> bool:
    """Whether a segment names the policy of reinforcement learning, beside which a critic is a value network."""
    return not _ACTORS.isdisjoint(words_of(segment))


@lru_cache(maxsize=16384)
def is_value(segment: str) -> bool:
    """Whether a segment names a value network, provided that a policy stands beside it."""
    words = [word for word in words_of(segment) if not word.isdigit()]
    return bool(words) and bool(_WEAK_VALUES.fullmatch(words[0]) or _WEAK_VALUES.fullmatch(words[-1]))


def is_copy_of_discriminator(segment: str) -> bool:
    """Whether a segment names the moving average of a discriminator (`netD_ema`)."""
    words = words_of(segment)
    return bool(_AVERAGES.intersection(words)) and role_of(words) is Role.DISCRIMINATOR


def is_piece(segment: str) -> bool:
    """Whether a segment with the discriminator's name sounds like a piece of one: `disc_block`, `discriminators`."""
    return any(map(_PIECES.fullmatch, words_of(segment)))


def is_maker(segment: str) -> bool:
    """Whether a segment names an encoder or a decoder, which a U-Net's discriminator has as well."""
    return bool(_MAKERS.fullmatch(" ".join(words_of(segment)[:1])))


def is_short(segment: str) -> bool:
    """Whether a segment is a few letters that stand for a discriminator, and might stand for something else."""
    name = segment.strip("_").lower()
    return len(name) <= 2 or is_acronym(name) or _is_shortened(name)
