"""W_SR in the forward pass: its values, its gradient, and its life among other people's modules."""

# What a parametrised module holds is dynamic, and so untyped.
# mypy: disable-error-code="union-attr,index,operator,no-untyped-call,arg-type,no-any-return,call-overload"

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import spectral_norm as old_spectral_norm
from torch.nn.utils.parametrizations import spectral_norm

from spectral_doctor import parametrizations
from spectral_doctor.compensation import Compensation, DynamicCompensation, StaticCompensation
from spectral_doctor.errors import CompensationError
from spectral_doctor.parametrizations import remove_spectral_regularization
from spectral_doctor.parametrizations.forward_pass import RaisedSpectrum


def spectral_regularization(module: nn.Module, *arguments: Any, **options: Any) -> Any:
    """The function under test, its result untyped: what a parametrised module holds is not a plain attribute."""
    return parametrizations.spectral_regularization(module, *arguments, **options)


MODULES: list[Callable[[], Any]] = [
    lambda: nn.Linear(1, 1),
    lambda: nn.Linear(2, 8),
    lambda: nn.Linear(8, 2),
    lambda: nn.Linear(12, 12),
    lambda: nn.Conv1d(3, 6, 3),
    lambda: nn.Conv2d(3, 8, 3),
    lambda: nn.Conv2d(8, 4, 1),
    lambda: nn.ConvTranspose2d(6, 4, 3),
    lambda: nn.Conv2d(8, 8, 3, groups=2),
]


def floors(rank: int) -> list[Compensation]:
    """Static, and an envelope."""
    return [StaticCompensation(0.5), DynamicCompensation(tuple(np.linspace(1.0, 0.5, rank).tolist()))]


def matrix_of(weight: Any, module: nn.Module) -> Tensor:
    """The weight as the paper reshapes it."""
    return weight.movedim(1 if isinstance(module, nn.ConvTranspose2d) else 0, 0).flatten(1)


def naive(matrix: Tensor, floor: Tensor) -> Tensor:
    """(W + Σ_{k≥2} (floor_k σ_1 − σ_k)₊ u_k v_kᵀ)/σ_1 with the vectors constant, written out."""
    u, _, vt = torch.linalg.svd(matrix.detach(), full_matrices=False)
    sigma = [u[:, k] @ matrix @ vt[k] for k in range(len(floor))]
    result = matrix
    for k in range(1, len(floor)):
        result = result + torch.relu(floor[k] * sigma[0] - sigma[k]) * torch.outer(u[:, k], vt[k])
    return result / sigma[0]


@pytest.mark.parametrize("make", MODULES)
@pytest.mark.parametrize("kind", [0, 1])
def test_values_and_gradient_are_the_formulas(make: Callable[[], Any], kind: int) -> None:
    """W_SR and dL/dW equal those of the sum written out, in double precision."""
    torch.manual_seed(0)
    module = make().double()
    raw: Tensor = module.weight.detach().clone().requires_grad_()
    matrix = matrix_of(raw, module)
    compensation = floors(min(matrix.shape))[kind]
    expected = naive(matrix, torch.from_numpy(compensation.floor(min(matrix.shape))))
    spectral_regularization(module, compensation=compensation).eval()
    ours = matrix_of(module.weight, module)
    torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)
    direction = torch.randn_like(expected)
    (expected * direction).sum().backward()
    (matrix_of(module.weight, module) * direction).sum().backward()
    torch.testing.assert_close(module.parametrizations.weight.original.grad, raw.grad, rtol=1e-7, atol=1e-9)


def test_the_gradient_is_that_of_finite_differences_with_frozen_vectors() -> None:
    """Central differences of W_SR, whose vectors stay those of the point, in float64."""
    torch.manual_seed(0)
    layer = RaisedSpectrum(torch.randn(4, 6).double(), StaticCompensation(0.5)).eval()
    weight = torch.randn(4, 6).double()
    layer.left, _, layer.right = layer.system(weight)
    assert torch.autograd.gradcheck(layer, weight.clone().requires_grad_())


