"""The state of the spectrum by definition: each word where it is said, and the nearest case where it must not be."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from spectral_doctor.diagnosis.evidence import depth_at, panel_of
from spectral_doctor.diagnosis.records import LayerState, ModesStatement, SpectrumState, Thresholds
from spectral_doctor.diagnosis.rules import diagnose
from spectral_doctor.gan.networks import (
    ResNetDiscriminator,
    Wrap,
    cnn_discriminator,
    dcgan_discriminator,
    mlp,
    wrapper,
)
from spectral_doctor.records import Spectrum
from spectral_doctor.trajectory.monitor import SpectralMonitor
from spectral_doctor.trajectory.records import LayerTrajectory
from tests.builders import identity, layer_over_steps, plateau_spectrum, series
from tests.diagnosis.judging import FIXED, judged, states_of

PUBLISHED = Path(__file__).parents[1] / "data" / "published-spectra.json"
Build = Callable[[int, int, int, Wrap], nn.Module]


def resnet(image_channels: int, channels: int, side: int, wrap: Wrap) -> nn.Module:
    """The ResNet discriminator, which takes any side."""
    return ResNetDiscriminator(image_channels, channels, wrap)


def mlp_discriminator(image_channels: int, channels: int, side: int, wrap: Wrap) -> nn.Module:
    """The perceptron of the mixtures, in two dimensions."""
    return mlp((2, channels, channels, 1), wrap, 0.2)


@pytest.mark.parametrize(
    ("plateaus", "expected"),
    [
        ([[0.9]], ["SOUND"]),
        ([[0.61]], ["SOUND"]),
        ([[0.59]], ["COLLAPSED"]),
        ([[0.9], [0.2]], ["SOUND"]),
        ([[0.5], [0.2]], ["COLLAPSED"]),
        ([[0.9, 0.9, 0.9]], ["SOUND", "SOUND", "SOUND"]),
        ([[0.9, 0.5]], ["SOUND", "COLLAPSED"]),
        ([[0.9, 0.72]], ["SOUND", "DECLINING"]),
        ([[0.76, 0.72]], ["SOUND", "SOUND"]),
        ([[0.9, 0.3, 0.55]], ["SOUND", "COLLAPSED", "RECOVERING"]),
        ([[0.9, 0.3, 0.28]], ["SOUND", "COLLAPSED", "COLLAPSED"]),
        ([[0.9, 0.3, 0.7, 0.9]], ["SOUND", "COLLAPSED", "RECOVERING", "SOUND"]),
        ([[0.9, None]], ["SOUND", "NON-FINITE"]),
        ([[0.9, 0.9], [0.9, None]], ["SOUND", "NON-FINITE"]),
    ],
)
def test_the_better_half_against_its_range(plateaus: list[list[float | None]], expected: list[str]) -> None:
    """Below the lower end together: collapsed; near it and deeper than before: declining; up again: recovering."""
    assert states_of(*plateaus) == expected


def test_depth_is_the_mean_log_shortfall_of_the_better_half() -> None:
    """ln((1.05 − σk/σ1)/(1.05 − low)) of the best two of four layers, by hand."""
    layers = [layer_over_steps(f"c{index}", [value]) for index, value in enumerate((0.9, 0.8, 0.3, 0.1))]
    trajectory = series(*layers)
    panel = panel_of(trajectory, Thresholds(), FIXED)
    expected = (math.log((1.05 - 0.9) / 0.45) + math.log((1.05 - 0.8) / 0.45)) / 2
    assert depth_at(panel, 0, Thresholds()) == pytest.approx(expected)


def test_under_spectral_norm_a_second_value_that_leaves_the_first_is_a_decline() -> None:
    """Below 0.95 where it was above, in the published range of ranks; not in one checkpoint, nor where it was
    before."""

    def state(*seconds: float, rank: int = 64) -> SpectrumState:
        spectra = tuple(
            plateau_spectrum(0.92 - 0.001 * index, rank, 1 + index, second) for index, second in enumerate(seconds)
        )
        return judged(LayerTrajectory(identity("conv", rank=rank), spectra, (0,) * len(seconds))).spectrum

    assert state(0.97, 0.925) is SpectrumState.DECLINING
    assert state(0.97, 0.96) is SpectrumState.SOUND
    assert state(0.925) is SpectrumState.SOUND
    assert state(0.93, 0.925) is SpectrumState.SOUND
    assert state(0.97, 0.925, rank=16) is SpectrumState.SOUND


def test_two_directions_left_are_a_collapse_too() -> None:
    """σ2 keeps up and the plateau does not; no spectral norm is needed to say so."""
    spectra = tuple(plateau_spectrum(level, 64, 1 + index, 0.98) for index, level in enumerate((0.9, 0.3, 0.12)))
    layer = LayerTrajectory(identity("conv", form="plain"), spectra, (0, 0, 0))
    assert judged(layer).spectrum is SpectrumState.COLLAPSED


def test_what_stands_still_is_still_and_no_decline() -> None:
    """For half of the series or more; a collapse stays one, a short rest is an event, and modes are not known then."""

    def sizes(*values: float, plateau: float = 0.9) -> LayerTrajectory:
        return LayerTrajectory(
            identity("conv"), tuple(plateau_spectrum(plateau, sigma_max=value) for value in values), (0,) * len(values)
        )

    still = judged(sizes(1.0, 1.1, 1.1, 1.1, 1.1))
    assert still.spectrum is SpectrumState.STILL
    assert still.modes.statement is ModesStatement.NOT_KNOWN
    assert judged(sizes(1.0, 1.1, 1.2, 1.3, 1.3)).spectrum is SpectrumState.SOUND
    assert judged(sizes(1.0, 1.0, 1.0)).spectrum is SpectrumState.STILL
    assert judged(sizes(1.0, 1.1, 1.1, 1.1, plateau=0.2)).spectrum is SpectrumState.COLLAPSED


def test_a_size_that_no_trained_layer_has_is_exploded() -> None:
    """From one file, by the size alone, at any plateau; 9 000 is not, nor an embedding."""

    def state(size: float, kind: str = "conv") -> SpectrumState:
        return judged(
            LayerTrajectory(identity("a", kind=kind), (plateau_spectrum(0.9, sigma_max=size),), (0,))
        ).spectrum

    assert state(1e11) is SpectrumState.EXPLODED
    assert state(9e3) is SpectrumState.SOUND
    assert state(1e11, "embedding") is SpectrumState.NOT_JUDGED


def test_zero_clipped_and_compensated_have_their_words() -> None:
    """And nothing else is said of them; a layer as small as rank 3 is not judged."""
    zero = LayerTrajectory(identity("a"), (Spectrum((0.0,) * 64),), (0,))
    assert judged(zero).spectrum is SpectrumState.ZERO
    clipped = LayerTrajectory(identity("a"), (plateau_spectrum(0.1),), (0,), (0.5,))
    assert judged(clipped).spectrum is SpectrumState.CLIPPED
    flat = Spectrum((1.0,) * 20 + (0.3,) * 44)
    assert judged(LayerTrajectory(identity("a"), (flat,), (0,))).spectrum is SpectrumState.COMPENSATED
    assert judged(layer_over_steps("a", [0.9], rank=3)).spectrum is SpectrumState.NOT_JUDGED


def test_a_layer_is_low_or_fallen_and_never_collapsed() -> None:
    """Below its range; fallen where it has lost a fifth of its own best: words for layers in a sound network."""
    found = judged(
        layer_over_steps("best", [0.9, 0.9]),
        layer_over_steps("low", [0.5, 0.45]),
        layer_over_steps("fallen", [0.9, 0.4]),
    )
    assert found.spectrum is SpectrumState.SOUND
    assert [item.state for item in found.layers] == [LayerState.SOUND, LayerState.LOW, LayerState.FALLEN]


def test_normalised_layers_are_judged_alone() -> None:
    """Attention without spectral norm beside a normalised body is shown and not judged."""
    found = judged(layer_over_steps("conv", [0.5]), layer_over_steps("query", [0.99], form="plain"))
    assert found.spectrum is SpectrumState.COLLAPSED
    assert [(layer.layer, layer.reason) for layer in found.layers] == [("conv", ""), ("query", "no SN")]


def test_a_layer_that_never_moves_is_no_evidence() -> None:
    """Frozen at its initial values it would keep any discriminator sound."""
    still = LayerTrajectory(identity("unused"), (plateau_spectrum(0.99),) * 2, (0, 0))
    found = judged(still, layer_over_steps("conv", [0.5, 0.4]))
    assert found.spectrum is SpectrumState.COLLAPSED
    assert found.layers[0].reason == "unchanged"


@pytest.mark.parametrize(("rank", "index"), [(2, 2), (3, 2), (4, 3), (7, 5), (8, 5), (512, 5)])
def test_the_plateau_index_follows_the_rank(rank: int, index: int) -> None:
    """The fifth value from the smallest judged rank on, in proportion below."""
    assert Thresholds().plateau_index(rank) == index


@pytest.mark.parametrize("normalise", [False, True], ids=["plain", "spectral norm"])
@pytest.mark.parametrize("channels", [4, 8, 16, 64])
@pytest.mark.parametrize("build", [dcgan_discriminator, cnn_discriminator, resnet, mlp_discriminator])
def test_an_untrained_network_is_untrained(build: Build, channels: int, normalise: bool) -> None:
    """In every architecture of the laboratory with a layer of rank 8; smaller ones are not judged."""
    for seed in range(3):
        torch.manual_seed(seed)
        monitor = SpectralMonitor(build(3, channels, 32, wrapper(normalise)))
        monitor.observe(0)
        found = diagnose(monitor.trajectory)
        assert found.spectrum in (SpectrumState.UNTRAINED, SpectrumState.NOT_JUDGED)
        judges = any(layer.identity.rank >= 8 for layer in monitor.trajectory.layers)
        assert (found.spectrum is SpectrumState.UNTRAINED) is judges
        assert found.advice.checkpoint is None


@pytest.mark.parametrize("scale", [1.2, 0.8])
def test_a_network_of_another_size_is_not_untrained(scale: float) -> None:
    """A fifth larger or smaller than any initialisation: something has been done to it."""
    torch.manual_seed(0)
    network = mlp_discriminator(3, 64, 32, wrapper(False))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(scale)
    monitor = SpectralMonitor(network)
    monitor.observe(0)
    assert diagnose(monitor.trajectory).spectrum is not SpectrumState.UNTRAINED


def test_a_trained_step_is_no_longer_untrained() -> None:
    """Twenty steps of Adam at a usual rate are enough to tell."""
    torch.manual_seed(0)
    network = mlp_discriminator(3, 64, 32, wrapper(False))
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    monitor = SpectralMonitor(network)
    monitor.observe(0)
    for _ in range(20):
        optimizer.zero_grad()
        network(torch.randn(64, 2) + 1).square().mean().backward()
        optimizer.step()
    monitor.observe(20)
    states = [state.spectrum for state in diagnose(monitor.trajectory).states]
    assert states[0] is SpectrumState.UNTRAINED
    assert states[1] is not SpectrumState.UNTRAINED


def published_curves() -> list[dict[str, object]]:
    """The curves read off the figures of Liu et al., ICCV 2019 (arXiv 1908.10999), with the state that these name."""
    curves: list[dict[str, object]] = json.loads(PUBLISHED.read_text())["curves"]
    return curves


def curve_spectrum(curve: dict[str, object], sigma_max: float = 1.0) -> Spectrum:
    """A published curve at every index."""
    points = np.array(curve["points"], dtype=float)
    values = np.interp(np.arange(1, int(str(curve["rank"])) + 1), points[:, 0], points[:, 1])
    return Spectrum(tuple((sigma_max * values).tolist()))


def test_every_published_curve_has_its_state() -> None:
    """Healthy curves are sound and collapsed ones collapsed, one checkpoint each; an onset is a decline behind a
    healthy curve, and alone, where no trend can be seen, sound: none of 22 wrong."""
    expected = {"healthy": "SOUND", "onset": "SOUND", "collapsed": "COLLAPSED"}
    wrong = []
    for curve in published_curves():
        spectrum = curve_spectrum(curve)
        layer = identity("conv", rank=spectrum.size)
        alone = diagnose(series(LayerTrajectory(layer, (spectrum,), (0,)))).spectrum
        if alone.value != expected[str(curve["state"])]:
            wrong.append((curve["setting"], curve["state"], alone.value))
        if curve["state"] == "onset":
            pair = (plateau_spectrum(0.98, spectrum.size), curve_spectrum(curve, 1.1))
            after = diagnose(series(LayerTrajectory(layer, pair, (0, 0)))).spectrum
            if after is not SpectrumState.DECLINING:
                wrong.append((curve["setting"], "behind a healthy one", after.value))
    assert wrong == []
