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
        -1.479,
        (8, 128),
        (
            Term("normalised", -0.064, 0.461, -0.1, 1.1),
            Term("ratio", -3.653, 0.801, 0.165, 1.066),
            Term("ratio_fall", 0.094, 0.144, -0.066, 0.73),
            Term("participation", -0.548, 0.795, -0.1, 1.1),
            Term("deviation", -0.546, -0.442, -3.3, 0.3),
            Term("loss", 0.466, 0.892, -0.554, 6.095),
            Term("energy", 0.603, -3.193, -5.044, 0.22),
            Term("coverage", -2.467, 0.235, -0.079, 0.864),
            Term("broad_coverage", -0.929, 0.562, -0.1, 1.1),
            Term("relative_vendi", -0.77, -0.09, -6.111, 2.156),
            Term("served", -1.057, 0.624, -0.1, 1.1),
            Term("evenness", -2.174, 0.529, -0.098, 1.078),
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
