"""Where in a checkpoint the discriminator is: by key, by prefix, by file name, or by shape."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spectral_doctor.arrays import Array
from spectral_doctor.checkpoints.names import run_name, stem
from spectral_doctor.errors import GeneratorOnly, NoDiscriminator, UsageError, listed, printable
from spectral_doctor.records import Certainty, LeftOut, Location
from spectral_doctor.state_dicts.keys import Part, is_copy_of_discriminator
from spectral_doctor.state_dicts.members import members_of
from spectral_doctor.state_dicts.parts import UNWRAP_KEYS, WRAPPERS, Groups, Leaf, groups_of, leaves_of
from spectral_doctor.state_dicts.shapes import Look, has_weight, is_named_otherwise, look_of, weights_of
from spectral_doctor.state_dicts.words import Role, file_role, is_second_model, name_role, spoken_name, words_of

_BY_SHAPE = "its shapes narrow to one output, and no name says whose it is"


@dataclass(frozen=True, eq=False)
class FoundDiscriminator:
    """The tensors of one discriminator (dotted name → tensor) and why they were taken for one.

    `prefixes` are the full keys below which they lie in the file.
    """

    name: str
    certainty: Certainty
    why: str
    tensors: Mapping[str, Array]
    prefixes: tuple[str, ...] = ()


def tensor_keys(tree: Mapping[str, object]) -> tuple[str, ...]:
    """Return the keys of a tree under which there are networks, as `--discriminator` takes them.

    Those of the mappings; where a mapping is a mere wrapper (`state_dict`), of the modules that its names begin with.
    """
    keys = set()
    for leaf in leaves_of(tree):
        container = leaf.container
        wrapper = not container or container[-1] in UNWRAP_KEYS
        nested = wrapper and len(leaf.path) - leaf.container_depth > 2
        keys.add(".".join(leaf.path[: max(leaf.container_depth + nested, 1)]))
    return tuple(sorted(keys))


def find_discriminators(
    tree: Mapping[str, object], location: Location, *, key: str | None = None
) -> tuple[tuple[FoundDiscriminator, ...], tuple[LeftOut, ...]]:
    """Find the discriminators of a checkpoint, and say what else it holds.

    In order of confidence: container keys (`D`, `netD`, `discriminator`, `mpd`, …) and prefixes in a flat
    dict, the name of the file or of its folder, and last the shape (many values narrowed to one). Several
    discriminators in one file, and the scales of a multi-scale one, come back one by one. `key` names the
    subtree instead: its full key or the end of it.

    Raises `GeneratorOnly` or `NoDiscriminator`; with `key`, returns nothing where the file lacks it and raises
    `UsageError` where several keys end so.
    """
    leaves = list(leaves_of(tree))
    if key is not None:
        return tuple(member for item in _by_request(leaves, key.strip("."), location) for member in _split(item)), ()
    groups = groups_of(leaves, of_discriminator=name_role(stem(location)) is Role.DISCRIMINATOR)
    found = _named(groups) or _from_copies(groups)
    if not found:
        found, groups = _by_file(tree, groups, location)
    taken = {prefix for item in found for prefix in item.prefixes}
    left_out = tuple(
        LeftOut(prefix or "(root)", f"{part.value} ({len(tensors)} tensors)")
        for (part, prefix), tensors in groups.items()
        if prefix not in taken
    )
    return tuple(member for item in found for member in _split(item)), left_out


def find_generator(tree: Mapping[str, object]) -> Mapping[str, Array] | None:
    """The tensors of the one generator that a checkpoint's keys name (dotted name → tensor); None without one."""
    generators = _weighty(groups_of(list(leaves_of(tree))), Part.GENERATOR)
    named = {prefix: tensors for prefix, tensors in generators.items() if "ema" not in prefix.lower()}
    return next(iter(named.values())) if len(named) == 1 else None


def find_generators(tree: Mapping[str, object], location: Location) -> dict[str, Mapping[str, Array]]:
    """Every generator of a checkpoint by the key that names it, moving averages of generators last.

    Where no key names one: what a file that is named after the generator holds, else what by its shapes raises the
    resolution. None where there is none.
    """
    groups = groups_of(list(leaves_of(tree)))
    named = _weighty(groups, Part.GENERATOR)
    if named:
        whole = {prefix: tensors for prefix, tensors in named.items() if len(weights_of(tensors)) > 1} or named
        return dict(sorted(whole.items(), key=lambda item: is_average(item[0])))
    role, _ = file_role(location)
    unknown = _weighty(groups, Part.UNKNOWN)
    if role is Role.GENERATOR:
        ranks = {prefix: _unwrap_rank(prefix) for prefix in unknown}
        first = {prefix: tensors for prefix, tensors in unknown.items() if ranks[prefix] == min(ranks.values())}
        # A folder may be named after both networks' run; shapes know better.
        told = name_role(stem(location)) is Role.GENERATOR
        return {
            key: tensors
            for key, tensors in first.items()
            if told or weights_of(tensors)[-1].outputs > 1 or look_of(tensors) is Look.GENERATOR
        }
    if role is Role.DISCRIMINATOR:
        return {}
    return {prefix: tensors for prefix, tensors in unknown.items() if look_of(tensors) is Look.GENERATOR}


