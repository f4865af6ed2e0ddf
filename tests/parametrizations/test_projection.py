"""The projection after the optimizer's step, on live discriminators."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import spectral_norm as old_spectral_norm
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from spectral_doctor.diagnosis.rules import diagnose
from spectral_doctor.errors import CompensationError, UsageError
from spectral_doctor.parametrizations import ForwardCompensation, SpectralRegularizer
from spectral_doctor.trajectory.monitor import SpectralMonitor

WRAPS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "plain": lambda module: module,
    "new": spectral_norm,
    "old": old_spectral_norm,
    "weight norm": weight_norm,
}


def discriminator(wrap: str = "plain") -> nn.Module:
    """Two convolutions and a head."""
    torch.manual_seed(0)
    make = WRAPS[wrap]
    return nn.Sequential(
        make(nn.Conv2d(1, 8, 3)), nn.ReLU(), make(nn.Conv2d(8, 8, 3)), nn.Flatten(), make(nn.Linear(128, 1))
    )


def update(module: nn.Module, steps: int, after: Callable[[], object] = lambda: None, rate: float = 0.02) -> None:
    """Train to tell noise from noise, hard enough to lose the spectrum."""
    torch.manual_seed(1)
    optimizer = torch.optim.Adam(module.parameters(), rate)
    x, y = torch.randn(32, 1, 8, 8), torch.randn(32, 1)
    for _ in range(steps):
        optimizer.zero_grad()
        ((module(x) - y) ** 2).mean().backward()
        optimizer.step()
        after()


def spectra(module: nn.Module) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """σ_j/σ_1 of every layer."""
    return {
        layer.identity.name: np.asarray(layer.spectrum.relative)
        for layer in SpectralMonitor(module).observe(0)
        if layer.spectrum is not None
    }


TOLERATED = 64 * float(np.finfo(np.float32).eps)


@pytest.mark.parametrize("wrap", WRAPS)
def test_dynamic_keeps_every_ratio_at_its_best(wrap: str) -> None:
    """Fifty updates: with it nothing is below its envelope, without it something is."""
    treated, plain = discriminator(wrap), discriminator(wrap)
    regularizer = SpectralRegularizer(treated, "dynamic", interval=1)
    start = spectra(treated)
    update(treated, 50, regularizer.step)
    update(plain, 50)
    for name, relative in spectra(treated).items():
        if name in regularizer.envelope:
            assert np.all(relative >= np.asarray(regularizer.envelope[name]) - TOLERATED)
            assert np.all(np.asarray(regularizer.envelope[name]) >= start[name] - 0.05)
    assert any(np.any(relative < start[name] - 0.05) for name, relative in spectra(plain).items())


@pytest.mark.parametrize("wrap", WRAPS)
def test_static_raises_the_first_half_every_interval(wrap: str) -> None:
    """After a multiple of the interval the plateau is whole; between, the optimizer moves it."""
    module = discriminator(wrap)
    regularizer = SpectralRegularizer(module, "static", interval=5)
    update(module, 10, regularizer.step)
    assert np.all(spectra(module)["2"][:4] >= 1 - TOLERATED)
    update(module, 3, regularizer.step)
    assert np.any(spectra(module)["2"][:4] < 1 - 1e-3)


def largest(module: nn.Module) -> float:
    """σ1 of the second layer's stored weight."""
    layers = {item.identity.name: item for item in SpectralMonitor(module).observe(0)}
    spectrum = layers["2"].spectrum
    assert spectrum is not None
    return spectrum.sigma_max


def test_repeated_raising_ratchets_the_norm_unless_it_is_held() -> None:
    """Without a hold σ1 grows with every projection; held it stays, and "one" is 1."""
    ends = {}
    for scale in ("free", "hold", "one"):
        module = discriminator()
        start = largest(module)
        regularizer = SpectralRegularizer(module, "static", fraction=1.0, interval=1, scale=scale)
        update(module, 40, regularizer.step, rate=0.01)
        ends[scale] = largest(module)
    assert ends["hold"] == pytest.approx(start, rel=1e-5)
    assert ends["one"] == pytest.approx(1.0, rel=1e-5)
    assert ends["free"] > 1.2 * start


