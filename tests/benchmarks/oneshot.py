"""One-shot treatment of strangers' checkpoints: what is written, what changed, and what can still be loaded.

    python tests/benchmarks/oneshot.py ../shared/checkpoints

Reads MANIFEST.tsv in that folder (columns `path` and `kind`, which starts with D or G), treats every
discriminator with `fix --mode static --weights-only`, and compares the output with the input: loaded with
`weights_only=True`, same keys, shapes and types, and only weights of treated layers (with their spectral
norm's vectors, or weight norm's g) changed. The input's bytes are compared too. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Hashable, Mapping
from pathlib import Path

import torch
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spectral_doctor.arrays import Array, tensor_of
from spectral_doctor.checkpoints.opening import open_path
from spectral_doctor.cli import app
from spectral_doctor.state_dicts.compensating import treated_layers
from spectral_doctor.state_dicts.matrices import collect_stored
from spectral_doctor.state_dicts.networks import find_discriminators


def arrays_of(value: object, prefix: str = "") -> dict[str, Array]:
    """Every array of nested mappings by its dotted key."""
    found: dict[str, Array] = {}
    if isinstance(value, Mapping):
        for key, child in value.items():
            found |= arrays_of(child, f"{prefix}{key}.")
    elif isinstance(value, Array):
        found[prefix.rstrip(".")] = value
    return found


def intended_memory(path: Path, tree: Mapping[str, object]) -> set[Hashable]:
    """The memory of every array that a treatment may change."""
    memory: set[Hashable] = set()
    for found in find_discriminators(tree, path)[0]:
        for layer in treated_layers(collect_stored(found.tensors)[0]):
            leaf = layer.stored.leaf
            for name, tensor in layer.stored.siblings.items():
                if name == leaf or (layer.stored.form.value != "plain" and "bias" not in name):
                    memory.add(tensor.memory)
    return memory


def loads_plainly(path: Path) -> bool:
    """Whether torch itself loads a file with `weights_only=True` and nothing allowed beside."""
    try:
        torch.load(path, weights_only=True, map_location="cpu")
    except Exception:  # whatever it says, it does not load it
        return False
    return True


def examine(path: Path, output: Path) -> dict[str, bool | int]:
    """Treat one file and compare."""
    before = path.read_bytes()
    result = CliRunner().invoke(app, ["fix", str(path), "--mode", "static", "--weights-only", "-o", str(output)])
    if result.exit_code:
        print(result.output)
        return {"written": False}
    old_tree, new_tree = open_path(path).tree, open_path(output).tree
    old, new = arrays_of(old_tree), arrays_of(new_tree)
    intended = intended_memory(path, old_tree)
    changed = [key for key in old if not torch.equal(tensor_of(old[key]), tensor_of(new[key]))]
    return {
        "written": True,
        "input_untouched": path.read_bytes() == before,
        "same_keys": list(old) == list(new),
        "same_shapes_and_types": all(
            (old[key].shape, old[key].element.name) == (new[key].shape, new[key].element.name) for key in old
        ),
        "only_the_intended_changed": all(old[key].memory in intended for key in changed),
        "some_changed": bool(changed),
        "loads_as_the_input_did": loads_plainly(output) == loads_plainly(path),
        "loads_weights_only": loads_plainly(output),
    }


def main() -> None:
    """Go through the manifest and print a line a file, then the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    counts: Counter[str] = Counter()
    with (folder / "MANIFEST.tsv").open(encoding="utf-8") as manifest, tempfile.TemporaryDirectory() as temporary:
        for row in csv.DictReader(manifest, delimiter="\t"):
            if not row["kind"].startswith("D"):
                continue
            path = folder / row["path"]
            facts = examine(path, Path(temporary) / f"{counts['files']}{path.suffix}")
            counts["files"] += 1
            counts.update({name: int(value) for name, value in facts.items()})
            print(row["path"], "all right" if all(facts.values()) else facts)
    files = counts.pop("files")
    print(json.dumps({"discriminators": files, **{name: f"{value}/{files}" for name, value in counts.items()}}))


if __name__ == "__main__":
    main()
