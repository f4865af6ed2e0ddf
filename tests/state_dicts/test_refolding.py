"""Matrices go back where they came from, in every form a weight is stored in."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import spectral_norm as old_spectral_norm
from torch.nn.utils import weight_norm as old_weight_norm
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from spectral_doctor.arrays import live_arrays
from spectral_doctor.compensation import StaticCompensation, compensate
from spectral_doctor.elements import Values
from spectral_doctor.errors import WeightError
from spectral_doctor.records import SkippedLayer
from spectral_doctor.spectrum import singular_system
from spectral_doctor.state_dicts.compensating import project
from spectral_doctor.state_dicts.matrices import StoredLayer, collect_layers, collect_stored
from spectral_doctor.state_dicts.refolding import refolded, store_matrices

MODULES: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(7, 5),
    "1×1": lambda: nn.Linear(1, 1),
    "tall": lambda: nn.Linear(3, 20),
    "conv1d": lambda: nn.Conv1d(3, 8, 5),
    "conv2d": lambda: nn.Conv2d(4, 6, 3),
    "conv3d": lambda: nn.Conv3d(2, 4, 2),
    "transposed": lambda: nn.ConvTranspose2d(6, 4, 3),
}
WRAPS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "plain": lambda module: module,
    "spectral norm, new": spectral_norm,
    "spectral norm, old": old_spectral_norm,
    "weight norm, new": weight_norm,
}


def stored_in(tensors: Mapping[str, Tensor]) -> tuple[tuple[StoredLayer, ...], tuple[SkippedLayer, ...]]:
    """The stored weights among some live tensors."""
    return collect_stored(live_arrays(tensors))


def state(module: str, wrap: str) -> dict[str, Tensor]:
    """The state dict of a wrapped layer, after one pass."""
    torch.manual_seed(0)
    return {f"layer.{key}": value.clone() for key, value in WRAPS[wrap](MODULES[module]()).state_dict().items()}


def grouped() -> dict[str, Tensor]:
    """A chain whose second convolution has two groups."""
    chain = nn.Sequential(nn.Conv1d(1, 8, 3), nn.Conv1d(8, 16, 3, groups=2))
    return {f"convs.{key}": value.clone() for key, value in chain.state_dict().items()}


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("module", MODULES)
def test_matrices_fold_back_into_the_weight(module: str, wrap: str) -> None:
    """Cutting and joining changes nothing."""
    for layer in stored_in(state(module, wrap))[0]:
        np.testing.assert_array_equal(
            refolded([item.read() for item in layer.layers], layer), layer.stored.weight.read()
        )


def test_groups_and_attention_fold_back() -> None:
    """Several matrices a tensor."""
    attention = nn.MultiheadAttention(8, 2).state_dict()
    for tensors in (grouped(), dict(attention)):
        several = [layer for layer in stored_in(tensors)[0] if len(layer.layers) > 1]
        assert several
        for layer in several:
            joined = refolded([item.read() for item in layer.layers], layer)
            np.testing.assert_array_equal(joined, layer.stored.weight.read())


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("module", MODULES)
def test_a_stored_matrix_is_read_again(module: str, wrap: str) -> None:
    """What is written is what is read, in the same keys, shapes and types; the bias keeps its bits."""
    tensors = state(module, wrap)
    before = {key: value.clone() for key, value in tensors.items()}
    (layer,) = stored_in(tensors)[0]
    treated = [compensate(item.read(), StaticCompensation(0.5, scale=1.3)) for item in layer.layers]
    store_matrices([item.matrix for item in treated], layer)
    assert {key: (value.shape, value.dtype) for key, value in tensors.items()} == {
        key: (value.shape, value.dtype) for key, value in before.items()
    }
    assert torch.equal(tensors["layer.bias"], before["layer.bias"])
    for read, written in zip(collect_layers(live_arrays(tensors))[0], treated, strict=True):
        np.testing.assert_allclose(read.read(), written.matrix, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("module", ["linear", "conv2d", "transposed", "conv1d"])
@pytest.mark.parametrize("wrap", ["spectral norm, new", "spectral norm, old"])
def test_a_network_that_loads_it_has_norm_one(module: str, wrap: str) -> None:
    """The power iteration's vectors are the new weight's, so σ1 of the normalised weight is 1 at once."""
    tensors = state(module, wrap)
    (layer,) = stored_in(tensors)[0]
    matrix = compensate(layer.layers[0].read(), StaticCompensation(0.5, scale=3.0)).matrix
    store_matrices([matrix], layer)
    network = WRAPS[wrap](MODULES[module]())
    network.load_state_dict({key.removeprefix("layer."): value for key, value in tensors.items()})
    network.eval()
    size = {"linear": (1, 7), "conv2d": (1, 4, 5, 5), "transposed": (1, 6, 5, 5), "conv1d": (1, 3, 9)}[module]
    network(torch.zeros(size))
    weight: Tensor = network.weight  # type: ignore[assignment]
    flat = weight.movedim(1 if module == "transposed" else 0, 0).flatten(1).detach()
    assert np.linalg.svd(flat.numpy(), compute_uv=False)[0] == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("module", [name for name in MODULES if name != "1×1"])
@pytest.mark.parametrize("wrap", ["spectral norm, new", "spectral norm, old"])
def test_a_projection_decomposes_once(module: str, wrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The vectors of the compensated weight are known; taken from a decomposition of it they are the same."""
    known, anew = state(module, wrap), state(module, wrap)
    (layer,) = stored_in(anew)[0]
    chosen = StaticCompensation(0.5, scale=3.0)
    store_matrices([compensate(item.read(), chosen).matrix for item in layer.layers], layer)
    calls: list[int] = []

    def counted(matrix: Values) -> object:
        calls.append(1)
        return singular_system(matrix)

    monkeypatch.setattr("spectral_doctor.spectrum.singular_system", counted)
    monkeypatch.setattr("spectral_doctor.state_dicts.refolding.singular_system", counted)
    project(live_arrays(known), lambda weight, spectrum: chosen)
    assert len(calls) == len(layer.layers) + (len(layer.layers) > 1)
    for key, value in known.items():
        torch.testing.assert_close(value, anew[key], rtol=1e-4, atol=1e-5)


