"""One pass over a series says what looking back from every checkpoint says, and costs no more a checkpoint."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from spectral_doctor.diagnosis.records import Diagnosis, Thresholds, Verdict
from spectral_doctor.diagnosis.rules import diagnose
from spectral_doctor.errors import NoObservations
from spectral_doctor.records import FileState, LayerIdentity, Spectrum
from spectral_doctor.trajectory.records import LayerTrajectory, SpectralTrajectory
from tests.builders import layer_over_steps, plateau_spectrum, series

GOLDEN = Path(__file__).parent / "golden" / "diagnoses.json"
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


def said(diagnosis: Diagnosis) -> dict[str, object]:
    """Everything that a diagnosis says, its numbers to nine digits."""
    return {
        "verdict": diagnosis.verdict.value,
        "summary": diagnosis.summary,
        "onset": [diagnosis.onset, diagnosis.onset_after, diagnosis.last_healthy],
        "resume_from": None if diagnosis.resume_from is None else str(diagnosis.resume_from),
        "states": [
            [
                item.verdict.value,
                shown(item.probability),
                shown(item.best_plateau),
                item.best_layer,
                shown(item.deficit),
            ]
            for item in diagnosis.states
        ],
        "layers": [
            [item.layer, item.verdict.value if item.verdict else item.reason, shown(item.deficit)]
            for item in diagnosis.layers
        ],
        "findings": [[item.kind.value, item.since, item.current, item.sentence] for item in diagnosis.findings],
        "arguments": [[item.name, shown(item.weight), item.sentence] for item in diagnosis.arguments],
    }


def shown(value: float | None) -> str | None:
    """A number as text, without what the last bits of another machine's logarithm could change."""
    return None if value is None else f"{value:.9g}"


def test_a_diagnosis_says_what_it_said_when_it_looked_back_from_every_checkpoint() -> None:
    """Forty drawn series; the golden answers were written by the version before this one."""
    generator = random.Random(7)
    found = [
        said(diagnose(drawn_series(generator), Thresholds.sensitive() if index % 5 == 4 else None))
        for index in range(SERIES)
    ]
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert {item["verdict"] for item in golden} == {verdict.value for verdict in Verdict}
    assert found == golden


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
