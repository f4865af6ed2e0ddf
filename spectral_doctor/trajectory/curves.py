"""What was measured on a run's samples, over the same steps as its spectra: modes, FID."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spectral_doctor.checkpoints.training_state import is_number, stored_evaluation
from spectral_doctor.trajectory.records import SpectralTrajectory

SOLID, MODES = "solid modes", "modes captured"
_LARGEST_RECORD = 64 * 2**20
_SNAPSHOT = re.compile(r"(\d{1,15})(?:\.[A-Za-z]+)?$")
# By the first letters of a metric's name, as StyleGAN's metrics are called.
_LOWER_IS_BETTER = ("fid", "kid", "ppl")
_HIGHER_IS_BETTER = ("is", "pr", "eqt", "eqr")


@dataclass(frozen=True)
class MetricCurve:
    """One metric over the steps of a run, and the file or files it was read from.

    `higher_is_better` is None where the metric is not known here; `most` is its largest possible value, where
    there is one (the modes of the data).
    """

    name: str
    steps: tuple[int, ...]
    values: tuple[float, ...]
    higher_is_better: bool | None
    source: str
    most: float | None = None

    @property
    def best(self) -> tuple[int, float] | None:
        """The step and value at which the metric was at its best; None where better has no direction."""
        if self.higher_is_better is None:
            return None
        sign = 1 if self.higher_is_better else -1
        return max(zip(self.steps, self.values, strict=True), key=lambda pair: sign * pair[1])


def read_curves(trajectory: SpectralTrajectory, ours: bool = True) -> tuple[MetricCurve, ...]:
    """Read what lies in or beside a series' checkpoints: evaluations of our own, `metric-*.jsonl`.

    The evaluation stands inside a training state that `train` wrote; where the run is known not to be `ours` no file is
    opened for it. `metric-*.jsonl` are StyleGAN's. A file that cannot be read gives no curve.
    """
    if not isinstance(trajectory.checkpoints[-1].location, Path):
        return ()
    checkpoints = [Path(str(ref.location)) for ref in trajectory.checkpoints]
    folders = list(dict.fromkeys(path.parent for path in checkpoints))
    curves = list(_own_curves(trajectory.steps, checkpoints)) if ours else []
    for folder in folders:
        for path in _metrics_in(folder):
            curves += _stylegan_curves(path, dict(zip(map(_stem, checkpoints), trajectory.steps, strict=True)))
    return tuple(curves)


def _metrics_in(folder: Path) -> list[Path]:
    """Its `metric-*.jsonl`; none of a folder that rows name and no system can have."""
    try:
        return sorted(folder.glob("metric-*.jsonl"))
    except (OSError, ValueError):
        return []


def _own_curves(steps: Sequence[int], checkpoints: Sequence[Path]) -> Iterable[MetricCurve]:
    found = [(step, stored_evaluation(path)) for step, path in zip(steps, checkpoints, strict=True)]
    measured = [(step, item) for step, item in found if item is not None]
    modes = {step: item["modes_captured"] for step, item in measured}
    if modes:
        source, most = "the evaluation in the checkpoints", measured[-1][1].get("modes")
        solid = {step: item["solid_modes"] for step, item in measured if "solid_modes" in item}
        if solid:
            yield _curve(SOLID, solid, True, source, most=most)
        yield _curve(MODES, modes, True, source, most=most)
        quality = {step: item["high_quality_fraction"] for step, item in measured if "high_quality_fraction" in item}
        if quality:
            yield _curve("share of high-quality samples", quality, True, source)


def _stylegan_curves(path: Path, steps: Mapping[str, int]) -> list[MetricCurve]:
    """The curves of one `metric-*.jsonl`; a line that is torn is counted, a later line wins over an earlier."""
    values: dict[str, dict[str, float]] = {}
    torn = 0
    try:
        lines = _text(path).splitlines()
    except (OSError, ValueError):
        return []
    for line in filter(str.strip, lines):
        try:
            entry = json.loads(line)
            snapshot, results = str(entry["snapshot_pkl"]), dict(entry["results"])
        except (ValueError, KeyError, TypeError, RecursionError):
            torn += 1
            continue
        for name, value in results.items():
            if is_number(value):
                values.setdefault(str(name), {})[snapshot] = float(value)
    lines_torn = f"{torn} line{' that is' if torn == 1 else 's that are'} no record left out"
    source = path.name if not torn else f"{path.name}, {lines_torn}"
    curves = [_curve(name, _by_step(snapshots, steps), _direction(name), source) for name, snapshots in values.items()]
    return [curve for curve in curves if curve.steps]


def _by_step(snapshots: Mapping[str, float], steps: Mapping[str, int]) -> dict[int, float]:
    """Values by step: that of the checkpoint of the snapshot's name, else the number at the name's end.

    Where the checkpoints count in another unit than their names, snapshots without a checkpoint have no step.
    """
    numbers = {name: int(match[1]) for name in snapshots if (match := _SNAPSHOT.search(name))}
    known = {name: steps[stem] for name in snapshots if (stem := _stem(Path(name))) in steps}
    same_unit = all(numbers.get(name) == step for name, step in known.items())
    chosen = {**numbers, **known} if same_unit else known
    return {chosen[name]: value for name, value in snapshots.items() if name in chosen}


def _curve(
    name: str, values: Mapping[int, float], higher: bool | None, source: str, most: float | None = None
) -> MetricCurve:
    steps = tuple(sorted(values))
    return MetricCurve(name, steps, tuple(values[step] for step in steps), higher, source, most)


def _direction(name: str) -> bool | None:
    lowered = name.lower()
    if lowered.startswith(_LOWER_IS_BETTER):
        return False
    return True if lowered.startswith(_HIGHER_IS_BETTER) else None


def _stem(path: Path) -> str:
    return path.name.rpartition(".")[0] or path.name


def _text(path: Path) -> str:
    """A small text file; one of unreasonable size, or none at all, raises."""
    if not path.is_file() or path.stat().st_size > _LARGEST_RECORD:
        raise OSError
    return path.read_text(encoding="utf-8")
