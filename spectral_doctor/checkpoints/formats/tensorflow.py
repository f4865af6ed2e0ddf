"""TensorFlow checkpoints: a sorted table that says where each tensor lies, and data files with their bytes.

The table is LevelDB's (block-based, prefix-compressed keys, CRC-32C; github.com/google/leveldb/blob/main/doc/
table_format.md); its values are the messages of TensorFlow's `tensor_bundle.proto`. A SavedModel keeps the same two
kinds of files in its `variables` folder. TensorFlow is not needed.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from spectral_doctor.arrays import Array, Strided
from spectral_doctor.checkpoints.formats.base import Closed, Contents, Format
from spectral_doctor.checkpoints.formats.closed import NotACheckpoint
from spectral_doctor.checkpoints.formats.kernels import Entry, in_torch_order, natural, plain_value
from spectral_doctor.checkpoints.formats.object_graph import paths_of
from spectral_doctor.checkpoints.formats.protocol_buffers import LENGTH, MalformedMessage, message, varint
from spectral_doctor.checkpoints.formats.sorted_table import MalformedTable, is_table, table_entries
from spectral_doctor.checkpoints.pickle.storages import contiguous, shape_of
from spectral_doctor.checkpoints.stores import Source
from spectral_doctor.elements import ELEMENT_TYPES, UINT8, ElementType, Values
from spectral_doctor.errors import EXPORT, UnreadableCheckpoint
from spectral_doctor.records import LeftOut

INDEX = ".index"
MOST_SHARDS = 10_000
LARGEST_GRAPH = 64 * 2**20
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_SLOT = "/.OPTIMIZER_SLOT/"
_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_SHARD = re.compile(r"(.+)\.data-\d{5}-of-\d{5}")
_STRING = 7
_TYPES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    8: "complex64",
    9: "int64",
    10: "bool",
    14: "bfloat16",
    17: "uint16",
    18: "complex128",
    19: "float16",
    22: "uint32",
    23: "uint64",
    24: "float8_e5m2",
    25: "float8_e4m3fn",
}
# What TensorFlow 1 puts beside a variable, under the variable's own name.
_TF1_SLOT = re.compile(r"(Adam|AdamW?|RMSProp|Momentum|Adagrad|Adadelta|Ftrl|LazyAdam|Nadam)(Optimizer)?(_\d+)?")
_TF1_AVERAGE = "ExponentialMovingAverage"


@dataclass(frozen=True)
class Bundle:
    """What an index says: the tensors by their keys, and how many data files there are."""

    shards: int
    tensors: Mapping[str, Stored]
    graph: Stored | None
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True)
class Stored:
    """Where a tensor lies."""

    element: ElementType
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int


class TensorFlowCheckpoint(Format):
    """`X.index` beside `X.data-00000-of-00001`, as `tf.train.Checkpoint`, `Saver` and SavedModel write them."""

    name = "TensorFlow checkpoint"

    def accept(self, source: Source) -> bool:
        """A sorted table that begins with a bundle's header and can be read to its end."""
        return is_table(source) and isinstance(_bundle(source), Bundle)

    def members(self, source: Source) -> tuple[str, ...]:
        """The data files."""
        bundle = _bundle(source)
        return _shards(source, bundle.shards) if isinstance(bundle, Bundle) else ()

    def open(self, source: Source) -> Contents:
        """Find every tensor in its data file; whole numbers of no axes, such as `step`, come as such."""
        bundle = _bundle(source)
        if isinstance(bundle, str):
            raise UnreadableCheckpoint(str(source.location), bundle)
        if not source.name.endswith(INDEX):
            raise UnreadableCheckpoint(
                str(source.location),
                "it is the index of a TensorFlow checkpoint under another name, so its data files cannot be told",
                f"Give it the name that it was saved under, which ends in {INDEX}.",
            )
        numbers = {stored.shard for stored in bundle.tensors.values()}
        files = {number: _shard(source, bundle.shards, number) for number in sorted(numbers)}
        paths = _graph_paths(source, bundle)
        order = {key: place for place, key in enumerate(paths)}
        entries = [
            Entry(paths.get(key) or _path_of(key), plain_value(_array(source, key, stored, files[stored.shard])))
            for key, stored in sorted(
                bundle.tensors.items(), key=lambda item: (order.get(item[0], len(order)), natural(item[0]))
            )
        ]
        return Contents(in_torch_order(entries), bundle.left_out)


class DamagedTensorFlow(Closed):
    """An index whose table is damaged, so that it can be named and not read."""

    name = "TensorFlow checkpoint"
    remedy = f"It is damaged; {EXPORT}."

    def accept(self, source: Source) -> bool:
        """Say whether it ends as a sorted table does."""
        return is_table(source)

    def open(self, source: Source) -> Contents:
        """Say what is wrong with it."""
        bundle = _bundle(source)
        reason = bundle if isinstance(bundle, str) else "its table is damaged"
        raise UnreadableCheckpoint(str(source.location), f"a TensorFlow checkpoint: {reason}")


class TensorFlowData(NotACheckpoint):
    """A data file beside its index: no checkpoint by itself."""

    name = "TensorFlow data file"
    looks_beside = True

    def accept(self, source: Source) -> bool:
        """Say whether an index of its name lies beside it."""
        named = _SHARD.fullmatch(source.name)
        if named is None or source.beside.size(named[1] + INDEX) is None:
            return False
        return is_table(source.beside.open(named[1] + INDEX))

    def open(self, source: Source) -> Contents:
        """Say which file is the one to name."""
        index = source.name.rpartition(".data-")[0] + INDEX
        raise UnreadableCheckpoint(
            str(source.location), "it is a TensorFlow data file, a part of a checkpoint", f"Name '{index}' beside it."
        )


