"""A checkpoint taken apart: which of its tensors belong together, and what they belong to."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from spectral_doctor.arrays import Array
from spectral_doctor.state_dicts.keys import (
    Part,
    is_actor,
    is_head,
    is_maker,
    is_piece,
    is_short,
    is_value,
    may_be_head,
    part_of,
)
from spectral_doctor.state_dicts.shapes import has_weight, weights_of
from spectral_doctor.state_dicts.words import spoken_name

WRAPPERS = ("module", "_orig_mod", "_forward_module", "_fsdp_wrapped_module")
UNWRAP_KEYS = ("state_dict", "model_state_dict", "params", "model", "weights", "weight", "module", "net", "")
# The leaves of one layer where a tree has a mapping a layer, as Flax and Keras do.
_LEAF_NAMES = re.compile(
    r"((depthwise_|pointwise_|recurrent_)?kernel|weight|bias|scale|embeddings?|gamma|beta|moving_\w+|mean|var|u|sigma)"
    r"(:\d+)?"
)
_LAYER_NAMES = re.compile(
    r"(\w*_)?(conv\w*|dense|linear|batch_?norm\w*|norm\w*|embed\w*|blocks?|layers?|res\w*|attn|attention|down\w*|up\w*|"
    r"head|stem|body|tail|fc|out\w*|in|input|output|proj\w*|features)_?\d*",
    re.IGNORECASE,
)
# A letter at either end of a name, or a word: what a discriminator's name has where the generator's has another.
_OPPOSITES = tuple(
    (re.compile(judge), maker)
    for judge, maker in ((r"^d|d(?=\d*$)", "g"), (r"^D|D(?=\d*$)", "G"), ("disc?", "gen"), ("Disc?", "Gen"))
)
_NUMBERED_LAYER = re.compile(r"[a-z]+_?\d+")


@dataclass(frozen=True, eq=False)
class Leaf:
    """A tensor, its full key cut at every dot and nesting, and how many of the cuts are nestings.

    `state_depth` is how deep the optimizer's state begins that it belongs to, 0 where it belongs to none.
    """

    path: tuple[str, ...]
    container_depth: int
    tensor: Array
    state_depth: int = 0

    @property
    def key(self) -> str:
        """The full key."""
        return ".".join(self.path)

    @property
    def container(self) -> tuple[str, ...]:
        """The keys of the mappings it lies in."""
        return self.path[: self.container_depth]


Groups = dict[tuple[Part, str], dict[str, Array]]


def leaves_of(tree: Mapping[str, object], path: tuple[str, ...] = (), state_depth: int = 0) -> Iterator[Leaf]:
    """Every tensor of a tree. An optimizer's state is known by what it holds, whatever its key."""
    if "param_groups" in tree and "state" in tree:
        state_depth = state_depth or len(path)
    for key, value in tree.items():
        if isinstance(value, Array):
            segments = tuple(segment for segment in key.split(".") if segment) or (key,)
            yield Leaf((*path, *_unwrapped(segments)), len(path), value, state_depth)
        elif isinstance(value, Mapping):
            yield from leaves_of(value, (*path, key), state_depth)


def _unwrapped(segments: tuple[str, ...]) -> tuple[str, ...]:
    """Drop the leading `module.` / `_orig_mod.` that DataParallel and torch.compile put before every key."""
    start = 0
    while start < len(segments) - 1 and segments[start] in WRAPPERS:
        start += 1
    return segments[start:]


def groups_of(leaves: Sequence[Leaf], *, of_discriminator: bool = False) -> Groups:
    """Group tensors by what they belong to and the key that says so; within a group by the rest of their names.

    Where the file's name says that it is `of_discriminator`, a `disc_block` or a `decoder` in it is a piece of
    the whole. A short name over a single weight (`wd.weight`) is a layer's, and so is `disc_embed.weight`.
    """
    reader = _Reader(leaves, of_discriminator)
    groups = reader.groups(leaves)
    named = [prefix for part, prefix in groups if part is Part.DISCRIMINATOR]
    layers = {
        prefix
        for prefix in named
        if len(weights_of(groups[Part.DISCRIMINATOR, prefix])) < 2 and _is_layer(prefix.rpartition(".")[2], named)
    }
    if layers:
        reader.layers = frozenset(layers)
        groups = reader.groups(leaves)
    return _without_backbones(groups)


