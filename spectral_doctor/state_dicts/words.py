"""The words that names are made of, and whose weights they say these are: the same for files, folders and keys."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from functools import lru_cache

from spectral_doctor.checkpoints.names import stem
from spectral_doctor.records import Location

# "3d" is a dimension and no discriminator, "f0D40k" is one: a capital between digits stands for a network.
_WORD = re.compile(r"[1-9]\d*(?:[dg](?![A-Za-z])|[DG](?![A-Za-z0-9]))|[A-Z](?=v\d)|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_HASH = re.compile(r"(?<![A-Za-z0-9])(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{7,}(?![A-Za-z0-9])")
_DISCRIMINATOR = re.compile(
    r"d|dis|\w*disc|\w*discriminators?|discs|discr|discrim\w*|critics?|adversary|(net|model|dict|adv|patch)s?d|dnet"
)
_GENERATOR = re.compile(r"g|gen|gens|\w*generators?|(net|model|dict)s?g|gnet")
_BY_INDEX = re.compile(r"^(pytorch_)?model_1$")
# HiFi-GAN and its descendants call the files of their discriminators and optimizers do_00005000.
_DO = re.compile(r"^do[_-]?\d")
_ACRONYM = re.compile(r"m[bcdfhpqrst]d|(ms)?_?stftd|(mssb|ms)?cqtd|combd|sbd")

_SPOKEN = re.compile(r"(_?(?:[a-zA-Z]*[dD]isc(?:riminator)?|[cC]ritic|D))_(?=[a-zA-Z]{3,})")


class Role(Enum):
    """Whose weights a name says it holds."""

    DISCRIMINATOR = "discriminator"
    GENERATOR = "generator"
    UNKNOWN = "unknown"


@lru_cache(maxsize=16384)
def words_of(name: str) -> tuple[str, ...]:
    """The words of a name in small letters, cut at capitals, digits and signs: `netD_A` is net, d, a.

    A number with the letter of a dimension behind it stays one word (`3d`), and hashes are dropped.
    """
    return tuple(word.lower() for word in _WORD.findall(_HASH.sub(" ", name)))


def role_of(words: Iterable[str]) -> Role:
    """Whose weights words name; unknown where they name neither of the two, or both."""
    discriminator = generator = False
    for word in words:
        discriminator = discriminator or bool(_DISCRIMINATOR.fullmatch(word))
        generator = generator or bool(_GENERATOR.fullmatch(word))
    if discriminator == generator:
        return Role.UNKNOWN
    return Role.DISCRIMINATOR if discriminator else Role.GENERATOR


def spoken_name(name: str) -> str:
    """The part of a key that names the discriminator, where something longer follows: `_disc` of `_disc_logits`."""
    match = _SPOKEN.match(name)
    return match[1] if match else ""


def is_acronym(name: str) -> bool:
    """Whether a name is a speech discriminator's in short: multi-period, -scale, -resolution, STFT, CQT, sub-band."""
    return bool(_ACRONYM.fullmatch(name.lower()))


def name_role(name: str) -> Role:
    """Whose weights a file's or a folder's name, without its endings, says it holds."""
    role = role_of(words_of(name))
    shortened = _DO.match(name) or any(map(is_acronym, re.split(r"[^a-zA-Z]+", name)))
    return Role.DISCRIMINATOR if role is Role.UNKNOWN and shortened else role


def is_second_model(location: Location) -> bool:
    """Whether it is the second model that accelerate saved (`model_1.safetensors`), by custom the discriminator."""
    return bool(_BY_INDEX.match(stem(location)))


def file_role(location: Location) -> tuple[Role, str]:
    """Tell from the file's name, else from its folder's, whose weights it holds; and say from which."""
    name, folder = stem(location), location.parent.name
    for text, where in ((name, f"file name '{location.name}'"), (folder, f"folder '{folder}'")):
        role = name_role(text)
        if role is not Role.UNKNOWN:
            return role, where
    if is_second_model(location):
        return Role.DISCRIMINATOR, f"file name '{location.name}': the second model of an accelerate checkpoint"
    return Role.UNKNOWN, ""