def test_the_papers_gradient_differs_from_that_of_spectral_norm() -> None:
    """The negative of the two above: without ΔW the gradient is another one."""
    torch.manual_seed(0)
    weight = torch.randn(4, 6).double().requires_grad_()
    none, half = (RaisedSpectrum(weight, StaticCompensation(fraction)).eval() for fraction in (0.0, 0.5))
    plain, raised = (torch.autograd.grad((layer(weight) ** 3).sum(), weight)[0] for layer in (none, half))
    assert not torch.allclose(plain, raised, atol=1e-3)


@pytest.mark.parametrize("make", MODULES)
def test_the_spectrum_is_what_was_promised(make: Callable[[], Any]) -> None:
    """σ_1 = 1, the first half is 1, the rest is as it was relative to σ_1."""
    module = make()
    before = np.linalg.svd(matrix_of(module.weight, module).detach().numpy(), compute_uv=False)
    spectral_regularization(module)
    after = np.linalg.svd(matrix_of(module.weight, module).detach().numpy(), compute_uv=False)
    expected = np.maximum(before / before[0], StaticCompensation(0.5).floor(len(before)))
    np.testing.assert_allclose(after, expected, atol=32 * np.finfo(np.float32).eps)


def trained(module: Any, steps: int = 50) -> Any:
    """Fit noise for some steps, hard enough to lose the spectrum."""
    torch.manual_seed(1)
    optimizer = torch.optim.Adam(module.parameters(), 0.02)
    x, y = torch.randn(64, 12), torch.randn(64, 1) * torch.ones(1, 12)
    for _ in range(steps):
        optimizer.zero_grad()
        ((module(x) - y) ** 2).mean().backward()
        optimizer.step()
    return module


def relative(weight: Any) -> NDArray[np.float64]:
    """σ_j/σ_1 of a matrix."""
    sigma = np.linalg.svd(weight.detach().numpy(), compute_uv=False)
    return sigma / sigma[0]


def test_no_ratio_falls_below_its_envelope_in_training_and_without_it_some_do() -> None:
    """Fifty optimizer steps, with compensation and, from the same weights, without."""
    torch.manual_seed(0)
    plain = nn.Linear(12, 12)
    treated: Any = copy.deepcopy(plain)
    start = tuple(relative(plain.weight).tolist())
    spectral_regularization(treated, compensation=DynamicCompensation(start))
    trained(treated)
    trained(plain)
    tolerated = 64 * np.finfo(np.float32).eps
    assert np.all(relative(treated.weight) >= np.asarray(start) - tolerated)
    regularization = treated.parametrizations.weight[0]
    treated(torch.zeros(1, 12))
    assert np.all(relative(treated.weight) >= regularization.envelope.numpy() - tolerated)
    assert np.any(relative(plain.weight) < np.asarray(start) - 0.05)


def test_a_state_dict_goes_round_and_a_copy_is_independent() -> None:
    """The envelope is saved; a deep copy trains apart."""
    torch.manual_seed(0)
    module = trained(spectral_regularization(nn.Linear(12, 12), compensation=floors(12)[1]))
    other = spectral_regularization(nn.Linear(12, 12))
    other.load_state_dict(module.state_dict())
    x = torch.randn(3, 12)
    assert torch.equal(module.eval()(x), other.eval()(x))
    copied = copy.deepcopy(module).train()
    trained(copied, 3)
    assert not torch.equal(copied.weight, module.weight)
    assert "parametrizations.weight.0.envelope" in module.state_dict()