def _is_layer(name: str, named: Sequence[str]) -> bool:
    """Whether what has the discriminator's name and one weight is a layer, and no piece beside other pieces."""
    pieces = [prefix for prefix in named if spoken_name(prefix.rpartition(".")[2]) == spoken_name(name)]
    return is_short(name) or (is_piece(name) and len(pieces) < 2)


class _Reader:
    """Reads keys in the light of all keys of the file."""

    def __init__(self, leaves: Sequence[Leaf], of_discriminator: bool) -> None:
        self.of_discriminator = of_discriminator
        leaves = [leaf for leaf in leaves if not leaf.state_depth]
        self.playing = _is_reinforcement_learning(leaves)
        self.pairs = _pairs(leaves)
        self.networks = _nested_networks(leaves)
        self.layers: frozenset[str] = frozenset()

    def groups(self, leaves: Sequence[Leaf]) -> Groups:
        """The tensors by part and prefix."""
        groups: Groups = defaultdict(dict)
        for leaf in leaves:
            part, end = self.classified(leaf)
            groups[part, ".".join(leaf.path[:end])][".".join(leaf.path[end:])] = leaf.tensor
        return groups

    def classified(self, leaf: Leaf) -> tuple[Part, int]:
        """What a tensor belongs to, and how many segments of its key say so."""
        if leaf.state_depth:
            return Part.OPTIMIZER, leaf.state_depth
        names = leaf.path[:-1]
        parts = [self._part(leaf, depth) for depth in range(len(names))]
        judging = [part in (Part.DISCRIMINATOR, Part.FROZEN) for part in parts]
        heads = [is_head(name) or (may_be_head(name) and any(judging[:depth])) for depth, name in enumerate(names)]
        for depth, (name, part) in enumerate(zip(names, parts, strict=True)):
            if self.playing and part in (None, Part.DISCRIMINATOR, Part.COPY) and is_value(name):
                return Part.VALUE, depth + 1
            if part in (Part.OPTIMIZER, Part.COPY) or heads[depth] or (part is Part.FROZEN and True not in heads):
                return Part.DISCRIMINATOR if heads[depth] else part or Part.UNKNOWN, depth + 1
            if part in (Part.DISCRIMINATOR, Part.VALUE):
                break
        return self._by_part(leaf, names, parts, heads)

    def _by_part(
        self, leaf: Leaf, names: Sequence[str], parts: Sequence[Part | None], heads: Sequence[bool]
    ) -> tuple[Part, int]:
        first = next((depth for depth, part in enumerate(parts) if part not in (None, Part.FROZEN)), None)
        if first is not None:
            # Inside a network frozen parts and copies are looked for still, and the head that judges.
            for depth in range(first + 1, len(names)):
                part = parts[depth]
                if part in (Part.OPTIMIZER, Part.COPY) or heads[depth] or (part is Part.FROZEN and True not in heads):
                    return Part.DISCRIMINATOR if heads[depth] else part or Part.UNKNOWN, depth + 1
            return parts[first] or Part.UNKNOWN, _innermost(leaf, first) + 1
        for depth in range(len(leaf.path)):
            if leaf.path[: depth + 1] in self.pairs:
                return self.pairs[leaf.path[: depth + 1]], _innermost(leaf, depth) + 1
        return Part.UNKNOWN, self.networks.get(leaf.container, leaf.container_depth)

    def _part(self, leaf: Leaf, depth: int) -> Part | None:
        name = leaf.path[depth]
        part = part_of(name, in_container=depth < leaf.container_depth, at_top=depth == leaf.container_depth)
        if part is Part.DISCRIMINATOR:
            piece = self.of_discriminator and depth >= leaf.container_depth and is_piece(name)
            return None if piece or ".".join(leaf.path[: depth + 1]) in self.layers else part
        return None if part is Part.GENERATOR and self.of_discriminator and is_maker(name) else part


def _pairs(leaves: Sequence[Leaf]) -> dict[tuple[str, ...], Part]:
    """Neighbours whose names differ in d and g alone (`d1` beside `g1`): the one word explains the other."""
    names = {
        leaf.path[: depth + 1]: depth < leaf.container_depth
        for leaf in leaves
        for depth in range(min(leaf.container_depth + 1, len(leaf.path) - 1))
    }
    pairs: dict[tuple[str, ...], Part] = {}
    for path, in_container in names.items():
        for judge, maker in _OPPOSITES:
            other = (*path[:-1], judge.sub(maker, path[-1], count=1))
            if other != path and other in names and (in_container or not _NUMBERED_LAYER.fullmatch(path[-1])):
                pairs |= {path: Part.DISCRIMINATOR, other: Part.GENERATOR}
    return pairs


