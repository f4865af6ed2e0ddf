"""A diagnosis looks back and never ahead, costs the same for every checkpoint, and advises what is there."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from spectral_doctor.diagnosis.records import SpectrumState
from spectral_doctor.diagnosis.rules import diagnose
from spectral_doctor.errors import NoObservations
from spectral_doctor.records import FileState, LayerIdentity, Spectrum
from spectral_doctor.trajectory.records import LayerTrajectory, SpectralTrajectory
from tests.builders import layer_over_steps, plateau_spectrum, series

SERIES = 40


def drawn_spectrum(generator: random.Random, before: Spectrum | None, rank: int) -> Spectrum | None:
    """A spectrum that is broken, zero, unchanged or moved, each now and then."""
    mood = generator.random()
    if mood < 0.03:
        return None
    if mood < 0.15 and before is not None:
        return before
    if mood < 0.17:
        return Spectrum((0.0,) * rank)
    size = (before.sigma_max if before else 0.0) * generator.choice((1.0, 1.2, 4.0, 0.9)) or 1.0
    level = generator.choice((0.98, 0.9, 0.7, 0.4))
    tail = sorted((level * generator.uniform(0.8, 1.0) for _ in range(rank - 1)), reverse=True)
    return Spectrum(tuple(size * value for value in (1.0, *tail)))


def drawn_series(generator: random.Random) -> SpectralTrajectory:
    """A series of a few layers of every kind over one to twelve checkpoints."""
    length, normalised = generator.randint(1, 12), generator.random() < 0.5
    layers = []
    for place in range(generator.randint(1, 5)):
        rank = generator.choice((1, 4, 8, 12, 16, 32))
        kind = generator.choice(("conv", "conv", "linear", "embedding"))
        form = generator.choice(("plain", "spectral norm")) if normalised else "plain"
        spectra: list[Spectrum | None] = []
        for _ in range(length):
            spectra.append(drawn_spectrum(generator, spectra[-1] if spectra else None, rank))
        bound = generator.choice((0.0, 0.0, 0.06))
        layers.append(
            LayerTrajectory(
                LayerIdentity(f"layer{place}", kind, form, (rank, rank), (rank, rank)),
                tuple(spectra),
                tuple(int(item is None) for item in spectra),
                (bound,) * length,
            )
        )
    return series(*layers)


def test_a_checkpoint_is_judged_by_itself_and_those_before_it() -> None:
    """Forty drawn series: the states of every part from the beginning are the first states of the whole."""
    generator = random.Random(7)
    seen: set[SpectrumState] = set()
    for _ in range(SERIES):
        trajectory = drawn_series(generator)
        whole = diagnose(trajectory).states
        seen |= {state.spectrum for state in whole}
        for length in range(2, len(trajectory.steps)):
            part = diagnose(beginning(trajectory, length))
            if part.layers and [item.reason for item in part.layers] == [
                item.reason for item in diagnose(trajectory).layers
            ]:
                assert [(item.spectrum, item.depth) for item in part.states] == [
                    (item.spectrum, item.depth) for item in whole[:length]
                ]
    assert {SpectrumState.SOUND, SpectrumState.COLLAPSED, SpectrumState.RECOVERING, SpectrumState.NON_FINITE} <= seen


def beginning(trajectory: SpectralTrajectory, length: int) -> SpectralTrajectory:
    """The first checkpoints of a series."""
    layers = tuple(
        LayerTrajectory(item.identity, item.spectra[:length], item.non_finite[:length], item.at_bound[:length])
        for item in trajectory.layers
    )
    return replace(
        trajectory, steps=trajectory.steps[:length], checkpoints=trajectory.checkpoints[:length], layers=layers
    )


class CountedSpectrum(Spectrum):
    """A spectrum that counts how often its σ_k/σ_1 is asked for."""

    asked = 0

    def ratio(self, j: int) -> float:
        """The same as that of any spectrum."""
        CountedSpectrum.asked += 1
        return super().ratio(j)


def ratios_asked_for(checkpoints: int) -> int:
    """How often a diagnosis of a falling layer looks at a spectrum."""
    spectra = tuple(
        CountedSpectrum(plateau_spectrum(0.9 - 0.5 * index / checkpoints, sigma_max=1 + index).values)
        for index in range(checkpoints)
    )
    layer = replace(layer_over_steps("conv", [0.9] * checkpoints), spectra=spectra)
    CountedSpectrum.asked = 0
    diagnose(series(layer))
    return CountedSpectrum.asked


def test_twice_the_checkpoints_are_twice_the_work() -> None:
    """Counted, not timed, so that a busy machine cannot decide; looking back would be four times."""
    short, long = ratios_asked_for(50), ratios_asked_for(100)
    assert short >= 50
    assert long <= 2.1 * short


def test_a_series_without_a_checkpoint_is_an_error_that_says_so() -> None:
    """As a monitor has it before its first observation."""
    empty = replace(series(layer_over_steps("conv", [0.9])), steps=(), checkpoints=(), layers=())
    with pytest.raises(NoObservations) as error:
        diagnose(empty)
    assert str(error.value) == "netD: nothing has been observed yet; a diagnosis needs one checkpoint or more."


@pytest.mark.parametrize("state", [FileState.OVERWRITTEN, FileState.DELETED])
def test_what_is_no_longer_there_is_never_advised(state: FileState) -> None:
    """The last healthy checkpoint that is there, however much later one was seen; without one, none."""
    trajectory = series(layer_over_steps("conv", [0.97, 0.98, 0.97, 0.6, 0.4]))
    assert str(diagnose(trajectory).resume_from) == "run/netD_200.pth"
    gone = [replace(ref, state=state) for ref in trajectory.checkpoints]
    diagnosis = diagnose(replace(trajectory, checkpoints=(*trajectory.checkpoints[:1], *gone[1:])))
    assert (str(diagnosis.resume_from), diagnosis.last_healthy) == ("run/netD_0.pth", 0)
    assert diagnosis.healthy_is_gone
    nothing = diagnose(replace(trajectory, checkpoints=tuple(gone)))
    assert (nothing.resume_from, nothing.last_healthy, nothing.onset) == (None, None, 300)
    assert nothing.healthy_is_gone
    assert not diagnose(trajectory).healthy_is_gone
