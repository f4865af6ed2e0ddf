"""Where projects keep their discriminator: the layouts of the field, each rebuilt here with its names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spectral_doctor.arrays import Array, Plain
from spectral_doctor.errors import GeneratorOnly, NoDiscriminator, UsageError
from spectral_doctor.state_dicts.networks import find_discriminators, tensor_keys


def array(*shape: int) -> Array:
    """An array of which only the shape matters."""
    return Plain(np.zeros(shape, np.float32))


def tensors_of(**shapes: tuple[int, ...]) -> dict[str, Array]:
    """A state dict; `conv1__weight` stands for `conv1.weight`."""
    return {name.replace("__", "."): array(*shape) for name, shape in shapes.items()}


D = tensors_of(
    conv1__weight=(16, 3, 3, 3),
    conv1__bias=(16,),
    conv2__weight=(16, 16, 3, 3),
    conv2__bias=(16,),
    head__weight=(1, 16),
    head__bias=(1,),
)
G = tensors_of(start__weight=(64, 8), conv__weight=(3, 16, 3, 3))
ADAM = {"state": {"0": {"step": array(), "exp_avg": array(16, 3, 3, 3)}}, "param_groups": {"0": {"lr": 1e-4}}}


def prefixed(prefix: str, tensors: dict[str, Any]) -> dict[str, Any]:
    """The same tensors under a prefix."""
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def tree(content: dict[str, Any]) -> dict[str, Any]:
    """A loaded checkpoint, its keys made text as the reader makes them."""
    return {str(key): tree(value) if isinstance(value, dict) else value for key, value in content.items()}


LAYOUTS: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "BigGAN": ("D_copy1.pth", D, ["D"]),
    "StudioGAN": (
        "model=D-best-weights-step=2000.pth",
        {"state_dict": D, "optimizer": ADAM, "step": 2000},
        ["model=D_weights"],
    ),
    "mimicry": (
        "netD_500_steps.pth",
        {"model_state_dict": D, "optimizer_state_dict": ADAM, "global_step": 500},
        ["netD"],
    ),
    "Chainer": ("SNResNetProjectionDiscriminator_1000.npz", D, ["SNResNetProjectionDiscriminator"]),
    "rosinality": ("000500.pt", {"g": G, "d": D, "g_ema": G, "d_optim": ADAM, "g_optim": ADAM}, ["d"]),
    "lucidrains": (
        "model_3.pt",
        {"GAN": {**prefixed("G.", G), **prefixed("D.", D), **prefixed("D_aug.D.", D)}},
        ["GAN.D"],
    ),
    "gigagan": ("model.pt", {"G": G, "D": D, "D_opt": ADAM, "steps": 7}, ["D"]),
    "CycleGAN": ("latest_net_D_A.pth", D, ["net_D_A"]),
    "dcgan": ("netD_epoch_3.pth", D, ["netD"]),
    "SN-GAN": ("disc_10", D, ["disc"]),
    "GAN_stability": (
        "model_00001000.pt",
        {"generator": G, "discriminator": D, "d_optimizer": ADAM, "it": 5},
        ["discriminator"],
    ),
    "taming": (
        "last.ckpt",
        {
            "state_dict": {
                **prefixed("encoder.", G),
                **prefixed("loss.discriminator.main.", D),
                **prefixed("loss.perceptual_loss.net.", D),
            }
        },
        ["state_dict.loss.discriminator"],
    ),
    "LlamaGen": ("0001000.pt", {"model": G, "ema": G, "discriminator": D, "optimizer_disc": ADAM}, ["discriminator"]),
    "VITS": (
        "D_2333333.pth",
        {"model": {**prefixed("discriminators.0.", D), **prefixed("discriminators.1.", D)}, "iteration": 7},
        ["D.discriminators.0", "D.discriminators.1"],
    ),
    "HiFi-GAN": (
        "do_00005000",
        {
            "mpd": {**prefixed("discriminators.0.", D), **prefixed("discriminators.1.", D)},
            "msd": {**prefixed("discriminators.0.", D), **prefixed("discriminators.1.", D)},
            "optim_d": ADAM,
            "steps": 5000,
        },
        ["mpd.discriminators.0", "mpd.discriminators.1", "msd.discriminators.0", "msd.discriminators.1"],
    ),
    "ParallelWaveGAN": (
        "checkpoint-10steps.pkl",
        {"model": {"generator": G, "discriminator": D}, "optimizer": {"discriminator": ADAM}},
        ["model.discriminator"],
    ),
    "DAC": ("latest/discriminator/weights.pth", {"state_dict": D, "metadata": {}}, ["weights"]),
    "AudioCraft": (
        "checkpoint.th",
        {"adv_losses": {"msstftd": {**prefixed("adversary.", D), "optimizer": ADAM}}},
        ["adv_losses.msstftd.adversary"],
    ),
    "coqui": (
        "checkpoint_9.pth",
        {"model": {**prefixed("model_g.", G), **prefixed("model_d.", D)}, "step": 9},
        ["model.model_d"],
    ),
    "BasicSR": ("net_d_5000.pth", {"params": D}, ["net_d"]),
    "GFPGAN": ("net_d_left_eye_5000.pth", {"params": D, "params_ema": D}, ["net_d_left_eye"]),
    "KAIR": ("5000_D.pth", D, ["D"]),
    "mmgeneration": (
        "iter_100.pth",
        {
            "state_dict": {
                **prefixed("generator.", G),
                **prefixed("generator_ema.", G),
                **prefixed("discriminator.", D),
            },
            "optimizer": {"discriminator": ADAM},
        },
        ["state_dict.discriminator"],
    ),
    "imaginaire": (
        "epoch_00001_iteration_000000100_checkpoint.pt",
        {"net_G": prefixed("module.", G), "net_D": prefixed("module.", D), "opt_D": ADAM},
        ["net_D"],
    ),
    "pix2pixHD": (
        "10_net_D.pth",
        {**prefixed("layer0.", D), **prefixed("layer1.", D)},
        ["net_D.layer0", "net_D.layer1"],
    ),
    "pix2pixHD features": (
        "10_net_D.pth",
        {**prefixed("scale0_layer0.", D), **prefixed("scale1_layer0.", D)},
        ["net_D.scale0", "net_D.scale1"],
    ),
    "projected": (
        "x.pt",
        {
            "D": {
                **prefixed("discriminator.mini_discs.0.", D),
                **prefixed("discriminator.mini_discs.1.", D),
                **prefixed("feature_network.", D),
            }
        },
        ["D.discriminator.mini_discs.0", "D.discriminator.mini_discs.1"],
    ),
    "DDP and compile": ("netD.pt", prefixed("_orig_mod.module.", D), ["netD"]),
    "DMD2": (
        "pytorch_model_1.bin",
        {**prefixed("cls_pred_branch.", D), **prefixed("fake_unet.", G)},
        ["cls_pred_branch"],
    ),
    "accelerate": ("model_1.safetensors", D, ["model_1"]),
    "critic": ("critic.pt", D, ["critic"]),
    "by shape": ("weights.pt", D, ["weights"]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_discriminator_is_found_in_every_layout(layout: str) -> None:
    """By key, prefix, file name, folder name or shape: the right subtree, under the right name, and all of it."""
    name, content, expected = LAYOUTS[layout]
    found, _ = find_discriminators(tree(content), Path("run") / name)
    assert [item.name for item in found] == expected
    for item in found:
        assert {tensor.shape for tensor in item.tensors.values()} == {tensor.shape for tensor in D.values()}
        assert item.why


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("G.pt", G),
        ("netG_epoch_3.pth", G),
        ("generator.pth", {"state_dict": G}),
        ("g_00005000", {"generator": G}),
        ("model.pt", {"generator": G, "g_ema": G, "g_optim": ADAM}),
    ],
)
def test_a_lone_generator_is_said_to_be_one(name: str, content: dict[str, Any]) -> None:
    """By its file name or by its keys."""
    with pytest.raises(GeneratorOnly):
        find_discriminators(tree(content), Path(name))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("weights.pt", G),
        ("state.pt", {"optimizer": ADAM}),
        ("empty.pt", {}),
        ("model.pt", {"generator": G, "other": D}),
    ],
)
def test_what_cannot_be_told_is_not_guessed(name: str, content: dict[str, Any]) -> None:
    """No name and no single output: no discriminator."""
    with pytest.raises((NoDiscriminator, GeneratorOnly)):
        find_discriminators(tree(content), Path(name))


def test_the_rest_of_the_file_is_left_out_with_a_reason() -> None:
    """Optimizer state, copies, frozen networks and generators are each named."""
    name, content, _ = LAYOUTS["lucidrains"]
    _, left_out = find_discriminators(tree(content), Path(name))
    assert [(item.name, item.reason) for item in left_out] == [
        ("GAN.G", "the generator (2 tensors)"),
        ("GAN.D_aug", "a moving average, or a copy of a network that stands elsewhere (6 tensors)"),
    ]


def test_a_layer_named_d1_is_no_discriminator() -> None:
    """The nearest case where a key must not fire: a U-Net's `d1` inside a file that its name explains."""
    tensors = {**prefixed("d1.", D), **prefixed("encoder.", D)}
    found, _ = find_discriminators(tensors, Path("netD_5.pth"))
    assert [item.name for item in found] == ["netD"]
    assert len(found[0].tensors) == 2 * len(D)


