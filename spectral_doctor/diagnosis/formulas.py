"""The fitted formulas, printed by `python tests/benchmarks/fit_modes.py tests/data/corpus-2.json.gz`."""

from __future__ import annotations

from spectral_doctor.diagnosis.model import Formula, Term
from spectral_doctor.diagnosis.records import Tier

FORMULAS = {
    Tier.DISCRIMINATOR: Formula(
        -0.821,
        (8, 128),
        (
            Term("shortfall", 0.521, 0.585, -1.583, 2.326),
            Term("first", -1.353, 0.762, 0.147, 1.075),
            Term("normalised", -0.01, 0.463, -0.1, 1.1),
        ),
    ),
    Tier.GENERATOR: Formula(
        -0.932,
        (8, 128),
        (
            Term("shortfall", 0.215, 0.585, -1.583, 2.326),
            Term("first", -2.136, 0.762, 0.147, 1.075),
            Term("normalised", -0.049, 0.463, -0.1, 1.1),
            Term("ratio", -2.307, 0.796, 0.306, 1.047),
            Term("ratio_fall", 6.724, 0.149, -0.057, 0.628),
        ),
    ),
    Tier.SAMPLES: Formula(
        -0.682,
        (8, 128),
        (
            Term("shortfall", 0.031, 0.585, -1.583, 2.326),
            Term("first", -0.855, 0.762, 0.147, 1.075),
            Term("normalised", -0.271, 0.463, -0.1, 1.1),
            Term("ratio", -1.966, 0.796, 0.306, 1.047),
            Term("ratio_fall", 3.474, 0.149, -0.057, 0.628),
            Term("participation", -1.518, 0.786, -0.1, 1.1),
            Term("deviation", -2.199, -0.419, -3.3, 0.3),
            Term("loss", 0.676, 0.83, -0.539, 5.928),
        ),
    ),
    Tier.DATA: Formula(
        -1.063,
        (8, 128),
        (
            Term("shortfall", 0.633, 0.585, -1.583, 2.326),
            Term("normalised", -0.342, 0.463, -0.1, 1.1),
            Term("ratio", -2.596, 0.796, 0.306, 1.047),
            Term("ratio_fall", 0.741, 0.149, -0.057, 0.628),
            Term("deviation", -0.23, -0.419, -3.3, 0.3),
            Term("loss", 0.201, 0.83, -0.539, 5.928),
            Term("energy", 0.825, -3.142, -5.027, 0.127),
            Term("coverage", -1.857, 0.225, -0.079, 0.864),
            Term("broad_coverage", -1.999, 0.546, -0.1, 1.1),
            Term("relative_vendi", -0.537, -0.03, -5.918, 1.905),
        ),
    ),
    Tier.ALONE: Formula(
        -0.821,
        (8, 128),
        (
            Term("participation", -3.026, 0.786, -0.1, 1.1),
            Term("deviation", -1.527, -0.419, -3.3, 0.3),
        ),
    ),
}
