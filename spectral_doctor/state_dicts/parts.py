"""A checkpoint taken apart: which of its tensors belong together, and what they belong to."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from spectral_doctor.arrays import Array
from spectral_doctor.state_dicts.keys import Part, is_actor, is_head, is_piece, is_value, part_of
from spectral_doctor.state_dicts.shapes import has_weight, weights_of

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


@dataclass(frozen=True, eq=False)
class Leaf:
    """A tensor, its full key cut at every dot and nesting, and how many of the cuts are nestings."""

    path: tuple[str, ...]
    container_depth: int
    tensor: Array

    @property
    def key(self) -> str:
        """The full key."""
        return ".".join(self.path)


Groups = dict[tuple[Part, str], dict[str, Array]]


def leaves_of(tree: Mapping[str, object], path: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """Every tensor of a tree. The states of optimizers have none: what is in them is told by its form, not its name."""
    for key, value in tree.items():
        if isinstance(value, Array):
            segments = tuple(segment for segment in key.split(".") if segment) or (key,)
            yield Leaf((*path, *_unwrapped(segments)), len(path), value)
        elif isinstance(value, Mapping):
            name = "optimizer state" if "param_groups" in value and "state" in value else ""
            if name and part_of(key, in_container=True) is not Part.OPTIMIZER:
                continue
            yield from leaves_of(value, (*path, key))


def _unwrapped(segments: tuple[str, ...]) -> tuple[str, ...]:
    """Drop the leading `module.` / `_orig_mod.` that DataParallel and torch.compile put before every key."""
    start = 0
    while start < len(segments) - 1 and segments[start] in WRAPPERS:
        start += 1
    return segments[start:]


def groups_of(leaves: Sequence[Leaf], *, of_discriminator: bool = False) -> Groups:
    """Group tensors by what they belong to and the key that says so; within a group by the rest of their names.

    Where the file's name says that it is `of_discriminator`, a `disc_block` in it is a piece of the whole.
    """
    playing = _is_reinforcement_learning(leaves)
    groups: Groups = defaultdict(dict)
    networks = _nested_networks(leaves)
    for leaf in leaves:
        part, end = _classified(leaf, playing=playing)
        if of_discriminator and part is Part.DISCRIMINATOR and end > leaf.container_depth and is_piece(leaf.path[end - 1]):
            part, end = Part.UNKNOWN, leaf.container_depth
        if part is Part.UNKNOWN:
            end = networks.get(leaf.path[: leaf.container_depth], end)
        groups[part, ".".join(leaf.path[:end])][".".join(leaf.path[end:])] = leaf.tensor
    return _without_backbones(groups)


def _is_reinforcement_learning(leaves: Sequence[Leaf]) -> bool:
    """Whether a policy, its spread, or the slow copy of a critic is here: then a critic estimates returns."""
    for leaf in leaves:
        outer = leaf.path[: leaf.container_depth + 1]
        if leaf.path[-1] in ("log_std", "std", "log_alpha"):
            return True
        if any(is_actor(name) or {"critic", "target"} <= set(name.lower().split("_")) for name in outer):
            return True
    return False


def _classified(leaf: Leaf, *, playing: bool) -> tuple[Part, int]:
    """What a tensor belongs to, and how many segments of its key say so."""
    names = leaf.path[:-1]
    parts = [
        part_of(name, in_container=depth < leaf.container_depth, at_top=depth == leaf.container_depth)
        for depth, name in enumerate(names)
    ]
    if Part.DISCRIMINATOR in parts:
        inside = parts.index(Part.DISCRIMINATOR)
        # Attention has values and layers have targets: inside a network these words mean something else.
        parts[inside + 1 :] = [None if part is Part.VALUE else part for part in parts[inside + 1 :]]
    for depth, (name, part) in enumerate(zip(names, parts, strict=True)):
        if part in (Part.OPTIMIZER, Part.COPY):
            return part, depth + 1
        if part is Part.DISCRIMINATOR and is_head(name):
            return part, depth + 1
        if part is Part.FROZEN and not any(map(is_head, names)):
            return part, depth + 1
    for depth, (name, part) in enumerate(zip(names, parts, strict=True)):
        if playing and part in (None, Part.DISCRIMINATOR) and is_value(name):
            return Part.VALUE, depth + 1
        if part not in (None, Part.FROZEN):
            return part, _innermost(leaf, depth) + 1
    return Part.UNKNOWN, leaf.container_depth


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
        container = leaf.path[: leaf.container_depth]
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
    """Where a head judges, the large network behind it is a backbone, whatever it is called."""
    discriminators = [prefix for part, prefix in groups if part is Part.DISCRIMINATOR]
    heads = [prefix for prefix in discriminators if is_head(prefix.rpartition(".")[2])]
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
