"""Each rule where it fires, and the nearest case where it must not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from spectral_doctor.diagnosis.records import Diagnosis, Thresholds, Verdict
from spectral_doctor.diagnosis.rules import diagnose
from spectral_doctor.spectrum import Spectrum, spectrum_of
from spectral_doctor.trajectory.records import LayerTrajectory
from tests.builders import identity, layer_over_steps, plateau_spectrum, series

PUBLISHED = Path(__file__).parents[3] / "shared" / "reference" / "published-spectra.json"


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
        ([[0.79]], Verdict.COLLAPSED),
        ([[0.97], [0.2]], Verdict.HEALTHY),
        ([[0.97, 0.97, 0.97]], Verdict.HEALTHY),
        ([[1.0, 0.98, 0.96]], Verdict.HEALTHY),
        ([[0.97, 0.97, 0.5]], Verdict.COLLAPSED),
        ([[0.97, 0.5, 0.97]], Verdict.HEALTHY),
        ([[None, None]], Verdict.NOT_ENOUGH_EVIDENCE),
    ],
)
def test_the_best_layers_decide(plateaus: list[list[float | None]], expected: Verdict) -> None:
    """One low layer is normal; only when even the best has lost its plateau is it collapse, and it can heal."""
    assert verdict_of(*plateaus) is expected


def test_a_fall_against_the_own_best_is_declining() -> None:
    """More than 0.05 below the best for two checkpoints, above the collapse threshold."""
    assert verdict_of([1.0, 0.94, 0.94], rank=16) is Verdict.DECLINING
    assert verdict_of([1.0, 1.0, 0.94], [0.5, 0.5, 0.5], [0.5, 0.5, 0.5], rank=16) is Verdict.HEALTHY
    assert verdict_of([1.0, 1.0, 0.94], rank=16) is Verdict.DECLINING
    assert verdict_of([1.0, 0.96, 0.96], rank=16) is Verdict.HEALTHY


def test_a_low_second_value_is_the_onset_in_one_checkpoint() -> None:
    """σ2/σ1 below 0.95 with a plateau still there, in the published range of ranks only."""
    onset = plateau_spectrum(0.92, 64, second=0.925)
    assert one_checkpoint(onset).verdict is Verdict.DECLINING
    assert one_checkpoint(plateau_spectrum(0.92, 64, second=0.96)).verdict is Verdict.HEALTHY
    assert one_checkpoint(plateau_spectrum(0.92, 16, second=0.925)).verdict is Verdict.HEALTHY


def test_without_spectral_norm_only_a_fall_counts() -> None:
    """No published baseline: a low level alone is no verdict, a loss in the own history is."""
    assert verdict_of([0.3], form="plain") is Verdict.NOT_ENOUGH_EVIDENCE
    assert verdict_of([0.3, 0.3, 0.3], form="plain") is Verdict.NOT_ENOUGH_EVIDENCE
    assert verdict_of([0.97, 0.9, 0.3], form="plain") is Verdict.COLLAPSED
    assert verdict_of([0.97], form="plain") is Verdict.HEALTHY


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
    """The onset begins the last unbroken stretch; the checkpoint before it is the one to go back to."""
    diagnosis = diagnose(series(layer_over_steps("conv", [0.97, 0.5, 0.97, 0.98, 0.6, 0.4])))
    assert [state.verdict.value for state in diagnosis.states] == [
        "HEALTHY", "COLLAPSED", "HEALTHY", "HEALTHY", "COLLAPSED", "COLLAPSED",
    ]  # fmt: skip
    assert (diagnosis.onset, diagnosis.last_healthy, diagnosis.resume_from) == (400, 300, "run/netD_300.pth")
    assert diagnosis.summary == (
        "Even the best layers have lost their plateau since step 400: the best plateau, in conv, is 0.40, "
        "down from 0.98 at 300."
    )


def test_a_collapse_from_the_first_checkpoint_has_nowhere_to_go_back_to() -> None:
    """The onset is then the first step, and no checkpoint is recommended."""
    diagnosis = diagnose(series(layer_over_steps("conv", [0.5, 0.4])))
    assert (diagnosis.onset, diagnosis.last_healthy, diagnosis.resume_from) == (0, None, None)


def test_a_checkpoint_that_is_not_finite_is_never_recommended() -> None:
    """Neither it nor what came after."""
    broken = layer_over_steps("a", [0.97, 0.97, None, None])
    sound = layer_over_steps("b", [0.97, 0.97, 0.97, 0.97])
    diagnosis = diagnose(series(broken, sound))
    assert diagnosis.verdict is Verdict.HEALTHY
    assert diagnosis.resume_from == "run/netD_100.pth"


@pytest.mark.parametrize(("rank", "index"), [(2, 2), (8, 2), (13, 3), (16, 3), (27, 5), (32, 5), (512, 5)])
def test_the_plateau_index_follows_the_rank(rank: int, index: int) -> None:
    """The fifth value from the smallest published rank on, in proportion below."""
    assert Thresholds().plateau_index(rank) == index


@pytest.mark.parametrize(
    "shapes",
    [
        [(64, 27), (64, 576), (64, 576)],
        [(8, 27), (8, 72), (8, 72), (8, 72)],
        [(64, 48), (128, 1024), (256, 2048), (512, 4096)],
        [(512, 784), (256, 512)],
        [(32, 288), (128, 128)],
    ],
    ids=["SNGAN 64", "SNGAN 8", "DCGAN", "MLP", "mixed"],
)
@pytest.mark.parametrize("seed", range(4))
def test_an_untrained_network_is_not_collapsed(shapes: list[tuple[int, int]], seed: int) -> None:
    """Gaussian weights have no flat plateau, and yet are no collapse."""
    random = torch.Generator().manual_seed(seed)
    layers = [
        LayerTrajectory(
            identity(f"layer{index}", rank=min(shape)), (spectrum_of(torch.randn(shape, generator=random)),), (0,)
        )
        for index, shape in enumerate(shapes)
    ]
    assert diagnose(series(*layers)).verdict is not Verdict.COLLAPSED


def published_curves() -> list[dict[str, object]]:
    """The curves digitised from the SR-GAN paper, where the reference folder is present."""
    if not PUBLISHED.is_file():
        return []
    curves: list[dict[str, object]] = json.loads(PUBLISHED.read_text())["curves"]
    return curves


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="the published curves lie outside the project")
def test_the_verdict_is_right_on_every_published_curve() -> None:
    """Healthy, onset and collapsed layers of Liu et al. 2019, each as its own history: none wrong."""
    expected = {"healthy": Verdict.HEALTHY, "onset": Verdict.DECLINING, "collapsed": Verdict.COLLAPSED}
    wrong = []
    for curve in published_curves():
        points = np.array(curve["points"], dtype=float)
        rank = int(str(curve["rank"]))
        values = np.interp(np.arange(1, rank + 1), points[:, 0], points[:, 1])
        verdict = one_checkpoint(Spectrum(tuple(values.tolist()))).verdict
        if verdict is not expected[str(curve["state"])]:
            wrong.append((curve["setting"], verdict.value))
    assert wrong == []
