"""Kinds of names and of networks, each with what must not be taken for it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from spectral_doctor.arrays import Array
from spectral_doctor.errors import GeneratorOnly, NoDiscriminator
from spectral_doctor.records import Certainty
from spectral_doctor.state_dicts.networks import find_discriminators, find_generator
from tests.state_dicts.test_networks import ADAM, array, prefixed, tree

D = {"main.0.weight": array(32, 3, 4, 4), "main.2.weight": array(64, 32, 4, 4), "main.4.weight": array(64, 64, 4, 4)}
CRITIC = {**D, "main.4.weight": array(1, 64, 4, 4)}
G = {"main.0.weight": array(32, 64, 4, 4), "main.1.weight": array(64, 32, 4, 4), "main.2.weight": array(32, 3, 4, 4)}


def layers(*shapes: tuple[int, ...], name: str = "l{}") -> dict[str, Array]:
    """Weights of those shapes, in that order."""
    return {f"{name.format(index)}.weight": array(*shape) for index, shape in enumerate(shapes)}


def mlp(*widths: int) -> dict[str, Array]:
    """Dense layers between those widths."""
    return layers(*((out, into) for into, out in pairwise(widths)), name="{}")


TRANSFORMER = {f"model.blocks.{n}.attn.{part}.weight": array(64, 64) for n in range(4) for part in "qkvo"}
HEAD = {"_cls_pred_branch.0.weight": array(64, 64), "_cls_pred_branch.2.weight": array(1, 64)}


def names(content: dict[str, Any], path: str = "run7/ckpt_10.pt") -> list[str]:
    """What is found, by name."""
    return [item.name for item in find_discriminators(tree(content), Path(path))[0]]


PAIRS = """Discriminator Generator; DISCRIMINATOR GENERATOR; model_D model_G; modelD modelG; dis_a gen_a; disA
genA; disGA genA2B; disLB genB2A; disA2 gen; disContent enc_c; discA genA; patch_d g; state_D
state_G; D_A G_A; netD_A netG_A; netDA netGA; state_dict_D state_dict_G; dis_state_dict gen_state_dict; discr
gen; wd decoder; mpd generator; msd generator; mrd generator; mtd generator; D32k G32k; f0D40k
f0G40k; net_d net_g; disc_net gen_net; DNet GNet; dnet gnet; Dis Gen; D1 G1; d1 g1; advD gen;
image_disc image_gen; discrim gen; params_d params_g; Critic Generator; multiperioddisc head;
lm_disc gen; model:dis model:gen; Dmodel Gmodel; modeldis modelgen; VD G; netDiscriminator
netGenerator; D-A G-A; adversary gen; discriminator2 generator2"""


@pytest.mark.parametrize("pair", PAIRS.replace("\n", " ").split("; "))
def test_keys_of_a_mapping_are_read_word_by_word(pair: str) -> None:
    """Whatever the case, and whatever short word stands before or after."""
    judge, maker = pair.split()
    assert names({maker: G, judge: D, "epoch": 3}) == [judge]


FLAT = """model_D model_G; netD netG; D G; d g; disA genA; dis_a gen_a; discriminator generator; discA genA;
patch_d gen; model.discriminator model.generator; multiperioddisc head; wd x; dis gen;
module.model.discr module.model.gen; critic generator; Discriminator Generator; loss.disc encoder;
_discriminator _generator; D1 G1; gan.netD gan.netG"""


@pytest.mark.parametrize("pair", FLAT.replace("\n", " ").split("; "))
def test_dotted_names_are_read_too(pair: str) -> None:
    """The modules of one flat dict, as Lightning saves them."""
    judge, maker = pair.split()
    assert names({**prefixed(f"{maker}.", G), **prefixed(f"{judge}.", D)}) == [judge.removeprefix("module.")]


LAYERS = """down decoder dense dropout distill encoder.d unet.d d1 discount discrete_proj dis_embed conv_d hd std
blocks.0.d
disentangle use_discriminator head.3d"""


@pytest.mark.parametrize(
    "name",
    LAYERS.replace("\n", " ").split(),
)
def test_a_layer_is_no_discriminator(name: str) -> None:
    """The nearest names that must not fire, in a file that nothing else explains."""
    with pytest.raises(NoDiscriminator):
        names({**prefixed("x.", G), **prefixed(f"{name}.", D)})


def test_one_weight_under_a_word_is_a_layer() -> None:
    """`disc_embed.weight` and `wd.weight` are layers of something; a whole network of that name is not."""
    with pytest.raises(NoDiscriminator):
        names({**G, "disc_embed.weight": array(3, 3), "wd.weight": array(3, 3)})
    assert names({**G, **prefixed("wd.", D)}) == ["wd"]


@pytest.mark.parametrize(
    "key", ["optimizer_D", "optim_d", "D_opt", "d_scheduler", "sched_D", "scaler_d", "distill", "std"]
)
def test_training_state_is_no_discriminator(key: str) -> None:
    """Also where its key names the discriminator."""
    with pytest.raises((NoDiscriminator, GeneratorOnly)):
        names({"G": G, key: D})


def test_an_optimizer_is_known_by_what_it_holds() -> None:
    """`d_o` beside `d`; it is counted among what is left out."""
    found, left_out = find_discriminators(tree({"d": D, "d_o": ADAM}), Path("a.pt"))
    assert [item.name for item in found] == ["d"]
    assert [(item.name, item.reason) for item in left_out] == [("d_o", "optimizer or training state (2 tensors)")]


def test_the_discriminators_key_outweighs_the_folder() -> None:
    """`{state_dict_G, state_dict_D}` in a folder named netD_…: never the generator."""
    found, left_out = find_discriminators(tree({"state_dict_G": G, "state_dict_D": D}), Path("netD_faces/ckpt_5.pt"))
    assert [(item.name, item.certainty) for item in found] == [("state_dict_D", Certainty.CONFIRMED)]
    assert [(item.name, item.reason) for item in left_out] == [("state_dict_G", "the generator (3 tensors)")]


@pytest.mark.parametrize(
    ("content", "path", "expected"),
    [
        ({"a": D, "b": D}, "dis_1.pt", ["dis.a", "dis.b"]),
        ({"a": {"params": D}, "b": {"params": D}}, "netD_1.pt", ["netD.a.params", "netD.b.params"]),
        ({"params": D, "params_ema": D}, "netD_1.pt", ["netD"]),
        ({"weight": D}, "s2D488k.pth", ["s2D488k"]),
        ({"model": D}, "f0D40k.pth", ["f0D40k"]),
    ],
)
def test_a_file_named_after_it_holds_all_its_parts(content: dict[str, Any], path: str, expected: list[str]) -> None:
    """Domains are taken one by one, wrappers and averages are not."""
    assert names(content, path) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [({"a": CRITIC, "b": G}, "a"), ({"0": G, "1": CRITIC}, "1"), (prefixed("x.", G) | prefixed("y.", CRITIC), "y")],
)
def test_unnamed_networks_are_told_by_their_shapes(content: dict[str, Any], expected: str) -> None:
    """One narrows to a single output, the other raises the resolution; never more than inferred."""
    found, left_out = find_discriminators(tree(content), Path("ckpt_5.pt"))
    assert [(item.name, item.certainty) for item in found] == [(expected, Certainty.INFERRED)]
    assert len(left_out) == 1


@pytest.mark.parametrize("content", [{"a": CRITIC, "b": CRITIC}, {"a": D, "b": G}, {"a": CRITIC, "b": D}])
def test_unnamed_networks_that_cannot_be_told_are_named(content: dict[str, Any]) -> None:
    """Two critics, or none: both keys stand in the refusal."""
    with pytest.raises(NoDiscriminator, match="it holds 'a', 'b'"):
        names(content)


@pytest.mark.parametrize(
    "content",
    [
        {"model_state_dict": prefixed("actor.", mlp(45, 64, 12)) | prefixed("critic.", mlp(45, 64, 64, 1))},
        {"policy": mlp(45, 64, 12), "q1": mlp(45, 64, 64, 1), "q2": mlp(45, 64, 64, 1), "critic": mlp(45, 64, 64, 1)},
        {"critic": mlp(45, 64, 64, 1), "critic_target": mlp(45, 64, 64, 1)},
        {**prefixed("critic.", mlp(45, 64, 64, 1)), "std": array(12)},
        {"value_net": mlp(45, 64, 64, 1), "pi": mlp(45, 64, 12)},
    ],
)
def test_a_value_network_is_no_discriminator(content: dict[str, Any]) -> None:
    """A critic beside a policy estimates returns; beside a generator it judges."""
    with pytest.raises(NoDiscriminator):
        names(content)
    judge = {"trunk.0.weight": array(64, 60), "trunk.2.weight": array(64, 64), "amp_linear.weight": array(1, 64)}
    found, left_out = find_discriminators(tree({**content, "discriminator_state_dict": judge}), Path("model_5.pt"))
    assert [(item.name, len(item.tensors)) for item in found] == [("discriminator_state_dict", 3)]
    assert any("an actor or value network of reinforcement learning" in item.reason for item in left_out)
    assert names({"generator": G, "critic": CRITIC}) == ["critic"]


def test_pieces_of_one_discriminator_are_put_together() -> None:
    """A motion prior keeps its trunk and its one-layer head side by side among the policy's modules."""
    net = (
        prefixed("actor_mlp.", mlp(45, 64, 12))
        | prefixed("_disc_mlp.", mlp(45, 64, 64))
        | {"_disc_logits.weight": array(1, 64)}
    )
    ((found,), _) = find_discriminators(tree({"model": prefixed("a2c_network.", net)}), Path("Humanoid.pth"))
    assert (found.name, found.why) == (
        "model.a2c_network._disc",
        "keys 'model.a2c_network._disc_mlp', 'model.a2c_network._disc_logits'",
    )
    assert list(found.tensors) == ["_disc_mlp.0.weight", "_disc_mlp.1.weight", "_disc_logits.weight"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            {"generator": TRANSFORMER, "critic": {**TRANSFORMER, **prefixed("model.", HEAD)}},
            "critic.model._cls_pred_branch",
        ),
        ({"generator": TRANSFORMER, "critic": TRANSFORMER, **prefixed("", HEAD)}, "_cls_pred_branch"),
        ({**prefixed("fake_score.", {**TRANSFORMER, **HEAD})}, "fake_score._cls_pred_branch"),
        ({"critic": {**TRANSFORMER, **prefixed("gan_head.", mlp(64, 64, 1))}}, "critic.gan_head"),
        ({"D": {**prefixed("feature_networks.a.", G), **prefixed("disc.", D)}}, "D"),
        ({"D": {**prefixed("dino.model.", G), **D}}, "D"),
        ({"discriminator": D, "vgg19": G, "lpips": G, "inception": G}, "discriminator"),
    ],
)
def test_frozen_backbones_are_left_out(content: dict[str, Any], expected: str) -> None:
    """The head is examined, and the large network behind it is said to be none of it."""
    ((found,), left_out) = find_discriminators(tree(content), Path("model.pt"))
    assert found.name == expected
    assert not any("blocks" in name or "feature" in name or "dino" in name for name in found.tensors)
    assert any(item.reason.startswith(("the backbone", "a frozen")) for item in left_out)


