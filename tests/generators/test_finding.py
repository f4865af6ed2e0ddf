"""Where generators are found, and how one of a known recipe or factory is built."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from spectral_doctor.arrays import Live
from spectral_doctor.errors import UsageError
from spectral_doctor.gan.builtin import RECIPES
from spectral_doctor.generators.evidence import witness
from spectral_doctor.generators.exact import by_factory, by_recipe, with_recipe
from spectral_doctor.generators.finding import generators_of, siblings_of, spectra_of_generator
from spectral_doctor.generators.records import GeneratorNetwork, NotRebuilt, Rebuilt, RecipeName, SampleEvidence
from spectral_doctor.spectrum import singular_values
from spectral_doctor.training.folder import RunFolder, write_state
from spectral_doctor.training.state import TrainingState
from tests.generators.modules import arrays_of, dcgan, perceptron


def critic() -> nn.Sequential:
    """A small discriminator."""
    return nn.Sequential(nn.Linear(784, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))


@pytest.mark.parametrize(
    ("judge", "maker"),
    [
        ("netD_epoch_5.pth", "netG_epoch_5.pth"),
        ("D.ckpt", "G.ckpt"),
        ("discriminator_epoch_10.pth", "generator_epoch_10.pth"),
        ("Discriminator-3.pt", "Generator-3.pt"),
        ("critic.pt", "generator.pt"),
        ("do_00500.pth", "g_00500.pth"),
        ("disc_7.pt", "gen_7.pt"),
        ("d_7.pt", "g_7.pt"),
        ("netD/netD_9_steps.pth", "netG/netG_9_steps.pth"),
        ("discriminator/9.pth", "generator/9.pth"),
    ],
)
def test_the_generator_beside_is_found(tmp_path: Path, judge: str, maker: str) -> None:
    """In the file of the same step whose name has the generator's word; the negative: not in that of another step."""
    for name, module in ((judge, critic()), (maker, perceptron())):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        torch.save(module.state_dict(), tmp_path / name)
    (found,) = generators_of(tmp_path / judge)
    assert found.location == str(tmp_path / maker)
    assert found.arrays.keys() == perceptron().state_dict().keys()
    (tmp_path / maker).rename((tmp_path / maker).with_name(maker.rsplit("/", 1)[-1].replace(".", "_other.")))
    assert generators_of(tmp_path / judge) == ()


def test_a_word_inside_another_names_no_generator(tmp_path: Path) -> None:
    """`model_d.pt` has a letter of its own, `mod.pt` and `dense.pt` have not."""
    for name in ("mod.pt", "mog.pt", "dense.pt", "gense.pt", "model_d.pt", "model_g.pt"):
        torch.save(critic().state_dict(), tmp_path / name)
    assert list(siblings_of(tmp_path / "mod.pt")) == []
    assert list(siblings_of(tmp_path / "dense.pt")) == []
    assert list(siblings_of(tmp_path / "model_d.pt")) == [tmp_path / "model_g.pt"]


def test_generators_in_the_file_come_with_their_names_and_averages_last(tmp_path: Path) -> None:
    """By key; a file of a generator alone is one too, and a discriminator alone has none."""
    content = {
        name: module.state_dict() for name, module in (("g_ema", dcgan()), ("netG", dcgan()), ("netD", critic()))
    }
    torch.save(content, tmp_path / "both.pt")
    assert [item.name for item in generators_of(tmp_path / "both.pt")] == ["netG", "g_ema"]
    torch.save({"state_dict": dcgan().state_dict(), "epoch": 3}, tmp_path / "generator.pt")
    (alone,) = generators_of(tmp_path / "generator.pt")
    assert alone.arrays.keys() == dcgan().state_dict().keys()
    torch.save(critic().state_dict(), tmp_path / "alone.pt")
    assert generators_of(tmp_path / "alone.pt") == ()


def test_a_neighbour_that_is_torn_is_none(tmp_path: Path) -> None:
    """What the checkpoint itself holds is examined all the same."""
    torch.save(critic().state_dict(), tmp_path / "netD.pth")
    (tmp_path / "netG.pth").write_bytes(b"torn")
    assert generators_of(tmp_path / "netD.pth") == ()


def test_the_spectra_of_a_generator_are_those_of_its_weights(tmp_path: Path) -> None:
    """One a layer, by the decomposition that all spectra come from."""
    torch.save({"netG": perceptron().state_dict(), "netD": critic().state_dict()}, tmp_path / "both.pt")
    (found,) = generators_of(tmp_path / "both.pt")
    spectra = spectra_of_generator(found)
    assert [item.identity.name for item in spectra] == ["0", "2", "4"]
    expected = singular_values(found.arrays["2.weight"].read())
    assert spectra[1].spectrum is not None
    assert spectra[1].spectrum.values == tuple(expected)


def state_of(name: str, folder: Path, *, as_folders: bool, **changes: str) -> tuple[TrainingState, Path]:
    """A training state of ours, and where it was written."""
    recipe = RECIPES[name].build(RECIPES[name].settings.changed(changes))
    state = TrainingState.fresh(recipe, 0, name=name)
    return state, write_state(RunFolder(folder, as_folders), 0, state.content(None))