def test_biases_heads_and_excluded_layers_keep_their_bits() -> None:
    """Only what is treated changes."""
    module = discriminator()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    changes = SpectralRegularizer(module, "static", interval=1, exclude=["0"]).step()
    assert [change.layer for change in changes] == ["2"]
    changed = [key for key, value in module.state_dict().items() if not torch.equal(value, before[key])]
    assert changed == ["2.weight"]


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_a_saved_treatment_goes_on_to_the_same_bits(wrap: str, mode: str) -> None:
    """Envelope, counter and references are restored bit for bit: 7 + 7 updates are 14."""
    whole, first = discriminator(wrap), discriminator(wrap)
    regularizer = SpectralRegularizer(whole, mode, interval=3)
    for _ in range(2):
        update(whole, 7, regularizer.step)
    stopped = SpectralRegularizer(first, mode, interval=3)
    update(first, 7, stopped.step)
    saved, weights = copy.deepcopy(stopped.state_dict()), copy.deepcopy(first.state_dict())
    second = discriminator(wrap)
    second.load_state_dict(weights)
    going_on = SpectralRegularizer(second, mode, interval=3)
    going_on.load_state_dict(saved)
    update(second, 7, going_on.step)
    for key, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[key])
    assert going_on.envelope == regularizer.envelope


def test_a_held_envelope_does_not_rise() -> None:
    """With `rising=False` γ stays what was given."""
    module = discriminator()
    given = {"2": tuple(np.linspace(1.0, 0.2, 8).tolist())}
    regularizer = SpectralRegularizer(module, "dynamic", envelope=given, rising=False, interval=1)
    update(module, 5, regularizer.step)
    assert regularizer.envelope["2"] == given["2"]


def test_other_treatments_are_not_taken_over() -> None:
    """A saved static treatment is no dynamic one."""
    saved = SpectralRegularizer(discriminator(), "static").state_dict()
    with pytest.raises(UsageError, match="the treatment's mode was 'static', is 'dynamic'; resume with the same"):
        SpectralRegularizer(discriminator(), "dynamic").load_state_dict(saved)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"mode": "veegan"}, UsageError),
        ({"scale": "two"}, UsageError),
        ({"interval": 0}, UsageError),
        ({"fraction": 2.0}, CompensationError),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, object], error: type[Exception]) -> None:
    """Mode, scale, interval, fraction."""
    with pytest.raises(error):
        SpectralRegularizer(discriminator(), **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrap", ["plain", "new", "old"])
def test_the_forward_form_keeps_the_optimizers_parameters(wrap: str) -> None:
    """Attached to a trained discriminator, the parameters that an optimizer holds are still its parameters."""
    module = discriminator(wrap)
    held = [parameter for parameter in module.parameters() if parameter.ndim > 1][:2]
    ForwardCompensation(module, "static")
    remaining = list(module.parameters())
    for parameter in held:
        assert any(parameter is other for other in remaining)
    module(torch.randn(2, 1, 8, 8)).sum().backward()
    assert all(parameter.grad is not None for parameter in held)


def test_the_effective_spectrum_of_the_forward_form_is_examined() -> None:
    """A monitor, and so `inspect`, sees W_SR and not the raw weight under it."""
    module = discriminator()
    update(module, 30)
    before = spectra(module)["2"]
    ForwardCompensation(module, "static")
    relative = spectra(module)["2"]
    assert before[3] < 0.9
    np.testing.assert_allclose(relative[:4], 1.0, atol=TOLERATED)
    np.testing.assert_allclose(relative[4:], before[4:], atol=TOLERATED)


def norms(module: nn.Module) -> Tensor:
    """The largest singular value of every normalised weight."""
    return torch.stack([torch.linalg.matrix_norm(item.weight.flatten(1), 2) for item in (module[0], module[2])])  # type: ignore[index]


def test_spectral_norm_goes_on_with_norm_one_after_a_projection() -> None:
    """The vectors of the power iteration are refreshed with the weight."""
    module = discriminator("new")
    update(module, 20)
    SpectralRegularizer(module, "static", interval=1).step()
    torch.testing.assert_close(norms(module.eval()).detach(), torch.ones(2), atol=1e-5, rtol=0)


def test_nothing_is_diagnosed_before_something_is_observed() -> None:
    """A trajectory without a checkpoint is no trajectory; the sentence says what to call."""
    monitor = SpectralMonitor(discriminator())
    with pytest.raises(UsageError, match=r"^nothing has been observed yet: call observe\(step\) first\.$"):
        diagnose(monitor.trajectory)
    monitor.observe(3)
    assert diagnose(monitor.trajectory).trajectory.steps == monitor.steps == (3,)
