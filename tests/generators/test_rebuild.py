"""A rebuilt generator against the module that its tensors come from."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from spectral_doctor.arrays import Array
from spectral_doctor.generators.fitting import drawn
from spectral_doctor.generators.rebuild import rebuilt
from spectral_doctor.generators.records import NotRebuilt, Rebuilt, Sampler
from spectral_doctor.generators.sampling import sample
from tests.generators.modules import (
    ProjectedDcgan,
    ResidualGenerator,
    Upsampled,
    arrays_of,
    dcgan,
    normed_perceptron,
    perceptron,
    remembering,
    spectrally_normalised,
)

# Sums of thousands of products in float32, in another order.
TOLERANCE = 1000 * float(np.finfo(np.float32).eps)
WAY_OUT = "name its code with --generator FILE.py:FACTORY"


def made_of(network: dict[str, Array]) -> Rebuilt:
    """The rebuilt generator; it has to be one."""
    made = rebuilt(network)
    assert isinstance(made, Rebuilt), made
    return made


def ready(made: Rebuilt) -> Sampler:
    """The generator ready to run; it has to be."""
    sampler = made.ready()
    assert isinstance(sampler, Sampler), sampler
    return sampler


def gap(module: nn.Module, network: dict[str, Array], latent: Tensor) -> float:
    """The largest difference between a module's samples and those of what is rebuilt from tensors."""
    with torch.no_grad():
        one, other = module.eval()(latent), ready(made_of(network)).forward(latent)
    assert one.shape == other.shape
    return float((one - other).abs().max())


def latents(*shape: int) -> Tensor:
    """256 latents."""
    return drawn(shape, 256, 3)


CASES: list[tuple[str, Callable[[], nn.Module], tuple[int, ...]]] = [
    ("perceptron", perceptron, (16,)),
    ("perceptron of few outputs", lambda: perceptron(outputs=2), (16,)),
    ("perceptron with PReLU", lambda: perceptron(nn.PReLU), (16,)),
    ("perceptron under spectral norm", lambda: spectrally_normalised(perceptron()), (16,)),
    ("perceptron with norms", lambda: normed_perceptron(nn.ReLU), (16,)),
    ("perceptron with norms and leaky ReLU", lambda: normed_perceptron(lambda: nn.LeakyReLU(0.2)), (16,)),
    ("perceptron with norms and epsilon 0.8", lambda: normed_perceptron(lambda: nn.LeakyReLU(0.2), 0.8), (16,)),
    ("perceptron with norms and ELU", lambda: normed_perceptron(nn.ELU), (16,)),
    ("DCGAN", dcgan, (12, 1, 1)),
    ("DCGAN with leaky ReLU", lambda: dcgan(lambda: nn.LeakyReLU(0.2)), (12, 1, 1)),
    ("DCGAN under spectral norm", lambda: spectrally_normalised(dcgan()), (12, 1, 1)),
    ("projected DCGAN, stride 1", ProjectedDcgan, (12,)),
    ("projected DCGAN, stride 2", lambda: ProjectedDcgan(2), (12,)),
    ("upsampled", Upsampled, (12,)),
    ("residual, nearest", ResidualGenerator, (12,)),
    ("residual, bilinear", lambda: ResidualGenerator("bilinear"), (12,)),
]