def test_a_head_without_a_transformer_behind_it_is_a_last_layer() -> None:
    """`disc_head` of an ordinary discriminator belongs to it."""
    ((found,), _) = find_discriminators(tree({"D": {**D, **prefixed("disc_head.", mlp(64, 64, 1))}}), Path("a.pt"))
    assert (found.name, len(found.tensors)) == ("D", 5)


def test_a_critics_file_beside_an_actors_is_no_discriminator(tmp_path: Path) -> None:
    """`critic_5.pt` alone is one."""
    assert names(D, str(tmp_path / "critic_5.pt")) == ["critic"]
    (tmp_path / "actor_5.pt").touch()
    with pytest.raises(NoDiscriminator):
        names(D, str(tmp_path / "critic_5.pt"))


def test_a_folders_name_makes_no_discriminator_of_a_generator() -> None:
    """Shapes that raise the resolution contradict the folder; in a file that holds more they are left out."""
    assert names(D, "netD_run/5.pt") == ["discriminator"]
    with pytest.raises(GeneratorOnly, match="its shapes raise the resolution"):
        names(G, "netD_run/5.pt")
    assert names({"a": D, "b": G}, "netD_run/5.pt") == ["discriminator"]


def test_the_datas_spread_is_no_policys() -> None:
    """`mean` and `std` beside a critic are those of images."""
    assert names({"critic": CRITIC, "mean": array(3), "std": array(3)}) == ["critic"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"D": D, "D_ema": D, "G": G}, ["D"]),
        ({"D_ema": D, "G": G}, ["D_ema"]),
        ({"netD": D, "netD_ema": D}, ["netD"]),
        ({"ema": {"discriminator": D}, "model": {"discriminator": D}}, ["model.discriminator"]),
    ],
)
def test_a_moving_average_stands_in_where_it_is_alone(content: dict[str, Any], expected: list[str]) -> None:
    """And is left out beside its original."""
    assert names(content) == expected


