"""The JSON report: complete, versioned, and a history that gives the same statements."""

from __future__ import annotations

import json
from pathlib import Path

from spectral_doctor.diagnosis.rules import diagnose
from spectral_doctor.inspection import Inspection, inspect_paths
from spectral_doctor.report.document import render_json
from tests.builders import layer_over_steps, series


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
    found = diagnose(trajectory)
    told = entry["diagnosis"]
    assert (told["spectrum"], told["modes"]["statement"]) == (found.spectrum.value, found.modes.statement.value)
    assert told["modes"]["probability"] == found.probability == told["states"][1]["probability"]
    assert [item["sentence"] for item in told["modes"]["arguments"]] == [
        item.sentence for item in found.modes.arguments
    ]
    assert told["layers"][0]["reference"]["count"] > 0