def is_average(key: str) -> bool:
    """Whether a generator's key says that it is the moving average of one."""
    return any(word in ("ema", "swa", "averaged", "average", "avg") for word in words_of(key))


def _by_request(leaves: Sequence[Leaf], key: str, location: Location) -> list[FoundDiscriminator]:
    prefixes: dict[str, None] = {}
    for leaf in leaves:
        full = f".{leaf.key}"
        at = full.find(f".{key}.")
        if full.startswith(f".{key}."):
            prefixes = {key: None}
            break
        if at >= 0:
            prefixes[full[1 : at + 1 + len(key)]] = None
    if len(prefixes) > 1:
        raise UsageError(
            f"{printable(location)}: several keys end in '{printable(key)}': {listed(prefixes)}. "
            "Name one of them in full with --discriminator KEY."
        )
    return [
        FoundDiscriminator(
            prefix,
            Certainty.CONFIRMED,
            f"--discriminator {key}",
            {leaf.key.removeprefix(f"{prefix}."): leaf.tensor for leaf in leaves if leaf.key.startswith(f"{prefix}.")},
        )
        for prefix in prefixes
    ]


def _named(groups: Groups) -> list[FoundDiscriminator]:
    """The discriminators that keys name; pieces of one (`disc_trunk`, `disc_logits`) are put together."""
    named = _weighty(groups, Part.DISCRIMINATOR)
    pieces: dict[tuple[str, str], list[str]] = defaultdict(list)
    for prefix in named:
        parent, _, name = prefix.rpartition(".")
        pieces[parent, spoken_name(name)].append(prefix)
    found = []
    for (parent, name), prefixes in pieces.items():
        small = [prefix for prefix in prefixes if len(weights_of(named[prefix])) < 2]
        if len(prefixes) > 1 and name and small:
            inner = {prefix: prefix.removeprefix(f"{parent}.") for prefix in prefixes}
            tensors = {f"{inner[prefix]}.{key}": named[prefix][key] for prefix in prefixes for key in named[prefix]}
            full = f"{parent}.{name}".lstrip(".")
            found.append(
                FoundDiscriminator(full, Certainty.CONFIRMED, f"keys {listed(prefixes)}", tensors, tuple(prefixes))
            )
            continue
        found += [
            FoundDiscriminator(prefix, Certainty.CONFIRMED, f"key '{prefix}'", named[prefix], (prefix,))
            for prefix in prefixes
        ]
    return found


def _from_copies(groups: Groups) -> list[FoundDiscriminator]:
    why = "a moving average: the discriminator itself is not here"
    return [
        FoundDiscriminator(prefix, Certainty.CONFIRMED, f"key '{prefix}', {why}", tensors, (prefix,))
        for prefix, tensors in _weighty(groups, Part.COPY).items()
        if is_copy_of_discriminator(prefix.rpartition(".")[2])
    ]


