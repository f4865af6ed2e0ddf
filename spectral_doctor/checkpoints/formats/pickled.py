"""What the formats that hold a pickle share: a tree from what it describes, and refusal where that is code alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from spectral_doctor.arrays import Array
from spectral_doctor.checkpoints.formats.base import Contents, Tree
from spectral_doctor.checkpoints.pickle.descriptions import MalformedPickle, RefusedPickle
from spectral_doctor.checkpoints.pickle.machine import Machine
from spectral_doctor.checkpoints.pickle.objects import Reader, is_ordinary
from spectral_doctor.checkpoints.pickle.storages import Storage
from spectral_doctor.checkpoints.stores import Source
from spectral_doctor.errors import UnreadableCheckpoint, UnsafeCheckpoint, listed
from spectral_doctor.records import LeftOut

RESAVE = (
    "Only tensors and plain values are read. In the environment that wrote it, save the weights alone: "
    "torch.save(discriminator.state_dict(), 'D.pt')."
)


@contextmanager
def speaking_of_pickles(source: Source) -> Iterator[None]:
    """Turn what is wrong with a pickle into an error that names the file."""
    try:
        yield
    except MalformedPickle as error:
        raise UnreadableCheckpoint(
            str(source.location), f"a Python pickle whose instructions cannot be followed: {error}"
        ) from error
    except RefusedPickle as error:
        raise UnsafeCheckpoint(str(source.location), str(error), RESAVE) from error


def contents_of(
    root: object, machine: Machine, source: Source, persistent: Callable[[object], Storage | Array | None] | None = None
) -> Contents:
    """The tree that a pickle describes; what it names beside its values is said, and was never made.

    Raises `MalformedPickle`, `RefusedPickle`, and `UnsafeCheckpoint` where nothing but objects is there.
    """
    reader = Reader(source, persistent)
    value = reader.value(root)
    tree = value if isinstance(value, dict) else {"tensor": value} if isinstance(value, Array) else {}
    unmade = sorted(name for name in machine.names - reader.made if not is_ordinary(name))
    if unmade and not holds_array(tree):
        raise UnsafeCheckpoint(
            str(source.location), f"it contains {listed(unmade)}, which is code or an object of a class", RESAVE
        )
    left = (LeftOut("(objects)", f"described and never made: {listed(unmade)}"),) if unmade else ()
    return Contents(tree, left)


def holds_array(tree: Tree) -> bool:
    """Say whether there is an array anywhere in a tree."""
    return any(isinstance(value, Array) or (isinstance(value, dict) and holds_array(value)) for value in tree.values())