@pytest.mark.parametrize("form", ["old", "new", "plain"])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_checkpoint_of_torchs_spectral_norm_is_loaded(form: str, transposed: bool) -> None:
    """The raw weight is taken over, strictly, and the singular vectors are that weight's own."""
    torch.manual_seed(0)
    make = (lambda: nn.ConvTranspose2d(6, 4, 3)) if transposed else (lambda: nn.Conv2d(4, 6, 3))
    wrap = {"old": old_spectral_norm, "new": spectral_norm, "plain": lambda module: module}[form]
    theirs = nn.Sequential(wrap(make()))
    ours = nn.Sequential(spectral_regularization(make()))
    ours.load_state_dict(theirs.state_dict())
    state = theirs.state_dict()
    raw = next(value for key, value in state.items() if key.endswith(("weight_orig", "original", "0.weight")))
    assert torch.equal(ours[0].parametrizations.weight.original, raw)
    relative_before = relative(matrix_of(raw, ours[0] if not transposed else nn.ConvTranspose2d(1, 1, 1)))
    after = relative(ours[0].eval().weight.movedim(1 if transposed else 0, 0).flatten(1))
    np.testing.assert_allclose(after[len(after) // 2 :], relative_before[len(after) // 2 :], atol=1e-5)


@pytest.mark.parametrize("wrap", [old_spectral_norm, spectral_norm])
def test_it_takes_the_place_of_a_spectral_norm(wrap: Callable[[nn.Module], Any]) -> None:
    """On a module that has torch's, the raw weight stays and the old one is gone."""
    module = wrap(nn.Linear(4, 4))
    raw = (module.weight_orig if hasattr(module, "weight_orig") else module.parametrizations.weight.original).clone()
    spectral_regularization(module)
    assert torch.equal(module.parametrizations.weight.original, raw)
    assert not any(key.endswith(("_orig", "_u")) for key in module.state_dict())


def test_it_comes_off_and_leaves_the_regularised_weight() -> None:
    """The module is what it was, its weight W_SR, its mode unchanged."""
    module = spectral_regularization(nn.Linear(5, 3))
    weight = module.eval().weight.detach().clone()
    remove_spectral_regularization(module.train())
    assert type(module) is nn.Linear
    assert module.training
    assert torch.equal(module.weight, weight)


def test_autocast_keeps_the_decomposition_in_full_precision() -> None:
    """Under AMP the layer computes in bfloat16 and W_SR in float32."""
    module = spectral_regularization(nn.Linear(8, 8))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = module(torch.randn(2, 8))
    assert output.dtype == torch.bfloat16
    assert module.weight.dtype == torch.float32
    output.float().sum().backward()
    assert torch.isfinite(module.parametrizations.weight.original.grad).all()


def test_equal_singular_values_give_finite_gradients() -> None:
    """An orthogonal weight, where the gradient of an SVD is infinite."""
    module = nn.Linear(6, 6, bias=False)
    nn.init.orthogonal_(module.weight)
    spectral_regularization(module)
    (module(torch.randn(4, 6)) ** 2).sum().backward()
    assert torch.isfinite(module.parametrizations.weight.original.grad).all()


def test_two_passes_before_one_backward_work() -> None:
    """A discriminator sees real and generated samples before its loss goes back."""
    module = spectral_regularization(nn.Linear(4, 1, bias=False), compensation=DynamicCompensation((1.0,)))
    wide = spectral_regularization(nn.Linear(4, 4))
    loss = module(wide(torch.randn(3, 4))).mean() - module(wide(torch.randn(3, 4))).mean()
    loss.backward()
    assert torch.isfinite(wide.parametrizations.weight.original.grad).all()


def test_vectors_are_taken_anew_every_interval() -> None:
    """With an interval of 3 the vectors stay for three training passes, and never move in evaluation."""
    torch.manual_seed(0)
    module = spectral_regularization(nn.Linear(4, 4), interval=3)
    part = module.parametrizations.weight[0]
    seen = []
    for _ in range(6):
        module.eval()(torch.zeros(1, 4))
        with torch.no_grad():
            module.parametrizations.weight.original.add_(torch.randn(4, 4))
        module.train()(torch.zeros(1, 4))
        seen.append(part.left.clone())
    same = [torch.equal(first, second) for first, second in pairwise(seen)]
    assert same == [True, True, False, True, True]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: spectral_regularization(nn.ReLU()), "ReLU has no parameter 'weight'"),
        (lambda: spectral_regularization(nn.Linear(2, 2), "bias"), "a parameter of shape .* is no weight matrix"),
        (lambda: spectral_regularization(nn.Linear(2, 2), interval=0), "an interval of 0: expected 1 or more"),
        (lambda: spectral_regularization(spectral_regularization(nn.Linear(2, 2))), "regularised already"),
        (
            lambda: spectral_regularization(nn.Linear(3, 2), compensation=DynamicCompensation((1.0,))),
            "an envelope of 1 values for a matrix of rank 2",
        ),
    ],
)
def test_what_cannot_be_regularised_is_refused(make: Callable[[], object], sentence: str) -> None:
    """Each says what is wrong."""
    with pytest.raises(CompensationError, match=sentence):
        make()
