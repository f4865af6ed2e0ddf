"""Data that the user has: digits in IDX or npz files, scikit-learn's digits, a folder of images."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spectral_doctor.errors import MissingExtra, UsageError, printable
from spectral_doctor.gan.data import StackedDigits

_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"})
_IDX_IMAGES, _IDX_LABELS = 2051, 2049


@dataclass(frozen=True, eq=False)
class Images:
    """Images (n, 3, side, side) in [-1, 1], drawn with equal chance."""

    bank: Tensor

    def sample(self, count: int, random: torch.Generator) -> Tensor:
        """Draw images (count, 3, side, side)."""
        return self.bank[torch.randint(len(self.bank), (count,), generator=random)]


def image_folder(folder: Path, side: int) -> Images:
    """Read every picture below a folder, its largest centred square scaled to `side`; raises `UsageError`."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _PICTURES)
    if not paths:
        raise UsageError(f"--set path={printable(folder)}: expected a folder with pictures, found none in it.")
    pictures = []
    for path in paths:
        try:
            with Image.open(path) as picture:
                square = ImageOps.fit(picture.convert("RGB"), (side, side))
        except (UnidentifiedImageError, OSError) as error:
            raise UsageError(f"{printable(path)}: cannot be read as a picture.") from error
        pictures.append(np.asarray(square, dtype=np.float32))
    bank = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous() / 127.5 - 1
    return Images(bank)


@lru_cache(maxsize=1)
def scikit_digits() -> StackedDigits:
    """scikit-learn's 1 797 real digits of 8×8 pixels; raises `MissingExtra` where it is not installed."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtra("stacked-digits", "scikit-learn", "'spectral-doctor[data]'") from error
    digits = load_digits()
    return _stacked((digits.images / 16).astype(np.float32), digits.target)


def digit_files(path: Path) -> StackedDigits:
    """Read labelled digits: an npz with images and labels, or a folder (or file) in MNIST's IDX format.

    Raises `UsageError` where the files are not there, or are not of that kind.
    """
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                images, labels = _from_npz(dict(archive))
        else:
            images_path, labels_path = _idx_pair(path)
            images, labels = _idx(images_path, _IDX_IMAGES), _idx(labels_path, _IDX_LABELS)
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise UsageError(
            f"--set path={printable(path)}: expected digits as npz or IDX files: {printable(error)}."
        ) from error
    if len(images) != len(labels) or set(np.unique(labels)) != set(range(10)):
        raise UsageError(f"--set path={printable(path)}: expected as many labels as images, and all digits 0 to 9.")
    return _stacked((images / 255).astype(np.float32), labels)


def _stacked(images: NDArray[np.float32], labels: NDArray[np.integer]) -> StackedDigits:
    """Sort images by digit, as many of each as the rarest has."""
    count = int(np.bincount(labels).min())
    bank = np.stack([images[labels == digit][:count] for digit in range(10)])
    return StackedDigits(torch.from_numpy(2 * bank - 1))


def _from_npz(arrays: dict[str, NDArray[np.integer]]) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    images = [array for array in arrays.values() if array.ndim == 3]
    labels = [array for array in arrays.values() if array.ndim == 1]
    if not images or not labels:
        raise ValueError("no array of images (n, side, side) with one of labels (n,)")
    return max(images, key=len), max(labels, key=len)


def _idx_pair(path: Path) -> tuple[Path, Path]:
    folder = path if path.is_dir() else path.parent
    images = [path] if path.is_file() else sorted(folder.glob("*train*images*idx3*"))
    if not images:
        raise ValueError("no file *train*images*idx3* there")
    name = images[0].name.replace("images", "labels").replace("idx3", "idx1")
    return images[0], folder / name


def _idx(path: Path, magic: int) -> NDArray[np.integer]:
    raw = path.read_bytes()
    content = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    dimensions = content[3]
    if int.from_bytes(content[:4], "big") != magic:
        raise ValueError(f"{path.name} does not begin as an IDX file does")
    shape = np.frombuffer(content, ">u4", dimensions, 4).astype(int)
    return np.frombuffer(content, np.uint8, int(shape.prod()), 4 + 4 * dimensions).reshape(shape)
