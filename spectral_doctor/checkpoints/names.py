"""What one path says: the numbers in it that may be a step, and what is left of it without them.

Numbers that never are a step (image sizes, folds, seeds, rates, scores) stay in the name or fall out of it. Which of
the others is the step, no single path can tell: that is read from a set of paths, in `runs`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from pathlib import PurePosixPath

from spectral_doctor.records import Location

_SUFFIXES = re.compile(
    r"(\.(pth|pt|ckpt|pkl|pickle|bin|npz|npy|safetensors|tar|model|state|th|index\.json|json|h5|hdf5|keras|msgpack|"
    r"onnx|index))+$",
    re.IGNORECASE,
)
_TIMELESS = "latest|last|best|final|current|newest|end|finished"


class Standing(Enum):
    """How a name gives a number: by `--step`, with its unit, alone, as a whole folder, glued to a word, as a time."""

    TOLD = "told"
    SAID = "said"
    BARE = "bare"
    FOLDER = "folder"
    LOOSE = "loose"
    GLUED = "glued"
    TIME = "time"


@dataclass(frozen=True)
class Number:
    """A number in a path that may be a step.

    `unit` is "" where the name does not say it; `depth` counts the folders between it and the file's own name.
    """

    value: int
    text: str
    unit: str
    standing: Standing
    depth: int

    @property
    def source(self) -> str:
        """Where it stands, in words."""
        if self.standing is Standing.TOLD:
            return "--step"
        place = "folder name" if self.depth else "file name"
        return place if self.standing is Standing.SAID else f"a number in the {place}"


@dataclass(frozen=True)
class PathReading:
    """A path taken apart: `run` is what is left without steps, `shape` has `#` in their places.

    `word` is "final", "latest", "best", … where the name says that instead of a number.
    """

    run: str
    shape: str
    numbers: tuple[Number, ...]
    word: str


def stem(path: Location) -> str:
    """The file's name without the endings that weight files carry (`do_00500000` has none)."""
    return _SUFFIXES.sub("", path.name)


def run_name(path: Location) -> str:
    """The file's name without its step, so that the files of one series share it: `netD_500.pt` → `netD`."""
    return _read_part(stem(path), 0).run


def read_path(path: Location) -> PathReading:
    """Take a whole path apart, from its first folder to its name."""
    text = str(path).replace("\\", "/")
    *folders, _ = PurePosixPath(text.partition("://")[2] or text).parts or ("",)
    depths = range(len(folders), 0, -1)
    parts = [_read_part(name, depth) for name, depth in zip(folders, depths, strict=True)]
    parts.append(_read_part(stem(path), 0))
    return PathReading(
        "/".join(part.run for part in parts),
        "/".join(part.shape for part in parts),
        tuple(number for part in parts for number in part.numbers),
        next((part.word for part in reversed(parts) if part.word), ""),
    )


