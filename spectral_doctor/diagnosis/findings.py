"""What is found beside the statements: not finite, exploding, unchanged, zero; compensated, clipped."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from operator import neg

from spectral_doctor.diagnosis.records import Finding, FindingKind, Thresholds
from spectral_doctor.errors import listed
from spectral_doctor.records import Spectrum
from spectral_doctor.trajectory.records import LayerTrajectory, SpectralTrajectory

FLAT, CLIFF = 0.98, 0.75
# A layer stands still when none of its singular values moves by more than a millionth of σ_1, what float32 rounds to,
# and hardly moves up to a ten-thousandth: a rate that decays to zero ends so.
STILL, HARDLY = 1e-6, 1e-4


def find_faults(trajectory: SpectralTrajectory, thresholds: Thresholds) -> tuple[Finding, ...]:
    """Find the faults that are no spectral collapse and are often taken for one, and what explains a low spectrum."""
    found = (
        *_non_finite(trajectory),
        *_zero(trajectory),
        *_exploding(trajectory, thresholds),
        *_unchanged(trajectory),
        *_compensated(trajectory),
        *_clipped(trajectory, thresholds),
    )
    return tuple(found)


def _non_finite(trajectory: SpectralTrajectory) -> list[Finding]:
    broken = [layer for layer in trajectory.layers if any(layer.non_finite)]
    if not broken:
        return []
    first = min(_first(layer.non_finite) for layer in broken)
    at_first = [layer for layer in broken if layer.non_finite[first]]
    current = any(layer.non_finite[-1] for layer in broken)
    values = sum(layer.non_finite[first] for layer in at_first)
    step = trajectory.steps[first]
    counted = "1 value is" if values == 1 else f"{values} values are"
    sentence = f"{counted} NaN or infinite in {listed(layer.name for layer in at_first)} {_when(trajectory, step)}" + (
        "" if current else ", and finite again at the last"
    )
    return [Finding(FindingKind.NON_FINITE, tuple(layer.name for layer in at_first), step, current, sentence)]


def _zero(trajectory: SpectralTrajectory) -> list[Finding]:
    zero = [layer for layer in trajectory.layers if (last := layer.spectra[-1]) is not None and last.sigma_max == 0.0]
    if not zero:
        return []
    names = tuple(layer.name for layer in zero)
    step = trajectory.steps[-1]
    sentence = f"every value is zero in {listed(names)} {_when(trajectory, step)}"
    return [Finding(FindingKind.ZERO, names, step, True, sentence)]


def _exploding(trajectory: SpectralTrajectory, thresholds: Thresholds) -> list[Finding]:
    if len(trajectory.steps) < 3:
        return []
    largest = max((item.sigma_max for layer in trajectory.layers for item in layer.spectra[:-1] if item), default=0.0)
    growth = {layer.name: _growth(layer, largest) for layer in trajectory.layers}
    grown = [layer for layer in trajectory.layers if growth[layer.name] >= thresholds.explosion]
    if not grown:
        return []
    names = tuple(layer.name for layer in grown)
    step = trajectory.steps[-1]
    sentence = f"σ1 of {listed(names)} has grown up to {max(growth.values()):.1f}-fold {_when(trajectory, step)}"
    return [Finding(FindingKind.EXPLODING, names, step, True, sentence)]


def _growth(layer: LayerTrajectory, largest: float) -> float:
    """σ_1 at the last checkpoint over that of the one before; 0 where any layer has been as large already.

    A head that starts near zero and grows to the size of the other layers explodes in no sense.
    """
    before, now = (0.0 if spectrum is None else spectrum.sigma_max for spectrum in layer.spectra[-2:])
    return 0.0 if before == 0.0 or now <= largest else now / before


def _unchanged(trajectory: SpectralTrajectory) -> list[Finding]:
    """A weight that trains moves all its singular values; the same to the last bit means it was not updated."""
    still = [layer for layer in trajectory.layers if still_since(layer) < len(trajectory.steps) - 1]
    if not still:
        return []
    since = trajectory.steps[min(still_since(layer) for layer in still)]
    names = tuple(layer.name for layer in still)
    whole = len(still) == len(trajectory.layers)
    what = "no layer has" if whole else f"{listed(names)} {'has' if len(names) == 1 else 'have'} not"
    sentence = f"{what} changed since {trajectory.step_unit} {since}" + (
        ": the discriminator is not being trained" if whole else ""
    )
    return [Finding(FindingKind.UNCHANGED, names, since, True, sentence)]


def _compensated(trajectory: SpectralTrajectory) -> list[Finding]:
    """A static compensation leaves σ_1 = … = σ_i and a cliff behind: the tail says nothing about collapse."""
    treated = [(layer, index) for layer in trajectory.layers if (index := _last_two_step(layer))]
    if not treated:
        return []
    names = tuple(layer.name for layer, _ in treated)
    sentence = (
        f"a two-step spectrum, flat and then a cliff, in {listed(names)} (to value {treated[0][1]} of "
        f"{treated[0][0].identity.rank} in '{names[0]}'): what a static compensation leaves, judged by its flat part"
    )
    return [Finding(FindingKind.COMPENSATED, names, trajectory.steps[-1], True, sentence)]


def _last_two_step(layer: LayerTrajectory) -> int:
    spectrum = layer.spectra[-1]
    return 0 if spectrum is None else two_step_index(spectrum)


def two_step_index(spectrum: Spectrum) -> int:
    """How many values a two-step spectrum keeps at σ_1 before its cliff; 0 where it is none.

    At least three, and a quarter of all, lie above 0.98·σ_1, and the next is below three quarters of the last of
    them. Trained plateaus fall off gently, the published ones by a hundredth from one value to the next.
    """
    if spectrum.size < 4 or spectrum.ratio(3) < FLAT:
        return 0
    relative = spectrum.relative
    # It descends, so the flat part's end is found by halving.
    flat = bisect_right(relative, -FLAT, key=neg)
    if flat < spectrum.size / 4 or flat == spectrum.size:
        return 0
    return flat if relative[flat] < CLIFF * relative[flat - 1] else 0


def _clipped(trajectory: SpectralTrajectory, thresholds: Thresholds) -> list[Finding]:
    clipped = [layer for layer in trajectory.layers if layer.clipped >= thresholds.clipped_share]
    if not clipped:
        return []
    names = tuple(layer.name for layer in clipped)
    least = min(layer.clipped for layer in clipped)
    sentence = (
        f"{least:.0%} or more of the weights of {listed(names)} have one and the same size, the largest: clipped, "
        "as in the first WGAN, where a spectrum near rank 1 is normal and not judged"
    )
    return [Finding(FindingKind.CLIPPED, names, trajectory.steps[-1], True, sentence)]


def moved(layer: LayerTrajectory, index: int, least: float) -> bool:
    """Whether a singular value has moved by more than a share of σ_1 since the checkpoint before; not finite has."""
    now, before = layer.spectra[index], layer.spectra[index - 1]
    if now is None or before is None:
        return True
    pairs = zip(now.values, before.values, strict=True)
    return any(abs(new - old) > least * before.sigma_max for new, old in pairs)


def still_since(layer: LayerTrajectory) -> int:
    """Return the index of the first checkpoint from which on a layer's spectrum is the same to the last bit."""
    index = len(layer.spectra) - 1
    while index > 0 and layer.spectra[index] is not None and layer.spectra[index - 1] == layer.spectra[index]:
        index -= 1
    return index


def _first(counts: Sequence[int]) -> int:
    return next(index for index, count in enumerate(counts) if count)


def _when(trajectory: SpectralTrajectory, step: int) -> str:
    return "in the one checkpoint given" if len(trajectory.steps) == 1 else f"at {trajectory.step_unit} {step}"
