"""HDF5 files of Keras: weights or whole models, `.h5` and `.hdf5`, through h5py; nothing in them is run.

Only what lies in the file itself is followed: links to other places, references, virtual and external datasets are left
out and counted. A dataset in one piece is read where it lies; h5py is asked again for one in chunks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spectral_doctor.arrays import Array, Computed, Strided
from spectral_doctor.checkpoints.formats.base import Closed, Contents, Format
from spectral_doctor.checkpoints.formats.kernels import Leaf, in_torch_order, natural, plain_value
from spectral_doctor.checkpoints.formats.layers import named_entries
from spectral_doctor.checkpoints.pickle.storages import contiguous, shape_of
from spectral_doctor.checkpoints.stores import Source
from spectral_doctor.elements import Values, element_type
from spectral_doctor.errors import EXPORT, UnreadableCheckpoint, UnsupportedCheckpoint
from spectral_doctor.records import LeftOut

if TYPE_CHECKING:
    import h5py

MAGIC = b"\x89HDF\r\n\x1a\n"
MOST_OBJECTS = 100_000
DEEPEST = 64
LARGEST_EXPANSION = 200
SMALL_DATASET = 256 * 2**20
LONGEST_CONFIG = 64 * 2**20
INSTALL = "Reading it needs h5py: pip install 'spectral-doctor[tensorflow-files]'"
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, OverflowError, MemoryError)


@dataclass
class Stored:
    """What an HDF5 file holds: the leaves by their paths, in the order that the file itself gives its layers.

    `names` are the names that Keras 3 gives to groups, by the groups' paths.
    """

    leaves: dict[tuple[str, ...], Leaf] = field(default_factory=dict)
    names: dict[tuple[str, ...], str] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)


class Hdf5(Format):
    """A file with an HDF5 superblock at its beginning."""

    name, article = "HDF5 file", "an"

    def accept(self, source: Source) -> bool:
        """The signature, and sizes in the superblock that can be."""
        return has_superblock(source)

    def open(self, source: Source) -> Contents:
        """Find the weights of each layer, in PyTorch's order and under PyTorch's names.

        Raises `UnsupportedCheckpoint` where h5py is not installed.
        """
        stored = stored_in(source, f"{self.article} {self.name}")
        return Contents(in_torch_order(named_entries(stored.leaves, stored.names)), tuple(stored.left_out))


class DamagedHdf5(Closed):
    """A file that begins as an HDF5 file does and holds nothing that can be followed."""

    name, article = "HDF5 file", "an"
    remedy = f"It is damaged; {EXPORT}."

    def accept(self, source: Source) -> bool:
        """Say whether it has the signature."""
        return source.head.startswith(MAGIC)

    def open(self, source: Source) -> Contents:
        """Say that it is damaged."""
        raise UnreadableCheckpoint(
            str(source.location), "it begins as an HDF5 file does, and its superblock is damaged", f"Else {EXPORT}."
        )


def has_superblock(source: Source) -> bool:
    """Say whether a file begins with HDF5's signature and a superblock of a version and of sizes that can be."""
    head = source.head
    if not head.startswith(MAGIC) or len(head) < 48:
        return False
    sizes = head[13:15] if head[8] < 2 else head[9:11]
    return head[8] <= 3 and all(size in (2, 4, 8) for size in sizes)


def stored_in(source: Source, what: str) -> Stored:
    """Everything in an HDF5 file, unread. Raises `UnreadableCheckpoint`, `UnsupportedCheckpoint` without h5py."""
    stored = Stored()
    with _opened(source, what) as file:
        _Walk(source, what, stored).group(file, ())
    return stored


@contextmanager
def _opened(source: Source, what: str) -> Iterator[h5py.File]:
    try:
        import h5py
    except ImportError as error:
        raise UnsupportedCheckpoint(str(source.location), what, f"{INSTALL}.") from error
    try:
        with h5py.File(source.stream(), "r") as file:
            yield file
    except _DAMAGE as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableCheckpoint(
            str(source.location), f"{what} that is cut short or damaged (h5py: {said})"
        ) from error


