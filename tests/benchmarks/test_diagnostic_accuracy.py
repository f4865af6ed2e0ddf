"""The benchmark's own figures against independent ones, and its splits."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from spectral_doctor.diagnosis.model import FORMULA
from spectral_doctor.diagnosis.records import Verdict
from spectral_doctor.records import Spectrum
from tests.benchmarks import diagnostic_accuracy as accuracy
from tests.benchmarks.corpus import outcome_of, pack
from tests.benchmarks.fit_diagnosis import fit
from tests.benchmarks.labelled import LabelledRun, read_runs

CORPUS = Path(__file__).parents[1] / "data" / "corpus.json.gz"


@pytest.fixture(scope="module")
def runs() -> list[LabelledRun]:
    """The packed corpus."""
    return read_runs(CORPUS)


def test_the_area_is_scikit_learn_s() -> None:
    """With ties; a constant score is worth one half."""
    random = np.random.default_rng(0)
    truth = random.random(300) < 0.3
    scores = np.round(random.standard_normal(300) + truth, 1)
    assert accuracy.area(scores, truth) == pytest.approx(roc_auc_score(truth, scores))
    assert accuracy.area(np.zeros(300), truth) == 0.5


def test_sensitivity_keeps_the_false_alarms_below_the_limit() -> None:
    """Of 100 healthy ones at most one may raise an alarm at 1 %, and none of 99."""
    healthy = np.arange(100) / 100
    truth = np.array([False] * 100 + [True] * 4)
    scores = np.concatenate([healthy, [0.985, 0.995, 0.5, 2.0]])
    assert accuracy.sensitivity(scores, truth, 0.01) == 0.75
    assert accuracy.sensitivity(scores[1:], truth[1:], 0.01) == 0.5


def test_outcomes_are_those_of_the_corpus(runs: list[LabelledRun]) -> None:
    """One rule, in one place and here; only clear checkpoints from a quarter on are judged."""
    raw = json.loads(gzip.decompress(CORPUS.read_bytes()))["runs"]
    assert len(raw) == len(runs)
    for item, run in zip(raw, runs, strict=True):
        assert run.outcomes == tuple(outcome_of(item, index) for index in range(len(run.modes)))
        assert all(4 * run.trajectory.steps[index] >= item["settings"]["steps"] for index in run.judged)
        assert all(run.outcomes[index] != "unclear" for index in run.judged)


def test_both_forms_and_packed_files_are_read_alike(runs: list[LabelledRun], tmp_path: Path) -> None:
    """A folder of runs gives what its pack gives, to a thousandth; the older form has its own labels."""
    raw: dict[str, Any] = json.loads(gzip.decompress(CORPUS.read_bytes()))["runs"][0]
    for checkpoint in raw["checkpoints"]:
        for layer in checkpoint["layers"].values():
            layer["relative_spectrum"] = [value / 1000 for value in layer["relative_spectrum"]]
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "run-000.json").write_text(json.dumps(raw))
    assert read_runs(tmp_path / "runs") == [runs[0]] == read_runs(tmp_path / "runs" / "run-000.json")
    pack([raw], tmp_path / "packed.json.gz")
    assert read_runs(tmp_path / "packed.json.gz") == [runs[0]]
    older = {
        "run": "run-0",
        "settings": {"spectral_norm": True, "channels": 12, "latent_dim": 16},
        "checkpoints": [
            {
                "step": step,
                "modes_captured": modes,
                "layers": {"conv2": {"sigma_max": 1, "relative_spectrum": [1.0] * 24}},
            }
            for step, modes in ((0, 5), (250, 99), (500, 250), (750, 401), (1000, 401))
        ],
    }
    (tmp_path / "older.json").write_text(json.dumps(older))
    (run,) = read_runs(tmp_path / "older.json")
    assert run.outcomes == ("collapsed", "collapsed", "unclear", "healthy", "healthy")
    assert run.judged == (1, 3, 4)
    assert run.trajectory.layers[0].identity.matrix_shape == (24, 192)


def test_no_run_is_scored_by_a_formula_that_saw_it(runs: list[LabelledRun]) -> None:
    """Without its fifth, without its recipe; a run from elsewhere is scored as shipped."""
    by_run, by_recipe = accuracy.formulas(runs)
    parts = {accuracy.fold_of(run) for run in runs}
    assert parts == set(range(accuracy.FOLDS))
    rest = [run for run in runs if accuracy.fold_of(run) != accuracy.fold_of(runs[0])]
    assert runs[0] not in rest
    assert by_run(runs[0]) == fit(rest)
    assert by_recipe(runs[0]) == fit([run for run in runs if run.recipe != runs[0].recipe])
    stranger = replace(runs[0], key="another", recipe="another")
    assert by_run(stranger) is by_recipe(stranger) is FORMULA


def test_onset_and_alarm_are_the_first_of_the_last_stretch(runs: list[LabelledRun]) -> None:
    """A run that was never better has not fallen, and one that ends healthy neither."""
    bad, good = "collapsed", "healthy"
    for outcomes, expected in (((bad, good, good, bad, bad), 3), ((bad, bad, bad), None), ((bad, good), None)):
        assert accuracy.onset(replace(runs[0], outcomes=outcomes)) == expected
    alarm, calm = Verdict.DECLINING, Verdict.HEALTHY
    assert accuracy.first_alarm((alarm, calm, alarm, Verdict.COLLAPSED)) == 2
    assert accuracy.first_alarm((alarm, calm)) is None


def test_alpha_finds_the_exponent_of_a_power_law() -> None:
    """Squares drawn from x^-3 above 1 give 3; a lower exponent means a heavier tail."""
    random = np.random.default_rng(0)
    for exponent in (2.5, 3.5):
        squares = np.sort(random.random(2000) ** (-1 / (exponent - 1)))[::-1]
        assert accuracy.alpha(Spectrum(tuple(np.sqrt(squares).tolist()))) == pytest.approx(exponent, abs=0.35)
    assert accuracy.rank_loss(Spectrum((1.0, 0.5, 1e-9, 0.0))) == 2.0
