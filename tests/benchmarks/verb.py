"""Time the whole `inspect`, as a process, against its floor, torch's SVD and WeightWatcher, on networks of real shapes.

    python tests/benchmarks/verb.py [--networks NAME …] [--rounds 5] [--without-peers]

For each network six checkpoints are written (random weights, in the forms the real files have) and examined:
StyleGAN2 at 256 pixels (29 M values), HiFi-GAN's mpd and msd (71 M), an SNGAN ResNet, BigGAN-128, and one small file.

- *floor*: a process that reads the matrices that inspect takes (weight norms multiplied out, groups cut), bare in one
  file, and takes float64 symmetric product and `eigvalsh` of each; the best of one BLAS thread, all threads, and one
  thread a matrix side by side.
- *svdvals*: `torch.linalg.svdvals` of the same float32 matrices of one checkpoint, times the number of checkpoints.
- *WeightWatcher*: its `analyze()` of one checkpoint, times the number (extra `bench`).
- *busy*: `inspect` beside two processes that keep both cores busy, against the quiet floor.

Times are medians over rounds in which inspect and floor take turns; the peers run once. `largest_error` is against
numpy's SVD in float64, in units of σ1, over the matrices of at most a million values. One JSON line a network; the
last line holds them all.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spectral_doctor.arrays import live_arrays
from spectral_doctor.state_dicts.matrices import collect_layers
from tests.benchmarks.verb_floor import bare_matrices

FLOOR = Path(__file__).with_name("verb_floor.py")
CHECKPOINTS = 6
ORACLE_SIZE = 2**20
State = dict[str, Tensor]


def plain(name: str, *shape: int) -> State:
    """A weight as it is."""
    return {f"{name}.weight": torch.randn(*shape)}


def spectral(name: str, *shape: int) -> State:
    """A weight under the old spectral norm, with its vectors."""
    columns = int(np.prod(shape[1:]))
    vectors = {f"{name}.weight_u": torch.randn(shape[0]), f"{name}.weight_v": torch.randn(columns)}
    return {f"{name}.weight_orig": torch.randn(*shape), **vectors}


def weight_normed(name: str, *shape: int) -> State:
    """A weight under the old weight norm."""
    magnitude = torch.rand(shape[0], *(1 for _ in shape[1:])) + 0.5
    return {f"{name}.weight_g": magnitude, f"{name}.weight_v": torch.randn(*shape)}


def stylegan2() -> State:
    """The discriminator of StyleGAN2 at 256 pixels (Karras et al. 2020, config F)."""
    width = {256: 128, 128: 256, 64: 512, 32: 512, 16: 512, 8: 512, 4: 512}
    state = plain("b256.fromrgb", 128, 3, 1, 1)
    for size in (256, 128, 64, 32, 16, 8):
        here, below = width[size], width[size // 2]
        state |= plain(f"b{size}.conv0", here, here, 3, 3) | plain(f"b{size}.conv1", below, here, 3, 3)
        state |= plain(f"b{size}.skip", below, here, 1, 1)
    return state | plain("b4.conv", 512, 513, 3, 3) | plain("b4.fc", 512, 8192) | plain("b4.out", 1, 512)


def hifigan() -> State:
    """The discriminators of HiFi-GAN (Kong et al. 2020): five periods and three scales, all in one mapping."""
    state: State = {}
    for period in range(5):
        widths = (1, 32, 128, 512, 1024, 1024)
        for number in range(5):
            name = f"mpd.discriminators.{period}.convs.{number}"
            state |= weight_normed(name, widths[number + 1], widths[number], 5, 1)
        state |= weight_normed(f"mpd.discriminators.{period}.conv_post", 1, 1024, 3, 1)
    shapes = ((128, 1, 15), (128, 32, 41), (256, 8, 41), (512, 16, 41), (1024, 32, 41), (1024, 64, 41), (1024, 1024, 5))
    for scale in range(3):
        normed = spectral if scale == 0 else weight_normed
        for number, shape in enumerate(shapes):
            state |= normed(f"msd.discriminators.{scale}.convs.{number}", *shape)
        state |= normed(f"msd.discriminators.{scale}.conv_post", 1, 1024, 3)
    return state


def sngan() -> State:
    """The discriminator of SNGAN's ResNet for CIFAR-10 (Miyato et al. 2018, table 4)."""
    state = spectral("block1.c1", 128, 3, 3, 3) | spectral("block1.c2", 128, 128, 3, 3)
    state |= spectral("block1.c_sc", 128, 3, 1, 1)
    for block in (2, 3, 4):
        state |= spectral(f"block{block}.c1", 128, 128, 3, 3) | spectral(f"block{block}.c2", 128, 128, 3, 3)
    return state | spectral("block2.c_sc", 128, 128, 1, 1) | spectral("l5", 1, 128)


def biggan() -> State:
    """The discriminator of BigGAN at 128 pixels, 96 channels (Brock et al. 2019)."""
    widths = (3, 96, 192, 384, 768, 1536, 1536)
    state: State = {}
    for block in range(6):
        into, out = widths[block], widths[block + 1]
        state |= spectral(f"blocks.{block}.0.conv1", out, into, 3, 3)
        state |= spectral(f"blocks.{block}.0.conv2", out, out, 3, 3) | spectral(
            f"blocks.{block}.0.conv_sc", out, into, 1, 1
        )
    return state | spectral("linear", 1, 1536)


def small() -> State:
    """A DCGAN for digits."""
    return plain("main.0", 32, 1, 4, 4) | plain("main.2", 64, 32, 4, 4) | plain("main.4", 1, 64, 4, 4)


