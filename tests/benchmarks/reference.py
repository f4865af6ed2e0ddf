"""Build the reference ranges that the package ships, and say how the definition does on networks of known truth.

    python tests/benchmarks/reference.py ../shared/reference/strangers-spectra.json.gz [--write] [--each]

Sources: strangers' discriminators (a repository is one source, however many files; those that failed or collapsed, and
untrained ones, are left out), the healthy curves of Liu et al. 2019 (a setting is a source), and the last checkpoints
of the laboratory's healthy runs (tests/data/corpus-2.json.gz; recipe, norm and width are a source). Every network is
then held against ranges built without its source: how many are COLLAPSED, by truth, where the low end is another
quantile; the shipped one's states by truth; with `--each` those of every network of known truth that strangers made.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spectral_doctor.diagnosis.evidence import plateau_index
from spectral_doctor.diagnosis.random_matrix import expected_ratio
from spectral_doctor.diagnosis.records import SpectrumState, Thresholds
from spectral_doctor.diagnosis.reference import (
    QUANTILES,
    Place,
    Reference,
    Sample,
    built,
    places,
    reference_document,
    weighted_quantiles,
)
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
LOW_ENDS = (0.025, 0.05, 0.1, 0.15, 0.25)
_ILL = ("collapsed", "failed")
_CLIPPED = 0.05
Layers = tuple[tuple[LayerIdentity, Spectrum, float], ...]


@dataclass(frozen=True)
class Network:
    """One discriminator at one checkpoint: its source, how it ended, whether it counts as healthy, and its layers."""

    name: str
    source: str
    truth: str
    healthy: bool
    layers: Layers
    place: Place | None = None

    def samples(self) -> Iterator[Sample]:
        """Its judged layers."""
        for identity, value, place in self._judged():
            yield Sample(identity.kind, identity.form, identity.rank, place, self.source, value)

    def shares(self) -> Iterator[Sample]:
        """The same, the plateau as a share of what random weights of that shape show."""
        for identity, value, place in self._judged():
            random = expected_ratio(*identity.matrix_shape, plateau_index(identity, Thresholds()))
            yield Sample(identity.kind, identity.form, identity.rank, place, self.source, value / random)

    def _judged(self) -> Iterator[tuple[LayerIdentity, float, Place]]:
        thresholds = Thresholds()
        found = places([identity for identity, _, _ in self.layers])
        for (identity, spectrum, bound), place in zip(self.layers, found, strict=True):
            if identity.rank >= thresholds.smallest_rank and identity.kind != "embedding" and bound < _CLIPPED:
                yield identity, spectrum.ratio(plateau_index(identity, thresholds)), self.place or place


def strangers(path: Path) -> Iterator[Network]:
    """Strangers' discriminators; one whose truth nobody looked at counts as healthy where it is trained."""
    for row in json.loads(gzip.decompress(path.read_bytes()))["rows"]:
        layers = tuple(_stranger_layers(row))
        if row["role"] == "D" and layers:
            truth = str(row["truth"] or "not known")
            trained = not is_untrained([(identity, item) for identity, item, _ in layers])
            name = f"{row['id']}/{row['series']} {' '.join(row['numbers'])}".strip()
            yield Network(name, row["id"], f"strangers, {truth}", trained and not truth.startswith(_ILL), layers)


def _stranger_layers(row: dict[str, Any]) -> Iterator[tuple[LayerIdentity, Spectrum, float]]:
    """A stranger's layers, their spectra interpolated where only some values were kept."""
    for number, layer in enumerate(row["layers"]):
        if not layer["sigma_max"] or not layer["relative"]:
            continue
        matrix = (int(layer["matrix"][0]), int(layer["matrix"][1]))
        values = np.asarray(layer["relative"], dtype=float)
        if layer["index"] is not None:
            index = np.asarray(layer["index"], dtype=float)
            values = np.interp(np.arange(min(matrix)) + index[0], index, values)
        identity = LayerIdentity(f"layer{number}", layer["kind"], layer["form"], tuple(layer["shape"]), matrix)
        yield identity, Spectrum(tuple((layer["sigma_max"] * values).tolist())), float(layer["at_bound"] or 0.0)


def published() -> Iterator[Network]:
    """The curves of Liu et al. 2019; a curve is the inner layer in which the paper looks for the collapse."""
    for curve in json.loads(PUBLISHED.read_text(encoding="utf-8"))["curves"]:
        points, rank = np.array(curve["points"], dtype=float), int(curve["rank"])
        values = np.interp(np.arange(1, rank + 1), points[:, 0], points[:, 1])
        identity = LayerIdentity("inner", "conv", "spectral norm", (rank, rank), (rank, 9 * rank))
        name, layers = f"Liu et al., {curve['setting']}", ((identity, Spectrum(tuple(values.tolist())), 0.0),)
        healthy = curve["state"] == "healthy"
        yield Network(name, name, f"published, {curve['state']}", healthy, layers, Place.LATER)