@pytest.mark.parametrize("as_folders", [False, True], ids=["file", "folder"])
@pytest.mark.parametrize("name", ["ring", "stacked-glyphs"])
def test_a_state_of_ours_is_built_by_its_recipe(tmp_path: Path, name: str, as_folders: bool) -> None:
    """Its average where it has one, with the recipe's latents; to the last bit what the run's own generator makes."""
    state, path = state_of(name, tmp_path, as_folders=as_folders, ema="0.9", latent_dim="24")
    checkpoint = path / "discriminator.safetensors" if as_folders else path
    average, own = generators_of(checkpoint)
    assert (average.name, own.name) == ("generator_ema", "generator")
    assert average.recipe is not None
    assert average.recipe.name == name
    made = by_recipe(average)
    assert isinstance(made, Rebuilt), made
    assert made.latent_dim == 24
    sampler = made.ready()
    assert not isinstance(sampler, NotRebuilt)
    assert sampler.latents is not None
    latent = sampler.latents(64, 1)
    with torch.no_grad():
        assert state.average is not None
        assert torch.equal(sampler.forward(latent), state.average.eval()(latent))


def test_the_settings_of_a_file_ask_for_no_more_than_its_tensors_hold() -> None:
    """A state that claims a width of a billion is refused before any memory is taken."""
    module = RECIPES["ring"].build(RECIPES["ring"].settings).networks()[0]
    claimed = RecipeName("ring", {"generator_channels": 10**9, "latent_dim": 32, "steps": "many"})
    refused = by_recipe(GeneratorNetwork("generator", arrays_of(module), "state.pt", claimed))
    assert refused == NotRebuilt(
        "it is not the generator of the recipe 'ring': other shapes '0.bias', '0.weight', '2.bias' and 2 more"
    )


def test_code_that_a_checkpoint_names_is_never_run(tmp_path: Path) -> None:
    """A recipe of a file is asked for by the user, or not at all."""
    trap = tmp_path / "trap.py"
    trap.write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\nRecipe = None\n")
    named = GeneratorNetwork("generator", arrays_of(perceptron()), "state.pt", RecipeName(f"{trap}:Recipe", {}))
    assert by_recipe(named) == NotRebuilt(
        f"its recipe '{trap}:Recipe' is not built in, and code that a file names is not run; name it with --recipe "
        "FILE.py:RECIPE"
    )
    assert not (tmp_path / "sprung").exists()


FACTORY = """
from torch import nn

class Squared(nn.Module):
    z_dim = 3

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(3, 8), nn.Linear(8, 5)

    def forward(self, latent):
        return self.two(self.one(latent) ** 2)

class Failing(Squared):
    def forward(self, latent):
        raise ValueError("no such latent")

nothing = 3

def failing():
    raise KeyError("mine")
"""


def test_a_factory_of_the_users_builds_what_no_name_tells(tmp_path: Path) -> None:
    """Loaded strictly; what is made is the module's own samples."""
    (tmp_path / "mine.py").write_text(FACTORY)
    from spectral_doctor.gan.own import load_attribute

    module = load_attribute(f"{tmp_path / 'mine.py'}:Squared")()
    made = by_factory(f"{tmp_path / 'mine.py'}:Squared", arrays_of(module))
    sampler = made.ready()
    assert not isinstance(sampler, NotRebuilt)
    assert made.latent_shape == (3,)
    latent = torch.randn(7, 3)
    with torch.no_grad():
        assert torch.equal(sampler.forward(latent), module(latent))
    failing = by_factory(f"{tmp_path / 'mine.py'}:Failing", arrays_of(module))
    assert witness(failing) == NotRebuilt("it does not run: ValueError: no such latent")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "Squared",
            "it is not the generator of the file: not in the code '0.bias', '0.weight', '2.bias' and 3 more, "
            "not in the file 'one.bias', 'one.weight', 'two.bias' and 1 more.",
        ),
        ("nothing", "making it failed with TypeError: 'int' object is not callable."),
        ("failing", "making it failed with KeyError: 'mine'."),
    ],
)
def test_a_factory_that_does_not_fit_says_why(tmp_path: Path, name: str, message: str) -> None:
    """As the user's own mistake."""
    (tmp_path / "mine.py").write_text(FACTORY)
    with pytest.raises(UsageError) as caught:
        by_factory(f"{tmp_path / 'mine.py'}:{name}", arrays_of(perceptron()))
    assert str(caught.value) == f"--generator {tmp_path / 'mine.py'}:{name}: {message}"


def test_a_recipe_of_the_users_is_taken_by_hand(tmp_path: Path) -> None:
    """Whatever wrote the file; and the evidence says how it was built."""
    recipe = RECIPES["ring"].build(RECIPES["ring"].settings)
    save_file(recipe.networks()[0].state_dict(), tmp_path / "generator.safetensors")
    (found,) = generators_of(tmp_path / "generator.safetensors")
    made = with_recipe(recipe, found.arrays, "ring")
    assert isinstance(made, Rebuilt)
    evidence = witness(made, count=100)
    assert isinstance(evidence, SampleEvidence)
    assert evidence.why == "built by the recipe 'ring', with its own latents"
    assert (evidence.samples, evidence.latent_dim) == (100, 32)
    assert not any(isinstance(array, Live) for array in found.arrays.values())
