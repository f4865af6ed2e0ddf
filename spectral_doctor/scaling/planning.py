"""What an examination would read: files, networks and bytes, found without reading a weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spectral_doctor.checkpoints.opening import Candidate
from spectral_doctor.errors import DoctorError
from spectral_doctor.inspection import Progress
from spectral_doctor.records import Failure
from spectral_doctor.scaling.records import Options, Shard
from spectral_doctor.scaling.running import found_in
from spectral_doctor.state_dicts.loading import Discriminator, load_checkpoint


@dataclass(frozen=True)
class PlannedNetwork:
    """One discriminator of a file: how many weight matrices it has, and the bytes that these take in the file."""

    name: str
    layers: int
    weight_bytes: int


@dataclass(frozen=True)
class PlannedFile:
    """One checkpoint: the size of its file (of an index or a folder: of the file that it begins with), its networks."""

    path: str
    format_name: str
    file_bytes: int
    networks: tuple[PlannedNetwork, ...]

    @property
    def weight_bytes(self) -> int:
        """The bytes that examining it reads."""
        return sum(network.weight_bytes for network in self.networks)


@dataclass(frozen=True)
class Plan:
    """Every checkpoint to examine in order, those in which there is nothing, and the histories and left-out files."""

    files: tuple[PlannedFile, ...]
    without: tuple[Failure, ...]
    histories: tuple[str, ...] = ()
    left_out: int = 0

    @property
    def weight_bytes(self) -> int:
        """The bytes of all discriminators' weight matrices."""
        return sum(file.weight_bytes for file in self.files)

    @property
    def file_bytes(self) -> int:
        """The bytes of all files."""
        return sum(file.file_bytes for file in self.files)


def plan_of(
    paths: Sequence[Path | str],
    *,
    options: Options | None = None,
    shard: Shard | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Look into every file, and read no weight. Raises `UsageError`; what is wrong with a file stands in the plan."""
    found = found_in(paths)
    every: list[Candidate | Path] = [*found.checkpoints, *found.histories]
    tasks = (shard or Shard()).of(every)
    files: list[PlannedFile] = []
    without = [Failure(name, _reason(name, error)) for name, error in found.failures]
    for done, (_, item) in enumerate(tasks):
        if isinstance(item, Path):
            continue
        if progress is not None:
            progress(done, len(tasks), item.ref.name)
        try:
            files.append(_planned(item, options or Options()))
        except DoctorError as error:
            without.append(Failure(str(item.ref), _reason(str(item.ref), error)))
    histories = tuple(str(item) for _, item in tasks if isinstance(item, Path))
    return Plan(tuple(files), tuple(without), histories, len(found.left_out))


def _planned(candidate: Candidate, options: Options) -> PlannedFile:
    checkpoint = load_checkpoint(candidate, discriminator=options.discriminator, exclude=options.exclude)
    networks = tuple(map(_network, checkpoint.discriminators))
    return PlannedFile(str(candidate.ref), checkpoint.format_name, candidate.source.size, networks)


def _network(found: Discriminator) -> PlannedNetwork:
    # The parts of one stored weight (groups, gates) are read from the same bytes.
    stored = {weight.key: weight.weight.nbytes for weight in found.layers}
    return PlannedNetwork(found.name, len(found.layers), sum(stored.values()))


def _reason(name: str, error: DoctorError) -> str:
    return str(error).removeprefix(f"{name}: ")
