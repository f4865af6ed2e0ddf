"""Each rule where it fires, and the nearest case where it must not."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from spectral_doctor.diagnosis.records import Diagnosis, Thresholds, Verdict
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

PUBLISHED = Path(__file__).parents[1] / "data" / "published-spectra.json"
Build = Callable[[int, int, int, Wrap], nn.Module]


def resnet(image_channels: int, channels: int, side: int, wrap: Wrap) -> nn.Module:
    """The ResNet discriminator, which takes any side."""
    return ResNetDiscriminator(image_channels, channels, wrap)


def mlp_discriminator(image_channels: int, channels: int, side: int, wrap: Wrap) -> nn.Module:
    """The perceptron of the mixtures, in two dimensions."""
    return mlp((2, channels, channels, 1), wrap, 0.2)


def verdict_of(*plateaus: Sequence[float | None], form: str = "spectral norm", rank: int = 64) -> Verdict:
    """The verdict on layers with these plateaus over the steps."""
    layers = [layer_over_steps(f"conv{index}", row, form=form, rank=rank) for index, row in enumerate(plateaus)]
    return diagnose(series(*layers)).verdict


def one_checkpoint(spectrum: Spectrum) -> Diagnosis:
    """The diagnosis of one spectrally normalised layer at one checkpoint."""
    return diagnose(series(LayerTrajectory(identity("conv", rank=spectrum.size), (spectrum,), (0,))))


@pytest.mark.parametrize(
    ("plateaus", "expected"),
    [
        ([[0.97]], Verdict.HEALTHY),
        ([[0.65]], Verdict.COLLAPSED),
        ([[0.77]], Verdict.NOT_ENOUGH_EVIDENCE),
        ([[0.97], [0.2]], Verdict.HEALTHY),
        ([[0.97, 0.97, 0.97]], Verdict.HEALTHY),
        ([[1.0, 0.98, 0.96]], Verdict.HEALTHY),
        ([[0.97, 0.7, 0.5]], Verdict.COLLAPSED),
        ([[0.97, 0.97, 0.5]], Verdict.DECLINING),
        ([[0.97, 0.8, 0.77]], Verdict.DECLINING),
        ([[0.97, 0.5, 0.97]], Verdict.HEALTHY),
        ([[None, None]], Verdict.NOT_ENOUGH_EVIDENCE),
    ],
)
def test_the_better_half_decides_and_a_collapse_must_hold(
    plateaus: list[list[float | None]], expected: Verdict
) -> None:
    """One low layer is normal, one checkpoint of a series is declining at most, and a collapse can heal."""
    assert verdict_of(*plateaus) is expected


def test_the_probability_is_the_formula_s() -> None:
    """Each state carries it, the diagnosis that of the last, with the arguments that make it."""
    diagnosis = diagnose(series(layer_over_steps("conv", [0.97, 0.7, 0.5])))
    chances = [state.probability for state in diagnosis.states]
    assert chances[0] == pytest.approx(0.17, abs=0.01)
    assert diagnosis.probability == chances[-1] == pytest.approx(0.94, abs=0.01)
    assert [item.name for item in diagnosis.arguments if item.weight > 0.35] == ["first", "shortfall"]


def test_layers_that_have_all_stopped_are_evidence() -> None:
    """The same spectrum, moving and not."""
    spectra = [plateau_spectrum(0.95, sigma_max=size) for size in (1.0, 1.1, 1.1)]
    moving = [plateau_spectrum(0.95, sigma_max=size) for size in (1.0, 1.1, 1.2)]
    still, alive = (
        diagnose(series(LayerTrajectory(identity("conv"), tuple(row), (0,) * 3))) for row in (spectra, moving)
    )
    assert (still.verdict, alive.verdict) == (Verdict.DECLINING, Verdict.HEALTHY)


def test_a_low_second_value_is_the_onset_in_one_checkpoint() -> None:
    """σ2/σ1 below 0.95 with a doubtful probability, in the published range of ranks only."""
    onset = plateau_spectrum(0.92, 64, second=0.925)
    assert one_checkpoint(onset).verdict is Verdict.DECLINING
    assert one_checkpoint(plateau_spectrum(0.92, 64, second=0.96)).verdict is Verdict.HEALTHY
    assert one_checkpoint(plateau_spectrum(0.92, 16, second=0.925)).verdict is Verdict.HEALTHY
    assert one_checkpoint(plateau_spectrum(0.95, 64, second=0.94)).verdict is Verdict.HEALTHY


def test_without_spectral_norm_only_a_change_counts() -> None:
    """A level alone is no verdict, however low; a loss in the own history is."""
    assert verdict_of([0.3], form="plain") is Verdict.NOT_ENOUGH_EVIDENCE
    assert verdict_of([0.8], form="plain") is Verdict.NOT_ENOUGH_EVIDENCE
    assert verdict_of([0.5, 0.48, 0.45], form="plain") is Verdict.NOT_ENOUGH_EVIDENCE
    assert verdict_of([0.97, 0.6, 0.3], form="plain") is Verdict.COLLAPSED
    assert verdict_of([0.97], form="plain") is Verdict.HEALTHY
    assert verdict_of([0.8, 0.8], form="plain") is Verdict.HEALTHY


def test_one_checkpoint_of_tiny_ranks_is_not_enough() -> None:
    """Rank 8 alone can look collapsed by chance; rank 16, or a second checkpoint, decides."""
    assert verdict_of([0.1], rank=8) is Verdict.NOT_ENOUGH_EVIDENCE
    assert verdict_of([0.1], rank=16) is Verdict.COLLAPSED
    assert verdict_of([0.1, 0.09], rank=8) is Verdict.COLLAPSED


def test_the_sensitive_mode_warns_from_even_odds_on() -> None:
    """What is declining by default is a collapse there, and what is healthy stays so."""
    falling, sound = (series(layer_over_steps("conv", row)) for row in ([0.97, 0.8, 0.77], [0.97, 0.97, 0.97]))
    assert diagnose(falling).verdict is Verdict.DECLINING
    assert diagnose(falling, Thresholds.sensitive()).verdict is Verdict.COLLAPSED
    assert diagnose(sound, Thresholds.sensitive()).verdict is Verdict.HEALTHY


def test_normalised_layers_are_judged_alone() -> None:
    """Attention without spectral norm beside a normalised body is shown and not judged."""
    body = layer_over_steps("conv", [0.5])
    attention = layer_over_steps("query", [0.99], form="plain")
    diagnosis = diagnose(series(body, attention))
    assert diagnosis.verdict is Verdict.COLLAPSED
    assert [(layer.layer, layer.reason) for layer in diagnosis.layers] == [("conv", ""), ("query", "no SN")]


def test_a_layer_that_never_moves_is_no_evidence() -> None:
    """Frozen at its initial values it would keep any discriminator healthy."""
    still = LayerTrajectory(identity("unused"), (plateau_spectrum(0.99),) * 2, (0, 0))
    moving = layer_over_steps("conv", [0.6, 0.5])
    diagnosis = diagnose(series(still, moving))
    assert diagnosis.verdict is Verdict.COLLAPSED
    assert diagnosis.layers[0].reason == "unchanged"


@pytest.mark.parametrize(
    ("rank", "kind", "reason"), [(3, "conv", "rank 3"), (1, "linear", "rank 1"), (64, "embedding", "an embedding")]
)
def test_heads_shortcuts_and_embeddings_are_shown_and_not_judged(rank: int, kind: str, reason: str) -> None:
    """With nothing else to judge there is not enough evidence."""
    diagnosis = diagnose(series(layer_over_steps("x", [0.9], rank=rank, kind=kind)))
    assert diagnosis.verdict is Verdict.NOT_ENOUGH_EVIDENCE
    assert (diagnosis.layers[0].verdict, diagnosis.layers[0].reason) == (None, reason)
    assert diagnosis.summary == "No layer of rank 8 or more that is being trained could be judged."


def test_onset_and_the_checkpoint_to_resume_from() -> None:
    """The onset begins the last unbroken stretch, between two checkpoints; the healthy one is to go back to."""
    diagnosis = diagnose(series(layer_over_steps("conv", [0.97, 0.5, 0.97, 0.98, 0.6, 0.4])))
    assert [state.verdict.value for state in diagnosis.states] == [
        "HEALTHY", "DECLINING", "HEALTHY", "HEALTHY", "DECLINING", "COLLAPSED",
    ]  # fmt: skip
    assert (diagnosis.onset_after, diagnosis.onset) == (300, 400)
    assert (diagnosis.last_healthy, str(diagnosis.resume_from)) == (300, "run/netD_300.pth")
    assert diagnosis.summary == (
        "Even the best layers have lost their plateau since step 400: the best plateau, in conv, is 0.40, "
        "down from 0.98 at 300. Probability of mode collapse 0.97. For it: the first layer's σ2/σ1 is 0.40 (+2.0); "
        "the better half of the layers falls 6.3 times as far short of a full plateau as random weights (+1.6)."
    )


def test_a_collapse_from_the_first_checkpoint_has_nowhere_to_go_back_to() -> None:
    """The onset is then the first step, and no checkpoint is recommended."""
    diagnosis = diagnose(series(layer_over_steps("conv", [0.5, 0.4])))
    assert (diagnosis.onset_after, diagnosis.onset) == (None, 0)
    assert (diagnosis.last_healthy, diagnosis.resume_from) == (None, None)


def test_a_checkpoint_that_is_not_finite_is_never_recommended() -> None:
    """Neither it nor what came after."""
    broken = layer_over_steps("a", [0.97, 0.97, None, None])
    sound = layer_over_steps("b", [0.97, 0.97, 0.97, 0.97])
    diagnosis = diagnose(series(broken, sound))
    assert diagnosis.verdict is Verdict.HEALTHY
    assert str(diagnosis.resume_from) == "run/netD_100.pth"


@pytest.mark.parametrize(("rank", "index"), [(2, 2), (3, 2), (4, 3), (7, 5), (8, 5), (512, 5)])
def test_the_plateau_index_follows_the_rank(rank: int, index: int) -> None:
    """The fifth value from the smallest judged rank on, in proportion below."""
    assert Thresholds().plateau_index(rank) == index


@pytest.mark.parametrize("normalise", [False, True], ids=["plain", "spectral norm"])
@pytest.mark.parametrize("channels", [4, 8, 16, 64])
@pytest.mark.parametrize("build", [dcgan_discriminator, cnn_discriminator, resnet, mlp_discriminator])
def test_an_untrained_network_is_not_collapsed(build: Build, channels: int, normalise: bool) -> None:
    """Random weights have no flat plateau, and yet are no collapse, in every architecture of the laboratory."""
    for seed in range(3):
        torch.manual_seed(seed)
        monitor = SpectralMonitor(build(3, channels, 32, wrapper(normalise)))
        monitor.observe(0)
        assert diagnose(monitor.trajectory).verdict is not Verdict.COLLAPSED


def published_curves() -> list[dict[str, object]]:
    """The curves read off the figures of Liu et al., ICCV 2019 (arXiv 1908.10999), with the state that these name."""
    curves: list[dict[str, object]] = json.loads(PUBLISHED.read_text())["curves"]
    return curves


def test_the_verdict_is_right_on_every_published_curve() -> None:
    """Healthy, onset and collapsed layers of Liu et al. 2019, each as its own history: none wrong."""
    expected = {"healthy": Verdict.HEALTHY, "onset": Verdict.DECLINING, "collapsed": Verdict.COLLAPSED}
    wrong = []
    assert {curve["state"] for curve in published_curves()} == set(expected)
    for curve in published_curves():
        points = np.array(curve["points"], dtype=float)
        rank = int(str(curve["rank"]))
        values = np.interp(np.arange(1, rank + 1), points[:, 0], points[:, 1])
        verdict = one_checkpoint(Spectrum(tuple(values.tolist()))).verdict
        if verdict is not expected[str(curve["state"])]:
            wrong.append((curve["setting"], verdict.value))
    assert wrong == []
