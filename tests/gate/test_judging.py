"""From an inspection to problems."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from spectral_doctor.diagnosis.records import Finding, FindingKind, Verdict
from spectral_doctor.errors import NoCheckpoints, UnreadableCheckpoint
from spectral_doctor.gate.coverage import coverage_of, is_missed
from spectral_doctor.gate.judging import judge, nothing_examined
from spectral_doctor.gate.records import Coverage, Key, normalised
from spectral_doctor.gate.rules import Level
from spectral_doctor.gate.settings import FailOn, GateSettings
from spectral_doctor.state_dicts.matrices import collect_layers
from spectral_doctor.trajectory.examining import layer_spectra
from tests.builders import layer_over_steps, series
from tests.gate.cases import SUMMARY, TORN, collapsed, inspection_of, with_verdict


def found(settings: GateSettings | None = None) -> list[tuple[str, str, str]]:
    """Code, layer and level of every problem of the common case."""
    outcome = judge(inspection_of(collapsed(), failures=(TORN,)), settings or GateSettings())
    return [(item.rule.code, item.layer, item.level.value) for item in outcome.problems]


def test_every_fault_becomes_a_problem_with_its_level() -> None:
    """By default the layers' own plateaus are not looked at."""
    assert found() == [
        ("SD101", "", "fail"),
        ("SD201", "body.c2", "fail"),
        ("SD203", "head", "warn"),
        ("SD302", "", "warn"),
    ]


def test_selection_ignores_and_levels_decide_what_is_found() -> None:
    """Each setting removes or changes exactly what it names."""
    assert found(GateSettings(select=frozenset({"SD111"}))) == [("SD111", "body.c1", "warn")]
    assert found(GateSettings(ignore=frozenset({"SD101", "SD302"}))) == [
        ("SD201", "body.c2", "fail"),
        ("SD203", "head", "warn"),
    ]
    silent = GateSettings(per_layer_ignore=(("body.*", frozenset({"SD201"})),), level={"SD203": Level.FAIL})
    assert found(silent) == [("SD101", "", "fail"), ("SD203", "head", "fail"), ("SD302", "", "warn")]
    assert {level for _, _, level in found(GateSettings(fail_on=FailOn.NEVER))} == {"warn"}


def test_the_sentences() -> None:
    """What is said, to the letter."""
    outcome = judge(inspection_of(collapsed(), failures=(TORN,)), GateSettings(level={"SD111": Level.WARN}))
    assert [(item.rule.code, item.sentence, item.step, item.checkpoint) for item in outcome.problems] == [
        ("SD101", f"{SUMMARY} Resume from run/netD_200.pth (step 200).", 400, "run/netD_400.pth"),
        ("SD111", "its plateau σ5/σ1 is 0.40, down from 0.98.", 400, "run/netD_400.pth"),
        ("SD201", "1 value is NaN or infinite at step 400.", 400, "run/netD_400.pth"),
        ("SD203", "unchanged since step 200.", 400, "run/netD_400.pth"),
        ("SD302", TORN, None, ""),
    ]


@pytest.mark.parametrize(
    ("verdict", "code", "fails"),
    [
        (Verdict.HEALTHY, None, (False, False, False)),
        (Verdict.DECLINING, "SD102", (False, True, False)),
        (Verdict.COLLAPSED, "SD101", (True, True, False)),
        (Verdict.NOT_ENOUGH_EVIDENCE, "SD103", (False, False, False)),
    ],
)
def test_the_verdict_decides(verdict: Verdict, code: str | None, fails: tuple[bool, bool, bool]) -> None:
    """Every verdict at every `--fail-on`: collapsed, declining, never."""
    for fail_on, expected in zip(FailOn, fails, strict=True):
        outcome = judge(inspection_of(with_verdict(verdict)), GateSettings(fail_on=fail_on))
        assert [item.rule.code for item in outcome.problems] == ([code] if code else [])
        assert outcome.fails is expected


def test_values_that_are_finite_again_are_a_warning() -> None:
    """The exit code is about the last checkpoint."""
    trajectory = series(layer_over_steps("c1", [0.9, None, 0.9]))
    finding = Finding(FindingKind.NON_FINITE, ("c1",), 100, False, "…")
    diagnosis = replace(with_verdict(Verdict.HEALTHY), trajectory=trajectory, findings=(finding,))
    diagnosis = replace(diagnosis, layers=(replace(diagnosis.layers[0], layer="c1"),))
    outcome = judge(inspection_of(diagnosis), GateSettings())
    (problem,) = outcome.problems
    assert problem.sentence == "1 value is NaN or infinite at step 100, and finite again at the last."
    assert (problem.level, problem.step, outcome.fails) == (Level.WARN, 100, False)


