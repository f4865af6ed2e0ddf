"""The rates of a treatment: constant, then linear to zero; and what proposes them."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

from spectral_doctor.errors import UsageError
from spectral_doctor.training.pace import Pace, rates_in_force
from spectral_doctor.treatment.rates import safe_rate


@pytest.mark.parametrize(("step", "factor"), [(100, 1.0), (150, 1.0), (175, 0.5), (190, 0.2), (200, 0.0), (300, 0.0)])
def test_rates_fall_linearly_over_the_second_half(step: int, factor: float) -> None:
    """From step 100 to 200, by hand; without decay they stay."""
    assert Pace(100, 200, 1.0, 1.0, decay=True).factor(step) == pytest.approx(factor)
    assert Pace(100, 200, 1.0, 1.0).factor(step) == 1.0


def test_both_sides_have_their_rate_and_restored_moments_their_beta() -> None:
    """β1 of an optimizer that was restored is replaced, β2 stays; without β1 both stay."""
    one, two = (Adam(nn.Linear(2, 2).parameters(), 0.5, betas=(0.5, 0.9)) for _ in range(2))
    two.load_state_dict(one.state_dict())
    Pace(0, 100, 0.01, 0.02, beta1=0.0, decay=True).set(75, [one], [two])
    assert [group["lr"] for item in (one, two) for group in item.param_groups] == pytest.approx([0.005, 0.01])
    assert all(group["betas"] == (0.0, 0.9) for item in (one, two) for group in item.param_groups)
    Pace(0, 100, 0.01, 0.02).set(0, [one], [two])
    assert one.param_groups[0]["betas"] == (0.0, 0.9)


def test_beta1_needs_an_optimizer_that_has_one() -> None:
    """SGD is named; Adam passes, and SGD without β1."""
    sgd, adam = (kind(nn.Linear(2, 2).parameters(), 0.1) for kind in (SGD, Adam))
    with pytest.raises(UsageError, match=r"^--beta1: the recipe's SGD has no betas; leave the option out\.$"):
        Pace(0, 1, 0.1, 0.1, beta1=0.0).check([adam, sgd])
    Pace(0, 1, 0.1, 0.1, beta1=0.0).check([adam])
    Pace(0, 1, 0.1, 0.1).check([sgd])


def test_the_rate_that_a_run_began_with_is_known_under_a_schedule() -> None:
    """PyTorch's schedulers leave it as `initial_lr`."""
    optimizer = Adam(nn.Linear(2, 2).parameters(), 0.2)
    assert rates_in_force(optimizer) == (0.2, 0.2)
    torch.optim.lr_scheduler.ConstantLR(optimizer, factor=0.25)
    assert rates_in_force(optimizer) == (0.05, 0.2)


@pytest.mark.parametrize(("began", "safe"), [(2e-4, 2e-4), (1e-3, 1e-3), (5e-3, 1e-3), (2.75e-2, 2.75e-3)])
def test_a_safe_rate_is_a_tenth_and_never_below_adams_own(began: float, safe: float) -> None:
    """A rate that is low enough is left alone."""
    assert safe_rate(began) == pytest.approx(safe)


def test_another_pace_is_told_by_what_differs() -> None:
    """The end counts only where rates fall towards it."""
    pace = Pace(0, 100, 0.01, 0.02)
    assert pace.differs(Pace(0, 300, 0.01, 0.02)) == []
    assert pace.differs(Pace(0, 100, 0.03, 0.02)) == ["generator_rate was 0.03, is 0.01"]
    assert Pace(0, 100, 0.01, 0.02, decay=True).differs(Pace(0, 300, 0.01, 0.02, decay=True)) == [
        "last was 300, is 100"
    ]
    assert pace.differs(None) == ["there was none"]