def test_a_key_can_be_named() -> None:
    """`--discriminator` overrides every guess; a file without the key yields nothing."""
    content = tree({"model": {"a": D, "b": G}})
    found, _ = find_discriminators(content, Path("x.pt"), key="model.a")
    assert [(item.name, len(item.tensors)) for item in found] == [("model.a", len(D))]
    assert find_discriminators(content, Path("x.pt"), key="model.c") == ((), ())


def test_the_end_of_a_key_is_enough_where_it_is_the_only_one() -> None:
    """`--discriminator multiperioddisc` finds it below `state_dict`; two that end so are named and refused."""
    content = tree({"state_dict": {**prefixed("multiperioddisc.", D), **prefixed("head.", G)}})
    found, _ = find_discriminators(content, Path("x.pt"), key="multiperioddisc")
    assert [(item.name, len(item.tensors)) for item in found] == [("state_dict.multiperioddisc", len(D))]
    with pytest.raises(UsageError) as refusal:
        find_discriminators(tree({"a": {"net": D}, "b": {"net": D}}), Path("x.pt"), key="net")
    assert str(refusal.value) == (
        "x.pt: several keys end in 'net': 'a.net', 'b.net'. Name one of them in full with --discriminator KEY."
    )
    assert [item.name for item in find_discriminators(tree({"D": D, "b": {"D": D}}), Path("x.pt"), key="D")[0]] == ["D"]


def test_errors_name_what_is_inside_a_wrapper() -> None:
    """Each name is one that `--discriminator` takes."""
    content = tree({"state_dict": {**prefixed("backbone.a.", D), **prefixed("head.b.", G)}, "epoch": 3})
    with pytest.raises(NoDiscriminator) as refusal:
        find_discriminators(content, Path("x.pt"))
    assert "it holds 'state_dict.backbone', 'state_dict.head'." in str(refusal.value)
    for key in tensor_keys(content):
        assert find_discriminators(content, Path("x.pt"), key=key)[0]


def test_the_reason_says_how_sure_it_is() -> None:
    """A name confirms; a shape only suggests."""
    by_name, _ = find_discriminators(D, Path("netD.pt"))
    by_shape, _ = find_discriminators(D, Path("weights.pt"))
    assert (by_name[0].certainty.value, by_name[0].why) == ("confirmed", "file name 'netD.pt'")
    assert (by_shape[0].certainty.value, by_shape[0].why) == (
        "inferred",
        "its shapes narrow to one output, and no name says whose it is",
    )