def laboratory() -> Iterator[Network]:
    """The last checkpoints of the laboratory's runs."""
    for run in read_modes_runs(CORPUS):
        layers: Layers = tuple(
            (layer.identity, item, 0.0) for layer in run.trajectory.layers if (item := layer.spectra[-1]) is not None
        )
        if layers:
            source = f"{run.recipe}, {'SN' if run.normalised else 'none'}, {max(one.rank for one, _, _ in layers)}"
            outcome = run.outcomes[-1]
            trained = not is_untrained([(identity, item) for identity, item, _ in layers])
            healthy = trained and outcome is Outcome.HEALTHY
            yield Network(f"run {run.number}", source, f"laboratory, {outcome.value}", healthy, layers)


def reference_of(
    networks: Sequence[Network], *, without: str | None = None, quantiles: Sequence[float] = QUANTILES
) -> Reference:
    """The ranges of the healthy networks, all but those of a source."""
    kept = [one for one in networks if one.healthy and one.source != without]
    return built((item for one in kept for item in one.samples()), quantiles=quantiles)


def state_of(network: Network, reference: Reference) -> SpectrumState:
    """The state of one discriminator, from its one checkpoint; a published curve stands for three later layers."""
    layers = network.layers if network.place is None else network.layers * 3
    trajectory = SpectralTrajectory(
        SeriesId(network.name),
        Certainty.CONFIRMED,
        "",
        (0,),
        "checkpoint",
        "",
        (CheckpointRef(Path(network.name)),),
        tuple(LayerTrajectory(identity, (item,), (0,), (bound,)) for identity, item, bound in layers),
    )
    return diagnose(trajectory, reference=reference).spectrum


def states(networks: Sequence[Network], quantiles: Sequence[float]) -> list[SpectrumState]:
    """The state of every network against ranges in which its own source has no part."""
    sources = sorted({one.source for one in networks})
    references = {source: reference_of(networks, without=source, quantiles=quantiles) for source in sources}
    return [state_of(one, references[one.source]) for one in networks]


def table(networks: Sequence[Network]) -> dict[float, dict[str, str]]:
    """How many are COLLAPSED of those that are judged, by truth, for every low end."""
    found: dict[float, dict[str, str]] = {}
    for low in LOW_ENDS:
        said: dict[str, Counter[SpectrumState]] = defaultdict(Counter)
        for one, state in zip(networks, states(networks, (low, QUANTILES[1])), strict=True):
            said[one.truth][state] += 1
        found[low] = {
            truth: f"{item[SpectrumState.COLLAPSED]}/{item[SpectrumState.COLLAPSED] + item[SpectrumState.SOUND]}"
            for truth, item in sorted(said.items())
        }
    return found


def main() -> None:
    """Print the ranges, the states of networks with known truth, and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("strangers", type=Path)
    parser.add_argument("--write", action="store_true", help="write the ranges into the package")
    parser.add_argument("--each", action="store_true", help="print every stranger of known truth")
    arguments = parser.parse_args()
    networks = [*strangers(arguments.strangers), *published(), *laboratory()]
    reference = reference_of(networks)
    for name, one in reference.ranges:
        print(f"{name:56} {one.low:.2f} {one.high:.2f}  {one.count} layers of {one.sources} sources")
    if arguments.write:
        text = json.dumps(reference_document(reference), indent=1, ensure_ascii=False) + "\n"
        PACKED.write_text(text, encoding="utf-8")
    share = weighted_quantiles([item for one in networks if one.healthy for item in one.shares()])[0]
    print(f"\none healthy layer in ten shows less than {share:.2f} of random weights' plateau\n")
    found = table(networks)
    print("COLLAPSED of judged, the network's source left out, where the low end is the quantile")
    for truth in found[QUANTILES[0]]:
        print(f"{truth:64}" + "".join(f"{low:7g}: {item[truth]:6}" for low, item in found.items()))
    known = [one for one in networks if one.truth.startswith("strangers") and not one.truth.endswith("not known")]
    for network in known if arguments.each else ():
        without = reference_of(networks, without=network.source)
        print(f"{network.name:32} {state_of(network, without).value:10} {network.truth}")
    figures = {"classes": len(reference.ranges), "of_random": round(share, 3), "collapsed": found[QUANTILES[0]]}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
