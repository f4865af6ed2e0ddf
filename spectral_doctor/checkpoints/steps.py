"""What file and folder names say: which run, and which step."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from spectral_doctor.records import RemotePath, StepClue

_SUFFIXES = re.compile(
    r"(\.(pth|pt|ckpt|pkl|bin|npz|safetensors|tar|model|state|th|index\.json|json))+$", re.IGNORECASE
)
BARE_NUMBER = "a number in the"
_NO_STEP = frozenset({"2333333"})
_TIMELESS = re.compile(r"(?:^|[-_. ])(latest|last|best|final|current|newest)(?:\d*)(?=$|[-_. ])", re.IGNORECASE)
_COPIES = re.compile(r"(?:^|_)(copy|best)\d+(?=$|[-_. ])", re.IGNORECASE)
_BY_INDEX = re.compile(r"^(pytorch_)?model_\d+$")
_UNITS = {
    "step": r"global_?steps?|steps?|iterations?|iters?|it",
    "kimg": r"kimg",
    "epoch": r"epochs?|ep",
}
_KEYS = (
    (
        "step",
        ("step", "steps", "global_step", "iteration", "iterations", "iter", "it", "current_iter", "n_iter"),
    ),
    ("image", ("cur_nimg",)),
    ("epoch", ("epoch", "epochs")),
)
STEP_KEYS = frozenset(key for _, keys in _KEYS for key in keys)
# StyleGAN2, StyleGAN3 and their descendants count in thousands of images, and do not say so.
_SNAPSHOT = re.compile(r"^network-snapshot-(\d+)$")
_BARE = re.compile(r"(?:^|[-_. =])(\d+)(?=$|[-_. ])")


def stem(path: Path | RemotePath) -> str:
    """The file's name without the endings that weight files carry (`do_00500000` has none)."""
    return _SUFFIXES.sub("", path.name)


def step_clues(path: Path | RemotePath, tree: Mapping[str, object]) -> tuple[StepClue, ...]:
    """Collect the numbers that may be this checkpoint's training step, the most trustworthy first.

    A step or iteration in the file name, a step key inside the file, then epochs, then a bare number in the
    file name, last a number in the folder's name. `latest`, `best` and 2333333 are not steps.
    """
    name_clues, folder_clues = (
        _name_clues(stem(path), "file name"),
        _name_clues(path.parent.name, "folder name"),
    )
    if _BY_INDEX.match(stem(path)):
        name_clues = []
    said = [clue for clue in name_clues if clue.unit != "epoch" and not clue.source.startswith(BARE_NUMBER)]
    rest = [clue for clue in name_clues if clue not in said]
    return (*said, *_key_clues(tree), *rest, *folder_clues)


def run_name(path: Path | RemotePath) -> str:
    """The file's name without its step, so that the files of one series share it: `netD_500.pt` → `netD`."""
    return stem(path) if _BY_INDEX.match(stem(path)) else _without_step(stem(path))


def run_folder(path: Path | RemotePath) -> str:
    """The file's folder with a step in its last name replaced by `*`: one run, one folder."""
    folder = path.parent
    reduced = _without_step(folder.name) if _name_clues(folder.name, "folder name") else folder.name
    starred = folder if reduced == folder.name else folder.parent / (f"{reduced}*" if reduced else "*")
    return str(starred)


def _name_clues(name: str, source: str) -> list[StepClue]:
    clues: list[StepClue] = []
    snapshot = _SNAPSHOT.match(name)
    if snapshot:
        return [StepClue(source, "kimg", int(snapshot.group(1)))]
    for unit, words in _UNITS.items():
        for match in re.finditer(_with_unit(words), name, re.IGNORECASE):
            clues.append(StepClue(source, unit, int(match.group(1) or match.group(2))))
    thousands = re.fullmatch(r"(\d+)k", name)
    if thousands:
        clues.append(StepClue(source, "step", 1000 * int(thousands.group(1))))
    bare = _BARE.findall(_COPIES.sub("", name))
    if not clues and bare and bare[-1] not in _NO_STEP:
        clues.append(StepClue(f"{BARE_NUMBER} {source}", "step", int(bare[-1])))
    return clues


def _with_unit(words: str) -> str:
    """A number behind its unit (`step=4000`), or before it (`4000_steps`, but not the 3 of `epoch=3-step=4000`)."""
    return rf"(?<![a-z])(?:{words})[-_= ]?(\d+)|(\d+)[-_ ]?(?:{words})(?![a-z]|[-_= ]?\d)"


def _key_clues(tree: Mapping[str, object]) -> list[StepClue]:
    clues: list[StepClue] = []
    # Lightning counts the steps of all optimizers together: two a batch in a GAN (Lightning #17958).
    lightning = "pytorch-lightning_version" in tree
    progress = tree.get("progress")
    for unit, keys in _KEYS:
        for key in keys:
            value = _whole_number(tree.get(key))
            if value is not None:
                own_unit = "optimizer step" if lightning and key == "global_step" else unit
                clues.append(StepClue(f"key '{key}'", own_unit, value))
    # Projected GAN keeps its counters together, and its file is always called the same.
    images = _whole_number(progress.get("cur_nimg")) if isinstance(progress, Mapping) else None
    if images is not None:
        clues.append(StepClue("key 'progress.cur_nimg'", "image", images))
    return clues


def _whole_number(value: object) -> int | None:
    if isinstance(value, Tensor) and value.numel() == 1 and not value.is_meta and not value.is_complex():
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if value >= 0 and float(value).is_integer() else None


def _without_step(name: str) -> str:
    for words in _UNITS.values():
        name = re.sub(_with_unit(words), "", name, flags=re.IGNORECASE)
    name = re.sub(r"^\d+k$", "", name)
    name = _COPIES.sub("", _TIMELESS.sub("", name))
    name = _BARE.sub("", name)
    return re.sub(r"[-_. =]{2,}", "_", name).strip("-_. =")