_UNITS = {
    "step": r"global[-_]?steps?|steps?|iterations?|iters?|it|updates?|batch(?:es)?",
    "kimg": r"kimg",
    "epoch": r"epochs?|ep",
}
_CONFIGURATION = (
    r"k?folds?|seeds?|runs?|trials?|exps?|experiments?|versions?|v|cv|splits?|ranks?|gpus?|jobs?|reps?|repeats?|"
    r"replicas?|workers?|subjects?|patients?|class(?:es)?|domains?|levels?|stages?|scales?|depths?|tasks?|datasets?|"
    r"try|tries|attempts?|configs?|cfgs?|parts?|sizes?|res|resolution|dims?|n[dg]?f|nz|z|ch|channels?|bs|batch_?size|lr|beta\d?|"
    r"gamma|lambda|px|crop|hz|sr|bits?|layers?|blocks?|hidden|width|height|image|img"
)
_SCORE = (
    r"(?:(?:val|valid|train|test|avg|mean|min|max|total|best|d|g|disc|gen)[-_])*"
    r"(?:loss|fid|kid|is(?=[=\d])|acc|accuracy|psnr|ssim|score|lpips|mse|mae|rmse|nll|wer|mcd|pesq|auc|f1|swd|emd|err|"
    r"error|metric)[a-z]*"
)
_DATE = (
    r"(?<!\d)20[0-3]\d(?P<gap>[-_.]?)(?:0[1-9]|1[0-2])(?P=gap)(?:0[1-9]|[12]\d|3[01])"
    r"(?:[-_T+ .]*(?:[01]\d|2[0-3])[-_:.h]?[0-5]\d(?:[-_:.m]?[0-5]\d)?(?:\+\d\d)?)?(?!\d)|(?<![\da-z])1[4-9]\d{8}(?!\d)"
)
_BEFORE, _AFTER = r"(?<![a-z])", r"(?![a-z0-9])"
_NUMBER = r"\d{1,18}"
_TOKENS = re.compile(
    "|".join(
        (
            rf"(?P<time>{_DATE})",
            rf"(?P<copy>(?:^|(?<=[-_.]))(?:copy|best)\d+(?=$|[-_. ])|(?<=\d)-v\d+$|(?<= )\(\d+\)$|2333333{_AFTER})",
            rf"(?P<snapshot>(?<=^network-snapshot-){_NUMBER}$)",
            rf"(?P<score>{_BEFORE}{_SCORE}[-_=: ]?\d+(?:\.\d+)?(?:e-?\d+)?)",
            r"(?P<fixed>\d+e-\d+|\d+(?:x\d+)+|(?<![a-z0-9])x\d+(?![a-z])|\d+x(?![a-z0-9])|\d+(?:px|hz|khz|bit|gb|d)(?![a-z]))",
            *(rf"(?P<b_{unit}>{_BEFORE}(?:{words})[-_=: .]?{_NUMBER}[km]?{_AFTER})" for unit, words in _UNITS.items()),
            *(
                rf"(?P<a_{unit}>(?<![a-z0-9]){_NUMBER}[km]?[-_ ]?(?:{words})(?![a-z]|[-_= ]?\d))"
                for unit, words in _UNITS.items()
            ),
            rf"(?P<e_epoch>(?<![a-z0-9])e{_NUMBER}{_AFTER})",
            rf"(?P<e_step>(?<=\d_)s{_NUMBER}{_AFTER})",
            rf"(?P<configuration>{_BEFORE}(?:{_CONFIGURATION})[-_=: ]?\d+(?:\.\d+)?(?:e-?\d+)?)",
            rf"(?P<fraction>(?<![a-z0-9])\d{{1,6}}\.\d{{1,6}}[km]{_AFTER})",
            r"(?P<decimal>\d+\.\d+(?!\d))",
            rf"(?P<bare>(?<![a-z0-9]){_NUMBER}[km]?{_AFTER})",
            rf"(?P<glued>(?<=[a-z]){_NUMBER}[km]?{_AFTER})",
            r"(?P<other>\d+)",
        )
    ),
    re.IGNORECASE,
)
_SAVING_WORDS = "checkpoints?|ckpts?|chkpts?|snapshots?|weights?|saved?|states?"
_NETWORK_WORDS = "models?|nets?|d|netd|dis|disc|discriminators?|critic"
# A folder of such a name, or of a number behind it, is one checkpoint of many.
_SAVED = re.compile(rf"^({_SAVING_WORDS})?$", re.IGNORECASE)
_SAVED_AT_END = re.compile(rf"^({_SAVING_WORDS}|models?|nets?)?$", re.IGNORECASE)
_COUNTED = re.compile(rf"(?<![a-z0-9])({_SAVING_WORDS}|{_NETWORK_WORDS})$", re.IGNORECASE)
_UNIT_WORDS = re.compile(rf"(?<![a-z0-9])(?:{'|'.join(_UNITS.values())})(?![a-z0-9])", re.IGNORECASE)
_SAVING = re.compile(r"^(ckpt|checkpoint|chkpt|save|snapshot)", re.IGNORECASE)
_WORD = re.compile(rf"(?:^|(?<=[-_. ]))({_TIMELESS})(?=$|[-_. ])", re.IGNORECASE)


