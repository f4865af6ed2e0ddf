"""How Keras names what is in its HDF5 files: layers by groups, and variables by names or by mere numbers.

Keras 2, and Keras 3 in `.h5`: a group a layer, in it the variables under their full names (`conv/model/conv/kernel:0`).
Keras 3 in `.keras` and `.weights.h5`: nested groups named after attributes or, below `layers`, after classes, each with
its variables by number in `vars`; which number is what follows from the class and the shapes, and the settings beside
tell the layers' names.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from spectral_doctor.arrays import Array
from spectral_doctor.checkpoints.formats.kernels import Entry, Leaf

VARIABLES = "vars"
DEEPEST = 64
_ROOTS = {"model_weights": (), "optimizer_weights": ("optimizer",)}
_NO_NAME = re.compile(r"(sequential|functional|model|keras_?model)?(_?\d+)?", re.IGNORECASE)
_HOLDERS = frozenset({"layers", "_layers", "_operations"})
_WRAPPED = ("layer", "cell")
_NORMALISATION = ("gamma", "beta", "moving_mean", "moving_variance")
_RECURRENT = re.compile(r"lstm|gru|simple_?rnn|cell", re.IGNORECASE)

Path = tuple[str, ...]


def named_entries(leaves: Mapping[Path, Leaf], names: Mapping[Path, str], config: str = "") -> Iterator[Entry]:
    """The leaves of an HDF5 file under the names of layers and variables, in the order of `config` where it tells.

    `names` are Keras 3's names of groups; `config` is the model's settings as JSON, of which names are read.
    """
    settings = _parsed(config)
    names = dict(names) | dict(_names_of_groups(settings, ()))
    owner = _own_name(names.get((), "") or _legacy_name(leaves))
    numbered = {path: value for path, value in leaves.items() if path[-2:-1] == (VARIABLES,)}
    places = {name: place for place, name in enumerate(_names_in(settings))}
    for group in _in_order({path[:-2] for path in numbered}, names, places, list(numbered)):
        modules = _modules(group, names)
        own = {path[-1]: value for path, value in numbered.items() if path[:-2] == group}
        for variable, value in _variables(group, names.get(group, ""), own).items():
            yield Entry((*owner, *modules, variable), value)
    for path, value in leaves.items():
        if path not in numbered:
            modules = _legacy(path)
            yield Entry(modules if modules[0] == "optimizer" else (*owner, *modules), value)


def _modules(group: Path, names: Mapping[Path, str]) -> Path:
    """The names of the modules that a group lies in, as the user gave them where they are told apart by that."""
    found = []
    for depth in range(1, len(group) + 1):
        here, parent = group[:depth], group[: depth - 1]
        if here[-1] in _HOLDERS:
            continue
        # The name of an attribute is the user's own; below `layers` a group has the name of its class alone.
        is_attribute = here[-1] not in _WRAPPED and not _HOLDERS.intersection(parent[-1:])
        name = "" if is_attribute else names.get(here, "")
        alone = sum(other[:-1] == parent and told == name for other, told in names.items()) == 1
        found.append(name.replace("/", "_") if name and alone else here[-1])
    return tuple(found)


def _variables(group: Path, name: str, own: Mapping[str, Leaf]) -> dict[str, Leaf]:
    """Variables by the names that their numbers stand for, by the class of the layer and by their shapes."""
    kind = name if group[-1:] == ("layer",) else f"{group[-1] if group else ''} {name}"
    numbers = sorted(own, key=lambda number: (len(number), number))
    names = _expected(kind, group, [own[number] for number in numbers])
    return {(*names, *numbers[len(names) :])[place]: own[number] for place, number in enumerate(numbers)}


def _expected(kind: str, group: Path, values: Sequence[Leaf]) -> Sequence[str]:
    dimensions = [value.ndim if isinstance(value, Array) else 0 for value in values]
    if "spectral" in kind:
        return ("kernel", "vector_u") if dimensions[0] > 1 and len(values) > 1 else ("vector_u",)
    if "norm" in kind:
        return _NORMALISATION if len(values) == 4 else _NORMALISATION[:2] if max(dimensions) == 1 else ()
    if "embedding" in kind:
        return ("embeddings",)
    if "separable" in kind:
        return ("depthwise_kernel", "pointwise_kernel", "bias")
    if "depthwise" in kind:
        return ("depthwise_kernel", "bias")
    if len(values) >= 2 and dimensions[:2] == [2, 2] and any(map(_RECURRENT.search, group)):
        return ("kernel", "recurrent_kernel", "bias")
    if dimensions[0] > 1 and dimensions[0] > max(dimensions[1:], default=0):
        return (
            ("kernel", "bias") if len(values) <= 2 else ("kernel", "bias", *(f"var_{n}" for n in range(2, len(values))))
        )
    return ()


def _legacy(path: Path) -> Path:
    """A path of Keras 2 without what stands in it twice: `conv/model/conv/kernel` is `conv/kernel`."""
    if path[0] in _ROOTS and len(path) > 1:
        root, path = _ROOTS[path[0]], path[1:]
        if root:
            return (*root, *path)
    if len(path) < 2:
        return path
    first = max(place for place, name in enumerate(path[:-1]) if name == path[0])
    return path[first:]


def _in_order(groups: set[Path], names: Mapping[Path, str], places: Mapping[str, int], paths: list[Path]) -> list[Path]:
    """Groups in the order of the model's settings; those that these do not name, in the file's own."""
    found = {group: place for place, group in reversed(list(enumerate(path[:-2] for path in paths)))}

    def key(group: Path) -> tuple[list[tuple[int, int]], int]:
        steps = [names.get(group[:depth], "") for depth in range(1, len(group) + 1)]
        return [(places.get(name, len(places)), 0) for name in steps if name in places], found[group]

    return sorted(groups, key=key)


def _own_name(name: str) -> Path:
    """The name of the whole model, where it says more than that it is one."""
    return () if not name or _NO_NAME.fullmatch(name) else (name.replace("/", "_"),)


def _legacy_name(leaves: Mapping[Path, Leaf]) -> str:
    """The model's own name, which Keras 3 puts between two mentions of a layer: `conv/discriminator/conv/kernel`."""
    paths = [path[1:] if path[0] in _ROOTS else path for path in leaves if path[0] != "optimizer_weights"]
    between = {path[1] if len(path) > 3 and path[0] in path[2:-1] else "" for path in paths}
    return between.pop() if len(between) == 1 else ""


