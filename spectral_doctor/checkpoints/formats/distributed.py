"""Folders of torch.distributed.checkpoint: what `.metadata` describes, and the tensors piece by piece.

`.metadata` is a pickle, which PyTorch loads without any restriction. Here it is followed by the machine that calls
nothing, and every name in it has to be on the list below.
"""

from __future__ import annotations

import io
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spectral_doctor.arrays import Array, Computed, Strided
from spectral_doctor.checkpoints.formats.base import Contents, Format, Tree
from spectral_doctor.checkpoints.formats.torch_zip import TorchZip
from spectral_doctor.checkpoints.pickle.descriptions import Described, MalformedPickle, Named, RefusedPickle
from spectral_doctor.checkpoints.pickle.machine import Machine
from spectral_doctor.checkpoints.pickle.objects import LONGEST_KEY, Reader
from spectral_doctor.checkpoints.pickle.storages import is_count, shape_of, whole_numbers
from spectral_doctor.checkpoints.pickle.tensors import plain_size, torch_dtype
from spectral_doctor.checkpoints.steps import STEP_KEYS
from spectral_doctor.checkpoints.stores import Source, Within
from spectral_doctor.elements import ElementType, Values
from spectral_doctor.errors import UnreadableCheckpoint, UnsafeCheckpoint, listed

METADATA = ".metadata"
SHARD = ".distcp"
LARGEST_VALUE = 2**16

_HOME = "torch.distributed.checkpoint"
_OLD_HOME = "torch.distributed._shard.sharded_tensor.metadata"
_ALLOWED = frozenset(
    {
        *(
            f"{_HOME}.metadata.{name}"
            for name in (
                "Metadata",
                "TensorStorageMetadata",
                "BytesStorageMetadata",
                "TensorProperties",
                "ChunkStorageMetadata",
                "MetadataIndex",
                "StorageMeta",
                "_MEM_FORMAT_ENCODING",
            )
        ),
        f"{_HOME}.filesystem._StorageInfo",
        f"{_OLD_HOME}.TensorProperties",
        f"{_OLD_HOME}.MEM_FORMAT_ENCODING",
        "torch.Size",
        "torch.serialization._get_layout",
        "collections.OrderedDict",
        "pathlib.PosixPath",
        "pathlib.WindowsPath",
        "pathlib._local.PosixPath",
        "pathlib._local.WindowsPath",
    }
)


@dataclass(frozen=True)
class _Piece:
    """A part of a tensor, or a plain value: where its bytes lie, and its place in the tensor."""

    name: str
    start: int
    length: int
    offsets: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()


class DistributedFolder(Format):
    """A folder with a `.metadata`, which is the file that is opened; the shards lie beside it."""

    name = "torch.distributed checkpoint folder"
    rewriting_remedy = (
        "Convert it where it was made, and treat that file: "
        "python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE.pt."
    )

    def accept(self, source: Source) -> bool:
        """A pickle of that name."""
        return source.name == METADATA and source.head[:1] == b"\x80"

    def open(self, source: Source) -> Contents:
        """Read what `.metadata` describes; a tensor is put together from its pieces when it is read."""
        try:
            return Contents(_Folder(source).tree())
        except MalformedPickle as error:
            raise UnreadableCheckpoint(_named(source), f"its {METADATA} cannot be followed: {error}") from error
        except RefusedPickle as error:
            raise UnsafeCheckpoint(_named(source), f"in its {METADATA}, {error}", _CONVERT) from error


def _named(source: Source) -> str:
    return str(source.beside.folder)


