"""Where the generator of a checkpoint lies: in it, or in the file beside it that has the generator's name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from spectral_doctor.arrays import Array
from spectral_doctor.checkpoints.formats import Tree
from spectral_doctor.checkpoints.opening import Candidate, candidate_at, open_candidate, open_path
from spectral_doctor.checkpoints.training_state import is_states_tree, main_file
from spectral_doctor.errors import DoctorError
from spectral_doctor.generators.records import GeneratorNetwork, RecipeName
from spectral_doctor.records import LayerSpectrum, Location
from spectral_doctor.state_dicts.matrices import collect_layers
from spectral_doctor.state_dicts.networks import find_generators
from spectral_doctor.trajectory.examining import layer_spectra

# What the two networks of a pair are called in files' and folders' names, the longer words first.
_PAIRS = (
    ("discriminators", "generators"),
    ("discriminator", "generator"),
    ("Discriminator", "Generator"),
    ("discrim", "gen"),
    ("disc", "gen"),
    ("critic", "generator"),
    ("Critic", "Generator"),
    ("critic", "gen"),
    ("netD", "netG"),
    ("netd", "netg"),
    ("dis", "gen"),
    ("do", "g"),
    ("D", "G"),
    ("d", "g"),
)
_WORD_BEFORE, _WORD_BEHIND = r"(?<![A-Za-z])", r"(?![A-Za-z])"


def generators_of(checkpoint: Candidate | Location | str) -> tuple[GeneratorNetwork, ...]:
    """The generators of a checkpoint: those in its file, else those in the file of the generator's name beside it.

    The first is the one to sample. A training state of ours gives the average of its generator where it has one, and
    its recipe. Nothing is read but names and shapes, and a neighbour that cannot be read is none. Raises what opening
    the checkpoint raises.
    """
    candidate = checkpoint if isinstance(checkpoint, Candidate) else candidate_at(checkpoint)
    location = candidate.ref.location
    own = _of_our_state(location)
    if own is not None:
        return own
    found = _found(open_candidate(candidate).tree, location)
    if found or not isinstance(location, Path):
        return found
    for sibling in siblings_of(location):
        try:
            found = _found(open_path(sibling).tree, sibling)
        except DoctorError:
            continue
        if found:
            return found
    return ()


def siblings_of(location: Path) -> Iterator[Path]:
    """The files in which a discriminator's generator may lie: the same path with the generator's word.

    In its name, in its folder's (`netD/netD_9.pth` → `netG/netG_9.pth`), and in both.
    """
    seen = {location}
    for judge, maker in _PAIRS:
        word = re.compile(_named(judge))
        names = [word.sub(maker, location.name, count=1), location.name]
        folders = [location.parent, location.parent.with_name(word.sub(maker, location.parent.name, count=1) or ".")]
        for sibling in (folder / name for name in names for folder in folders):
            if sibling not in seen and sibling.is_file():
                yield sibling
            seen.add(sibling)


def spectra_of_generator(network: GeneratorNetwork) -> tuple[LayerSpectrum, ...]:
    """The spectrum of every weight matrix of a generator; what has none is left out."""
    layers, skipped = collect_layers(network.arrays)
    return layer_spectra(layers, skipped)[0]


def _named(word: str) -> str:
    """A word of a name: a single letter stands alone between signs and digits, a longer one may be glued to others."""
    return rf"{_WORD_BEFORE}{word}{_WORD_BEHIND}" if len(word) < 4 else word


def _found(tree: Tree, location: Location) -> tuple[GeneratorNetwork, ...]:
    return tuple(
        GeneratorNetwork(name or "generator", arrays, str(location))
        for name, arrays in find_generators(tree, location).items()
    )


def _of_our_state(location: Location) -> tuple[GeneratorNetwork, ...] | None:
    """The generator of a training state of ours, in one file or a folder; None where it is none."""
    if not isinstance(location, Path):
        return None
    main = main_file(location)
    tree = open_path(main).tree
    if not is_states_tree(tree):
        return None
    trees: dict[str, object] = {name: tree.get(name) for name in ("generator_ema", "generator")}
    for name in trees:
        file = main.parent / f"{name}.safetensors"
        if trees[name] is None and main != location and file.is_file():
            trees[name] = open_path(file).tree
    recipe, settings = tree.get("recipe"), tree.get("settings")
    named = RecipeName(recipe, settings) if isinstance(recipe, str) and isinstance(settings, Mapping) else None
    return tuple(
        GeneratorNetwork(name, _arrays(value), str(location), named)
        for name, value in trees.items()
        if isinstance(value, Mapping)
    )


def _arrays(tree: Mapping[str, object]) -> dict[str, Array]:
    return {name: value for name, value in tree.items() if isinstance(value, Array)}