def _bundle(source: Source) -> Bundle | str:
    if "bundle" not in source.kept:
        try:
            source.kept["bundle"] = _parsed(source)
        except (MalformedTable, MalformedMessage) as error:
            source.kept["bundle"] = str(error)
    known: Bundle | str = source.kept["bundle"]
    return known


def _parsed(source: Source) -> Bundle:
    entries = table_entries(source)
    key, header = next(entries, (b"-", b""))
    if key != b"":
        raise MalformedTable("a sorted table that is not a TensorFlow checkpoint's")
    told = {item.number: item.value for item, _ in message(header)}
    shards = told.get(1, 0)
    if not 0 < shards <= MOST_SHARDS:
        raise MalformedTable(f"its header speaks of {shards} data files")
    if told.get(2, 0) != 0:
        raise MalformedTable("its numbers are in big-endian order")
    tensors: dict[str, Stored] = {}
    graph: Stored | None = None
    left_out: list[LeftOut] = []
    for raw, value in entries:
        name = raw.decode("utf-8", errors="replace")
        found = _stored(name, value, shards)
        if isinstance(found, Stored) and name == _GRAPH:
            graph = found
        elif isinstance(found, Stored):
            tensors[name] = found
        elif found:
            left_out.append(LeftOut(name, found))
    return Bundle(shards, tensors, graph, tuple(left_out))


def _stored(name: str, value: bytes, shards: int) -> Stored | str:
    """An entry of the table; a reason where it is no tensor that is read; no word for texts."""
    told, shape, sliced = {1: 0, 3: 0, 4: 0, 5: 0}, [], False
    for item, content in message(value):
        if item.number == 2 and item.wire == LENGTH:
            shape = _shape(content)
        elif item.number == 7:
            sliced = True
        else:
            told[item.number] = item.value
    if name == _GRAPH and told[1] == _STRING and not shape and told[3] < shards:
        return Stored(UINT8, (told[5],), told[3], told[4], told[5])
    if told[1] == _STRING:
        return ""
    if sliced or "\0" in name:
        return "stored in slices, which are not put together" if sliced else ""
    element = ELEMENT_TYPES.get(_TYPES.get(told[1], ""))
    if element is None:
        return f"values of TensorFlow's type {told[1]} are not read"
    sizes = shape_of(tuple(shape))
    if sizes is None or math.prod(sizes) * element.itemsize != told[5] or told[3] >= shards:
        raise MalformedTable(f"'{name}' has a shape or place that cannot be")
    return Stored(element, sizes, told[3], told[4], told[5])


def _shape(content: bytes) -> list[int]:
    sizes = []
    for item, dimension in message(content):
        if item.number == 2 and item.wire == LENGTH:
            sizes.append(sum(part.value for part, _ in message(dimension) if part.number == 1))
    return sizes


def _graph_paths(source: Source, bundle: Bundle) -> dict[str, tuple[str, ...]]:
    """What the object graph calls the tensors; nothing where there is none, or it is damaged.

    It is a text in the data file: its length, a checksum of that, its bytes.
    """
    if bundle.graph is None or bundle.graph.size > LARGEST_GRAPH:
        return {}
    content = _array(source, _GRAPH, bundle.graph, _shard(source, bundle.shards, bundle.graph.shard)).read().tobytes()
    stream = io.BytesIO(content)
    try:
        length = varint(stream)
        graph = content[stream.tell() + 4 :]
        return paths_of(graph) if len(graph) == length else {}
    except MalformedMessage:
        return {}


def _shards(source: Source, count: int) -> tuple[str, ...]:
    prefix = source.name.removesuffix(INDEX)
    return tuple(f"{prefix}.data-{number:05d}-of-{count:05d}" for number in range(count))


def _shard(source: Source, count: int, number: int) -> Source:
    name = _shards(source, count)[number]
    if source.beside.size(name) is None:
        raise UnreadableCheckpoint(str(source.location), f"its data file '{name}' is missing")
    return source.beside.open(name)


def _array(source: Source, key: str, stored: Stored, file: Source) -> Array:
    if stored.offset + stored.size > file.size:
        raise UnreadableCheckpoint(
            str(source.location), f"'{key}' does not lie in '{file.name}', which is cut short or of another checkpoint"
        )

    def storage() -> Values:
        return file.span(stored.offset, stored.size).view(stored.element.raw)

    place = (file.identity, stored.offset)
    return Strided(storage, stored.element, stored.shape, contiguous(stored.shape), 0, place)


def _path_of(key: str) -> tuple[str, ...]:
    """A key as a path: without what the object graph adds, and with an optimizer's slots under the optimizer."""
    name = key.removesuffix(_VALUE)
    variable, slot, owner = name.partition(_SLOT)
    path = tuple(part for part in variable.split("/") if part)
    if slot:
        optimizer, _, what = owner.rpartition("/")
        return (f"optimizer_slots of {optimizer.replace('/', '_')}", *path, what)
    if path and _TF1_SLOT.fullmatch(path[-1]) and len(path) > 1:
        return ("optimizer_slots", *path)
    if path and path[-1] == _TF1_AVERAGE:
        return ("ema", *path[:-1])
    return path or (key,)