SCALE = {
    f"convs.{n}.weight_{part}": array(*shape) for n in range(3) for part, shape in (("g", (8, 1, 1)), ("v", (8, 4, 3)))
}
LISTED = {f"discriminators.{n}.weight": array(8, 4, 3) for n in range(3)}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            {
                "net": {
                    "msd": prefixed("module.discriminators.0.", LISTED) | prefixed("module.discriminators.1.", LISTED)
                }
            },
            ["net.msd.discriminators.0", "net.msd.discriminators.1"],
        ),
        ({"msd": LISTED}, ["msd"]),
        ({"D": prefixed("cnns.0.", D) | prefixed("cnns.1.", D)}, ["D.cnns.0", "D.cnns.1"]),
        ({"D": prefixed("anything.0.", D) | prefixed("anything.1.", D)}, ["D.anything.0", "D.anything.1"]),
        ({"combd": prefixed("blocks.0.", SCALE) | prefixed("blocks.1.", SCALE)}, ["combd.blocks.0", "combd.blocks.1"]),
        ({"discriminators": {"0": SCALE, "1": D}}, ["discriminators.0", "discriminators.1"]),
        ({"D": {f"blocks.{n}.{part}.weight": array(64, 64) for n in range(3) for part in "qk"}}, ["D"]),
        (
            {
                "D": layers((64, 3, 3, 3), (64, 64, 3, 3), name="block0.{}")
                | layers((128, 64, 3, 3), (128, 128, 3, 3), name="block1.{}")
            },
            ["D"],
        ),
        ({"D": {f"heads.{n}.weight": array(1, 64) for n in range(3)}}, ["D"]),
    ],
)
def test_members_are_whole_networks(content: dict[str, Any], expected: list[str]) -> None:
    """Networks beside each other come one by one; layers and blocks in a row stay in one."""
    assert names(content) == expected


