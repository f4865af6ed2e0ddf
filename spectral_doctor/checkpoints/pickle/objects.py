"""From what a pickle describes to nested mappings of tensors, by a fixed table of what is understood."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sized

from spectral_doctor.arrays import Array
from spectral_doctor.checkpoints.pickle.descriptions import (
    DICT,
    PERSISTENT,
    Described,
    MalformedPickle,
    Named,
    RefusedPickle,
    Stretch,
)
from spectral_doctor.checkpoints.pickle.storages import Storage, legacy_storage
from spectral_doctor.checkpoints.pickle.tensors import LEAVES, Leaf, at_least, is_named
from spectral_doctor.checkpoints.stores import InMemory, Source, Within

DEEPEST_NESTING = 16
DEEPEST_MODULE = 64
MOST_PARTS = 1_000_000
LONGEST_KEY = 500

# Names of plain values and of what PyTorch keeps beside its tensors, whose mention says nothing about a file.
_ORDINARY = re.compile(
    r"_codecs\.encode|(builtins|__builtin__)\.(set|frozenset|bytearray|complex|slice|range)"
    r"|collections\.(OrderedDict|defaultdict|Counter)|numpy\.(dtype|ndarray)|argparse\.Namespace"
    r"|pathlib\.(_local\.)?\w*Path|datetime\.\w+|torch\.(Size|device|\w*Storage|[a-z]+\d*\w*)"
    r"|torch\.serialization\._get_layout|torch\.storage\.\w*Storage|torch\.nn\..*|torch\._utils\.\w+"
    r"|torch\._tensor\._rebuild_from_type_v2"
)
_MODULE_COST = 10
_MODULE_PARTS = ("_parameters", "_buffers", "_modules")


class Reader:
    """Reads descriptions as values. What it does not understand becomes None and is never made.

    `made` are the names whose descriptions were understood. All work is counted, because a few hundred bytes
    can describe a tree in which everything appears a billion times; no more bytes than `source` has are copied.
    `persistent` finds the storage, or the array, that a persistent id names.
    """

    def __init__(self, source: Source, persistent: Callable[[object], Storage | Array | None] | None = None) -> None:
        self.made: set[str] = set()
        self.source = source
        self._persistent = persistent
        self._left = MOST_PARTS
        self._bytes_left = source.size
        self._leaves: dict[int, Leaf] = {}
        self._storages: dict[int, Storage | None] = {}
        self._legacy: dict[Stretch, Storage] = {}

    def value(self, node: object, depth: int = DEEPEST_NESTING) -> object:
        """A node as a mapping with text keys, a tensor, or a plain value; None where it is another thing.

        A module becomes its parameters and buffers by dotted name, any other object its attributes.

        Raises `MalformedPickle` or `RefusedPickle`.
        """
        self._spend(1)
        if node is None or isinstance(node, bool | int | float | str):
            return node
        if depth == 0:
            return None
        if isinstance(node, list | tuple):
            self._spend(scanning_cost(node))
            if not any(isinstance(item, list | tuple | Described) for item in node):
                return None
            return {str(index): self.value(item, depth - 1) for index, item in enumerate(node)}
        if not isinstance(node, Described):
            return None
        understood = self._leaf(node)
        if understood is not None:
            return understood
        state = self.state_of(node)
        if self._is_module(state):
            tensors: dict[str, object] = {}
            self._collect(node, "", tensors, DEEPEST_MODULE)
            return tensors
        parts = self.mapping(node)
        if parts is None:
            parts = state
        return {key: self.value(item, depth - 1) for key, item in parts.items()} if parts is not None else None

    def state_of(self, node: object) -> dict[str, object] | None:
        """What an object's attributes were, by name; for StyleGAN's persistent objects, from beside their source."""
        if not isinstance(node, Described):
            return None
        state = node.state
        meta = self.mapping(node.arguments[0]) if len(node.arguments) == 1 else None
        if meta is not None and "module_src" in meta:
            # Whatever function is named: what it would be given is what torch_utils.persistence writes.
            state = meta.get("state")
        elif isinstance(state, tuple) and len(state) == 2:
            state = state[0]
        return self.mapping(state)

    def _spend(self, parts: int) -> None:
        self._left -= parts
        if self._left < 0:
            raise RefusedPickle(f"it describes more than {MOST_PARTS} parts, which repeat each other")

    def mapping(self, node: object) -> dict[str, object] | None:
        """The pairs of a dict, or of a class that is one, with text keys."""
        if not isinstance(node, Described):
            return None
        pairs = node.pairs
        if not pairs and is_named(node.maker, ("collections",), "OrderedDict") and node.arguments:
            pairs = _old_pairs(node.arguments[0])
        elif not pairs and node.maker is not DICT and not _is_dict_class(node.maker):
            return None
        self._spend(len(pairs))
        if _is_dict_class(node.maker):
            self._note(node)
        return {name: item for key, item in pairs if (name := _key(key)) is not None}

    def _note(self, node: Described) -> None:
        if isinstance(node.maker, Named):
            self.made.add(str(node.maker))

    @staticmethod
    def _is_module(state: Mapping[str, object] | None) -> bool:
        return state is not None and ("_parameters" in state or "_modules" in state)

    def _collect(self, node: object, prefix: str, tensors: dict[str, object], depth: int) -> None:
        """Gather the parameters and buffers of a module, and of those in it, under their dotted names."""
        state = self.state_of(node)
        if depth == 0 or state is None or not self._is_module(state):
            return
        assert isinstance(node, Described)
        self._note(node)
        self._spend(_MODULE_COST)
        parameters, buffers, modules = (self.mapping(state.get(part)) or {} for part in _MODULE_PARTS)
        for name, item in (*parameters.items(), *buffers.items()):
            self._spend(1)
            tensor = self._leaf(item) if isinstance(item, Described) else None
            if isinstance(tensor, Array):
                tensors[f"{prefix}{name}"] = tensor
        for name, item in modules.items():
            self._collect(item, f"{prefix}{name}.", tensors, depth - 1)

    def _leaf(self, node: Described) -> Leaf:
        if id(node) not in self._leaves:
            maker = node.maker
            if maker is PERSISTENT:
                found = self._outside(node)
                return found if isinstance(found, Array) else None
            build = LEAVES.get((maker.module, maker.name)) if isinstance(maker, Named) else None
            if build is None:
                return None
            # A description that contains itself finds this None, and ends.
            self._leaves[id(node)] = None
            self._leaves[id(node)] = self._built(build, node)
            self._note(node)
        return self._leaves[id(node)]

    def _built(self, build: Callable[[Reader, Described], Leaf], node: Described) -> Leaf:
        try:
            return build(self, node)
        except (MalformedPickle, RefusedPickle):
            raise
        except (RuntimeError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise MalformedPickle(f"'{node.maker}' describes what cannot be") from error

    def _outside(self, node: Described) -> Storage | Array | None:
        return self._persistent(node.arguments[0]) if self._persistent is not None else None

    def array(self, node: object) -> Array | None:
        """The array that a node describes; None where it describes another thing."""
        leaf = self._leaf(node) if isinstance(node, Described) else None
        return leaf if isinstance(leaf, Array) else None

    def storage(self, node: object) -> Storage | None:
        """The storage that a node describes: by a persistent id, or as a legacy torch file within the pickle."""
        if not isinstance(node, Described):
            return None
        if id(node) not in self._storages:
            self._storages[id(node)] = self._found(node)
        return self._storages[id(node)]

    def _found(self, node: Described) -> Storage | None:
        if node.maker is PERSISTENT:
            found = self._outside(node)
            return found if isinstance(found, Storage) else None
        if not is_named(node.maker, ("torch.storage",), "_load_from_bytes"):
            return None
        self._note(node)
        (blob,) = at_least(node.arguments, 1)[:1]
        if isinstance(blob, Stretch):
            if blob not in self._legacy:
                self._legacy[blob] = legacy_storage(self.source, blob)
            return self._legacy[blob]
        inner = self.content(blob)
        return None if inner is None else legacy_storage(inner, Stretch(0, inner.size))

    def content(self, node: object) -> Source | None:
        """Bytes as a source of their own, also as protocol 2 spells them: text and the name of an encoding."""
        match node:
            case Stretch(start=start, length=length):
                return Within(self.source, start, length)
            case Described(maker=Named(module="_codecs", name="encode"), arguments=(str() as text, "latin1")):
                self._spend_bytes(len(text))
                return InMemory(self.source, text.encode("latin-1", errors="replace"), text)
            case str():
                self._spend_bytes(len(node))
                return InMemory(self.source, node.encode("latin-1", errors="replace"), node)
            case bytes():
                return InMemory(self.source, node)
        return None

    def _spend_bytes(self, count: int) -> None:
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise RefusedPickle("its arrays hold more bytes than the file, so they repeat each other")


def is_ordinary(name: str) -> bool:
    """Say whether a name is that of a plain value, or of PyTorch's own containers of values."""
    return bool(_ORDINARY.fullmatch(name))


def scanning_cost(values: Sized) -> int:
    """What it costs to look through a list once: little beside making parts of its values."""
    return len(values) // 100


def _is_dict_class(maker: object) -> bool:
    return isinstance(maker, Named) and (
        maker.name == "EasyDict" or (maker.module == "collections" and maker.name in ("OrderedDict", "defaultdict"))
    )


def _old_pairs(listed: object) -> list[tuple[object, object]]:
    """The list of two-entry lists that Python 2 gave to an ordered dict."""
    if not isinstance(listed, list):
        return []
    return [(item[0], item[1]) for item in listed if isinstance(item, list | tuple) and len(item) == 2]


def _key(key: object) -> str | None:
    if isinstance(key, str):
        return key if len(key) <= LONGEST_KEY else None
    return str(key) if isinstance(key, int) and abs(key) < 2**63 else None
