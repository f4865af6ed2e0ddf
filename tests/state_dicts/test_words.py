"""Words in names: what cuts them, and whose weights they say these are."""

from __future__ import annotations

from pathlib import Path

import pytest

from spectral_doctor.state_dicts.words import Role, file_role, words_of


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("netD_A", "net d a"),
        ("DISCRIMINATOR", "discriminator"),
        ("SNResNetProjectionDiscriminator", "sn res net projection discriminator"),
        ("disGA", "dis ga"),
        ("genA2B", "gen a 2 b"),
        ("f0D40k", "f 0 d 40 k"),
        ("s2Dv3", "s 2 d v 3"),
        ("model_3d", "model 3d"),
        ("discriminator_at_24fae3c0", "discriminator at"),
        ("_cls_pred_branch", "cls pred branch"),
    ],
)
def test_names_are_cut_into_words(name: str, words: str) -> None:
    """At capitals, digits and signs; dimensions stay whole, hashes fall out."""
    assert " ".join(words_of(name)) == words


@pytest.mark.parametrize(
    ("path", "role"),
    [
        ("D.pth", Role.DISCRIMINATOR),
        ("netD_5.pth", Role.DISCRIMINATOR),
        ("net_d_5.pth", Role.DISCRIMINATOR),
        ("do_00005", Role.DISCRIMINATOR),
        ("disc_10", Role.DISCRIMINATOR),
        ("dcgan_discriminator_mnist.pth", Role.DISCRIMINATOR),
        ("SNResNetProjectionDiscriminator_1.npz", Role.DISCRIMINATOR),
        ("critic.pt", Role.DISCRIMINATOR),
        ("latest/discriminator/weights.pth", Role.DISCRIMINATOR),
        ("G.ckpt", Role.GENERATOR),
        ("netG_best.pth", Role.GENERATOR),
        ("generator_epoch_10.pth", Role.GENERATOR),
        ("g_00005000", Role.GENERATOR),
        ("f0D40k.pth", Role.DISCRIMINATOR),
        ("f0G40k.pth", Role.GENERATOR),
        ("s2D488k.pth", Role.DISCRIMINATOR),
        ("s2Gv3.pth", Role.GENERATOR),
        ("state_dict_D.pt", Role.DISCRIMINATOR),
        ("disA_3.pth", Role.DISCRIMINATOR),
        ("patch_d_3.pt", Role.DISCRIMINATOR),
        ("mpd_100.pt", Role.DISCRIMINATOR),
        ("model_1.safetensors", Role.DISCRIMINATOR),
        ("G_A2B.pth", Role.GENERATOR),
        ("netD/G_7.pth", Role.GENERATOR),
        ("model.pt", Role.UNKNOWN),
        ("ldm_2D.pt", Role.UNKNOWN),
        ("latent_128d.pt", Role.UNKNOWN),
        ("weights_d41d8cd98f.pt", Role.UNKNOWN),
        ("condition.pt", Role.UNKNOWN),
        ("distilled.pt", Role.UNKNOWN),
        ("model_2.safetensors", Role.UNKNOWN),
        ("3d_model.pt", Role.UNKNOWN),
        ("G_and_D.pt", Role.UNKNOWN),
        ("gan-checkpoints.pt", Role.UNKNOWN),
    ],
)
def test_a_file_name_says_whose_weights_it_holds(path: str, role: Role) -> None:
    """Words, not letters inside words."""
    assert file_role(Path(path))[0] is role