NO_CRITICS = {
    "vocoder": layers((512, 80, 7), (512, 256, 16), (256, 128, 16), (128, 128, 3), (1, 128, 7)),
    "named vocoder": {
        "conv_pre.weight_v": array(512, 80, 7),
        "ups.0.weight_v": array(512, 256, 16),
        "conv_post.weight_v": array(1, 256, 7),
    },
    "grey super-resolution": layers((64, 1, 9, 9), *[(64, 64, 3, 3)] * 8, (256, 64, 3, 3), (1, 64, 9, 9)),
    "residual trunk": layers((64, 1, 3, 3), *[(64, 64, 3, 3)] * 8, (1, 64, 3, 3)),
    "SRCNN": layers((64, 1, 9, 9), (32, 64, 5, 5), (1, 32, 5, 5)),
    "U-Net": layers((64, 1, 3, 3), (128, 64, 3, 3), (256, 128, 3, 3), (128, 256, 3, 3), (64, 128, 3, 3), (1, 64, 1, 1)),
    "transposed": layers((100, 512, 4, 4), (512, 256, 4, 4), (256, 128, 4, 4), (128, 1, 4, 4)),
    "two hidden dense layers": layers((16, 1, 3, 3), (32, 16, 3, 3), (64, 32, 3, 3), (128, 3136), (1, 128)),
    "named classifier": {
        **layers((32, 3, 4, 4), (64, 32, 4, 4), name="features.{}"),
        "classifier.weight": array(1, 64),
    },
    "recurrent": {"lstm.weight_ih_l0": array(256, 20), "lstm.weight_hh_l0": array(256, 64), "out.weight": array(1, 64)},
    "widening restorer": layers((32, 1, 3, 3), (64, 32, 3, 3), (128, 64, 3, 3), (1, 128, 3, 3)),
    "depthwise classifier": layers((32, 3, 3, 3), (32, 1, 3, 3), (64, 32, 1, 1), (64, 1, 3, 3), (1, 64)),
    "ten classes": layers((32, 3, 4, 4), (64, 32, 4, 4), (10, 1024)),
    "generator of numbers": mlp(8, 64, 64, 784),
}