def _by_file(tree: Mapping[str, object], groups: Groups, location: Location) -> tuple[list[FoundDiscriminator], Groups]:
    """Take a checkpoint whose keys name no discriminator for one by its file name, else by its shape."""
    role, why = file_role(location)
    if role is Role.GENERATOR:
        raise GeneratorOnly(str(location), why)
    unknown = _weighty(groups, Part.UNKNOWN) or _weighty(groups, Part.COPY)
    generators = list(_weighty(groups, Part.GENERATOR))
    if not unknown and generators:
        raise GeneratorOnly(str(location), f"key '{generators[0]}'")
    if not unknown:
        raise NoDiscriminator(str(location), tensor_keys(tree))
    name = stem(location) if is_second_model(location) else run_name(location) or "discriminator"
    if _is_value_file(location):
        raise NoDiscriminator(str(location), tensor_keys(tree))
    if role is Role.DISCRIMINATOR and not generators:
        chosen = _wrapped(unknown)
        looks = {look_of(tensors) for tensors in chosen.values()}
        if looks == {Look.GENERATOR} and name_role(stem(location)) is Role.UNKNOWN:
            raise GeneratorOnly(str(location), f"its shapes raise the resolution, whatever the {why} says")
        return [
            FoundDiscriminator(
                _joined(name, prefix) if len(chosen) > 1 else name, Certainty.CONFIRMED, why, tensors, (prefix,)
            )
            for prefix, tensors in chosen.items()
        ], groups
    networks = _taken_apart(unknown)
    critic = None if generators or is_named_otherwise(stem(location)) else _only_critic(networks)
    if critic is None:
        raise NoDiscriminator(str(location), tensor_keys(tree))
    name = name if len(networks) == 1 else critic
    found = FoundDiscriminator(name, Certainty.INFERRED, _BY_SHAPE, networks[critic], (critic,))
    others = {key: tensors for key, tensors in groups.items() if key[1] not in unknown}
    return [found], others | {(Part.UNKNOWN, prefix): tensors for prefix, tensors in networks.items()}


def _is_value_file(location: Location) -> bool:
    """Whether a file named after a critic has a policy's file of the same name beside it."""
    if not isinstance(location, Path) or "critic" not in location.name.lower():
        return False
    others = (re.sub("critic", name, location.name, flags=re.IGNORECASE) for name in ("actor", "policy", "Actor"))
    return any((location.parent / other).exists() for other in others)


def _wrapped(unknown: Mapping[str, dict[str, Array]]) -> dict[str, dict[str, Array]]:
    """What a file named after the discriminator holds of it: the weights under a wrapping key, else all networks."""
    ranks = {prefix: _unwrap_rank(prefix) for prefix in unknown}
    best = min(ranks.values())
    first = {prefix: tensors for prefix, tensors in unknown.items() if ranks[prefix] == best}
    whole = {prefix: tensors for prefix, tensors in first.items() if len(weights_of(tensors)) > 1}
    judging = {prefix: tensors for prefix, tensors in whole.items() if look_of(tensors) is not Look.GENERATOR}
    return judging or whole or dict(list(first.items())[:1])


def _taken_apart(unknown: Mapping[str, dict[str, Array]]) -> dict[str, dict[str, Array]]:
    """The networks of a file: where one flat dict is no critic itself, the outer modules of its names."""
    if len(unknown) != 1:
        return dict(unknown)
    ((outer, tensors),) = unknown.items()
    modules: dict[str, dict[str, Array]] = defaultdict(dict)
    for name, tensor in tensors.items():
        first, _, rest = name.partition(".")
        modules[f"{outer}.{first}".lstrip(".")][rest] = tensor
    whole = all(len(weights_of(part)) > 1 for part in modules.values())
    return modules if whole and len(modules) > 1 and look_of(tensors) is not Look.DISCRIMINATOR else dict(unknown)


def _only_critic(networks: Mapping[str, dict[str, Array]]) -> str | None:
    """The one network that looks like a discriminator; None where another might be one as well."""
    looks = {prefix: look_of(tensors) for prefix, tensors in networks.items() if len(weights_of(tensors)) > 1}
    critics = [prefix for prefix, look in looks.items() if look is Look.DISCRIMINATOR]
    clear = all(look is not Look.UNCLEAR for look in looks.values())
    return critics[0] if len(critics) == 1 and clear else None


def _weighty(groups: Groups, wanted: Part) -> dict[str, dict[str, Array]]:
    return {prefix: tensors for (part, prefix), tensors in groups.items() if part is wanted and has_weight(tensors)}


def _unwrap_rank(prefix: str) -> int:
    key = prefix.rsplit(".", 1)[-1]
    return UNWRAP_KEYS.index(key) if key in UNWRAP_KEYS else len(UNWRAP_KEYS)


def _split(found: FoundDiscriminator) -> list[FoundDiscriminator]:
    """Split a discriminator made of several (periods, scales, heads) into its members."""
    tensors = dict(found.tensors)
    for wrapper in WRAPPERS:
        if tensors and all(name.startswith(f"{wrapper}.") for name in tensors):
            tensors = {name.removeprefix(f"{wrapper}."): tensor for name, tensor in tensors.items()}
    parts = members_of(tensors, found.name)
    if len(parts) < 2:
        return [replace(found, tensors=tensors)]
    return [
        replace(found, name=_joined(found.name, member), tensors=part)
        for member, part in parts.items()
        if has_weight(part)
    ]


def _joined(name: str, member: str) -> str:
    return f"{name}.{member}" if member else name
