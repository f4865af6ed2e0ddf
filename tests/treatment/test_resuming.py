"""From which checkpoint a treated run goes on, and with what envelope."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch

from spectral_doctor.diagnosis.records import Diagnosis, SpectrumState
from spectral_doctor.errors import UsageError
from spectral_doctor.treatment.envelopes import initial_envelope, series_envelope
from spectral_doctor.treatment.records import Dose
from spectral_doctor.treatment.resuming import chosen_start, plan_resume
from tests.builders import layer_over_steps, save, small_discriminator
from tests.diagnosis.judging import judged


def diagnosed(*plateaus: float) -> Diagnosis:
    """A series of one spectrally normalised layer, checkpoints at 0, 100, …"""
    return judged(layer_over_steps("conv", plateaus))


@pytest.mark.parametrize(
    ("plateaus", "index", "why"),
    [
        ([1.0, 0.99, 0.98, 0.5, 0.4], 2, "the last sound one before the onset at 300"),
        ([1.0, 0.99, 0.98], 2, "the last one: the spectrum is SOUND"),
        ([0.3, 0.45, 0.4], 1, "none is sound before the onset; its best plateau is the highest"),
    ],
)
def test_the_start_is_the_last_good_checkpoint(plateaus: list[float], index: int, why: str) -> None:
    """Before the onset where there is one; the last where nothing is wrong; the best where nothing is good."""
    assert chosen_start(diagnosed(*plateaus), None) == (index, why)


def test_a_named_step_is_taken_and_an_unknown_one_is_listed() -> None:
    """`--from` wins over the choice."""
    diagnosis = diagnosed(1.0, 0.99, 0.3)
    assert chosen_start(diagnosis, 200) == (2, "named with --from")
    with pytest.raises(UsageError, match=r"^--from 150: no checkpoint of that step; there are '0', '100', '200'\.$"):
        chosen_start(diagnosis, 150)


def test_the_envelope_ends_where_the_run_is_resumed() -> None:
    """The best up to there, not of what came after; the official code's is the checkpoint's own."""
    diagnosis = diagnosed(0.97, 0.99, 0.98, 1.0)
    spectra = diagnosis.trajectory.layers[0].spectra
    best, source = series_envelope(diagnosis, 2, "running")
    assert spectra[1] is not None
    assert best["conv"] == spectra[1].relative
    assert source == "the best of 3 checkpoints"
    own, source = series_envelope(diagnosis, 2, "official")
    assert spectra[2] is not None
    assert own["conv"] == spectra[2].relative
    assert source == "the checkpoint that is resumed, as in the official code"


def test_the_median_is_over_sound_checkpoints_alone() -> None:
    """A collapsed checkpoint in between would pull it down."""
    diagnosis = diagnosed(0.96, 0.98, 0.97, 0.4, 0.97)
    assert [state.spectrum for state in diagnosis.states].count(SpectrumState.SOUND) == 4
    envelope, source = series_envelope(diagnosis, 4, "median")
    assert source == "the median over 4 sound checkpoints"
    assert envelope["conv"][1] == pytest.approx(0.97)
    assert series_envelope(diagnosed(0.4, 0.5), 1, "median")[1] == "the median over 2 checkpoints, none of them sound"


def test_one_checkpoint_has_the_envelope_of_a_fresh_layer_or_its_own() -> None:
    """Never below what it has already."""
    diagnosis = diagnosed(0.3)
    envelope, source = series_envelope(diagnosis, 0, "running")
    fresh = initial_envelope((64, 576))
    spectrum = diagnosis.trajectory.layers[0].spectra[0]
    assert spectrum is not None
    assert envelope["conv"] == tuple(map(max, fresh, spectrum.relative))
    assert "freshly initialised layers" in source
    assert all(one >= two for one, two in pairwise(fresh))


def test_several_series_are_refused(tmp_path: Path) -> None:
    """`fix` resumes one run."""
    for name in ("netD_a", "netD_b"):
        content = small_discriminator()
        if name == "netD_b":
            content["conv3.weight"] = torch.randn(16, 16, 3, 3)
        save(tmp_path / name, "netD_1.pth", content)
    with pytest.raises(UsageError, match=r"the paths hold 2 series .* `fix` resumes one: name one run\."):
        plan_resume([tmp_path], Dose("static"))
