"""The networks that one discriminator is made of: periods, resolutions, scales, heads."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from spectral_doctor.arrays import Array
from spectral_doctor.state_dicts.shapes import Weight, has_weight, weights_of

_LISTED = re.compile(r"^(?P<member>(?:[^.]+\.)*?(?:\w*discriminators|\w*discs|\w*critics|heads|cnns|\w*scales)\.\d+)\.")
_LIST = re.compile(r"(\w*discriminators|\w*discs|\w*critics|nets?_?Ds|heads|cnns|\w*scales)", re.IGNORECASE)
_ITEM = re.compile(r"^(?P<member>\d+)\.")
_SCALE = re.compile(r"^(?P<member>(?:.*?\.)?scale_?\d+)[_.]")
_NUMBER = re.compile(r"^(?P<member>(?:[^.\d]+\.)*[^.\d]*\d+)\.")

_Parts = dict[str, dict[str, Array]]


def members_of(tensors: Mapping[str, Array], key: str = "") -> _Parts:
    """Split the tensors of a discriminator that is made of several whole networks.

    A list's name says that it holds networks (`discriminators.0.…`, `scale0_…`, `cnns.0.…`), or its members'
    shapes do: all begin with the same number of inputs, and none could follow another. Each has at least two
    weights; a list whose members have one holds layers, whatever it is called. `key` is that of all of them.
    What belongs to no member stays under the empty name. Fewer than two members: there was nothing to split.
    """
    listed = (_ITEM,) if _LIST.fullmatch(key.rpartition(".")[2]) else ()
    for pattern in (*listed, _LISTED, _SCALE):
        parts = _parts(tensors, pattern)
        weights = [weights_of(part) for member, part in parts.items() if member]
        if len(weights) >= 2 and all(len(items) >= 2 for items in weights):
            return parts
    parts = _parts(tensors, _NUMBER)
    weights = [weights_of(part) for member, part in parts.items() if member]
    rest = len(weights_of(parts.get("", {})))
    if _side_by_side(weights) and rest < sum(map(len, weights)):
        return parts
    return {}


def _parts(tensors: Mapping[str, Array], pattern: re.Pattern[str]) -> _Parts:
    parts: _Parts = defaultdict(dict)
    for name, tensor in tensors.items():
        match = pattern.match(name)
        member = match["member"] if match else ""
        parts[member][name.removeprefix(member).lstrip("._") if member else name] = tensor
    return {member: part for member, part in parts.items() if not member or has_weight(part)}


def _side_by_side(members: Sequence[Sequence[Weight]]) -> bool:
    """Whether numbered parts are networks beside each other and no blocks in a row."""
    if len(members) < 2 or any(len(weights) < 2 for weights in members):
        return False
    first, last = members[0][0], members[0][-1]
    alike = all(len(weights) == len(members[0]) for weights in members)
    same = all(weights[0].inputs == first.inputs and weights[-1].outputs == last.outputs for weights in members)
    return alike and same and first.inputs != last.outputs