@pytest.mark.parametrize(("build", "shape"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_rebuilt_generator_makes_what_its_module_makes(
    build: Callable[[], nn.Module], shape: tuple[int, ...]
) -> None:
    """In evaluation mode, whichever way its tensors are ordered; the negative: a weight that is changed shows."""
    torch.manual_seed(0)
    module = remembering(build(), *shape)
    network = arrays_of(module)
    assert made_of(network).latent_shape == shape
    assert gap(module, network, latents(*shape)) < TOLERANCE
    by_name = dict(sorted(network.items()))
    assert gap(module, by_name, latents(*shape)) < TOLERANCE
    with torch.no_grad():
        list(module.parameters())[-1].add_(0.5)
    assert gap(module, network, latents(*shape)) > 100 * TOLERANCE


def test_latents_that_were_uniform_are_noticed() -> None:
    """By what the first norm remembers; the negative: Gaussian ones are not taken for uniform."""
    torch.manual_seed(0)
    for uniform in (True, False):
        module = remembering(dcgan(), 12, 1, 1, uniform=uniform)
        assert ready(made_of(arrays_of(module))).uniform is uniform


def test_another_activation_than_the_assumed_one_differs() -> None:
    """Without norms nothing tells the activation: ReLU is assumed, and said to be."""
    torch.manual_seed(0)
    module = perceptron(nn.Tanh)
    network = arrays_of(module)
    assert gap(module, network, latents(16)) > 100 * TOLERANCE
    sampler = ready(made_of(network))
    assert sampler.others.keys() == {"leaky relu 0.2"}
    assert ready(made_of(arrays_of(remembering(normed_perceptron(nn.ReLU), 16)))).others == {}
    assert sampler.why == (
        "relu between layers, tanh at the end, Gaussian latents: assumed, for the file does not hold them and no batch "
        "norm remembers"
    )


def test_weight_norm_is_undone() -> None:
    """A weight in two tensors is one layer."""
    torch.manual_seed(0)
    module = perceptron()
    for part in (module[0], module[2]):
        parametrizations.weight_norm(part)
    assert gap(module, arrays_of(module), latents(16)) < TOLERANCE


def test_norms_that_remember_something_else_refuse_the_guess() -> None:
    """A network that is no plain chain, though its shapes say so, is found out."""
    torch.manual_seed(0)
    network = arrays_of(remembering(dcgan(), 12, 1, 1))
    for name, array in network.items():
        if name.endswith("running_var"):
            array.write(array.read() * 30)
    found = made_of(network).ready()
    assert isinstance(found, NotRebuilt)
    assert found.reason.startswith(
        "what its batch norms remember fits no guess of its activations and strides (mismatch "
    )
    assert found.reason.endswith(f"at most 0.5); {WAY_OUT}")


class Labelled(nn.Module):
    """A generator that takes a label."""

    def __init__(self) -> None:
        super().__init__()
        self.label_emb, self.model = nn.Embedding(10, 10), perceptron()


class Grouped(nn.Module):
    """A generator with a norm whose kind is not stored."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.norm, self.two = nn.Linear(4, 8), nn.GroupNorm(2, 8), nn.Linear(8, 4)


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (
            nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 1, 3)),
            "its first layer '0' is a convolution: it takes a picture or a signal, no latent",
        ),
        (
            nn.Sequential(nn.Linear(4, 8), nn.Linear(9, 8)),
            "its layers form no chain: '1' of shape (8, 9) does not follow '0' of shape (8, 4)",
        ),
        (Labelled(), "it takes a label beside the latent"),
        (
            Grouped(),
            "'norm' is a normalisation without stored statistics: layer, group or instance norm, the file does "
            "not say which",
        ),
        (nn.Sequential(nn.Linear(4, 8), nn.GRU(8, 8)), "a layer of it has several weights"),
    ],
    ids=["takes a picture", "no chain", "label", "group norm", "recurrent"],
)
def test_why_a_generator_is_not_rebuilt(module: nn.Module, reason: str) -> None:
    """The reason names the layer, and the way out."""
    assert rebuilt(arrays_of(module)) == NotRebuilt(f"{reason}; {WAY_OUT}")


def test_samples_are_the_seeds() -> None:
    """The same for the same seed, others for another."""
    made = made_of(arrays_of(perceptron()))
    one, again, other = sample(made, 100, 1), sample(made, 100, 1), sample(made, 100, 2)
    assert isinstance(one, np.ndarray)
    assert one.shape == (100, 784)
    np.testing.assert_array_equal(one, again)
    assert isinstance(other, np.ndarray)
    assert not np.array_equal(one, other)


def test_too_many_values_and_broken_ones_are_refused() -> None:
    """More samples than memory takes, and NaN."""
    assert sample(made_of(arrays_of(perceptron())), 2**20) == NotRebuilt(
        "1048576 samples of shape (784,) are more than the 2^28 values that are held here"
    )
    network = arrays_of(perceptron())
    network["0.bias"].write(np.full(32, np.nan, np.float32))
    assert sample(made_of(network)) == NotRebuilt("its samples hold NaN or infinity")


def test_a_small_file_cannot_fill_the_memory() -> None:
    """Sixty convolutions of a few values, each doubling the sides, are refused before the memory is taken."""
    parts = {f"conv{index}": nn.Conv2d(1, 1, 3) for index in range(60)}
    network = arrays_of(nn.ModuleDict({"fc": nn.Linear(4, 16), **parts}))
    found = made_of(network).ready()
    assert found == NotRebuilt("it cannot be run: a map of 1 × 4096 × 4096 values is larger than is made here")


def test_what_may_be_read_in_many_ways_is_refused_at_once() -> None:
    """Sixty layers that fit either way round, and one at the end that does not, are tried once each."""
    parts = {f"conv{index}": nn.Conv2d(8, 8, 3) for index in range(60)}
    network = arrays_of(nn.ModuleDict({"fc": nn.Linear(4, 128), **parts, "last": nn.Conv2d(9, 1, 3)}))
    assert rebuilt(network) == NotRebuilt(
        "its layers form no chain: 'last' of shape (1, 9, 3, 3) does not follow 'conv59' of shape (8, 8, 3, 3); "
        f"{WAY_OUT}"
    )


def test_rebuilding_imports_no_torch() -> None:
    """Only what is made ready needs it."""
    script = (
        "import sys\nimport numpy as np\n"
        "from spectral_doctor.arrays import Plain\n"
        "from spectral_doctor.generators.evidence import witness\n"
        "from spectral_doctor.generators.rebuild import rebuilt\n"
        "made = rebuilt({'0.weight': Plain(np.ones((8, 4), 'f4')), '2.weight': Plain(np.ones((2, 8), 'f4'))})\n"
        "assert made.latent_dim == 4\nassert 'torch' not in sys.modules\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