class _Folder:
    """One folder while its description is read."""

    def __init__(self, source: Source) -> None:
        self._source, self._store, self._path = source, source.beside, _named(source)

    def tree(self) -> dict[str, object]:
        """The tensors, lazily, and the plain values that name a step."""
        size = self._source.size
        machine, reader = Machine(), Reader(self._source)
        root = machine.run(io.BytesIO(self._source.read(0, size)), size)
        foreign = sorted(name for name in machine.names if name not in _ALLOWED and not _is_dtype(name))
        if foreign:
            raise RefusedPickle(f"it contains {listed(foreign)}, which such a file does not need")
        fields = reader.state_of(root) or {}
        entries, storage = reader.mapping(fields.get("state_dict_metadata")), fields.get("storage_data")
        if entries is None or not isinstance(storage, Described):
            raise MalformedPickle("it does not say which tensors there are")
        places = _places(reader, storage)
        self._check_places([piece for pieces in places.values() for piece in pieces.values()])
        nested = reader.mapping(fields.get("planner_data")) or {}
        tree: dict[str, object] = {}
        for key, entry in entries.items():
            leaf = self._leaf(reader, key, entry, places.get(key, {}))
            if leaf is not None:
                _put(tree, _nesting(nested.get(key), key), leaf)
        return tree

    def _leaf(self, reader: Reader, key: str, entry: object, places: Mapping[tuple[int, ...] | None, _Piece]) -> object:
        if not (isinstance(entry, Described) and isinstance(entry.maker, Named)):
            raise MalformedPickle(f"'{key}' is not described")
        if entry.maker.name != "TensorStorageMetadata":
            piece = places.get(None)
            wanted = piece is not None and key in STEP_KEYS and piece.length <= LARGEST_VALUE
            return self._value(piece) if wanted and piece is not None else None
        fields = reader.state_of(entry) or {}
        properties = fields.get("properties")
        state = properties.state if isinstance(properties, Described) else None
        dtype = torch_dtype(state[0]) if isinstance(state, tuple) and state else None
        shape, chunks = _shape(fields.get("size")), fields.get("chunks")
        if dtype is None or shape is None or not isinstance(chunks, list):
            raise MalformedPickle(f"'{key}' has no shape or type")
        if shape_of(shape) is None:
            raise MalformedPickle(f"'{key}' has the shape {shape}, which cannot be")
        pieces = tuple(_placed(reader, key, chunk, places, shape) for chunk in chunks)
        held = sum(math.prod(piece.sizes) for piece in pieces)
        fits = all(math.prod(piece.sizes) * dtype.itemsize <= piece.length for piece in pieces)
        if held != math.prod(shape) or not fits:
            raise RefusedPickle(f"'{key}' of shape {shape} claims more, or other, values than its pieces hold")
        array = Computed(lambda: self._joined(pieces, dtype, shape), dtype, shape, "distributed")
        if key in STEP_KEYS and held == 1:
            return array.read().reshape(()).item()
        return array

    def _joined(self, pieces: Sequence[_Piece], dtype: ElementType, shape: tuple[int, ...]) -> Values:
        if len(pieces) == 1 and pieces[0].sizes == shape:
            return self._part(pieces[0], dtype).read()
        parts = [(piece, self._part(piece, dtype).read()) for piece in pieces]
        whole = np.empty(shape, dtype=parts[0][1].dtype if parts else dtype.raw)
        seen = np.zeros(shape, dtype=np.bool_)
        for piece, values in parts:
            place = tuple(slice(start, start + size) for start, size in zip(piece.offsets, piece.sizes, strict=True))
            whole[place], seen[place] = values, True
        if not bool(seen.all()):
            raise UnreadableCheckpoint(self._path, f"its pieces do not cover a tensor of shape {shape}")
        return whole

    def _part(self, piece: _Piece, dtype: ElementType) -> Array:
        part = self._load(piece).get("tensor")
        if not isinstance(part, Array) or part.shape != piece.sizes or part.element.name != dtype.name:
            raise UnreadableCheckpoint(self._path, f"a piece in '{piece.name}' is not what {METADATA} says")
        if isinstance(part, Strided) and part.overlaps:
            raise UnsafeCheckpoint(self._path, f"a piece in '{piece.name}' claims more values than it holds", _CONVERT)
        return part

    def _check_places(self, pieces: Sequence[_Piece]) -> None:
        """Every piece lies in a file of this folder, and no two lie over each other."""
        by_name: dict[str, list[_Piece]] = defaultdict(list)
        for piece in pieces:
            by_name[piece.name].append(piece)
        for name, members in by_name.items():
            if Path(name).name != name or "\\" in name or name in ("", ".", ".."):
                raise RefusedPickle(f"it points outside the folder, to '{name}'")
            size = self._store.size(name)
            if size is None:
                raise UnreadableCheckpoint(self._path, f"its shard '{name}' is missing")
            end = 0
            for piece in sorted(members, key=lambda item: item.start):
                if piece.start < end:
                    raise RefusedPickle(f"it lays two pieces of '{name}' over each other")
                end = piece.start + piece.length
            if end > size:
                raise UnreadableCheckpoint(self._path, f"its shard '{name}' ends after {size} of {end} bytes")

    def _value(self, piece: _Piece) -> object:
        """A plain value that was saved as a piece of its own."""
        inner = Within(self._store.open(piece.name), piece.start, piece.length)
        return _PIECE.plain_value(inner) if _PIECE.accept(inner) else None

    def _load(self, piece: _Piece) -> Tree:
        """One saved piece: a PyTorch file that lies in another file."""
        inner = Within(self._store.open(piece.name), piece.start, piece.length)
        if not _PIECE.accept(inner):
            raise UnreadableCheckpoint(self._path, f"a piece in '{piece.name}' is not a PyTorch file")
        return _PIECE.open(inner).tree