def test_exploding_and_zero_layers_are_said_in_numbers() -> None:
    """σ1 now, and against the checkpoint before."""
    layer = layer_over_steps("c1", [0.9, 0.9, 0.9])
    first = layer.spectra[0]
    assert first is not None
    grown = replace(layer, spectra=(*layer.spectra[:2], type(first)(tuple(4.0 * value for value in first.values))))
    diagnosis = replace(
        with_verdict(Verdict.HEALTHY),
        trajectory=series(grown),
        findings=(
            Finding(FindingKind.EXPLODING, ("c1",), 200, True, "…"),
            Finding(FindingKind.ZERO, ("c1",), 200, True, "…"),
        ),
    )
    outcome = judge(inspection_of(diagnosis), GateSettings())
    assert [item.sentence for item in outcome.problems] == [
        "σ1 is 4, 4.0-fold that of the checkpoint before.",
        "every value is zero.",
    ]


def test_coverage_counts_files_and_weights() -> None:
    """The smaller share counts; what was excluded on purpose is no loss."""
    inspection = inspection_of(collapsed(), failures=(TORN,))
    coverage = coverage_of(inspection)
    assert coverage == Coverage(files=5, files_missed=1, weights=3, weights_missed=1)
    assert coverage.percent == pytest.approx(75.0)
    assert Coverage(0, 0, 0, 0).percent == 0.0
    low = judge(inspection, GateSettings(fail_on_coverage=75.1, fail_on=FailOn.NEVER))
    assert low.fails
    assert low.problems[-1].sentence == (
        "75 % was examined (5 of 6 checkpoints, 3 of 4 weights), --fail-on-coverage asks for 75.1 %."
    )
    assert not judge(inspection, GateSettings(fail_on_coverage=75.0, fail_on=FailOn.NEVER)).fails


def test_what_is_no_weight_is_not_missing() -> None:
    """The reasons that the readers give today: on purpose and no weight on one side, lost on the other."""
    scale = torch.ones(4, 1, 1)
    shared = torch.randn(8, 8)
    tensors = {
        "conv.weight": torch.randn(8, 4, 3, 3),
        "norm.weight": scale,
        "norm.bias": scale.clone(),
        "index.weight": torch.ones(3, 3, dtype=torch.int64),
        "a.weight": shared,
        "b.weight": shared,
        "c.running_var": torch.ones(4, 1, 1),
        "meta.weight": torch.empty(4, 4, device="meta"),
        "out.weight": torch.randn(8, 8),
    }
    _, skipped = layer_spectra(*collect_layers(tensors, exclude=["out"]))
    assert {item.name: is_missed(item.reason) for item in skipped} == {
        "norm.weight": False,
        "index.weight": False,
        "b": False,
        "c.running_var": False,
        "meta": True,
        "out": False,
    }


@pytest.mark.parametrize("unreadable", [False, True])
def test_nothing_examined_is_a_problem_that_nothing_silences(unreadable: bool) -> None:
    """With its notes, and whether a file was there that could not be read."""
    error = UnreadableCheckpoint("a.pt", "torn") if unreadable else NoCheckpoints(["runs"], 0)
    error.add_note("2 more.")
    outcome = nothing_examined(error, GateSettings(ignore=frozenset({"SD301"}), fail_on=FailOn.NEVER))
    assert outcome.fails
    assert outcome.unreadable is unreadable
    assert outcome.error == f"{error} 2 more."
    assert [item.rule.code for item in outcome.problems] == ["SD301"]


def test_two_series_of_one_name_stay_apart() -> None:
    """As two histories can have them: the problems of one are not those of the other."""
    outcome = judge(inspection_of(with_verdict(Verdict.HEALTHY), with_verdict(Verdict.COLLAPSED)), GateSettings())
    assert [item.discriminator for item in outcome.problems] == ["netD (2)"]


def test_a_key_holds_no_number_and_no_wrapper() -> None:
    """The same layer under DataParallel, compiled, or in another group, has one key."""
    assert normalised("module._orig_mod.body.c1[group 2/4]") == "body.c1"
    assert normalised("rnn[gate 1/3]") == "rnn"
    assert normalised("attention[query]") == "attention[query]"
    assert normalised("submodule.c1") == "submodule.c1"
    first, second = Key("SD201", "netD", "c1"), Key("SD201", "netD", "c2")
    assert first.fingerprint != second.fingerprint
    assert len(first.fingerprint) == 64
    assert Key("a", "b", "").fingerprint != Key("a", "", "b").fingerprint
