"""Pickles that are no torch file: networks by pickle.dump, StyleGAN's snapshots, dictionaries of NumPy arrays."""

from __future__ import annotations

import re

from spectral_doctor.checkpoints.formats.base import Contents, Format
from spectral_doctor.checkpoints.formats.pickled import contents_of, speaking_of_pickles
from spectral_doctor.checkpoints.pickle.machine import Machine
from spectral_doctor.checkpoints.stores import Source

# How a pickle of the protocols 0 and 1 begins: an empty container, or a mark and what follows it, or a name.
_NAME = rb"[A-Za-z_][\w.]*\n[A-Za-z_]\w*\n"
_OLD = re.compile(rb"[}\])]q?.|\((?:[dlt][p0-9(]|[ci]?" + _NAME + rb")|c" + _NAME, re.DOTALL)


class PlainPickle(Format):
    """A pickle, whose instructions are followed and never obeyed: nothing is imported, called or made."""

    name = "Python pickle"
    rewriting_remedy = (
        "Its objects would have to be made again where it is used, from code that lies in it. "
        "Where it was made, torch.save the state_dict of each network, and treat that file."
    )

    def accept(self, source: Source) -> bool:
        """A protocol number at the start; or the first instructions of an old pickle, and its last at the end."""
        head = source.head
        if len(head) > 1 and head[0] == 0x80:
            return 2 <= head[1] <= 5
        return bool(_OLD.match(head)) and source.read(max(0, source.size - 1), 1) == b"."

    def open(self, source: Source) -> Contents:
        """Follow the instructions; long runs of bytes are left where they lie until an array on them is read."""
        machine = Machine()
        with speaking_of_pickles(source):
            described = machine.run(source.stream(), source.size)
            return contents_of(described, machine, source)
