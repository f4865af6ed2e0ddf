"""Build the reference ranges that the package ships, and say how the definition does on networks of known truth.

    python tests/benchmarks/reference.py ../shared/reference/strangers-spectra.json.gz [--write]

Sources: strangers' discriminators (a repository is one source, however many files; those that failed or collapsed, and
untrained ones, are left out), the healthy curves of Liu et al. 2019 (a setting is a source), and the last checkpoints
of the laboratory's healthy runs (tests/data/corpus-2.json.gz; recipe, norm and width are a source). Of every network
whose
truth is known, the state is printed as a range built without its repository gives it. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spectral_doctor.diagnosis.evidence import plateau_index
from spectral_doctor.diagnosis.records import Thresholds
from spectral_doctor.diagnosis.reference import Reference, Sample, built, places, reference_document
from spectral_doctor.diagnosis.rules import diagnose
from spectral_doctor.diagnosis.untrained import is_untrained
from spectral_doctor.evaluation import Outcome
from spectral_doctor.records import Certainty, CheckpointRef, LayerIdentity, SeriesId, Spectrum
from spectral_doctor.trajectory.records import LayerTrajectory, SpectralTrajectory
from tests.benchmarks.modes import read_modes_runs

ROOT = Path(__file__).resolve().parents[2]
PACKED = ROOT / "spectral_doctor" / "diagnosis" / "reference.json"
CORPUS = ROOT / "tests" / "data" / "corpus-2.json.gz"
PUBLISHED = ROOT / "tests" / "data" / "published-spectra.json"
_ILL = ("collapsed", "failed")
_CLIPPED = 0.05
Layers = list[tuple[LayerIdentity, Spectrum, float]]


def stranger_layers(row: dict[str, Any]) -> Layers:
    """A stranger's layers, their spectra interpolated where only some values were kept."""
    found: Layers = []
    for number, layer in enumerate(row["layers"]):
        if not layer["sigma_max"] or not layer["relative"]:
            continue
        matrix = (int(layer["matrix"][0]), int(layer["matrix"][1]))
        identity = LayerIdentity(f"layer{number}", layer["kind"], layer["form"], tuple(layer["shape"]), matrix)
        values = np.asarray(layer["relative"], dtype=float)
        if layer["index"] is not None:
            index = np.asarray(layer["index"], dtype=float)
            values = np.interp(np.arange(min(matrix)) + index[0], index, values)
        spectrum = Spectrum(tuple((layer["sigma_max"] * values).tolist()))
        found.append((identity, spectrum, float(layer["at_bound"] or 0.0)))
    return found


def samples_of(layers: Layers, source: str) -> Iterator[Sample]:
    """The judged layers of one network."""
    thresholds = Thresholds()
    identities = [identity for identity, _, _ in layers]
    for (identity, spectrum, bound), place in zip(layers, places(identities), strict=True):
        if identity.rank < thresholds.smallest_rank or identity.kind == "embedding" or bound >= _CLIPPED:
            continue
        value = spectrum.ratio(plateau_index(identity, thresholds))
        yield Sample(identity.form, identity.rank, place, source, value)


def strangers(rows: list[dict[str, Any]], without: str = "") -> Iterator[Sample]:
    """Samples of strangers' discriminators, all but those of a repository."""
    for row in rows:
        ill = str(row["truth"] or "").startswith(_ILL)
        if row["role"] != "D" or row["id"] == without or ill:
            continue
        layers = stranger_layers(row)
        if not is_untrained([(identity, item) for identity, item, _ in layers]):
            yield from samples_of(layers, row["id"])


def published() -> Iterator[Sample]:
    """The healthy curves of Liu et al. 2019; a curve is the layer in which the paper looks for the collapse."""
    for curve in json.loads(PUBLISHED.read_text(encoding="utf-8"))["curves"]:
        if curve["state"] == "healthy":
            points, rank = np.array(curve["points"], dtype=float), int(curve["rank"])
            values = np.interp(np.arange(1, rank + 1), points[:, 0], points[:, 1])
            identity = LayerIdentity("inner", "conv", "spectral norm", (rank, rank), (rank, 9 * rank))
            padded: Layers = [(identity, Spectrum(tuple(values.tolist())), 0.0)] * 3
            yield list(samples_of(padded, f"Liu et al., {curve['setting']}"))[1]


def laboratory() -> Iterator[Sample]:
    """The last checkpoints of the laboratory's runs that end healthy."""
    for run in read_modes_runs(CORPUS) if CORPUS.exists() else []:
        if run.outcomes[-1] is not Outcome.HEALTHY:
            continue
        layers: Layers = [
            (layer.identity, item, 0.0) for layer in run.trajectory.layers if (item := layer.spectra[-1]) is not None
        ]
        width = max(identity.rank for identity, _, _ in layers)
        yield from samples_of(layers, f"{run.recipe}, {'SN' if run.normalised else 'none'}, {width}")


def state_of(row: dict[str, Any], reference: Reference) -> str:
    """The state of one stranger's discriminator, from its one checkpoint."""
    layers = tuple(
        LayerTrajectory(identity, (spectrum,), (0,), (bound,)) for identity, spectrum, bound in stranger_layers(row)
    )
    trajectory = SpectralTrajectory(
        SeriesId(row["id"]), Certainty.CONFIRMED, "", (0,), "checkpoint", "", (CheckpointRef(Path(row["id"])),), layers
    )
    return diagnose(trajectory, reference=reference).spectrum.value


def main() -> None:
    """Print the ranges, the states of networks with known truth, and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("strangers", type=Path)
    parser.add_argument("--write", action="store_true", help="write the ranges into the package")
    arguments = parser.parse_args()
    rows = json.loads(gzip.decompress(arguments.strangers.read_bytes()))["rows"]
    others = [*published(), *laboratory()]
    reference = built([*strangers(rows), *others])
    for name, one in reference.ranges:
        print(f"{name:40} {one.low:.2f} {one.quarter:.2f} {one.high:.2f}  {one.count} layers of {one.sources} sources")
    if arguments.write:
        PACKED.write_text(
            json.dumps(reference_document(reference), indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    said: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        if row["role"] == "D" and row["layers"]:
            without = built([*strangers(rows, row["id"]), *others])
            said[str(row["truth"] or "not known")][state_of(row, without)] += 1
    for truth, states in sorted(said.items()):
        print(f"{truth:60} {dict(states)}")
    print(json.dumps({"classes": len(reference.ranges), "states": {truth: dict(item) for truth, item in said.items()}}))


if __name__ == "__main__":
    main()
