"""Runs whose truth is known, in the two forms that exist: spectra beside the modes that were measured.

A run of `corpus.py` has `recipe`, `modes` (how many there are) and `settings.discriminator_channels`; one of the
older form has `settings.channels`, layers `conv1` … `conv4`, and 1 000 modes. Files of one run each, folders of
them, and what `corpus.py --pack` writes are read. The files hold no matrix shapes: they follow from the settings.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spectral_doctor.records import Certainty, CheckpointRef, LayerIdentity, SeriesId, Spectrum
from spectral_doctor.trajectory.records import LayerTrajectory, SpectralTrajectory

EVALUATED_FROM = 0.25


@dataclass(frozen=True)
class LabelledRun:
    """One run: its spectra, the modes captured, and each checkpoint's outcome.

    `judged` are the positions that count: from a quarter of the run on (before, nothing has been learnt that
    could be lost) and clearly collapsed or healthy. `key` is the same for the same run in another file.
    `generator_sigma_2` is the generator's mean σ_2/σ_1 at each checkpoint, where it was recorded.
    """

    name: str
    key: str
    recipe: str
    normalised: bool
    trajectory: SpectralTrajectory
    modes: tuple[int, ...]
    outcomes: tuple[str, ...]
    judged: tuple[int, ...]
    latent_dim: int
    generator_sigma_2: tuple[float | None, ...]


def read_runs(path: Path) -> list[LabelledRun]:
    """All runs in a folder of JSON files, in one of them, or in a packed file."""
    return [_run(raw) for raw in _raw_runs(path)]


def _raw_runs(path: Path) -> Iterator[dict[str, Any]]:
    if path.is_dir():
        for file in sorted(path.glob("*.json")):
            yield json.loads(file.read_text(encoding="utf-8"))
    elif path.suffix == ".gz":
        for run in json.loads(gzip.decompress(path.read_bytes()))["runs"]:
            for checkpoint in run["checkpoints"]:
                for layer in checkpoint["layers"].values():
                    layer["relative_spectrum"] = [value / 1000 for value in layer["relative_spectrum"]]
            yield run
    else:
        yield json.loads(path.read_text(encoding="utf-8"))


def _run(raw: Mapping[str, Any]) -> LabelledRun:
    settings, checkpoints = raw["settings"], raw["checkpoints"]
    steps = [int(item["step"]) for item in checkpoints]
    modes = tuple(int(item["modes_captured"]) for item in checkpoints)
    of = int(raw.get("modes") or 1000)
    outcomes = tuple(_outcome(count, of, "recipe" in raw) for count in modes)
    start = EVALUATED_FROM * int(settings.get("steps", steps[-1]))
    return LabelledRun(
        name=str(raw["run"]),
        key=json.dumps([settings, raw.get("recipe"), raw.get("seed")], sort_keys=True),
        recipe=str(raw.get("recipe", "labelled-runs")),
        normalised=bool(settings["spectral_norm"]),
        trajectory=_trajectory(raw, steps),
        modes=modes,
        outcomes=outcomes,
        judged=tuple(
            index
            for index, (step, outcome) in enumerate(zip(steps, outcomes, strict=True))
            if step >= start and outcome != "unclear"
        ),
        latent_dim=int(settings["latent_dim"]),
        generator_sigma_2=tuple(item.get("generator_sigma_2") for item in checkpoints),
    )


def _outcome(captured: int, modes: int, corpus: bool) -> str:
    """`corpus.py`'s rule; in the older form collapsed means fewer than 100 modes and healthy more than 400."""
    if not corpus:
        collapsed, healthy = captured < 100, captured > 400
    elif modes >= 1000:
        collapsed, healthy = captured < 0.2 * modes, captured > 0.4 * modes
    else:
        collapsed, healthy = captured <= 0.5 * modes, captured >= 0.8 * modes
    return "collapsed" if collapsed else "healthy" if healthy else "unclear"


def _trajectory(raw: Mapping[str, Any], steps: list[int]) -> SpectralTrajectory:
    form = "spectral norm" if raw["settings"]["spectral_norm"] else "plain"
    layers = []
    for name, first in raw["checkpoints"][0]["layers"].items():
        rank = len(first["relative_spectrum"])
        columns = max(rank, _columns(raw["settings"], name))
        spectra = tuple(_spectrum(item["layers"].get(name)) for item in raw["checkpoints"])
        identity = LayerIdentity(name, "conv", form, (rank, columns), (rank, columns))
        layers.append(LayerTrajectory(identity, spectra, tuple(int(item is None) for item in spectra)))
    return SpectralTrajectory(
        series=SeriesId(str(raw["run"])),
        certainty=Certainty.CONFIRMED,
        why="labelled",
        steps=tuple(steps),
        step_unit="step",
        step_source="file",
        checkpoints=tuple(CheckpointRef(Path(f"{raw['run']} step {step}")) for step in steps),
        layers=tuple(layers),
    )


def _spectrum(layer: Mapping[str, Any] | None) -> Spectrum | None:
    if layer is None:
        return None
    return Spectrum(tuple(float(layer["sigma_max"]) * value for value in layer["relative_spectrum"]))


def _columns(settings: Mapping[str, Any], layer: str) -> int:
    """The long side of a layer's matrix, from the width and kind of its network."""
    width = int(settings.get("discriminator_channels") or settings["channels"])
    network = settings.get("network", "labelled-runs")
    fixed: dict[str, dict[str, int]] = {
        "mlp": {"body.0": width, "body.2": width, "body.4": width},
        "cnn": {"body.0": 27, "body.2": 16 * width, "body.4": 18 * width},
        "labelled-runs": {"conv1": 27, "conv2": 16 * width, "conv3": 18 * width, "conv4": 32 * width},
        "resnet": {"block1.c1": 27, "head": width},
    }
    narrow = width if layer.endswith("c_sc") else 9 * width
    return fixed.get(network, {}).get(layer, narrow)
