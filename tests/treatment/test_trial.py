"""A trial's arms, what they are ranked by, and what a restart's plan holds."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from spectral_doctor.errors import UsageError
from spectral_doctor.evaluation import Evaluation
from spectral_doctor.report.trial import draw_trial
from spectral_doctor.training.records import RestartPlan
from spectral_doctor.treatment.arms import ARMS, PLAIN, Pharmacy, checked_arms, prescribed
from spectral_doctor.treatment.records import UNTREATED, Regimen
from spectral_doctor.treatment.scoring import Measured, Score
from spectral_doctor.treatment.trial import ArmResult, Finalists, finalists, ranked

WIDE, NARROW = Score(0.8, 0.9, 0.1, 0.0, 0.01), Score(0.1, 0.2, 0.6, -1.0, 0.5)


def measured(solid: int | None, score: Score, quality: float = 0.5) -> Measured:
    """A generator with so many solid modes, or of unknown truth."""
    if solid is None:
        return Measured(None, score)
    return Measured(Evaluation(2500, 8, solid, quality, 0.1, 0.0014, (), solid_modes=solid), score)


def result(arm: str, found: Measured, fault: str = "") -> ArmResult:
    """An arm that came to this at step 100."""
    return ArmResult(arm, 100, found, fault)


def order(*results: ArmResult) -> list[str]:
    """The arms' names, the best first."""
    return [item.arm for item in ranked(results)]


def test_more_solid_modes_win_then_the_score_and_never_quality() -> None:
    """A narrow generator of high quality is no better than a wide one of as many solid modes."""
    few = result("few", measured(2, WIDE))
    narrow = result("narrow", measured(4, NARROW, quality=0.99))
    wide = result("wide", measured(4, WIDE, quality=0.2))
    assert order(few, narrow, wide) == ["wide", "narrow", "few"]


def test_without_truth_the_score_decides() -> None:
    """Coverage less the energy distance, by hand."""
    assert WIDE.value == pytest.approx(0.85 - 0.1)
    assert order(result("narrow", measured(None, NARROW)), result("wide", measured(None, WIDE))) == ["wide", "narrow"]


def test_plain_wins_a_draw_and_a_diverged_arm_comes_last() -> None:
    """Doing nothing costs nothing; then the arm that was named first."""
    drawn = [result(arm, measured(4, WIDE)) for arm in ("calm", "veegan", PLAIN)]
    assert order(*drawn) == [PLAIN, "calm", "veegan"]
    assert order(result("calm", measured(8, WIDE), "a loss is not finite"), drawn[1]) == ["veegan", "calm"]


def test_what_covers_more_goes_to_the_end_beside_what_has_more_modes() -> None:
    """No mode solid yet, all of the data covered. One that is both best goes alone."""
    precise, covering = result("veegan", measured(3, NARROW)), result("calm", measured(0, WIDE))
    plain = result(PLAIN, measured(3, Score()))
    assert finalists([plain, precise, covering]).arms == ("veegan", "calm")
    assert finalists([plain, result("veegan", measured(3, WIDE)), covering]).arms == ("veegan",)
    assert finalists([plain, result("restart", measured(4, WIDE)), precise]).arms == ("restart",)


def test_a_restart_goes_to_the_end_where_others_lead_by_both() -> None:
    """It becomes precise while its rates fall. The best of several does; without one, nobody stands in for it."""
    ahead, plain = result("veegan", measured(5, WIDE)), result(PLAIN, measured(0, Score()))
    behind, worse = result("restart", measured(1, NARROW)), result("restart+static", measured(0, NARROW))
    assert finalists([plain, worse, behind, ahead]) == Finalists("veegan", "veegan", "restart")
    assert finalists([plain, worse, ahead]).arms == ("veegan", "restart+static")
    assert finalists([plain, ahead]) == Finalists("veegan", "veegan", None)


def test_no_finalist_has_diverged_and_without_truth_there_is_one() -> None:
    """Neither a good score nor many modes help an arm whose loss was not finite; the score alone has one first."""
    plain = result(PLAIN, measured(2, NARROW))
    assert finalists([plain, result("restart", measured(8, WIDE), "a loss is not finite")]).arms == (PLAIN,)
    unknown = [result(PLAIN, measured(None, NARROW)), result("restart", measured(None, WIDE))]
    assert finalists(unknown).arms == ("restart",)


def test_of_equal_scores_the_better_arm_is_best_by_score() -> None:
    """So that a draw takes no further arm to the end."""
    few, many = result("calm", measured(1, WIDE)), result("veegan", measured(4, WIDE))
    assert finalists([few, many]).arms == ("veegan",)


def test_the_picture_has_room_for_all_modes() -> None:
    """Also where no arm has any; the score, which may be negative, has its own range."""
    none = [result(PLAIN, measured(0, NARROW)), result("restart", measured(0, WIDE))]
    evaluation = none[0].measured.evaluation
    assert evaluation is not None
    assert draw_trial(none, none).axes[0].get_xlim() == (0, evaluation.modes)
    unknown = [result(PLAIN, measured(None, NARROW)), result("restart", measured(None, WIDE))]
    assert draw_trial(unknown, unknown).axes[0].get_xlim()[0] < 0


def test_arms_by_name() -> None:
    """Plain is always among them; each is once, in the order given."""
    assert checked_arms(["restart", "veegan+dynamic", "restart"]) == (PLAIN, "restart", "veegan+dynamic")
    assert prescribed(PLAIN, 100) == UNTREATED
    both = prescribed("veegan+dynamic", 100)
    assert both.dose is not None
    assert both.veegan is not None
    assert (both.dose.mode, both.veegan.ramp, both.restart) == ("dynamic", 10, None)
    assert prescribed("static", 100).regimen == Regimen()
    assert prescribed("calm+static", 100).regimen == Regimen("safe", decay=True, beta1=0.0)
    slow = Pharmacy(rate=2e-3)
    changed = {arm for arm in ARMS if prescribed(arm, 100, slow).regimen.rate == 2e-3}
    assert changed == {"calm", "restart", "veegan", "veegan+dynamic"}
    assert [prescribed(arm, 100).revive for arm in ("restart", "calm", "calm+revive")] == [True, False, True]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "restart+rest",
            "--arms restart+rest: expected 'plain', or 'calm', 'revive', 'restart', 'veegan', 'static', 'dynamic', "
            "joined by a plus; 'rest' is none.",
        ),
        ("restart+veegan", "--arms restart+veegan: 'restart' and 'veegan' do not go together."),
        ("static+dynamic", "--arms static+dynamic: 'static' and 'dynamic' do not go together."),
    ],
)
def test_an_arm_that_there_is_not_is_named(name: str, sentence: str) -> None:
    """With what there is."""
    with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
        checked_arms([name])


def test_a_restart_is_planned_by_texts() -> None:
    """Numbers that are not negative; other keys and values are named."""
    assert RestartPlan().changed({"gamma": "2", "warm_up": "5"}) == replace(RestartPlan(), gamma=2.0, warm_up=5)
    with pytest.raises(UsageError, match=r"^--restart anneal=-1: expected a number that is not negative\.$"):
        RestartPlan().changed({"anneal": "-1"})
    with pytest.raises(UsageError, match=r"^--restart width: no such value; there are 'anneal', 'gamma', 'warm_up'\.$"):
        RestartPlan().changed({"width": "3"})
