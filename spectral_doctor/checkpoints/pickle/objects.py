"""From what a pickle describes to nested mappings of tensors, by a fixed table of what is understood."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sized

import torch
from torch import Tensor

from spectral_doctor.checkpoints import storages
from spectral_doctor.checkpoints.pickle.machine import DICT, Described, MalformedPickle, Named, RefusedPickle

DEEPEST_NESTING = 16
DEEPEST_MODULE = 64
MOST_PARTS = 1_000_000
LONGEST_KEY = 500

_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
# Names of plain values, whose mention says nothing about a file.
ORDINARY = frozenset(
    {
        "_codecs.encode",
        "builtins.set",
        "builtins.bytearray",
        "__builtin__.set",
        "__builtin__.bytearray",
        "collections.OrderedDict",
        "numpy.dtype",
        "numpy.ndarray",
        "torch.Size",
        "torch.device",
    }
)
_MODULE_COST = 10
_MODULE_PARTS = ("_parameters", "_buffers", "_modules")

_Build = Callable[["Reader", Described], Tensor | float | int | None]


class Reader:
    """Reads descriptions as values. What it does not understand becomes None and is never made.

    `made` are the names whose descriptions were understood. All work is counted, because a few hundred bytes
    can describe a tree in which everything appears a billion times; `size` is that of the file, and no more bytes
    than that become arrays.
    """

    def __init__(self, size: int) -> None:
        self.made: set[str] = set()
        self._left = MOST_PARTS
        self._bytes_left = size
        self._leaves: dict[int, Tensor | float | int | None] = {}

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
        if not pairs and _is_named(node.maker, ("collections",), "OrderedDict") and node.arguments:
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
            if isinstance(tensor, Tensor):
                tensors[f"{prefix}{name}"] = tensor
        for name, item in modules.items():
            self._collect(item, f"{prefix}{name}.", tensors, depth - 1)

    def _leaf(self, node: Described) -> Tensor | float | int | None:
        if id(node) not in self._leaves:
            maker = node.maker
            build = _LEAVES.get((maker.module, maker.name)) if isinstance(maker, Named) else None
            if build is None:
                return None
            # A description that contains itself finds this None, and ends.
            self._leaves[id(node)] = None
            self._leaves[id(node)] = self._built(build, node)
            self._note(node)
        return self._leaves[id(node)]

    def _built(self, build: _Build, node: Described) -> Tensor | float | int | None:
        try:
            return build(self, node)
        except (MalformedPickle, RefusedPickle):
            raise
        except (RuntimeError, TypeError, ValueError, OverflowError) as error:
            raise MalformedPickle(f"'{node.maker}' describes what cannot be") from error

    def tensor(self, node: Described) -> Tensor | None:
        """A view of a storage: `torch._utils._rebuild_tensor` and the versions after it."""
        storage, offset, size, stride, *rest = _at_least(node.arguments, 4)
        flat = self._leaf(storage) if isinstance(storage, Described) else None
        if not isinstance(flat, Tensor):
            return None
        if str(node.maker) == "torch._utils._rebuild_tensor_v3":
            dtype = torch_dtype(rest[2]) if len(rest) > 2 else None
            if dtype is None or flat.dtype is not torch.uint8 or flat.numel() % dtype.itemsize:
                return None
            flat = flat.view(dtype)
        return storages.strided(flat, offset, plain_size(size), plain_size(stride))

    def storage(self, node: Described) -> Tensor | None:
        """The bytes of a legacy torch file that hold one storage; the same bytes are read once."""
        source = id(_at_least(node.arguments, 1)[0])
        if source not in self._leaves:
            blob = self._bytes(node.arguments[0])
            self._leaves[source] = None if blob is None else storages.legacy_storage(blob)
        known = self._leaves[source]
        # The bytes are copied and no longer needed; a large file would otherwise be held twice.
        node.arguments = ()
        return known if isinstance(known, Tensor) else None

    def parameter(self, node: Described) -> Tensor | None:
        """A parameter is its tensor."""
        data = _at_least(node.arguments, 1)[0]
        tensor = self._leaf(data) if isinstance(data, Described) else None
        return tensor if isinstance(tensor, Tensor) else None

    def array(self, node: Described) -> Tensor | None:
        """A NumPy array, from the state that was to be put into it."""
        if not (isinstance(node.state, tuple) and len(node.state) == 5):
            return None
        _, shape, dtype, fortran, raw = node.state
        return self._array(shape, dtype, bool(fortran), raw)

    def buffered_array(self, node: Described) -> Tensor | None:
        """A NumPy array as protocol 5 writes it."""
        raw, dtype, shape, order = _at_least(node.arguments, 4)[:4]
        return self._array(shape, dtype, order == "F", raw)

    def _array(self, shape: object, dtype: object, fortran: bool, source: object) -> Tensor | None:
        return storages.numpy_array(shape, dtype, fortran, self._bytes(source))

    def _bytes(self, node: object) -> bytes | bytearray | None:
        """Bytes, also as protocol 2 spells them: text and the name of an encoding."""
        source: str | bytes | bytearray
        match node:
            case Described(maker=Named(module="_codecs", name="encode"), arguments=(str() as text, "latin1")):
                source = text
            case bytes() | bytearray():
                source = node
            case _:
                return None
        self._bytes_left -= len(source)
        if self._bytes_left < 0:
            raise RefusedPickle("its arrays hold more bytes than the file, so they repeat each other")
        return source.encode("latin-1", errors="replace") if isinstance(source, str) else source

    def number(self, node: Described) -> float | int | None:
        """A NumPy number."""
        dtype, raw = _at_least(node.arguments, 2)[:2]
        return storages.numpy_number(dtype, self._bytes(raw))


_LEAVES: dict[tuple[str, str], _Build] = {
    ("torch._utils", "_rebuild_tensor"): Reader.tensor,
    ("torch._utils", "_rebuild_tensor_v2"): Reader.tensor,
    ("torch._utils", "_rebuild_tensor_v3"): Reader.tensor,
    ("torch._utils", "_rebuild_parameter"): Reader.parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): Reader.parameter,
    ("torch.storage", "_load_from_bytes"): Reader.storage,
    **{(module, "_reconstruct"): Reader.array for module in _NUMPY},
    **{(module, "scalar"): Reader.number for module in _NUMPY},
    **{(module, "_frombuffer"): Reader.buffered_array for module in _NUMPY},
}


def scanning_cost(values: Sized) -> int:
    """What it costs to look through a list once: little beside making parts of its values."""
    return len(values) // 100


def _is_named(maker: object, modules: tuple[str, ...], name: str) -> bool:
    return isinstance(maker, Named) and maker.module in modules and maker.name == name


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


def plain_size(size: object) -> object:
    """A shape: a tuple, or the `torch.Size` that holds one."""
    if isinstance(size, Described) and _is_named(size.maker, ("torch",), "Size") and size.arguments:
        return size.arguments[0]
    return size


def torch_dtype(named: object) -> torch.dtype | None:
    # Not getattr: torch imports rooms of its own when some names are asked for.
    dtype = vars(torch).get(named.name) if isinstance(named, Named) and named.module == "torch" else None
    return dtype if isinstance(dtype, torch.dtype) else None


def _at_least(arguments: tuple[object, ...], count: int) -> tuple[object, ...]:
    if len(arguments) < count:
        raise MalformedPickle("a call without its arguments")
    return arguments