def test_stale_vectors_would_give_another_norm() -> None:
    """The negative: with the raw weight alone changed the normalised weight's σ1 is not 1."""
    tensors = state("linear", "spectral norm, new")
    raw = tensors["layer.parametrizations.weight.original"]
    u, s, vt = torch.linalg.svd(raw, full_matrices=False)
    raw.copy_(u @ torch.diag(s.flip(0)) @ vt)
    network = spectral_norm(nn.Linear(7, 5))
    network.load_state_dict({key.removeprefix("layer."): value for key, value in tensors.items()})
    weight: Tensor = network.eval().weight  # type: ignore[assignment]
    assert abs(float(torch.linalg.matrix_norm(weight.detach(), 2)) - 1.0) > 0.05


def test_weight_norm_keeps_the_length_of_its_direction() -> None:
    """v has new directions and old lengths, g the new lengths, in the old API too."""
    with pytest.warns(FutureWarning):
        module = old_weight_norm(nn.Conv2d(3, 6, 3))
    tensors = {f"layer.{key}": value.clone() for key, value in module.state_dict().items()}
    lengths = tensors["layer.weight_v"].flatten(1).norm(dim=1)
    (layer,) = stored_in(tensors)[0]
    treated = compensate(layer.layers[0].read(), StaticCompensation(1.0)).matrix
    store_matrices([treated], layer)
    torch.testing.assert_close(tensors["layer.weight_v"].flatten(1).norm(dim=1), lengths)
    torch.testing.assert_close(tensors["layer.weight_g"].flatten(), torch.from_numpy(treated).float().norm(dim=1))


def test_a_negative_magnitude_keeps_the_signs_of_its_rows() -> None:
    """g < 0 turns its row of v around; the weight that is read again is the one that was written."""
    tensors = {"l.weight_g": torch.tensor([[-2.0], [3.0], [-0.5]]), "l.weight_v": torch.randn(3, 4)}
    (layer,) = stored_in(tensors)[0]
    treated = compensate(layer.layers[0].read(), StaticCompensation(1.0)).matrix
    store_matrices([treated], layer)
    assert (tensors["l.weight_g"].flatten() < 0).tolist() == [True, False, True]
    np.testing.assert_allclose(collect_layers(live_arrays(tensors))[0][0].read(), treated, rtol=1e-5, atol=1e-6)


def test_strangers_vectors_and_values_are_refreshed() -> None:
    """BigGAN's u0 and sv0, and Chainer's u."""
    torch.manual_seed(0)
    weight = torch.randn(6, 4, 3, 3)
    tensors = {"conv.weight": weight, "conv.u0": torch.randn(1, 6), "conv.sv0": torch.ones(1)}
    (layer,) = stored_in(tensors)[0]
    store_matrices([compensate(layer.layers[0].read(), StaticCompensation(0.5)).matrix], layer)
    sigma = torch.linalg.matrix_norm(weight.flatten(1), 2)
    torch.testing.assert_close(tensors["conv.sv0"], sigma.view(1))
    image = tensors["conv.u0"] @ weight.flatten(1)
    torch.testing.assert_close(image.norm(), sigma, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ({"l.weight_orig": torch.ones(3, 4), "l.weight_mask": torch.ones(3, 4)}, "a pruned weight"),
        ({"l.weight": torch.ones(1, 4).expand(3, 4)}, "a view that repeats its values"),
    ],
)
def test_what_cannot_be_written_says_so(tensors: dict[str, Tensor], sentence: str) -> None:
    """Pruned weights and broadcast views keep what they hold."""
    stored, _ = stored_in(tensors)
    if not stored:  # a view that claims more than it holds is not even read
        return
    with pytest.raises(WeightError, match=sentence):
        store_matrices([np.ones((3, 4))], stored[0])


def test_other_matrices_are_refused() -> None:
    """Their shapes must be those that were cut."""
    (layer,) = stored_in({"l.weight": torch.ones(3, 4)})[0]
    with pytest.raises(WeightError, match="matrices that are not those of 'l'"):
        store_matrices([np.ones((4, 3))], layer)
