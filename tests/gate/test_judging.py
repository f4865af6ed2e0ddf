"""From an inspection to problems."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from spectral_doctor.arrays import live_arrays
from spectral_doctor.diagnosis.records import Finding, FindingKind, ModesStatement, SpectrumState
from spectral_doctor.diagnosis.rules import diagnose
from spectral_doctor.diagnosis.witness import Witness
from spectral_doctor.errors import NoCheckpoints, UnreadableCheckpoint
from spectral_doctor.gate.coverage import coverage_of
from spectral_doctor.gate.judging import judge, nothing_examined
from spectral_doctor.gate.records import Coverage, Key, normalised
from spectral_doctor.gate.rules import Level
from spectral_doctor.gate.settings import FailingSpectrum, FailOn, GateSettings
from spectral_doctor.inspection import Inspection
from spectral_doctor.records import Certainty, LeftOut
from spectral_doctor.state_dicts.matrices import collect_layers
from spectral_doctor.trajectory.curves import MetricCurve
from spectral_doctor.trajectory.examining import layer_spectra
from tests.builders import layer_over_steps, series
from tests.diagnosis.judging import FIXED, judged
from tests.gate.cases import SPECTRUM, TORN, UNDECIDED, WHY, collapsed, inspection_of, said


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
    assert found(GateSettings(select=frozenset({"SD112"}))) == [("SD112", "body.c1", "warn")]
    assert found(GateSettings(ignore=frozenset({"SD101", "SD302"}))) == [
        ("SD201", "body.c2", "fail"),
        ("SD203", "head", "warn"),
    ]
    silent = GateSettings(per_layer_ignore=(("body.*", frozenset({"SD201"})),), level={"SD203": Level.FAIL})
    assert found(silent) == [("SD101", "", "fail"), ("SD203", "head", "fail"), ("SD302", "", "warn")]
    assert {level for _, _, level in found(GateSettings(fail_on=FailOn()))} == {"warn"}


def test_the_sentences() -> None:
    """What is said, to the letter."""
    outcome = judge(inspection_of(collapsed(), failures=(TORN,)), GateSettings(level={"SD112": Level.WARN}))
    assert [(item.rule.code, item.sentence, item.step, str(item.checkpoint or "")) for item in outcome.problems] == [
        ("SD101", f"{SPECTRUM} Resume from run/netD_200.pth (step 200: {WHY}).", 400, "run/netD_400.pth"),
        ("SD112", "its plateau σ5/σ1 is 0.40, down from 0.98.", 400, "run/netD_400.pth"),
        ("SD201", "1 value is NaN or infinite at step 400.", 400, "run/netD_400.pth"),
        ("SD203", "unchanged since step 200.", 400, "run/netD_400.pth"),
        ("SD302", str(TORN), None, ""),
    ]


LEVELS = ("collapsed", "declining", "lost", "doubt", "never")


@pytest.mark.parametrize(
    ("spectrum", "code", "fails"),
    [
        (SpectrumState.SOUND, None, ()),
        (SpectrumState.RECOVERING, None, ()),
        (SpectrumState.DECLINING, "SD102", ("declining",)),
        (SpectrumState.COLLAPSED, "SD101", ("collapsed", "declining")),
        (SpectrumState.NOT_JUDGED, "SD103", ()),
        (SpectrumState.CLIPPED, "SD103", ()),
        (SpectrumState.COMPENSATED, "SD103", ()),
        (SpectrumState.STILL, "SD104", ()),
        (SpectrumState.UNTRAINED, "SD107", ()),
        (SpectrumState.EXPLODED, "SD205", ("collapsed", "declining", "lost", "doubt")),
    ],
)
def test_the_state_of_the_spectrum_decides(spectrum: SpectrumState, code: str | None, fails: tuple[str, ...]) -> None:
    """Every state has its rule or none, and fails at just these levels of `--fail-on`; broken weights at all."""
    for level in LEVELS:
        settings = GateSettings(fail_on=FailOn.read(level))
        outcome = judge(inspection_of(said(spectrum)), settings)
        assert [item.rule.code for item in outcome.problems] == ([code] if code else [])
        assert outcome.fails is (level in fails)
        assert settings.fail_on.reached(said(spectrum)) is (level in fails)


@pytest.mark.parametrize(
    ("modes", "code", "fails"),
    [
        (ModesStatement.KEPT, None, ()),
        (ModesStatement.NOT_KNOWN, None, ()),
        (ModesStatement.IN_DOUBT, "SD106", ("doubt",)),
        (ModesStatement.LOST, "SD105", ("lost", "doubt")),
    ],
)
def test_the_statement_about_modes_decides(modes: ModesStatement, code: str | None, fails: tuple[str, ...]) -> None:
    """The other statement has its own rules and levels."""
    for level in LEVELS:
        settings = GateSettings(fail_on=FailOn.read(level))
        outcome = judge(inspection_of(said(modes=modes)), settings)
        assert [item.rule.code for item in outcome.problems] == ([code] if code else [])
        assert outcome.fails is (level in fails)
        assert settings.fail_on.reached(said(modes=modes)) is (level in fails)


def test_both_statements_are_told_one_beside_the_other() -> None:
    """A collapse does not hide lost modes, and each says what it is about."""
    outcome = judge(inspection_of(said(SpectrumState.DECLINING, ModesStatement.LOST)), GateSettings())
    assert [(item.rule.code, item.fails) for item in outcome.problems] == [("SD102", False), ("SD105", True)]
    first, second = (item.sentence for item in outcome.problems)
    assert first.startswith("The spectrum is DECLINING")
    assert second.startswith("Modes are probably lost: probability 0.50 by D's spectra and samples of G.")


@pytest.mark.parametrize(
    ("layers", "codes"),
    [
        ([(0.97,)], []),
        ([(0.3,)], ["SD101"]),
        ([(0.62,)], []),
        ([(0.9, 0.62)], ["SD102"]),
        ([(0.9, 0.9)], []),
        ([(0.3, 0.9)], []),
    ],
)
def test_the_diagnosis_itself_fires_the_rules_of_the_spectrum(
    layers: list[tuple[float, ...]], codes: list[str]
) -> None:
    """From plateaus to codes against the fixed reference: one file can fail; the nearest case beside each does not."""
    diagnosis = judged(*(layer_over_steps(f"c{index}", row) for index, row in enumerate(layers)))
    outcome = judge(inspection_of(replace(diagnosis, modes=UNDECIDED)), GateSettings())
    assert [item.rule.code for item in outcome.problems] == codes


@pytest.mark.parametrize(("size", "codes"), [(1.01e4, ["SD205"]), (0.99e4, [])])
def test_one_file_with_exploded_weights_fails(size: float, codes: list[str]) -> None:
    """Above ten thousand, in a single checkpoint; below it is not."""
    layer = layer_over_steps("c1", [0.97])
    first = layer.spectra[0]
    assert first is not None
    exploded = replace(layer, spectra=(type(first)(tuple(size * value for value in first.values)),))
    outcome = judge(inspection_of(replace(judged(exploded), modes=UNDECIDED)), GateSettings())
    assert [item.rule.code for item in outcome.problems] == codes
    assert outcome.fails is bool(codes)


@pytest.mark.parametrize(("still", "codes"), [(2, ["SD104"]), (1, [])])
def test_a_discriminator_that_stands_still_is_told(still: int, codes: list[str]) -> None:
    """For half of the series; not for less, and where a layer alone stands still that is SD203."""
    layer = layer_over_steps("c1", [0.97, 0.96, 0.97, 0.96, 0.97][: 5 - still])
    stopped = replace(layer, spectra=(*layer.spectra, *layer.spectra[-1:] * still), non_finite=(0,) * 5)
    outcome = judge(inspection_of(judged(stopped)), GateSettings(ignore=frozenset({"SD203"})))
    assert [item.rule.code for item in outcome.problems if item.rule.code != "SD105"] == codes
    assert not any(item.fails for item in outcome.problems if item.rule.code == "SD104")


@pytest.mark.parametrize(
    ("witness", "codes"), [(Witness(constant=True, samples=768), ["SD105"]), (Witness(samples=768), []), (None, [])]
)
def test_a_generator_that_makes_one_sample_fires_the_rule_of_lost_modes(
    witness: Witness | None, codes: list[str]
) -> None:
    """From testimony to a code that fails, beside a sound spectrum; a generator that was not heard fires none."""
    trajectory = series(layer_over_steps("c1", [0.97, 0.98]))
    heard = {} if witness is None else {100: witness}
    outcome = judge(inspection_of(diagnose(trajectory, reference=FIXED, witnesses=heard)), GateSettings())
    assert [item.rule.code for item in outcome.problems] == codes
    assert outcome.fails is bool(codes)


@pytest.mark.parametrize(("last", "codes"), [(3.0, ["SD105"]), (6.0, ["SD106"]), (10.0, [])])
def test_modes_that_the_run_measured_fire_the_rules(last: float, codes: list[str]) -> None:
    """Lost beyond doubt, in doubt, and kept: by the curve of the run's own samples."""
    curve = MetricCurve("solid modes", (0, 100), (10.0, last), True, "the evaluation in the checkpoints", 10.0)
    trajectory = series(layer_over_steps("c1", [0.97, 0.98]))
    outcome = judge(inspection_of(diagnose(trajectory, reference=FIXED, curves=[curve])), GateSettings())
    assert [item.rule.code for item in outcome.problems] == codes
    assert outcome.fails is (codes == ["SD105"])