NETWORKS: dict[str, tuple[Callable[[], State], int]] = {
    "stylegan2-256": (stylegan2, CHECKPOINTS),
    "hifigan": (hifigan, CHECKPOINTS),
    "sngan-resnet": (sngan, CHECKPOINTS),
    "biggan-128": (biggan, CHECKPOINTS),
    "small": (small, 1),
}


def written(folder: Path, build: Callable[[], State], count: int) -> None:
    """The checkpoints, and beside them the bare matrices of all, with their shapes."""
    shapes: list[list[tuple[int, int]]] = []
    with (folder / "matrices.bin").open("wb") as bare:
        for number in range(count):
            torch.manual_seed(number)
            state = build()
            torch.save({"D": state}, folder / f"netD_{1000 * (number + 1)}.pt")
            layers, _ = collect_layers(live_arrays(state))
            matrices = [layer.read().astype(np.float32) for layer in layers]
            shapes.append([(int(item.shape[0]), int(item.shape[1])) for item in matrices])
            for item in matrices:
                bare.write(item.tobytes())
    (folder / "shapes.json").write_text(json.dumps(shapes))


def run(command: list[str]) -> dict[str, float]:
    """Seconds, computing time and most memory of a process, as the launcher measures them."""
    launched = [sys.executable, str(FLOOR), "launch", *command]
    result: dict[str, float] = json.loads(subprocess.run(launched, check=True, capture_output=True).stdout)
    return result


def _spin() -> None:
    while True:
        np.linalg.norm(np.ones(1000))


@contextmanager
def busy_cores() -> Iterator[None]:
    """Two processes that do nothing but take both cores."""
    processes = [multiprocessing.Process(target=_spin, daemon=True) for _ in os.sched_getaffinity(0)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def largest_error(folder: Path, report: Path) -> float:
    """The worst difference from numpy's SVD over the first checkpoint's matrices of moderate size."""
    layers = [layer for series in json.loads(report.read_text())["series"] for layer in series["layers"]]
    found = sorted(
        (layer["singular_values"][0] for layer in layers if layer["singular_values"][0]),
        key=lambda values: (len(values), values[0]),
    )
    worst = 0.0
    for matrix in bare_matrices(folder, 1):
        if matrix.size > ORACLE_SIZE:
            continue
        sigma = np.linalg.svd(matrix.astype(np.float64), compute_uv=False)
        near = [np.abs(np.asarray(v) - sigma).max() / sigma[0] for v in found if len(v) == len(sigma)]
        worst = max(worst, min(near)) if near else worst
    return worst


def peer_times(folder: Path, count: int) -> dict[str, float]:
    """svdvals and WeightWatcher on one checkpoint, times the number of checkpoints."""
    matrices = [torch.from_numpy(item) for item in bare_matrices(folder, 1)]
    start = time.perf_counter()
    for matrix in matrices:
        torch.linalg.svdvals(matrix)
    times = {"svdvals": count * (time.perf_counter() - start)}
    if importlib.util.find_spec("weightwatcher") is not None:
        import weightwatcher

        layers = [torch.nn.Linear(int(item.shape[1]), int(item.shape[0]), bias=False) for item in matrices]
        for layer, matrix in zip(layers, matrices, strict=True):
            layer.weight.data = matrix
        start = time.perf_counter()
        weightwatcher.WeightWatcher(model=torch.nn.Sequential(*layers)).analyze()
        times["weightwatcher"] = count * (time.perf_counter() - start)
    return times


def median(runs: list[dict[str, float]], figure: str) -> float:
    """The median of one figure over some runs."""
    return statistics.median(item[figure] for item in runs)


def measured(name: str, rounds: int, peers: bool) -> dict[str, object]:
    """Everything about one network."""
    build, count = NETWORKS[name]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        written(folder, build, count)
        report = folder / "report.json"
        inspect = [sys.executable, "-m", "spectral_doctor", "inspect", *map(str, sorted(folder.glob("*.pt")))]
        inspect += ["--no-cache"]
        bare = [sys.executable, str(FLOOR), "floor", str(folder)]
        settings = ("one", "all", "pool")
        best = min(settings, key=lambda setting: min(run([*bare, setting])["seconds"] for _ in range(2)))
        ours, floors = [], []
        for _ in range(rounds):
            ours.append(run(inspect))
            floors.append(run([*bare, best]))
        with busy_cores():
            busy = statistics.median(run(inspect)["seconds"] for _ in range(max(3, rounds // 2)))
        report.write_bytes(subprocess.run([*inspect, "--format", "json"], check=True, capture_output=True).stdout)
        quiet, least = median(ours, "seconds"), median(floors, "seconds")
        largest = max(rows * columns for rows, columns in json.loads((folder / "shapes.json").read_text())[0])
        result: dict[str, object] = {
            "network": name,
            "seconds": round(quiet, 3),
            "floor_setting": best,
            "ratio_to_floor": round(quiet / least, 3),
            "busy_ratio": round(busy / least, 3),
            "largest_error": float(f"{largest_error(folder, report):.2g}"),
            "computed_ratio": round(median(ours, "computed") / median(floors, "computed"), 3),
            "peak_mb": round(max(item["peak_mb"] for item in ours)),
            "floor_peak_mb": round(max(item["peak_mb"] for item in floors)),
            "largest_layer_float64_mb": round(largest * 8 / 2**20),
        }
        for peer, taken in peer_times(folder, count).items() if peers else ():
            result[f"speedup_over_{peer}"] = round(taken / quiet, 2)
        return result


def main() -> None:
    """Every network, one line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--without-peers", action="store_true")
    arguments = parser.parse_args()
    results = []
    for name in arguments.networks:
        results.append(measured(name, arguments.rounds, not arguments.without_peers))
        print(json.dumps(results[-1]), flush=True)
    print(json.dumps({"networks": results, "rounds": arguments.rounds}))


if __name__ == "__main__":
    main()
