"""Whether a network is as it was initialised: spectra of random weights, of a size that initialisations give."""

from __future__ import annotations

import math
from collections.abc import Sequence

from spectral_doctor.diagnosis.random_matrix import expected_ratio
from spectral_doctor.records import Kind, LayerIdentity, Spectrum

# How far finite random matrices lie from the law: a quarter above what 99.5 % of uniform ones, 8×8 to 256×2304, reach.
_SHAPE, _SQUARE, _POWER = 0.22, 0.45, -0.8
# In standard errors of the elements' standard deviation.
_SIZE = 4.0
_SMALLEST_RANK, _FEWEST = 8, 64
_ORTHOGONAL = 0.999
# Standard deviations that do not depend on the shape: DCGAN's and Radford's 0.02, 0.01, StyleGAN's 1.
_FIXED = (0.02, 0.01, 1.0)


def is_untrained(layers: Sequence[tuple[LayerIdentity, Spectrum]]) -> bool:
    """Whether every layer's spectrum is that of random weights, and every layer's size that of an initialisation.

    The spectrum: the root mean square of σ_j/(c·σ_1) − e_j is at most (0.22 + 0.45·√(short/long))·rank^(−0.8), e_j what
    random weights of that shape show (Marchenko & Pastur 1967) and c the best scale; or all values are alike, an
    orthogonal initialisation. The size:
    √(Σσ²/mn), the elements' standard deviation, within four standard errors of PyTorch's 1/√(3·fan_in), of Kaiming's
    or Xavier's or LeCun's, or of a fixed one. A layer of fewer than 64 elements says nothing; one of
    rank 8 has to speak.
    A network this small that has trained a little can look the same.
    """
    speaking = [
        (identity, item)
        for identity, item in layers
        if identity.kind != Kind.EMBEDDING.value and math.prod(identity.matrix_shape) >= _FEWEST
    ]
    if not any(item.size >= _SMALLEST_RANK for _, item in speaking):
        return False
    return all(_is_random(identity, item) for identity, item in speaking)


def _is_random(identity: LayerIdentity, spectrum: Spectrum) -> bool:
    if spectrum.sigma_max == 0.0:
        return False
    if spectrum.size > 1 and spectrum.ratio(spectrum.size) >= _ORTHOGONAL:
        return True
    return _has_initial_size(identity, spectrum) and (
        spectrum.size < _SMALLEST_RANK or _has_the_shape(spectrum, identity)
    )


def _has_the_shape(spectrum: Spectrum, identity: LayerIdentity) -> bool:
    expected = [expected_ratio(*identity.matrix_shape, k) for k in range(1, spectrum.size + 1)]
    relative = spectrum.relative
    scale = _dot(relative, expected) / _dot(expected, expected)
    away = math.fsum((value / scale - law) ** 2 for value, law in zip(relative, expected, strict=True))
    rows, columns = sorted(identity.matrix_shape)
    most: float = (_SHAPE + _SQUARE * math.sqrt(rows / columns)) * spectrum.size**_POWER
    return math.sqrt(away / spectrum.size) <= most


def _has_initial_size(identity: LayerIdentity, spectrum: Spectrum) -> bool:
    rows, columns = identity.matrix_shape
    elements = rows * columns
    found = math.sqrt(math.fsum(value * value for value in spectrum.values) / elements)
    schemes = [*_FIXED, math.sqrt(2 / (rows + columns)), math.sqrt(4 / (rows + columns))]
    for fan in (rows, columns):
        schemes += [math.sqrt(one / fan) for one in (1 / 3, 1.0, 2.0, 2 / 1.04)]
    return any(abs(found / scheme - 1) * math.sqrt(2 * elements) <= _SIZE for scheme in schemes)


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return math.fsum(left * right for left, right in zip(one, other, strict=True))