def _is_reinforcement_learning(leaves: Sequence[Leaf]) -> bool:
    """Whether a policy, its spread, or the slow copy of a critic is here: then a critic estimates returns."""
    paths = {leaf.path for leaf in leaves}
    for leaf in leaves:
        outer, last = leaf.path[:-1], leaf.path[-1]
        # A mean beside it makes a `std` one of the data.
        spread = last in ("log_std", "log_alpha") or (last == "std" and (*outer, "mean") not in paths)
        if spread or any(map(is_actor, outer)):
            return True
        if any({"critic", "target"} <= set(name.lower().split("_")) for name in outer[: leaf.container_depth + 1]):
            return True
    return False


def _innermost(leaf: Leaf, depth: int) -> int:
    """Follow `discriminator.state_dict`, `adv_losses.mpd.adversary` and `model.discriminator` to the inner key."""
    last = len(leaf.path) - 2
    while depth < last:
        inner, container = leaf.path[depth + 1], depth + 1 < leaf.container_depth
        if leaf.path[depth] != "adv_losses" and inner != "adversary" and not (container and inner in UNWRAP_KEYS):
            break
        depth += 1
    return depth


def _nested_networks(leaves: Sequence[Leaf]) -> dict[tuple[str, ...], int]:
    """Where in a tree with a mapping a layer a network begins: for each such mapping, how deep.

    It is the last wrapping key (`params`), else the outermost mapping, unless that is named as a layer is.
    """
    depths: dict[tuple[str, ...], int] = {}
    for leaf in leaves:
        container = leaf.container
        if len(leaf.path) != leaf.container_depth + 1 or not _LEAF_NAMES.fullmatch(leaf.path[-1]):
            continue
        wrapping = [depth for depth, name in enumerate(container) if name in UNWRAP_KEYS]
        if wrapping and wrapping[-1] + 1 < len(container):
            depths[container] = wrapping[-1] + 1
        elif len(container) > 1 and not wrapping:
            depths[container] = 0 if _LAYER_NAMES.fullmatch(container[0]) else 1
        elif len(container) == 1 and _LAYER_NAMES.fullmatch(container[0]):
            depths[container] = 0
    return depths


def _without_backbones(groups: Groups) -> Groups:
    """Where a head judges, the large network behind it is a backbone, whatever it is called.

    What is merely called a head is the last layer of a discriminator, unless a transformer stands behind it.
    """
    discriminators = {prefix for part, prefix in groups if part is Part.DISCRIMINATOR}
    for prefix in sorted(discriminators):
        outer = next((other for other in discriminators if prefix.startswith(f"{other}.")), None)
        last = prefix.rpartition(".")[2]
        if outer is not None and may_be_head(last) and not _is_transformer(groups[Part.DISCRIMINATOR, outer]):
            inner = prefix.removeprefix(f"{outer}.")
            tensors = groups.pop((Part.DISCRIMINATOR, prefix))
            groups[Part.DISCRIMINATOR, outer].update({f"{inner}.{name}": item for name, item in tensors.items()})
            discriminators.discard(prefix)
    heads = [
        prefix
        for prefix in discriminators
        if is_head(prefix.rpartition(".")[2]) or any(prefix.startswith(f"{other}.") for other in discriminators)
    ]
    if not any(has_weight(groups[Part.DISCRIMINATOR, prefix]) for prefix in heads):
        return groups
    weights = max(len(weights_of(groups[Part.DISCRIMINATOR, prefix])) for prefix in heads)
    changed: Groups = {}
    for (part, prefix), tensors in groups.items():
        other = part is Part.DISCRIMINATOR and prefix not in heads
        own = weights_of(tensors) if other else ()
        around = any(head.startswith(f"{prefix}.") for head in heads)
        is_backbone = other and (around or (len(own) > weights and own[-1].outputs != 1))
        changed[Part.BACKBONE if is_backbone else part, prefix] = tensors
    return changed


def _is_transformer(tensors: Mapping[str, Array]) -> bool:
    return sum("attn" in name or "attention" in name for name in tensors) >= 8