class _Walk:
    """Goes through the groups of a file, each once."""

    def __init__(self, source: Source, what: str, stored: Stored) -> None:
        self.source, self.what, self.stored = source, what, stored
        self._seen: set[Any] = set()

    def group(self, group: h5py.Group, path: tuple[str, ...]) -> None:
        """Take everything in a group, in the order of its `layer_names` where it has them."""
        import h5py

        place = h5py.h5o.get_info(group.id)
        if (place.fileno, place.addr) in self._seen:
            self._leave(path, "a link back to a group that was read already")
            return
        self._seen.add((place.fileno, place.addr))
        if len(self._seen) > MOST_OBJECTS or len(path) > DEEPEST:
            raise ValueError("more groups, or deeper ones, than a network has")
        if path[-1:] == ("vars",):
            self.stored.names[path[:-1]] = _text(_attribute(group, "name"))
        for name in _ordered(group):
            here = (*path, *(part for part in name.split("/") if part))
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                self._leave(here, "a link to another place, which is not followed")
                continue
            item = group[name]
            if isinstance(item, h5py.Group):
                self.group(item, here)
            elif isinstance(item, h5py.Dataset):
                self._take(item, here)
        self._in_order(group, path)

    def _take(self, dataset: h5py.Dataset, path: tuple[str, ...]) -> None:
        if len(self.stored.leaves) > MOST_OBJECTS:
            raise ValueError("more datasets than a network has")
        found = self._array(dataset, path)
        if isinstance(found, Array):
            self.stored.leaves[path] = plain_value(found)
        elif found:
            self._leave(path, found)

    def _array(self, dataset: h5py.Dataset, path: tuple[str, ...]) -> Array | str:
        """A dataset as an array; the reason where it is none, no word for texts."""
        import h5py

        if dataset.is_virtual or dataset.external:
            return "values that lie in another file, which is not followed"
        if dataset.shape is None:
            return ""
        element, shape = element_type(dataset.dtype), shape_of(tuple(map(int, dataset.shape)))
        if element is None:
            return f"{dataset.dtype} values are not numbers" if dataset.dtype.kind not in "OSUV" else ""
        if shape is None:
            raise ValueError(f"'{'/'.join(path)}' has a shape that cannot be")
        size, held = dataset.size * element.itemsize, dataset.id.get_storage_size()
        if size > SMALL_DATASET and size > LARGEST_EXPANSION * max(held, 1):
            return f"its {held} bytes would expand to {size}"
        place = dataset.id.get_offset()
        known = dataset.id.get_type() == h5py.h5t.py_create(dataset.dtype, logical=True)
        if place is not None and known and size:
            if place + size > self.source.size:
                raise ValueError(f"'{'/'.join(path)}' ends after the file does")
            return _in_place(self.source, place, size, Computed(_nothing, element, shape))
        source, what = self.source, self.what

        def read() -> Values:
            with _opened(source, what) as file:
                values: Values = file["/".join(path)][()]
                return values.reshape(shape)

        return Computed(read, element, shape, "chunked")

    def _in_order(self, group: h5py.Group, path: tuple[str, ...]) -> None:
        """Put the datasets of a layer's group into the order of its `weight_names`."""
        names = [_text(name) for name in _list(_attribute(group, "weight_names"))]
        order = {(*path, *name.split("/")): place for place, name in enumerate(names)}
        mine = [key for key in self.stored.leaves if key in order]
        for key in sorted(mine, key=order.__getitem__):
            self.stored.leaves[key] = self.stored.leaves.pop(key)

    def _leave(self, path: tuple[str, ...], reason: str) -> None:
        self.stored.left_out.append(LeftOut(".".join(path), reason))


def _nothing() -> Values:
    raise AssertionError("only a type and a shape")


def _in_place(source: Source, place: int, size: int, like: Array) -> Strided:
    def storage() -> Values:
        return source.span(place, size).view(like.element.raw)

    return Strided(storage, like.element, like.shape, contiguous(like.shape), 0, (source.identity, place))


def _ordered(group: h5py.Group) -> list[str]:
    """The names in a group: those of its `layer_names` first, the others as numbers count and letters go."""
    told = {_text(name): place for place, name in enumerate(_list(_attribute(group, "layer_names")))}
    return sorted(group, key=lambda name: (told.get(name, len(told)), natural(name)))


def _attribute(group: h5py.Group, name: str) -> object:
    """An attribute that is a text, or texts, of a fixed length; None where it is another thing.

    Texts of any length lie in a heap of their own, where libhdf5 follows a damaged address until the process dies.
    """
    import h5py

    key = name.encode()
    if not h5py.h5a.exists(group.id, key):
        return None
    kind = h5py.h5a.open(group.id, key).get_type()
    if not isinstance(kind, h5py.h5t.TypeStringID) or kind.is_variable_str():
        return None
    found: object = group.attrs[name]
    return found


def _list(value: object) -> Sequence[object]:
    return list(value) if hasattr(value, "__iter__") and not isinstance(value, str | bytes) else []


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value[:LONGEST_CONFIG].decode("utf-8", errors="replace")
    return value[:LONGEST_CONFIG] if isinstance(value, str) else ""
