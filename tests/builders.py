"""Small things that many tests build: spectra, series, checkpoint files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from spectral_doctor.records import (
    Certainty,
    CheckpointRef,
    LayerIdentity,
    LayerSpectrum,
    SeriesId,
    Spectrum,
    StepClue,
)
from spectral_doctor.trajectory.records import Examination, LayerTrajectory, SpectralTrajectory


def plateau_spectrum(plateau: float, rank: int = 64, sigma_max: float = 1.0, second: float | None = None) -> Spectrum:
    """A spectrum with σ_j/σ1 = `plateau` from the second value on, falling gently to half of it."""
    tail = [plateau * (1 - 0.5 * max(0, index - 5) / rank) for index in range(1, rank)]
    if second is not None:
        tail[0] = second
    return Spectrum(tuple(sigma_max * value for value in [1.0, *tail]))


def identity(name: str, *, form: str = "spectral norm", kind: str = "conv", rank: int = 64) -> LayerIdentity:
    """A convolution layer of that rank."""
    return LayerIdentity(name, kind, form, (rank, rank, 3, 3), (rank, 9 * rank))


def layer_over_steps(
    name: str, plateaus: Sequence[float | None], *, form: str = "spectral norm", kind: str = "conv", rank: int = 64
) -> LayerTrajectory:
    """A layer whose plateau takes the given values; None where its weight is not finite."""
    # A trained weight never repeats its σ1 to the last bit.
    spectra = tuple(
        None if value is None else plateau_spectrum(value, rank, 1.0 + 1e-3 * step)
        for step, value in enumerate(plateaus)
    )
    return LayerTrajectory(
        identity(name, form=form, kind=kind, rank=rank), spectra, tuple(int(item is None) for item in spectra)
    )


def series(*layers: LayerTrajectory, steps: Sequence[int] | None = None) -> SpectralTrajectory:
    """A series of the given layers at steps 0, 100, 200, …"""
    count = len(layers[0].spectra)
    numbers = tuple(steps) if steps is not None else tuple(100 * index for index in range(count))
    return SpectralTrajectory(
        series=SeriesId("netD"),
        certainty=Certainty.CONFIRMED,
        why="key 'netD'",
        steps=numbers,
        step_unit="step",
        step_source="file name",
        checkpoints=tuple(CheckpointRef(Path(f"run/netD_{step}.pth")) for step in numbers),
        layers=tuple(layers),
    )


def examination(
    step: int | None,
    plateaus: Mapping[str, float],
    *,
    folder: str = "run",
    name: str = "netD",
    modified: float = 0.0,
    rank: int = 64,
    clues: Sequence[StepClue] | None = None,
) -> Examination:
    """One discriminator at one checkpoint whose file name says the step."""
    if clues is None:
        clues = () if step is None else (StepClue("file name", "step", step),)
    return Examination(
        discriminator=name,
        certainty=Certainty.CONFIRMED,
        why="key 'netD'",
        ref=CheckpointRef(Path(f"{folder}/{name}_{step}.pth")),
        modified=modified,
        step_clues=tuple(clues),
        layers=tuple(
            LayerSpectrum(identity(layer, rank=rank), plateau_spectrum(value, rank))
            for layer, value in plateaus.items()
        ),
        skipped=(),
    )


def small_discriminator(seed: int = 0) -> dict[str, Tensor]:
    """The state dict of a small plain discriminator with one output."""
    random = torch.Generator().manual_seed(seed)
    return {
        "conv1.weight": torch.randn(16, 3, 3, 3, generator=random),
        "conv1.bias": torch.zeros(16),
        "conv2.weight": torch.randn(16, 16, 3, 3, generator=random),
        "conv2.bias": torch.zeros(16),
        "head.weight": torch.randn(1, 16, generator=random),
        "head.bias": torch.zeros(1),
    }


def sound_discriminator(seed: int = 0) -> dict[str, Tensor]:
    """The same discriminator with nearly flat spectra, as training leaves them and no initialisation does."""
    tensors = small_discriminator(seed)
    for name, tensor in tensors.items():
        if tensor.ndim == 4:
            left, values, right = torch.linalg.svd(tensor.flatten(1), full_matrices=False)
            flat = torch.linspace(1.0, 0.9 - 0.001 * seed, len(values))
            tensors[name] = (left @ torch.diag(flat) @ right).reshape(tensor.shape)
    return tensors


def small_generator(seed: int = 0) -> dict[str, Tensor]:
    """The state dict of a small generator with three output channels."""
    random = torch.Generator().manual_seed(seed)
    return {
        "start.weight": torch.randn(64, 8, generator=random),
        "conv.weight": torch.randn(3, 16, 3, 3, generator=random),
    }


def save(folder: Path, name: str, content: object) -> Path:
    """Save an object with torch.save, making the folder where it is missing."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    return path


def tensorboard_tags(folder: Path) -> tuple[set[str], set[str]]:
    """The tags of the scalars and of the images that TensorBoard reads in a folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    tags = accumulator.Tags()
    return set(tags["scalars"]), set(tags["images"])
