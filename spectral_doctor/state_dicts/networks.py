"""Where in a checkpoint the discriminator is: by key, by prefix, by file name, or by shape."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from spectral_doctor.checkpoints.steps import Role, file_role, run_name
from spectral_doctor.errors import GeneratorOnly, NoDiscriminator
from spectral_doctor.records import Certainty, LeftOut, RemotePath
from spectral_doctor.state_dicts.keys import Part, members_of, part_of

_WRAPPERS = ("module", "_orig_mod")
_UNWRAP_KEYS = ("state_dict", "model_state_dict", "params", "model", "weights", "module", "net", "")

_Groups = Mapping[tuple[Part, str], dict[str, Tensor]]


@dataclass(frozen=True, eq=False)
class FoundDiscriminator:
    """The tensors of one discriminator (dotted name → tensor) and why they were taken for one."""

    name: str
    certainty: Certainty
    why: str
    tensors: Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class _Leaf:
    """A tensor, its full key cut at every dot and nesting, and how many of the cuts are nestings."""

    path: tuple[str, ...]
    container_depth: int
    tensor: Tensor


def tensor_keys(tree: Mapping[str, object]) -> tuple[str, ...]:
    """Return the keys of a tree under which there are tensors: containers, and first segments at the root."""
    keys = {".".join(leaf.path[: max(leaf.container_depth, 1)]) for leaf in _leaves(tree)}
    return tuple(sorted(keys))


def find_discriminators(
    tree: Mapping[str, object], path: Path | RemotePath, *, key: str | None = None
) -> tuple[tuple[FoundDiscriminator, ...], tuple[LeftOut, ...]]:
    """Find the discriminators of a checkpoint, and say what else it holds.

    In order of confidence: container keys (`D`, `netD`, `discriminator`, `mpd`, …) and prefixes in a flat
    dict, the name of the file or of its folder, and last the shape (one output). Several discriminators in
    one file, and the scales of a multi-scale one, come back one by one. `key` names the subtree instead.

    Raises `GeneratorOnly` or `NoDiscriminator`; with `key`, returns nothing where the file lacks it.
    """
    leaves = list(_leaves(tree))
    if key is not None:
        return _by_request(leaves, key.strip(".")), ()
    groups: dict[tuple[Part, str], dict[str, Tensor]] = defaultdict(dict)
    for leaf in leaves:
        part, prefix, rest = _classify(leaf)
        groups[part, prefix][rest] = leaf.tensor
    taken = {prefix for part, prefix in groups if part is Part.DISCRIMINATOR}
    if taken:
        found = [
            FoundDiscriminator(prefix, Certainty.CONFIRMED, f"key '{prefix}'", groups[Part.DISCRIMINATOR, prefix])
            for part, prefix in groups
            if part is Part.DISCRIMINATOR
        ]
    else:
        prefix, by_file = _by_file(groups, path)
        taken, found = {prefix}, [by_file]
    left_out = tuple(
        LeftOut(prefix or "(root)", f"{part.value} ({len(tensors)} tensors)")
        for (part, prefix), tensors in groups.items()
        if prefix not in taken
    )
    return tuple(member for item in found for member in _split(item)), left_out


def find_generator(tree: Mapping[str, object]) -> Mapping[str, Tensor] | None:
    """The tensors of the one generator that a checkpoint's keys name (dotted name → tensor); None without one."""
    groups: dict[tuple[Part, str], dict[str, Tensor]] = defaultdict(dict)
    for leaf in _leaves(tree):
        part, prefix, rest = _classify(leaf)
        groups[part, prefix][rest] = leaf.tensor
    named = {prefix: tensors for prefix, tensors in _weighty(groups, Part.GENERATOR).items() if "ema" not in prefix}
    return next(iter(named.values())) if len(named) == 1 else None


def _by_request(leaves: Sequence[_Leaf], key: str) -> tuple[FoundDiscriminator, ...]:
    tensors: dict[str, Tensor] = {}
    for leaf in leaves:
        full = ".".join(leaf.path)
        if full.startswith(f"{key}."):
            tensors[full.removeprefix(f"{key}.")] = leaf.tensor
    if not tensors:
        return ()
    return (FoundDiscriminator(key, Certainty.CONFIRMED, f"--discriminator {key}", tensors),)


def _leaves(tree: Mapping[str, object], path: tuple[str, ...] = ()) -> Iterator[_Leaf]:
    for key, value in tree.items():
        if isinstance(value, Tensor):
            segments = tuple(segment for segment in key.split(".") if segment)
            yield _Leaf((*path, *_unwrapped(segments)), len(path), value)
        elif isinstance(value, Mapping):
            yield from _leaves(value, (*path, key))


