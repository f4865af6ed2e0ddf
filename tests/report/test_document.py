"""The JSON report: complete, versioned, and a history that gives the same diagnosis."""

from __future__ import annotations

import json
from pathlib import Path

from spectral_doctor.diagnosis.rules import diagnose
from spectral_doctor.inspection import Inspection, inspect_paths
from spectral_doctor.report.document import render_json
from tests.builders import layer_over_steps, series
from tests.diagnosis.judging import judged


def test_the_json_report_is_a_history_with_the_same_diagnosis(tmp_path: Path) -> None:
    """What is written is read back to the same trajectory, statements and text of numbers."""
    diagnosis = diagnose(series(layer_over_steps("a", [0.97, None, 0.4]), layer_over_steps("b", [0.9, 0.8, 0.7])))
    text = render_json(Inspection((diagnosis,), (), ()))
    path = tmp_path / "history.json"
    path.write_text(text)
    again = inspect_paths([path])
    assert again.diagnoses == (diagnosis,)
    assert render_json(again) == text


def test_the_json_report_holds_the_complete_numbers() -> None:
    """Every statistic at every step, ASCII only, and a schema with its version."""
    trajectory = series(layer_over_steps("a\x1b", [0.97, 0.4]))
    text = render_json(Inspection((diagnose(trajectory),), (), ()))
    assert text.isascii()
    assert "\x1b" not in text
    document = json.loads(text)
    assert document["schema"] == "spectral-doctor/history/1"
    (entry,) = document["series"]
    layer = entry["diagnosis"]["layers"][0]
    spectrum = trajectory.layers[0].spectra[1]
    assert spectrum is not None
    assert entry["layers"][0]["singular_values"][1] == list(spectrum.values)
    assert layer["sigma_max"][1] == spectrum.sigma_max
    assert layer["stable_rank"][1] == spectrum.stable_rank
    assert layer["effective_rank"][1] == spectrum.effective_rank
    assert layer["plateau_width"][1] == spectrum.plateau_width
    assert (layer["sigma_2_ratio"][1], layer["sigma_5_ratio"][1]) == (spectrum.ratio(2), spectrum.ratio(5))
    assert layer["deficit"] == [0.0, trajectory.layers[0].deficit(1)]
    assert layer["envelope"] == list(trajectory.layers[0].envelopes[-1])
    found, told = diagnose(trajectory), entry["diagnosis"]
    assert told["modes"]["probability"] == found.probability == told["states"][1]["probability"]
    assert told["modes"]["tier"] == "D's spectra"
    assert [item["sentence"] for item in told["modes"]["arguments"]] == [
        item.sentence for item in found.modes.arguments
    ]
    reference = found.layers[0].reference
    assert reference is not None
    assert (layer["state"], layer["reference"]["low"], layer["reference"]["count"]) == (
        "fallen",
        reference.low,
        reference.count,
    )


def test_both_statements_stand_in_the_json_report() -> None:
    """At the top and at every step, beside events and advice; a key of the old report is not there."""
    layers = (layer_over_steps("a", [0.97, 0.97, 0.3]), layer_over_steps("b", [0.9, 0.9, 0.9], rank=3))
    (entry,) = json.loads(render_json(Inspection((judged(*layers),), (), ())))["series"]
    told = entry["diagnosis"]
    assert told["spectrum"] == "COLLAPSED"
    assert [state["spectrum"] for state in told["states"]] == ["SOUND", "SOUND", "COLLAPSED"]
    assert {state["modes"] for state in told["states"]} <= {"KEPT", "IN DOUBT", "LOST", "NOT KNOWN"}
    assert (told["onset"], told["onset_after"], told["last_healthy"]) == (200, 100, 100)
    assert told["events"] == [
        {"kind": "fell", "first": 100, "last": 200, "layers": [], "sentence": "the spectrum fell: COLLAPSED"}
    ]
    assert told["resume_from"] == "run/netD_100.pth"
    assert told["advice"] == {"step": 100, "why": "the last sound spectrum before step 200"}
    first, second = told["layers"]
    assert (first["state"], first["not_judged"]) == ("fallen", "")
    assert (second["state"], second["not_judged"]) == (None, "rank 3")
    assert "verdict" not in json.dumps(entry)
