"""Ground truth on samples: modes, quality, spread, and what a checkpoint and a run came to. NumPy alone."""

from spectral_doctor.evaluation.modes import Evaluation, evaluate_codes, evaluate_mixture
from spectral_doctor.evaluation.outcomes import Course, Outcome, course, outcomes
from spectral_doctor.evaluation.quality import Manifold, coverage_and_density
from spectral_doctor.evaluation.spread import Spread, measured_spread

__all__ = [
    "Course",
    "Evaluation",
    "Manifold",
    "Outcome",
    "Spread",
    "course",
    "coverage_and_density",
    "evaluate_codes",
    "evaluate_mixture",
    "measured_spread",
    "outcomes",
]
