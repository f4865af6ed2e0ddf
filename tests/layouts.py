"""Runs as the projects of the guides write them, with small networks: their folders, names, containers and keys."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from torch import Tensor

from tests import stylegan
from tests.builders import save, sound_discriminator

ROOT = Path(__file__).parent.parent


def write_all(folder: Path) -> None:
    """Every run that a guide names, below a folder."""
    shutil.copytree(ROOT / "sample_checkpoints", folder / "sample_checkpoints")
    shutil.copytree(ROOT / "sample_checkpoints" / "healthy", folder / "runs" / "my_gan")
    for number, step in enumerate((0, 100, 200)):
        stylegan_snapshot(folder / "training-runs" / "00000-mydata" / f"network-snapshot-{step:06d}.pkl")
        vqgan(folder / "logs" / "my_vqgan" / "checkpoints", step, number)
        hifi_gan(folder / "cp_hifigan", step * 250, number)
        rvc(folder / "logs" / "my_voice", 2400 + step * 24, number)
        real_esrgan(folder / "experiments" / "finetune" / "models", step * 50, number)
        motion_prior(folder / "logs" / "walk", step * 10, number)
        keras(folder / "keras_run", step, number)
        save(folder / "runs" / "odd", f"iter{step}-of-300.pt", {"nets": {"judge": convolutions("layer", number)}})


def stylegan_snapshot(path: Path) -> None:
    """A pickle with G, D and G_ema, and the source code of their classes."""
    stylegan.snapshot(path, stylegan.Discriminator())


def vqgan(folder: Path, epoch: int, seed: int) -> None:
    """A Lightning checkpoint: `loss.discriminator.main.N` beside an autoencoder and LPIPS."""
    tensors = convolutions("loss.discriminator.main", seed)
    tensors |= {f"encoder.{name}": tensor for name, tensor in convolutions("down", seed + 9).items()}
    tensors["loss.perceptual_loss.net.slice1.0.weight"] = noise(seed, 16, 3, 3, 3)
    content = {"epoch": epoch, "global_step": epoch * 10, "state_dict": tensors, "optimizer_states": []}
    save(folder, f"epoch={epoch:06d}.ckpt", content)


def hifi_gan(folder: Path, step: int, seed: int) -> None:
    """`do_N` with mpd, msd, optimizers and steps; `g_N` with the generator."""
    mpd = {f"discriminators.{index}.convs.{layer}": 0 for index in range(2) for layer in range(2)}
    parts = {"mpd": weight_normalised(mpd, seed, (16, 8, 5, 1)), "msd": weight_normalised(mpd, seed + 1, (16, 8, 5))}
    save(folder, f"do_{step:08d}", {**parts, "optim_d": {}, "optim_g": {}, "steps": step, "epoch": seed})
    generator = weight_normalised({"conv_pre": 0, "ups.0": 0, "conv_post": 0}, seed, (16, 8, 7))
    save(folder, f"g_{step:08d}", {"generator": generator})


def rvc(folder: Path, step: int, seed: int) -> None:
    """`D_N.pth` and `G_N.pth`, the network under `model`."""
    names = {f"discriminators.{index}.convs.{layer}": 0 for index in range(3) for layer in range(2)}
    network = weight_normalised(names, seed, (16, 8, 5, 1))
    save(folder, f"D_{step}.pth", {"model": network, "iteration": seed, "optimizer": {}, "learning_rate": 1e-4})
    generator = weight_normalised({"dec.conv_pre": 0, "dec.ups.0": 0}, seed, (16, 8, 7))
    save(folder, f"G_{step}.pth", {"model": generator, "iteration": seed, "optimizer": {}, "learning_rate": 1e-4})


def real_esrgan(folder: Path, step: int, seed: int) -> None:
    """`net_d_N.pth` with the U-Net discriminator under `params`, spectral norm from the second layer on."""
    tensors: dict[str, Tensor] = {"conv0.weight": noise(seed, 16, 3, 3, 3)}
    for index in range(1, 4):
        weight = noise(seed + index, 16, 16, 3, 3)
        tensors |= {
            f"conv{index}.weight_orig": weight,
            f"conv{index}.weight_u": noise(seed, 16),
            f"conv{index}.weight_v": noise(seed, 144),
        }
    tensors["conv9.weight"] = noise(seed, 1, 16, 3, 3)
    save(folder, f"net_d_{step}.pth", {"params": tensors})
    save(folder, f"net_g_{step}.pth", {"params_ema": {"conv_first.weight": noise(seed, 16, 3, 3, 3)}})


def motion_prior(folder: Path, step: int, seed: int) -> None:
    """A policy and its value network beside the discriminator, in one file."""
    policy = {f"{part}.{index}.weight": noise(seed + index, 32, 32) for part in ("actor", "critic") for index in (0, 2)}
    policy["critic.4.weight"] = noise(seed, 1, 32)
    judge = {"trunk.0.weight": noise(seed, 64, 32), "trunk.2.weight": noise(seed + 1, 32, 64)}
    judge["amp_linear.weight"] = noise(seed + 2, 1, 32)
    content = {"model_state_dict": policy, "discriminator_state_dict": judge, "iter": step}
    save(folder, f"model_{step}.pt", content)


def keras(folder: Path, epoch: int, seed: int) -> None:
    """Weights of Keras 2 in HDF5, the kernel's last axis the output."""
    import h5py

    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / f"discriminator_{epoch:04d}.h5", "w") as file:
        for index, shape in enumerate(((3, 3, 3, 16), (3, 3, 16, 32))):
            file[f"conv2d_{index}/conv2d_{index}/kernel:0"] = noise(seed + index, *shape).numpy()
            file[f"conv2d_{index}/conv2d_{index}/bias:0"] = noise(seed, shape[-1]).numpy()
        file["dense/dense/kernel:0"] = noise(seed, 32, 1).numpy()


def convolutions(prefix: str, seed: int) -> dict[str, Tensor]:
    """A small discriminator, its layers numbered below a prefix."""
    tensors = sound_discriminator(seed)
    names = {"conv1": "0", "conv2": "2", "head": "5"}
    return {
        f"{prefix}.{names[name.partition('.')[0]]}.{name.partition('.')[2]}": item for name, item in tensors.items()
    }


def weight_normalised(names: dict[str, int], seed: int, shape: tuple[int, ...]) -> dict[str, Tensor]:
    """Layers of that shape as old weight norm stores them: a direction and a length for every output."""
    tensors: dict[str, Tensor] = {}
    for index, name in enumerate(names):
        direction = noise(seed + index, *shape)
        tensors[f"{name}.weight_v"] = direction
        tensors[f"{name}.weight_g"] = direction.flatten(1).norm(dim=1).reshape(-1, *[1] * (len(shape) - 1))
        tensors[f"{name}.bias"] = torch.zeros(shape[0])
    return tensors


def noise(seed: int, *shape: int) -> Tensor:
    """Random weights that are the same every time."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