def _unwrapped(segments: tuple[str, ...]) -> tuple[str, ...]:
    """Drop the leading `module.` / `_orig_mod.` that DataParallel and torch.compile put before every key."""
    start = 0
    while start < len(segments) - 1 and segments[start] in _WRAPPERS:
        start += 1
    return segments[start:]


def _classify(leaf: _Leaf) -> tuple[Part, str, str]:
    """Return what a tensor belongs to, the key that says so, and the rest of its name below that key."""
    parts = [part_of(name, in_container=depth < leaf.container_depth) for depth, name in enumerate(leaf.path[:-1])]
    for depth, part in enumerate(parts):
        if part in (Part.OPTIMIZER, Part.FROZEN, Part.COPY):
            return part, ".".join(leaf.path[: depth + 1]), ".".join(leaf.path[depth + 1 :])
    for depth, part in enumerate(parts):
        if part is not None:
            end = _innermost(leaf, depth, parts) + 1
            return part, ".".join(leaf.path[:end]), ".".join(leaf.path[end:])
    end = leaf.container_depth
    return Part.UNKNOWN, ".".join(leaf.path[:end]), ".".join(leaf.path[end:])


def _innermost(leaf: _Leaf, depth: int, parts: Sequence[Part | None]) -> int:
    """Follow `discriminator.state_dict`, `adv_losses.mpd.adversary` and `model.discriminator` to the inner key."""
    last = len(leaf.path) - 2
    while depth < last:
        inner, container = leaf.path[depth + 1], depth + 1 < leaf.container_depth
        if leaf.path[depth] != "adv_losses" and inner != "adversary" and not (container and inner in _UNWRAP_KEYS):
            break
        depth += 1
    return depth


def _by_file(groups: _Groups, path: Path | RemotePath) -> tuple[str, FoundDiscriminator]:
    """Take a checkpoint whose keys name no discriminator for one by its file name, else by its shape."""
    role, why = file_role(path)
    if role is Role.GENERATOR:
        raise GeneratorOnly(str(path), why)
    unknown = _weighty(groups, Part.UNKNOWN) or _weighty(groups, Part.COPY)
    generator_keys = [prefix for part, prefix in groups if part is Part.GENERATOR]
    if not unknown and generator_keys:
        raise GeneratorOnly(str(path), f"key '{generator_keys[0]}'")
    if not unknown:
        raise NoDiscriminator(str(path), sorted({prefix or "(root)" for _, prefix in groups}))
    name = run_name(path) or "discriminator"
    if role is Role.DISCRIMINATOR:
        prefix = min(unknown, key=_unwrap_rank)
        return prefix, FoundDiscriminator(name, Certainty.CONFIRMED, why, unknown[prefix])
    critics = [prefix for prefix, tensors in unknown.items() if _ends_in_one_output(tensors)]
    if generator_keys or len(critics) != 1:
        raise NoDiscriminator(str(path), sorted(unknown) if "" not in unknown else list(unknown[""]))
    why = "its last layer has one output, and no name says whose it is"
    return critics[0], FoundDiscriminator(name, Certainty.INFERRED, why, unknown[critics[0]])


def _weighty(groups: _Groups, wanted: Part) -> dict[str, dict[str, Tensor]]:
    return {prefix: tensors for (part, prefix), tensors in groups.items() if part is wanted and _has_matrix(tensors)}


def _unwrap_rank(prefix: str) -> int:
    key = prefix.rsplit(".", 1)[-1]
    return _UNWRAP_KEYS.index(key) if key in _UNWRAP_KEYS else len(_UNWRAP_KEYS)


def _has_matrix(tensors: Mapping[str, Tensor]) -> bool:
    return any(tensor.ndim >= 2 for tensor in tensors.values())


def _ends_in_one_output(tensors: Mapping[str, Tensor]) -> bool:
    weights = [
        tensor
        for name, tensor in tensors.items()
        if tensor.ndim >= 2 and not name.endswith(("_u", "_v", "_g", "original0"))
    ]
    return len(weights) > 1 and weights[-1].shape[0] == 1


def _split(found: FoundDiscriminator) -> list[FoundDiscriminator]:
    """Split a discriminator made of several (periods, scales, heads) into its members."""
    tensors = dict(found.tensors)
    for wrapper in _WRAPPERS:
        if tensors and all(name.startswith(f"{wrapper}.") for name in tensors):
            tensors = {name.removeprefix(f"{wrapper}."): tensor for name, tensor in tensors.items()}
    parts = members_of(tensors)
    if len(parts) < 2:
        return [replace(found, tensors=tensors)]
    return [
        replace(found, name=_joined(found.name, member), tensors=part)
        for member, part in parts.items()
        if _has_matrix(part)
    ]


def _joined(name: str, member: str) -> str:
    return f"{name}.{member}" if member else name
