"""The fitted formulas, printed by `python tests/benchmarks/fit_modes.py tests/data/corpus-2.json.gz`."""

from __future__ import annotations

from spectral_doctor.diagnosis.model import Formula, Term
from spectral_doctor.diagnosis.records import Tier

FORMULAS = {
    Tier.DISCRIMINATOR: Formula(
        -0.999,
        (8, 128),
        (
            Term("shortfall", 0.178, 0.56, -2.0, 2.0),
            Term("first", -1.078, 0.761, 0.061, 1.084),
            Term("fall", 0.221, 0.192, -2.0, 2.0),
            Term("normalised", 0.016, 0.461, -0.1, 1.1),
        ),
    ),
    Tier.GENERATOR: Formula(
        -1.163,
        (8, 128),
        (
            Term("first", -1.871, 0.761, 0.061, 1.084),
            Term("normalised", 0.094, 0.461, -0.1, 1.1),
            Term("ratio", -0.84, 0.801, 0.165, 1.066),
            Term("ratio_fall", 8.467, 0.144, -0.066, 0.73),
        ),
    ),
    Tier.SAMPLES: Formula(
        -0.709,
        (8, 128),
        (
            Term("normalised", -0.039, 0.461, -0.1, 1.1),
            Term("ratio", -0.454, 0.801, 0.165, 1.066),
            Term("ratio_fall", 5.177, 0.144, -0.066, 0.73),
            Term("participation", -2.044, 0.795, -0.1, 1.1),
            Term("deviation", -3.713, -0.442, -3.3, 0.3),
            Term("loss", 0.883, 0.892, -0.554, 6.095),
        ),
    ),
    Tier.DATA: Formula(
        -1.506,
        (8, 128),
        (
            Term("normalised", -0.055, 0.461, -0.1, 1.1),
            Term("ratio", -4.083, 0.801, 0.165, 1.066),
            Term("participation", -0.397, 0.795, -0.1, 1.1),
            Term("deviation", -0.398, -0.442, -3.3, 0.3),
            Term("loss", 0.591, 0.892, -0.554, 6.095),
            Term("energy", 0.845, -3.193, -5.044, 0.22),
            Term("coverage", -2.549, 0.235, -0.079, 0.864),
            Term("broad_coverage", -3.103, 0.562, -0.1, 1.1),
            Term("relative_vendi", -0.493, -0.09, -6.111, 2.156),
        ),
    ),
    Tier.ALONE: Formula(
        -1.046,
        (8, 128),
        (
            Term("participation", -3.712, 0.795, -0.1, 1.1),
            Term("deviation", -2.632, -0.442, -3.3, 0.3),
        ),
    ),
}
