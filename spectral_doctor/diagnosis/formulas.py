"""The fitted formulas, printed by `python tests/benchmarks/fit_modes.py tests/data/corpus-2.json.gz`."""

from __future__ import annotations

from spectral_doctor.diagnosis.model import Formula, Term
from spectral_doctor.diagnosis.records import Tier

FORMULAS = {
    Tier.DISCRIMINATOR: Formula(
        -0.919,
        (8, 128),
        (
            Term("shortfall", 0.374, 0.593, -1.913, 2.356),
            Term("first", -1.042, 0.747, 0.061, 1.084),
            Term("normalised", 0.092, 0.444, -0.1, 1.1),
        ),
    ),
    Tier.GENERATOR: Formula(
        -1.052,
        (8, 128),
        (
            Term("first", -2.202, 0.747, 0.061, 1.084),
            Term("normalised", 0.112, 0.444, -0.1, 1.1),
            Term("ratio", -9.648, 0.803, 0.165, 1.065),
        ),
    ),
    Tier.SAMPLES: Formula(
        -0.895,
        (8, 128),
        (
            Term("shortfall", 0.48, 0.593, -1.913, 2.356),
            Term("normalised", 0.043, 0.444, -0.1, 1.1),
            Term("participation", -2.557, 0.804, -0.125, 1.375),
            Term("deviation", -2.386, -0.428, -3.3, 0.3),
        ),
    ),
    Tier.DATA: Formula(
        -0.778,
        (8, 128),
        (
            Term("shortfall", 0.314, 0.593, -1.913, 2.356),
            Term("normalised", -0.028, 0.444, -0.1, 1.1),
            Term("participation", -0.505, 0.804, -0.125, 1.375),
            Term("deviation", -0.055, -0.428, -3.3, 0.3),
            Term("energy", 19.238, 0.072, -0.08, 0.873),
        ),
    ),
}