_PIECE = TorchZip()
_CONVERT = (
    "If you trust the folder, convert it where it was made: "
    "python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE.pt."
)


def _places(reader: Reader, storage: Described) -> dict[str, dict[tuple[int, ...] | None, _Piece]]:
    """Where the bytes of every entry lie: by its key, then by its offset in the tensor."""
    found: dict[str, dict[tuple[int, ...] | None, _Piece]] = defaultdict(dict)
    for index, info in storage.pairs:
        where, place = reader.state_of(index) or {}, reader.state_of(info) or {}
        key, name = where.get("fqn"), place.get("relative_path")
        start, length = place.get("offset"), place.get("length")
        if not (isinstance(key, str) and isinstance(name, str) and is_count(start) and is_count(length)):
            raise MalformedPickle("it does not say where its tensors lie")
        if place.get("transform_descriptors"):
            raise MalformedPickle(f"the bytes of '{key}' are transformed (compressed, perhaps), which is not read")
        assert isinstance(start, int)
        assert isinstance(length, int)
        found[key][_shape(where.get("offset"))] = _Piece(name, start, length)
    return dict(found)


def _placed(
    reader: Reader, key: str, chunk: object, places: Mapping[tuple[int, ...] | None, _Piece], shape: tuple[int, ...]
) -> _Piece:
    fields = reader.state_of(chunk) or {}
    offsets, sizes = _shape(fields.get("offsets")), _shape(fields.get("sizes"))
    piece = places.get(offsets)
    if offsets is None or sizes is None or piece is None or not len(offsets) == len(sizes) == len(shape):
        raise MalformedPickle(f"it does not say where a piece of '{key}' lies")
    if any(start + size > whole for start, size, whole in zip(offsets, sizes, shape, strict=True)):
        raise MalformedPickle(f"a piece of '{key}' reaches beyond its shape {shape}")
    return _Piece(piece.name, piece.start, piece.length, offsets, sizes)


def _shape(size: object) -> tuple[int, ...] | None:
    return whole_numbers(plain_size(size))


def _is_dtype(name: str) -> bool:
    module, _, dtype = name.rpartition(".")
    return torch_dtype(Named(module, dtype)) is not None


def _nesting(path: object, key: str) -> tuple[str, ...]:
    if isinstance(path, tuple) and 0 < len(path) <= 16 and all(isinstance(item, str | int) for item in path):
        return tuple(str(item)[:LONGEST_KEY] for item in path)
    return (key,)


def _put(tree: dict[str, object], path: tuple[str, ...], leaf: object) -> None:
    node = tree
    for segment in path[:-1]:
        below = node.setdefault(segment, {})
        if not isinstance(below, dict):
            tree[".".join(path)] = leaf
            return
        node = below
    node[path[-1]] = leaf