@lru_cache(maxsize=65536)
def _read_part(name: str, depth: int) -> PathReading:
    """One part of a path; a number stays in `run` where it can be no step."""
    shape, run, numbers, end = [], [], [], 0
    for match in _TOKENS.finditer(name):
        number = _number(match, name, depth)
        removed = number is not None or match.lastgroup in _dropped(depth)
        between = name[end : match.start()]
        shape += [between, "#" if number is not None else "" if removed else match[0]]
        run += [between, "" if removed else match[0]]
        numbers += [number] if number is not None else []
        end = match.end()
    left = "".join((*run, name[end:]))
    words = _WORD.findall(left)
    bare = _tidy(_WORD.sub("", left))
    if words:
        bare = _tidy(_UNIT_WORDS.sub("", bare))
    if depth and not (_SAVED_AT_END if words else _SAVED).match(bare):
        # A folder's own word, as in `final_run`, is its name.
        words, bare = [], _tidy(left) if numbers else left
    copies = [match[0] for match in _TOKENS.finditer(name) if match.lastgroup == "copy" and match[0][:1] in "bBcC"]
    if copies:
        words = ["best"]
    if "2333333" in name:
        # The number under which VITS and its descendants overwrite their latest state.
        words = ["latest"]
    word = "best" if "best" in map(str.lower, words) else words[-1].lower() if words else ""
    stands_for_step = depth and (numbers or words)
    return PathReading(f"{bare}*" if stands_for_step else bare, "".join((*shape, name[end:])), tuple(numbers), word)


def _dropped(depth: int) -> tuple[str, ...]:
    """The kinds of number that belong neither to a run's name nor to its steps: scores, and copies of a file."""
    return ("score", "decimal", "copy") if not depth else ("score",)


def _tidy(name: str) -> str:
    return re.sub(r"[-_. =+]{2,}", "_", name).strip("-_. =+")


def _number(match: re.Match[str], name: str, depth: int) -> Number | None:
    """The number of a token, where it may be a step."""
    kind, text, before = str(match.lastgroup), match[0], name[: match.start()]
    if kind in ("time", "gap"):
        if depth and not _SAVING.match(name):
            return None
        return Number(int("".join(re.findall(r"\d+", text))[:14]), text, "", Standing.TIME, depth)
    if kind.startswith(("b_", "a_", "e_")):
        return Number(_value(text), text, kind[2:], Standing.SAID, depth)
    if kind == "snapshot":
        # StyleGAN2, StyleGAN3 and their descendants count in thousands of images, and do not say so.
        return Number(int(text), text, "kimg", Standing.SAID, depth)
    if kind == "glued":
        # `netD10` counts as `netD_10` does; `sub10` is a subject, and digits further left make it a hash.
        is_counted = not depth and _COUNTED.search(before) is not None
        return Number(_value(text), text, "", Standing.GLUED, depth) if is_counted else None
    if kind not in ("bare", "fraction"):
        return None
    if not depth:
        return Number(_value(text), text, "", Standing.BARE, depth)
    is_whole = _SAVED.match(_tidy(before)) is not None and match.end() == len(name)
    return Number(_value(text), text, "", Standing.FOLDER if is_whole else Standing.LOOSE, depth)


def _value(text: str) -> int:
    """The number in a token; `k` behind it means thousands, `m` millions."""
    found = re.search(r"(\d+(?:\.\d+)?)([km]?)(?![a-z0-9.])", text, re.IGNORECASE) or re.search(r"(\d+)()", text)
    assert found is not None
    return int(Decimal(found[1]) * {"k": 1000, "m": 1_000_000}.get(found[2].lower(), 1))
