"""The graph of objects in a TensorFlow 2 checkpoint: which names lead to its variables, and what these are called.

A variable is saved once, under the first path that leads to it; with an optimizer of Keras 3 that is often the
optimizer's own list (`discriminator_optimizer/_trainable_variables/0`). The graph (`trackable_object_graph.proto`) has
the other paths, and the name of the variable itself (`discriminator/conv2d/kernel`).
"""

from __future__ import annotations

import heapq
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from spectral_doctor.checkpoints.formats.kernels import LEAVES, is_training
from spectral_doctor.checkpoints.formats.protocol_buffers import LENGTH, message

MOST_NODES = 1_000_000
LONGEST_PATH = 64
_NODES, _CHILDREN, _ATTRIBUTES = 1, 1, 2
_HOLDERS = frozenset({"_functional", "_operations", "_layers", "layers", "_tracked"})
_INDEX = re.compile(r"\d+|layer(_with_weights)?-\d+")

Path = tuple[str, ...]


@dataclass
class _Node:
    """An object: those that it holds, by number and name, and its variables: (key in the checkpoint, full name)."""

    children: list[tuple[int, str]] = field(default_factory=list)
    variables: list[tuple[str, str]] = field(default_factory=list)


def paths_of(graph: bytes) -> dict[str, Path]:
    """For each key of a checkpoint its modules and its own name, in the order in which the objects hold each other.

    The way through an optimizer is the last choice. A layer that is a mere number in its model has the name that its
    variables give it. Raises `MalformedMessage`.
    """
    nodes = [_node(content) for item, content in message(graph) if item.number == _NODES]
    reached = _shortest(nodes)
    raw: dict[str, tuple[Path, Path]] = {}
    for number, path in reached.items():
        for key, full_name in nodes[number].variables:
            raw[key] = (path, tuple(full_name.split(":")[0].split("/")))
    names = _layer_names(raw)
    found = {key: (*_named(path[:-1], names), *_leaf(path[-1], full[-1])) for key, (path, full) in raw.items() if path}
    counts = Counter(found.values())
    return {key: path if counts[path] == 1 else raw[key][0] for key, path in found.items()}


def _leaf(attribute: str, name: str) -> Path:
    """A variable by the name that it was given where that tells what it is, below its attribute where that does not."""
    told = name if name in LEAVES else attribute
    return (told,) if attribute.lstrip("_") in LEAVES or told == attribute else (attribute, told)


def _node(content: bytes) -> _Node:
    node = _Node()
    for item, inner in message(content):
        if item.wire != LENGTH or item.number not in (_CHILDREN, _ATTRIBUTES):
            continue
        parts = list(message(inner))
        texts = {part.number: text.decode("utf-8", errors="replace") for part, text in parts if part.wire == LENGTH}
        if item.number == _CHILDREN:
            node.children.append((sum(part.value for part, _ in parts if part.number == 1), texts.get(2, "")))
        elif texts.get(3):
            node.variables.append((texts[3], texts.get(2, "")))
    return node


def _shortest(nodes: list[_Node]) -> dict[int, Path]:
    """The path to each object from the first: through few optimizers, then in few steps; in the order of children."""
    reached: dict[int, tuple[tuple[int, ...], Path]] = {}
    pending: list[tuple[int, int, int, int, tuple[int, ...], Path]] = [(0, 0, 0, 0, (), ())]
    counter = 0
    while pending and counter < MOST_NODES:
        optimizers, depth, _, number, places, path = heapq.heappop(pending)
        if number in reached or number >= len(nodes) or depth > LONGEST_PATH:
            continue
        reached[number] = places, path
        for place, (child, name) in enumerate(nodes[number].children):
            counter += 1
            through = optimizers + is_training(name)
            heapq.heappush(pending, (through, depth + 1, counter, child, (*places, place), (*path, name)))
    return {number: path for number, (_, path) in sorted(reached.items(), key=lambda item: item[1][0])}


def _layer_names(raw: Mapping[str, tuple[Path, Path]]) -> dict[Path, str]:
    """What numbered modules are called, by the shortest full name of a variable in them; none that two would share."""
    shortest: dict[Path, Path] = {}
    for path, full in raw.values():
        module = path[:-1]
        if module and _INDEX.fullmatch(module[-1]) and len(full) > 1:
            shortest[module] = min(shortest.get(module, full), full, key=len)
    sharing: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for module, full in shortest.items():
        sharing[_without_holders(module[:-1]), full[-2]].append(module)
    return {modules[0]: name for (_, name), modules in sharing.items() if len(modules) == 1}


def _named(modules: Path, names: Mapping[Path, str]) -> Path:
    return tuple(names.get(modules[: depth + 1], name) for depth, name in enumerate(modules) if name not in _HOLDERS)


def _without_holders(modules: Path) -> Path:
    return tuple(name for name in modules if name not in _HOLDERS)
