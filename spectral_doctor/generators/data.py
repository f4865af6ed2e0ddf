"""Real samples from what a user names, in the shape and scale of a generator's own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from spectral_doctor.errors import UsageError, printable
from spectral_doctor.generators.records import Floats
from spectral_doctor.generators.sampling import COUNT

_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"})
_CHANNELS = (1, 3, 4)


def real_samples(source: str, shape: tuple[int, ...], count: int = COUNT, seed: int = 0) -> Floats:
    """`count` real samples (n, *shape) at random from a .npy or .npz file, a folder of pictures, or a recipe.

    8-bit values become x/127.5 − 1, others stay as they are. Pictures are fitted to a shape (channels, side, side), or
    to the square that a flat generator draws. Raises `UsageError` where the data are not there or are of another shape.
    """
    path = Path(source)
    random = np.random.default_rng(seed)
    if path.is_dir():
        return _pictures(path, shape, count, random)
    if path.suffix in (".npy", ".npz"):
        return _fitted(_array(path), shape, count, random, source)
    if path.exists():
        raise UsageError(f"--data {printable(source)}: expected a .npy or .npz file, a folder of pictures or a recipe.")
    return _of_recipe(source, shape, count, seed)


def reader(source: str, count: int = COUNT, seed: int = 0) -> partial[Floats]:
    """`real_samples` of a source as a function of the shape alone, as `witness` takes it."""
    return partial(real_samples, source, count=count, seed=seed)


def _array(path: Path) -> NDArray[np.generic]:
    """The array of a .npy file, or the largest numeric one of an archive."""
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                arrays = list(dict(archive).values())
        else:
            arrays = [np.load(path, allow_pickle=False)]
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise UsageError(f"--data {printable(path)}: cannot be read as NumPy data: {printable(error)}.") from error
    numeric = [array for array in arrays if array.dtype.kind in "uif" and array.ndim > 1]
    if not numeric:
        raise UsageError(f"--data {printable(path)}: expected an array of numbers (samples, …), found none in it.")
    return max(numeric, key=lambda array: array.size)


def _fitted(
    array: NDArray[np.generic], shape: tuple[int, ...], count: int, random: np.random.Generator, source: str
) -> Floats:
    """Some of an array's samples in a shape: channels first, and flat where the generator's are."""
    chosen = array[np.sort(random.permutation(len(array))[:count])]
    samples = chosen.astype(np.float32) / 127.5 - 1 if chosen.dtype == np.uint8 else chosen.astype(np.float32)
    last = samples.ndim == 4 and samples.shape[-1] in _CHANNELS and samples.shape[1:] != shape
    if last and (len(shape) < 3 or samples.shape[-1] == shape[0]):
        samples = np.moveaxis(samples, -1, 1)
    if samples[0].size != np.prod(shape, dtype=int):
        raise UsageError(
            f"--data {printable(source)}: its samples have the shape {tuple(array.shape[1:])}, and the generator's "
            f"{shape}; name data of that shape."
        )
    if not np.isfinite(samples).all():
        raise UsageError(f"--data {printable(source)}: it holds NaN or infinity.")
    return np.ascontiguousarray(samples.reshape(len(samples), *shape))


def _pictures(folder: Path, shape: tuple[int, ...], count: int, random: np.random.Generator) -> Floats:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _PICTURES)
    if not found:
        raise UsageError(f"--data {printable(folder)}: expected a folder with pictures, found none in it.")
    channels, side = _picture_shape(folder, shape)
    chosen = [found[place] for place in np.sort(random.permutation(len(found))[:count])]
    made = np.stack([_picture(path, channels, side) for path in chosen])
    return made.reshape(len(made), *shape)


def _picture_shape(folder: Path, shape: Sequence[int]) -> tuple[int, int]:
    """Channels and side of the pictures that a generator makes, flat ones of grey or of three colours too."""
    size = int(np.prod(shape))
    options = [shape[0]] if len(shape) == 3 else [1, 3]
    for channels in options:
        side = round((size / channels) ** 0.5)
        if channels in _CHANNELS[:2] and channels * side**2 == size and (len(shape) == 1 or shape[1] == shape[2]):
            return channels, side
    raise UsageError(f"--data {printable(folder)}: the generator makes {tuple(shape)}, which are no square pictures.")


def _picture(path: Path, channels: int, side: int) -> Floats:
    """A picture (channels, side, side) in [-1, 1]: its largest centred square, scaled."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            square = ImageOps.fit(picture.convert("L" if channels == 1 else "RGB"), (side, side))
    except (UnidentifiedImageError, OSError) as error:
        raise UsageError(f"--data {printable(path)}: cannot be read as a picture.") from error
    values = np.asarray(square, dtype=np.float32).reshape(side, side, channels)
    return np.moveaxis(values, -1, 0) / 127.5 - 1


def _of_recipe(name: str, shape: tuple[int, ...], count: int, seed: int) -> Floats:
    import torch

    from spectral_doctor.gan.own import load_recipe
    from spectral_doctor.gan.patients import known_recipes

    known = known_recipes()
    if ":" not in name and name not in known:
        raise UsageError(
            f"--data {printable(name)}: no such file, folder or recipe; name a .npy or .npz file, a folder of "
            "pictures, a recipe that `recipes` lists, or your own as FILE.py:RECIPE."
        )
    recipe = load_recipe(name, {}) if ":" in name else known[name].build(known[name].settings)
    samples = recipe.real(count, torch.Generator().manual_seed(seed)).numpy()
    return _fitted(samples, shape, count, np.random.default_rng(seed), name)
