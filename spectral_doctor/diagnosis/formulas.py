"""The fitted formulas, printed by `python tests/benchmarks/fit_modes.py tests/data/corpus-2.json.gz`."""

from __future__ import annotations

from spectral_doctor.diagnosis.model import Formula, Term
from spectral_doctor.diagnosis.records import Tier

FORMULAS = {
    Tier.DISCRIMINATOR: Formula(
        -0.913,
        (8, 128),
        (
            Term("shortfall", 0.215, 0.566, -2.0, 2.0),
            Term("first", -1.026, 0.755, 0.061, 1.084),
            Term("normalised", 0.075, 0.458, -0.1, 1.1),
        ),
    ),
    Tier.GENERATOR: Formula(
        -1.064,
        (8, 128),
        (
            Term("first", -1.754, 0.755, 0.061, 1.084),
            Term("normalised", 0.048, 0.458, -0.1, 1.1),
            Term("ratio", -1.578, 0.806, 0.165, 1.065),
            Term("ratio_fall", 8.716, 0.141, -0.066, 0.73),
        ),
    ),
    Tier.SAMPLES: Formula(
        -0.681,
        (8, 128),
        (
            Term("normalised", -0.05, 0.458, -0.1, 1.1),
            Term("ratio", -2.884, 0.806, 0.165, 1.065),
            Term("ratio_fall", 4.004, 0.141, -0.066, 0.73),
            Term("participation", -1.915, 0.808, -0.1, 1.1),
            Term("deviation", -3.451, -0.437, -3.3, 0.3),
            Term("loss", 0.685, 0.86, -0.554, 6.095),
        ),
    ),
    Tier.DATA: Formula(
        -1.357,
        (8, 128),
        (
            Term("shortfall", 0.045, 0.566, -2.0, 2.0),
            Term("normalised", 0.012, 0.458, -0.1, 1.1),
            Term("ratio", -5.162, 0.806, 0.165, 1.065),
            Term("ratio_fall", 0.453, 0.141, -0.066, 0.73),
            Term("participation", -0.051, 0.808, -0.1, 1.1),
            Term("deviation", -0.402, -0.437, -3.3, 0.3),
            Term("loss", 0.352, 0.86, -0.554, 6.095),
            Term("energy", 0.712, -3.17, -5.044, 0.22),
            Term("coverage", -2.073, 0.229, -0.079, 0.864),
            Term("broad_coverage", -3.368, 0.56, -0.1, 1.1),
            Term("relative_vendi", -0.587, -0.073, -6.111, 2.156),
        ),
    ),
    Tier.ALONE: Formula(
        -0.946,
        (8, 128),
        (
            Term("participation", -3.725, 0.808, -0.1, 1.1),
            Term("deviation", -2.293, -0.437, -3.3, 0.3),
        ),
    ),
}