@pytest.mark.parametrize("kind", NO_CRITICS)
def test_one_output_makes_no_discriminator(kind: str) -> None:
    """Networks that end in one channel or one number and judge nothing: a shape alone does not take them."""
    with pytest.raises(NoDiscriminator):
        names(NO_CRITICS[kind], "weights.pt")


@pytest.mark.parametrize("name", ["unet.pt", "defect_classifier.pt", "vocoder_5.pt", "SR_x4.pt", "value_net.pt"])
def test_a_file_that_names_itself_otherwise_is_not_inferred(name: str) -> None:
    """The shapes of a critic in a file that says that it is none."""
    assert names(CRITIC, "weights.pt") == ["weights"]
    with pytest.raises(NoDiscriminator):
        names(CRITIC, name)


CRITICS: dict[str, dict[str, Any]] = {
    "PatchGAN": layers((64, 3, 4, 4), (128, 64, 4, 4), (256, 128, 4, 4), (1, 256, 4, 4)),
    "dense": mlp(784, 512, 256, 1),
    "old weight norm": {
        f"convs.{n}.weight_{part}": array(*(shape if part == "v" else (shape[0], 1, 1)))
        for n, shape in enumerate(((16, 1, 15), (64, 16, 41), (256, 64, 41), (1, 256, 3)))
        for part in "gv"
    },
    "new weight norm": {
        f"convs.{n}.parametrizations.weight.original{part}": array(*(shape if part else (shape[0], 1, 1)))
        for n, shape in enumerate(((16, 1, 15), (64, 16, 41), (256, 64, 41), (1, 256, 3)))
        for part in (0, 1)
    },
    "spectral norm": {
        f"main.{n}.weight_{part}": array(*(shape if part == "orig" else shape[:1]))
        for n, shape in enumerate(((64, 3, 4, 4), (128, 64, 4, 4), (1, 128, 4, 4)))
        for part in ("orig", "u", "v")
    },
    "channels last": {
        "params": {
            "Conv_0": {"kernel": array(4, 4, 3, 32), "bias": array(32)},
            "Conv_1": {"kernel": array(4, 4, 32, 64), "bias": array(64)},
            "Dense_0": {"kernel": array(1024, 1), "bias": array(1)},
        }
    },
}


@pytest.mark.parametrize("kind", CRITICS)
def test_a_shape_infers_in_every_form(kind: str) -> None:
    """Also where weights are stored in pieces, and where their axes are in another order."""
    ((found,), _) = find_discriminators(tree(CRITICS[kind]), Path("weights.pt"))
    assert found.certainty is Certainty.INFERRED


def test_a_u_net_is_a_discriminator_where_the_file_says_so() -> None:
    """Its encoder and decoder are no generator's then; a file of these alone is one."""
    nested = {"params": {"encoder": CRITICS["channels last"]["params"], "decoder": CRITICS["channels last"]["params"]}}
    ((found,), _) = find_discriminators(tree(nested), Path("discriminator.pt"))
    assert len(found.tensors) == 12
    with pytest.raises(GeneratorOnly, match=r"key 'params\.decoder'"):
        names({"params": {"decoder": G}}, "model.pt")


def test_the_generator_is_found_by_its_key() -> None:
    """One and no average; two are not chosen between."""
    assert find_generator(tree({"state_dict_G": G, "G_ema": G, "D": D})) == G
    assert find_generator(tree({"genA2B": G, "genB2A": G})) is None