def _parsed(config: str) -> object:
    try:
        return json.loads(config) if config else None
    except (ValueError, RecursionError):
        return None


def _name_of(settings: object) -> str:
    inner = settings.get("config") if isinstance(settings, dict) else None
    name = inner.get("name") if isinstance(inner, dict) else None
    return name if isinstance(name, str) else ""


def _names_of_groups(settings: object, group: Path) -> Iterator[tuple[Path, str]]:
    """The names of layers in a model's settings by the groups that Keras 3 puts them in.

    A group is called after the layer's class, and counted where there are several of it: `layers/conv2d_1`.
    """
    if len(group) > 2 * DEEPEST or not isinstance(settings, dict):
        return
    yield group, _name_of(settings)
    inner = settings.get("config")
    if not isinstance(inner, dict):
        return
    yield from _names_of_groups(inner.get("layer"), (*group, "layer"))
    layers = inner.get("layers")
    counts: Counter[str] = Counter()
    for layer in layers if isinstance(layers, list) else []:
        kind = _snake_case(str(layer.get("class_name"))) if isinstance(layer, dict) else ""
        number = f"_{counts[kind]}" if counts[kind] else ""
        counts[kind] += 1
        yield from _names_of_groups(layer, (*group, "layers", f"{kind}{number}"))


def _snake_case(name: str) -> str:
    """`Conv2DTranspose` as `conv2d_transpose`, which is how Keras 3 calls a group."""
    parted = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", parted).lower()


def _names_in(settings: object) -> Iterator[str]:
    """Every name of a layer in a model's settings, in their order."""
    pending = [settings]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if _name_of(item):
                yield _name_of(item)
            pending += reversed(list(item.values()))
        elif isinstance(item, list):
            pending += reversed(item)