def test_values_that_are_finite_again_are_a_warning() -> None:
    """The exit code is about the last checkpoint."""
    trajectory = series(layer_over_steps("c1", [0.9, None, 0.9]))
    finding = Finding(FindingKind.NON_FINITE, ("c1",), 100, False, "…")
    diagnosis = replace(said(), trajectory=trajectory, findings=(finding,))
    diagnosis = replace(diagnosis, layers=(replace(diagnosis.layers[0], trajectory=trajectory.layers[0]),))
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
        said(),
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
    low = judge(inspection, GateSettings(fail_on_coverage=75.1, fail_on=FailOn()))
    assert low.fails
    assert low.problems[-1].sentence == (
        "75 % was examined (5 of 6 checkpoints, 3 of 4 weights), --fail-on-coverage asks for 75.1 %."
    )
    assert not judge(inspection, GateSettings(fail_on_coverage=75.0, fail_on=FailOn())).fails


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
    _, skipped = layer_spectra(*collect_layers(live_arrays(tensors), exclude=["out"]))
    assert {item.name: item.reason.is_missed for item in skipped} == {
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
    outcome = nothing_examined(error, GateSettings(ignore=frozenset({"SD301"}), fail_on=FailOn()))
    assert outcome.fails
    assert outcome.unreadable is unreadable
    assert outcome.error == f"{error} 2 more."
    assert [item.rule.code for item in outcome.problems] == ["SD301"]


def test_a_format_that_is_not_read_is_missing_and_a_generator_is_not() -> None:
    """What is left out lowers the coverage where it may have been a discriminator that nobody could open."""
    diagnoses = (said(),)
    generator = LeftOut("netG.pth", "a generator, no discriminator")
    closed = LeftOut("d.onnx", "not read here", "ONNX file")
    assert coverage_of(Inspection(diagnoses, (generator,), ())).files_missed == 0
    coverage = coverage_of(Inspection(diagnoses, (generator, closed, closed), ()))
    assert (coverage.files, coverage.files_missed, coverage.percent) == (2, 2, 50.0)


@pytest.mark.parametrize("certainty", Certainty)
def test_a_network_that_is_inferred_never_fails(certainty: Certainty) -> None:
    """The same collapse fails where a name says that it is a discriminator, and is a warning where a shape does."""
    diagnosis = collapsed()
    diagnosis = replace(diagnosis, trajectory=replace(diagnosis.trajectory, certainty=certainty))
    settings = GateSettings(fail_on=FailOn(FailingSpectrum.DECLINING), level={"SD203": Level.FAIL})
    outcome = judge(inspection_of(diagnosis), settings)
    assert [item.rule.code for item in outcome.problems] == ["SD101", "SD201", "SD203"]
    assert outcome.fails is (certainty is Certainty.CONFIRMED)
    words = "A warning only: its shape alone says that this is a discriminator."
    inferred = certainty is Certainty.INFERRED
    assert [item.sentence.endswith(words) for item in outcome.problems] == [inferred] * 3
    assert [item.level is Level.WARN for item in outcome.problems] == [inferred] * 3


def test_an_inferred_network_does_not_excuse_a_confirmed_one() -> None:
    """Each is judged by its own certainty, and coverage fails whatever the networks are."""
    sure, guessed = said(SpectrumState.COLLAPSED), said(SpectrumState.COLLAPSED, name="net")
    guessed = replace(guessed, trajectory=replace(guessed.trajectory, certainty=Certainty.INFERRED))
    outcome = judge(inspection_of(sure, guessed), GateSettings())
    assert [(item.discriminator, item.fails) for item in outcome.problems] == [("netD", True), ("net", False)]
    assert judge(inspection_of(guessed, failures=(TORN,)), GateSettings(fail_on_coverage=100.0)).fails


def test_two_series_of_one_name_stay_apart() -> None:
    """As two histories can have them: the problems of one are not those of the other."""
    outcome = judge(inspection_of(said(), said(SpectrumState.COLLAPSED)), GateSettings())
    assert [item.discriminator for item in outcome.problems] == ["netD (2)"]


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (nn.LSTM(3, 4, bidirectional=True), {"d[hh_l0]", "d[hh_l0_reverse]", "d[ih_l0]", "d[ih_l0_reverse]"}),
        (nn.GRU(3, 4, 2), {"d[hh_l0]", "d[hh_l1]", "d[ih_l0]", "d[ih_l1]"}),
    ],
    ids=["LSTM", "GRU"],
)
def test_the_gates_of_one_recurrent_weight_have_one_key(network: nn.Module, expected: set[str]) -> None:
    """By the names that the reader gives: the gate's number goes, and which weight it is stays."""
    tensors = {f"d.{name}": tensor for name, tensor in network.state_dict().items()}
    layers, _ = collect_layers(live_arrays(tensors))
    assert all(" gate " in layer.name for layer in layers)
    assert {normalised(layer.name) for layer in layers} == expected


def test_the_groups_of_one_convolution_have_one_key() -> None:
    """By the names that the reader gives."""
    tensors = {"convs.0.weight": torch.randn(16, 4, 3), "convs.1.weight": torch.randn(16, 4, 3)[:, :, :2]}
    layers, _ = collect_layers(live_arrays(tensors))
    names = [layer.name for layer in layers if "group" in layer.name]
    assert names == [f"convs.1[group {group}/4]" for group in range(1, 5)]
    assert {normalised(name) for name in names} == {"convs.1"}


def test_a_key_holds_no_number_and_no_wrapper() -> None:
    """The same layer under DataParallel, compiled, or in another group, has one key."""
    assert normalised("module._orig_mod.body.c1[group 2/4]") == "body.c1"
    assert normalised("attention[query]") == "attention[query]"
    assert normalised("submodule.c1") == "submodule.c1"
    first, second = Key("SD201", "netD", "c1"), Key("SD201", "netD", "c2")
    assert first.fingerprint != second.fingerprint
    assert len(first.fingerprint) == 64
    assert Key("a", "b", "").fingerprint != Key("a", "", "b").fingerprint
